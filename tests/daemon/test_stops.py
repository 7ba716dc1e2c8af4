"""What a stop covers: what it names, produced until then, of which nothing was written."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from daemon.changelog import Stop
from daemon.jobs import Job as Fields
from daemon.model import Job, Message, Part, PartState, State
from daemon.stops import Stops

AT = 1_000.0


def message(produced: float = AT - 1, tenant: str = "shop", **more: Any) -> Message:
    fields = Fields("j", ("13912345678",), "x", tenant=tenant)
    found = Message(Job(1, fields, produced, AT, ("t", 0, 0), 1), 0, "13912345678", "mobile", 1)
    for name, value in more.items():
        setattr(found, name, value)
    return found


def stopped(what: Literal["job", "tenant", "account"], name: str, goes_to: str = "a") -> Stops:
    stops = Stops(lambda message: goes_to)
    stops.add(Stop(what=what, name=name, at=AT))
    return stops


@pytest.mark.parametrize(
    ("what", "name", "covered"),
    [
        ("job", "j", True),
        ("job", "k", False),
        ("tenant", "shop", True),
        ("tenant", "default", False),
        ("account", "a", True),
        ("account", "b", False),
    ],
)
def test_it_covers_what_it_names(what: Any, name: str, covered: bool) -> None:
    assert stopped(what, name).cover(message()) == covered


@pytest.mark.parametrize(("produced", "covered"), [(AT - 9, True), (AT, True), (AT + 0.001, False)])
def test_it_covers_what_was_produced_until_then(produced: float, covered: bool) -> None:
    for stops in (stopped("job", "j"), stopped("tenant", "shop"), stopped("account", "a")):
        assert stops.cover(message(produced)) == covered


def test_a_message_that_belongs_to_an_account_is_covered_by_a_stop_of_that_one() -> None:
    assert stopped("account", "b", goes_to="a").cover(message(account="b"))
    assert not stopped("account", "a", goes_to="a").cover(message(account="b"))


@pytest.mark.parametrize("state", list(State))
def test_it_covers_what_waits_wherever_it_waits(state: State) -> None:
    waits = (State.WAITING, State.HELD, State.PARKED)
    assert stopped("job", "j").cover(message(state=state)) == (state in waits)


@pytest.mark.parametrize(
    "more",
    [{"doubts": 1}, {"flying": 1}, {"carrier_ids": [b"1"]}, {"state": PartState.IN_DOUBT}],
    ids=lambda more: next(iter(more)),
)
def test_it_leaves_what_a_gateway_may_have(more: dict[str, Any]) -> None:
    one = message(parts=[Part(1), Part(2)])
    assert stopped("job", "j").cover(one)
    for name, value in more.items():
        setattr(one.parts[1], name, value)
    assert not stopped("job", "j").cover(one)


def test_a_later_stop_of_the_same_covers_more_and_an_earlier_one_nothing_less() -> None:
    stops = stopped("job", "j")
    stops.add(Stop(what="job", name="j", at=AT - 500))
    assert stops.cover(message(AT))
    stops.add(Stop(what="job", name="j", at=AT + 500))
    assert stops.cover(message(AT + 400))


def test_forgetting_an_old_stop_leaves_a_later_one() -> None:
    old, late = (Stop(what="job", name="j", at=at) for at in (AT - 500, AT))
    stops = Stops(lambda message: None)
    stops.add(old)
    stops.add(late)
    stops.forget(old)
    assert stops.cover(message())
    stops.forget(late)
    assert not stops.cover(message())
