"""Routes: carrier of the number, then the first usable account."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.account import Account
from daemon.config import Config
from daemon.jobs import Job as Fields
from daemon.model import Job, Message
from daemon.router import Router

from .config.sample import TEXT, examined


class NoDesk:
    """Nothing is dealt here."""

    tells = False

    def unfit(self, message: Message, code: str, reason: str) -> None:
        raise AssertionError

    def still_wanted(self, message: Message) -> bool:
        raise AssertionError

    def claim(self, claimed: object) -> None:
        raise AssertionError

    def refill(self, queue: object, lane: int) -> None:
        raise AssertionError


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return examined(tmp_path, TEXT.replace('telecom = ["other"]', "telecom = []")).config


class Routing:
    def __init__(self, config: Config) -> None:
        self.up: set[str] = set()
        self.accounts = {
            name: Account(name, settings, NoDesk(), 0.0)
            for name, settings in config.accounts.items()
        }
        self.router = Router(config.routes, self.accounts, lambda name: name in self.up)

    def usable(self, *names: str) -> list[str]:
        self.up = set(names)
        return [account.name for account in self.router.changed()]

    def serves(self, route: str) -> str | None:
        return self.router.serving[route]


@pytest.fixture
async def routing(config: Config) -> Routing:
    return Routing(config)


def message(route: str) -> Message:
    job = Job(1, Fields("j", ("1",), "x"), 0.0, 0.0, ("t", 0, 0), 1)
    found = Message(job, 0, "13912345678", "mobile", 1)
    found.route = route
    return found


async def test_the_first_usable_account_of_a_route_serves_it(routing: Routing) -> None:
    assert routing.serves("unicom") is None
    assert routing.usable("mobile") == ["mobile"]
    assert routing.serves("unicom") == "mobile"
    assert routing.usable("mobile", "unicom") == ["unicom"]
    assert routing.serves("unicom") == "unicom"
    assert routing.usable("mobile") == ["mobile"]
    assert routing.serves("unicom") == "mobile"
    assert routing.usable() == []
    assert routing.serves("unicom") is None


async def test_an_account_has_the_queues_of_the_routes_it_serves(routing: Routing) -> None:
    routing.usable("mobile")
    names = {queue.name for queue in routing.accounts["mobile"].dealing.queues}
    assert names == {"mobile", "unicom", "account:mobile"}
    assert routing.accounts["unicom"].dealing.queues == []


async def test_a_job_that_names_its_account_goes_there_only(routing: Routing) -> None:
    routing.usable("mobile")
    queue = routing.router.choose("mobile", "unicom")
    assert queue is not None
    assert queue.accounts == ("unicom",)
    assert routing.router.choose("mobile", "nobody") is None


async def test_an_unknown_prefix_takes_the_default_route(routing: Routing) -> None:
    queue = routing.router.choose(None, None)
    assert queue is not None
    assert queue.name == "default"
    assert queue.accounts == ()


async def test_what_was_not_written_waits_again_in_front(routing: Routing) -> None:
    first, second = message("mobile"), message("mobile")
    queue = routing.router.queues["mobile"]
    queue.offer_all(second.lane, [second])
    first.account, first.link = "mobile", object()
    routing.router.requeue(first)
    assert list(queue.lanes) == [first, second]
    assert first.account is None
    assert first.link is None


async def test_messages_are_counted_at_the_account_they_would_go_to(routing: Routing) -> None:
    waiting = message("unicom")
    routing.router.queues["unicom"].offer_all(waiting.lane, [waiting])
    assert (routing.router.waiting("unicom"), routing.router.waiting("mobile")) == (1, 0)
    routing.usable("mobile")
    assert (routing.router.waiting("unicom"), routing.router.waiting("mobile")) == (0, 1)


async def test_a_message_waits_as_long_as_the_account_it_would_go_to_allows(
    routing: Routing,
) -> None:
    assert routing.router.patience(message("mobile")) == 259200.0
    assert routing.router.patience(message("default")) == 259200.0
