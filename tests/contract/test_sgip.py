"""Contract, section 3: SGIP, where the carrier also connects to us."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.ports import free_port

from .gateways import ACCEPT, Answer, Report
from .process import until
from .sgip import DELIVER, REPORT, UNBIND, Caller
from .together import Together
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
alone = Together("tmp_path", at_once=4)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unicom(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Two accounts that share a listen address, with other logins."""
    listen = f"127.0.0.1:{free_port()}"
    async with world(
        tmp_path_factory.mktemp("unicom"),
        Account("one", "sgip", "unicom", listen=listen, listen_allow=["127.0.0.1/32"]),
        Account(
            "two", "sgip", "unicom", listen=listen, listen_login="smg2", listen_password="other",
            listen_allow=["127.0.0.1/32"], node_id=3075512345,
        ),
    ) as opened:  # fmt: skip
        yield opened


def port(unicom: World) -> int:
    return int(unicom.one.keys["listen"].rpartition(":")[2])


async def test_an_address_outside_the_list_is_closed_unanswered(unicom: World) -> None:
    caller = await Caller.dial(port(unicom), source="127.0.0.77")
    assert await caller.bind("smg", "smgpass") == -1
    await caller.close()


@pytest.mark.parametrize(
    ("login", "password", "kind", "result"),
    [
        ("smg", "wrong", 2, 1),
        ("who", "smgpass", 2, 1),
        ("smg", "other", 2, 1),
        ("smg", "", 2, 1),
        ("smg", "smgpass", 1, 4),
        ("smg", "smgpass", 3, 4),
        ("smg", "smgpass", 11, 4),
    ],
)
async def test_a_bad_login_is_told_and_closed(
    unicom: World, login: str, password: str, kind: int, result: int
) -> None:
    caller = await Caller.dial(port(unicom))
    assert await caller.bind(login, password, kind) == result
    assert await caller.closed()
    await caller.close()


async def test_several_connections_at_once_are_accepted(unicom: World) -> None:
    callers = [await Caller.dial(port(unicom)) for _ in range(4)]
    assert [await c.bind("smg", "smgpass") for c in callers] == [0] * 4
    other = await Caller.dial(port(unicom))
    assert await other.bind("smg2", "other") == 0
    for caller in (*callers, other):
        assert await caller.ask(UNBIND, b"") == 0
        await caller.close()


async def test_a_command_before_the_bind_is_closed_unanswered(unicom: World) -> None:
    caller = await Caller.dial(port(unicom))
    body = struct.pack(">21s21sBBBI", b"13000000000", b"1", 0, 0, 0, 1) + b"x" + bytes(8)
    assert await caller.ask(DELIVER, body) == -1
    await caller.close()


async def test_each_account_has_its_own_reports_and_inbound(unicom: World) -> None:
    one = job(number("unicom"), account="one")
    two = job(number("unicom"), account="two")
    await unicom.daemon.send(one, two)
    assert (await unicom.daemon.final(f"{one['id']}/0"))["account"] == "one"
    assert (await unicom.daemon.final(f"{two['id']}/0"))["account"] == "two"
    to = unicom.two.far.access_number + "77"
    assert await unicom.two.gateway.inbound("8613012345678", to, b"hello", 0) == 0
    (seen,) = [
        p.value for p in unicom.daemon.published["inbound"] if p.value["account"] == "two"
    ] or await until(lambda: [p.value for p in unicom.daemon.published["inbound"]], what="inbound")
    assert (seen["from"], seen["to"], seen["ext"]) == ("13012345678", to, "77")
    assert (seen["text"], seen["carrier"], seen["complete"]) == ("hello", "unicom", True)


async def test_reports_on_our_own_connection_are_taken_too(unicom: World) -> None:
    unicom.one.gateway.own_link = True
    one = job(number("unicom"), account="one")
    await unicom.daemon.send(one)
    assert (await unicom.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
    unicom.one.gateway.own_link = False


async def test_reports_without_the_country_code_are_taken(unicom: World) -> None:
    to = number("unicom")
    unicom.one.far.on(to, ACCEPT)
    one = job(to, account="one")
    await unicom.daemon.send(one)
    await unicom.daemon.state(f"{one['id']}/0", "accepted")
    (submit,) = unicom.one.far.to(to)
    unicom.one.gateway.report(submit, Report(), to=to)
    assert (await unicom.daemon.final(f"{one['id']}/0"))["state"] == "delivered"


async def test_a_report_of_a_submit_nobody_sent_is_answered(unicom: World) -> None:
    caller = await Caller.dial(port(unicom))
    assert await caller.bind("smg", "smgpass") == 0
    body = struct.pack(">12sB21sBB8s", b"\1" * 12, 0, b"8613000000000", 0, 0, b"")
    assert await caller.ask(REPORT, body) == 0
    await caller.close()


async def test_a_bind_that_was_closed_idle_counts_as_usable(unicom: World) -> None:
    unicom.one.gateway.drop()
    await until(lambda: not unicom.one.gateway.connections)
    await asyncio.sleep(0.2)  # so that the daemon has seen it
    assert (await unicom.daemon.get("/readyz"))[0] == 200
    assert await unicom.daemon.metric("carrierd_bind_up", account="one") >= 1
    one = job(number("unicom"), account="one")
    await unicom.daemon.send(one)
    assert (await unicom.daemon.final(f"{one['id']}/0"))["state"] == "delivered"


@alone()
async def test_an_idle_close_is_usable_until_a_connect_fails(tmp_path: Path) -> None:
    first, second = Account("u1", "sgip", "unicom"), Account("u2", "sgip", "unicom")
    async with world(tmp_path, first, second, routes={"unicom": ["u1", "u2"]}) as w:
        await first.gateway.stop()
        await until(lambda: not first.gateway.connections)
        jobs = [job(number("unicom")) for _ in range(5)]
        await w.daemon.send(*jobs)
        for one in jobs:
            last = await w.daemon.final(f"{one['id']}/0")
            assert (last["state"], last["account"]) == ("delivered", "u2")
            assert last["attempts"] == 1


@alone()
async def test_the_sequence_is_never_the_same_over_a_restart(tmp_path: Path) -> None:
    """The gateway itself looks for repeated sequences."""
    account = Account("u", "sgip", "unicom")
    async with world(tmp_path, account) as w:
        account.far.default = Answer(reports=())
        for _ in range(2):
            jobs = [job(number("unicom")) for _ in range(30)]
            await w.daemon.send(*jobs)
            for one in jobs:
                await w.daemon.state(f"{one['id']}/0", "accepted")
            await w.daemon.kill()
            await w.daemon.start()
        assert len({s.sequence for s in account.far.submits}) == len(account.far.submits)


async def test_nothing_that_the_daemon_did_breaks_the_contract(unicom: World) -> None:
    assert unicom.faults() == []
