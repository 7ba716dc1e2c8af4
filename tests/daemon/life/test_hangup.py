"""What SIGHUP takes over, and which connections never notice it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.contract.gateways import Answer, Connection
from tests.contract.process import until
from tests.contract.sgip import Caller
from tests.contract.world import Account, job, node, number

from .whole import Whole, whole


def connections(*accounts: Account) -> list[Connection]:
    return [c for account in accounts for gateway in account.gateways for c in gateway.connections]


async def delivered(opened: Whole, to: str, account: str) -> None:
    one = job(to)
    await opened.take(one)
    await opened.state(one, "delivered")
    assert opened.of(one)[-1]["account"] == account


async def test_another_secret_is_logged_in_with_and_other_accounts_stay_connected(
    tmp_path: Path,
) -> None:
    a, b = Account("a", "cmpp", "mobile"), Account("b", "smpp", "broadnet")
    async with whole(tmp_path, a, b) as opened:
        before = connections(b)
        a.far.password = "another-1"
        opened.config["accounts"]["a"]["password"] = "another-1"
        opened.reload()
        await until(lambda: len(a.far.logins) == 2 and a.gateway.bound, what="a second login")
        assert [login.status for login in a.far.logins] == [0, 0]
        await until(lambda: a.gateway.past, what="the end of the first connection")
        assert a.gateway.farewells == 1
        assert connections(b) == before
        await delivered(opened, number(), "a")
        await delivered(opened, number("broadnet"), "b")


async def test_a_secret_in_a_file_is_read_again(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret-1\n")
    secret.chmod(0o600)
    a = Account("a", "cmpp", "mobile")
    del a.keys["password"]
    a.keys["password_file"] = str(secret)
    async with whole(tmp_path, a) as opened:
        before = connections(a)
        opened.reload()
        a.far.password = "another-1"
        secret.write_text("another-1\n")
        assert connections(a) == before, "the same secret is no change"
        opened.reload()
        await until(lambda: len(a.far.logins) == 2 and a.gateway.bound, what="a second login")
        assert a.far.logins[-1].status == 0


async def test_nodes_come_and_go_while_the_others_stay_connected(tmp_path: Path) -> None:
    a = Account("a", "cmpp", "mobile", nodes=3)
    first, second, third = a.gateways
    async with whole(tmp_path, a) as opened:
        kept = connections(a)
        nodes = opened.config["accounts"]["a"]["nodes"]
        opened.config["accounts"]["a"]["nodes"] = nodes[:1]
        opened.reload()
        await until(lambda: second.past and third.past, what="the goodbyes")
        assert (second.farewells, third.farewells) == (1, 1)
        assert first.connections == kept[:1]
        opened.config["accounts"]["a"]["nodes"] = [nodes[0] | {"binds": 2}, node(third)]
        opened.reload()
        await until(lambda: third.bound and len(first.bound) == 2, what="the new logins")
        assert not second.connections
        assert kept[0] in first.bound
        await delivered(opened, number(), "a")
    assert a.far.faults == []


async def test_routes_rates_and_accounts_change_without_a_login(tmp_path: Path) -> None:
    a, b = Account("a", "cmpp", "mobile"), Account("b", "smgp", "telecom")
    fresh = Account("fresh", "smpp", "broadnet")
    await fresh.gateway.start()
    async with whole(tmp_path, a, b) as opened:
        before = connections(a, b)
        to = number()
        await delivered(opened, to, "a")
        config = opened.config
        config["routes"] = {"mobile": ["b"], "telecom": ["b"], "broadnet": ["fresh"]}
        config["accounts"]["a"]["rate"] = 7
        config["accounts"]["fresh"] = fresh.table()
        opened.reload()
        await delivered(opened, to, "b")
        assert opened.app.accounts["a"].pacer.rate == 7
        await until(lambda: fresh.gateway.bound, what="the new account's login")
        await delivered(opened, number("broadnet"), "fresh")
        assert connections(a, b) == before
        del config["accounts"]["fresh"]
        config["routes"]["broadnet"] = []
        opened.reload()
        await until(lambda: fresh.gateway.past, what="its goodbye")
        assert fresh.gateway.farewells == 1
        assert connections(a, b) == before
    await fresh.gateway.close()


async def test_what_waits_for_answers_on_a_connection_that_ends_is_answered_first(
    tmp_path: Path,
) -> None:
    a = Account("a", "cmpp", "mobile", answer_within=5.0)
    a.far.default = Answer(after=0.4, reports=())
    async with whole(tmp_path, a) as opened:
        one = job(number())
        await opened.take(one)
        await until(lambda: a.far.submits, what="the submit")
        a.far.password = opened.config["accounts"]["a"]["password"] = "another-1"
        opened.reload()
        await opened.state(one, "accepted")
        assert opened.states(one) == ["accepted"]
        assert len(a.far.submits) == 1


async def test_a_carrier_logs_in_with_the_new_secret_from_where_it_may_now(tmp_path: Path) -> None:
    a = Account("a", "sgip", "unicom", listen_allow=["127.0.0.2/32"])
    port = int(a.keys["listen"].rpartition(":")[2])
    async with whole(tmp_path, a) as opened:
        account = opened.config["accounts"]["a"]
        account |= {"listen_password": "another-1", "listen_allow": ["127.0.0.0/8"]}
        opened.reload()
        results = []
        for password in ("smgpass", "another-1"):
            caller = await Caller.dial(port)
            results.append(await caller.bind("smg", password))
            caller.writer.close()
        assert results == [1, 0]


async def test_a_change_before_the_binds_begin_makes_no_connection_twice(tmp_path: Path) -> None:
    """SIGHUP while the start waits for the broker, or for what another daemon told."""
    a = Account("a", "cmpp", "mobile")

    def early(opened: Whole) -> None:
        opened.config["accounts"]["a"]["nodes"][0]["binds"] = 3
        opened.reload()

    async with whole(tmp_path, a, before_start=early) as opened:
        await until(lambda: len(a.gateway.bound) == 3, 3.0, "the logins")
        await delivered(opened, number(), "a")
        assert len(a.far.logins) == 3


async def test_a_daemon_that_drains_begins_nothing_new(tmp_path: Path) -> None:
    a, fresh = Account("a", "cmpp", "mobile", rate=1), Account("fresh", "cmpp", "mobile")
    a.far.default = Answer(after=0.5)
    await fresh.gateway.start()
    async with whole(tmp_path, a) as opened:
        jobs = [job(number()) for _ in range(3)]
        await opened.take(*jobs)
        await until(lambda: a.far.submits, 3.0, "a submit")
        draining = asyncio.create_task(opened.drain())
        await asyncio.sleep(0.1)
        opened.config["routes"] = {"mobile": ["fresh", "a"]}
        opened.config["accounts"]["fresh"] = fresh.table()
        opened.reload()
        assert await draining == 0
        assert fresh.far.logins == []
        assert len(a.far.submits) == 1
    await fresh.gateway.close()
