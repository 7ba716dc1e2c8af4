"""Contract, sections 5 and 6, where gateways, hosts and networks misbehave."""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from .gateways import ACCEPT, SILENT, Answer, Report, refused
from .process import Daemon, command, until
from .together import Together
from .world import Account, World, job, node, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONG = "测试长短信" * 30
scene = Together("world")
alone = Together("tmp_path", at_once=4)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rough(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """`down` has a gateway nobody can reach; `one` a window of one."""
    down = Account("down", "cmpp", "mobile", report_within=2.0)
    async with world(
        tmp_path_factory.mktemp("rough"),
        Account("mobile", "cmpp", "mobile"),
        Account("one", "cmpp", "mobile", window=1),
        down,
        Account("noisy", "cmpp", "mobile"),
        Account("twin", "cmpp", "mobile"),
        Account("telecom", "smgp", "telecom"),
        Account("broadnet", "smpp", "broadnet"),
        Account("unicom", "sgip", "unicom"),
        ready=False,
        uncertain={"hold": 0.5},
    ) as opened:
        await down.gateway.stop()
        await until(lambda: all(a.gateway.bound for n, a in opened.accounts.items() if n != "down"))
        yield opened
        await scene.end()


@pytest.fixture(name="world")
def the_world(rough: World) -> World:
    return rough


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def works(rough: World, account: str) -> None:
    carrier = rough.accounts[account].keys["carrier"]
    one = job(number(carrier), account=account)
    await rough.daemon.send(one)
    assert (await rough.daemon.final(f"{one['id']}/0"))["state"] == "delivered"


@scene()
async def test_what_can_never_be_written_is_expired_within_report_within(rough: World) -> None:
    one = job(number(), account="down")
    began = time.monotonic()
    await rough.daemon.send(one)
    last = await rough.daemon.final(f"{one['id']}/0")
    assert 1.9 <= time.monotonic() - began <= 6.0
    assert (last["state"], last["stage"]) == ("expired", "gate")
    assert last["code"] == "LOCAL:QUEUE_EXPIRED"
    assert (last["node"], last["carrier_ids"]) == (None, [])


@scene()
async def test_a_job_that_names_its_account_waits_for_it(rough: World) -> None:
    """And expires there, though the route has others."""
    one = job(number(), account="down", expires_at=soon(1.0))
    await rough.daemon.send(one)
    last = await rough.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["code"]) == ("expired", "LOCAL:QUEUE_EXPIRED")
    assert rough.mobile.far.to(one["to"]) == []


@scene()
async def test_throttling_goes_on_until_the_message_expires(rough: World) -> None:
    """A bind that other scenes had throttled as well pauses for up to 1.6 s."""
    to = number("telecom")
    rough.telecom.far.on(to, refused(1))
    one = job(to, expires_at=soon(6.0))
    await rough.daemon.send(one)
    last = await rough.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["code"]) == ("expired", "LOCAL:QUEUE_EXPIRED")
    seen = len(rough.telecom.far.to(to))
    assert seen >= 3
    await asyncio.sleep(1.0)
    assert len(rough.telecom.far.to(to)) == seen


@scene()
async def test_parts_not_yet_written_stay_unwritten_after_a_refusal(rough: World) -> None:
    to = number()
    rough.one.far.on(to, refused(13), Answer())
    one = job(to, LONG, account="one")
    await rough.daemon.send(one)
    last = await rough.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["code"], last["parts"]) == ("rejected", "13", 3)
    await asyncio.sleep(0.5)
    assert len(rough.one.far.to(to)) == 1


@scene()
async def test_a_refusal_of_the_second_attempt_is_rejected_at_once(rough: World) -> None:
    to = number("unicom")
    rough.unicom.far.on(to, SILENT, refused(76))
    one = job(to)
    await rough.daemon.send(one)
    last = await rough.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["code"], last["attempts"]) == ("rejected", "76", 2)


@scene("mobile", "telecom", "broadnet", "unicom")
async def test_a_part_throttled_after_others_were_taken_completes(
    rough: World, account: str
) -> None:
    to = number(rough.accounts[account].keys["carrier"])
    code = {"mobile": 8, "telecom": 1, "broadnet": 0x58, "unicom": 88}[account]
    rough.accounts[account].far.on(to, Answer(), refused(code), Answer())
    one = job(to, LONG)
    await rough.daemon.send(one)
    last = await rough.daemon.final(f"{one['id']}/0")
    submits = rough.accounts[account].far.to(to)
    assert (last["state"], last["attempts"], len(submits)) == ("delivered", 1, 4)
    assert len({s.reference for s in submits}) == 1
    assert len({id(s.connection) for s in submits}) == 1
    assert len(last["carrier_ids"]) == 3
    good = {s.number: s.ident for s in submits}
    if account == "mobile":
        assert last["carrier_ids"] == [f"0x{good[n].hex()}" for n in (1, 2, 3)]


@scene()
async def test_answers_out_of_order_find_their_submits(rough: World) -> None:
    jobs = [job(number("telecom")) for _ in range(6)]
    for place, one in enumerate(jobs):
        rough.telecom.far.on(one["to"], Answer(after=0.3 - 0.05 * place))
    await rough.daemon.send(*jobs)
    for one in jobs:
        last = await rough.daemon.final(f"{one['id']}/0")
        (submit,) = rough.telecom.far.to(one["to"])
        assert last["carrier_ids"] == [f"0x{submit.ident.hex()}"]


async def test_a_refused_long_message_does_not_hold_up_the_next(rough: World) -> None:
    """Its other parts were as good as written when the refusal came."""
    to = number()
    rough.one.far.on(to, refused(13))
    long, following = job(to, LONG, account="one"), job(number(), account="one")
    await rough.daemon.send(long, following)
    last = await rough.daemon.final(f"{following['id']}/0")
    assert last["state"] == "delivered"


@scene()
async def test_a_message_in_two_carriers_words_is_two_messages(rough: World) -> None:
    """One number by two accounts at once: their reports do not mix, though the ids are equal."""
    to = number()
    rough.mobile.far.on(to, ACCEPT)
    rough.twin.far.on(to, ACCEPT)
    first, second = job(to, account="mobile"), job(to, account="twin")
    await rough.daemon.send(first, second)
    for one in (first, second):
        await rough.daemon.state(f"{one['id']}/0", "accepted")
    (submit,) = rough.twin.far.to(to)
    rough.twin.gateway.report(submit, Report("UNDELIV"))
    assert (await rough.daemon.final(f"{second['id']}/0"))["state"] == "undelivered"
    assert len(rough.daemon.events(f"{first['id']}/0")) == 1


GARBAGE = {
    "a length of nothing": b"\0\0\0\0\0\0\0\x01\0\0\0\x01",
    "a length beyond reason": b"\x7f\xff\xff\xff\0\0\0\x05\0\0\0\x01",
    "no protocol at all": b"GET / HTTP/1.1\r\n\r\n" * 3,
}
ODD = {
    "an unknown command": struct.pack(">III", 12, 0x77, 9),
    "an answer nobody waits for": struct.pack(">IIIQI", 24, 0x80000004, 0x7FFFFFF0, 5, 0),
    "an answer cut short": struct.pack(">IIIB", 13, 0x80000004, 0x7FFFFFF0, 5),
    "a deliver cut short": struct.pack(">III", 20, 5, 9) + bytes(8),
    "a second login answer": struct.pack(">III", 33, 0x80000001, 1) + bytes(21),
    "a deliver that lies about its length": (
        struct.pack(">III", 120, 5, 9) + bytes(76) + b"\xff" * 32
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", GARBAGE)
async def test_a_stream_that_is_lost_is_closed_and_opened_again(rough: World, what: str) -> None:
    gateway = rough.noisy.gateway
    (connection,) = await until(lambda: gateway.bound, what="a bind")
    connection.send(GARBAGE[what])
    await until(lambda: connection.closed, what="the end of the connection")
    await until(lambda: gateway.bound, what="a new connection")
    await works(rough, "noisy")


@pytest.mark.parametrize("what", ODD)
async def test_an_odd_pdu_disturbs_nothing(rough: World, what: str) -> None:
    gateway = rough.noisy.gateway
    (connection,) = await until(lambda: gateway.bound, what="a bind")
    known = len(rough.noisy.far.faults)
    connection.send(ODD[what])
    await works(rough, "noisy")
    assert connection in gateway.bound
    del rough.noisy.far.faults[known:]  # its refusal answers a Deliver that we did not count


async def test_an_answer_given_twice_counts_once(rough: World) -> None:
    to = number()
    rough.noisy.far.on(to, Answer(after=0.05))
    one = job(to, account="noisy")
    await rough.daemon.send(one)
    await rough.daemon.state(f"{one['id']}/0", "accepted")
    (submit,) = rough.noisy.far.to(to)
    rough.noisy.gateway.say_answer(submit, 13)
    last = await rough.daemon.final(f"{one['id']}/0")
    assert last["state"] == "delivered"


async def test_octets_may_come_one_by_one(rough: World) -> None:
    gateway = rough.noisy.gateway
    (connection,) = gateway.bound
    whole = connection.send
    waiting: list[bytes] = []
    connection.send = waiting.append  # type: ignore[method-assign]
    one = job(number(), account="noisy")
    await rough.daemon.send(one)
    for _ in range(2):  # the answer, then the report
        await until(lambda: waiting, what="something to say")
        for octet in waiting.pop(0):
            connection.writer.write(bytes([octet]))
            await connection.writer.drain()
            await asyncio.sleep(0)
    connection.send = whole  # type: ignore[method-assign]
    assert (await rough.daemon.final(f"{one['id']}/0"))["state"] == "delivered"


async def test_the_gateway_may_test_the_link_and_say_goodbye(rough: World) -> None:
    gateway = rough.noisy.gateway
    (connection,) = gateway.bound
    heard: list[int] = []
    usual = gateway.frame

    def listen(link: Any, frame: bytes) -> None:
        heard.append(int.from_bytes(frame[4:8], "big"))
        usual(link, frame)

    gateway.frame = listen
    connection.send(struct.pack(">III", 12, 8, 77))
    await until(lambda: 0x80000008 in heard, what="an answer to the link test")
    connection.send(struct.pack(">III", 12, 2, 78))
    await until(lambda: 0x80000002 in heard, what="an answer to the goodbye")
    connection.close()
    gateway.frame = usual
    await until(lambda: gateway.bound and gateway.bound[0] is not connection, what="a new bind")
    await works(rough, "noisy")


@alone()
async def test_a_report_that_was_answered_survives_a_kill(tmp_path: Path) -> None:
    account, other = Account("m", "cmpp", "mobile"), Account("u", "sgip", "unicom")
    async with world(tmp_path, account, other) as w:
        account.far.default = other.far.default = ACCEPT
        jobs = [job(number()), job(number("unicom"))]
        await w.daemon.send(*jobs)
        for one in jobs:
            await w.daemon.state(f"{one['id']}/0", "accepted")
        account.gateway.report(account.far.submits[0], Report())
        other.gateway.report(other.far.submits[0], Report())
        await until(lambda: account.gateway.deliver_answers and other.gateway.deliver_answers)
        await w.daemon.kill()
        await w.daemon.start()
        for one in jobs:
            assert (await w.daemon.final(f"{one['id']}/0"))["state"] == "delivered"


@alone()
async def test_a_report_before_its_answer_survives_a_kill(tmp_path: Path) -> None:
    """The report comes, is answered, the daemon dies before the submit's answer."""
    account = Account("u", "sgip", "unicom", answer_within=5.0)
    async with world(tmp_path, account, uncertain={"hold": 1.5}) as w:
        to = number("unicom")
        account.far.on(to, SILENT)
        one = job(to)
        await w.daemon.send(one)
        (submit,) = await until(lambda: account.far.to(to))
        account.gateway.report(submit, Report())
        await until(lambda: account.gateway.deliver_answers)
        await w.daemon.kill()
        await w.daemon.start()
        assert (await w.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
        assert len(account.far.to(to)) == 1


@alone()
async def test_an_inbound_message_that_was_answered_survives_a_kill(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile")
    async with world(tmp_path, account) as w:
        await account.gateway.inbound("13900000001", account.far.access_number, b"\0A")
        await w.daemon.kill()
        await w.daemon.start()
        await until(lambda: w.daemon.published["inbound"], what="the inbound message")


@alone()
async def test_a_reload_takes_new_accounts_and_rates(tmp_path: Path) -> None:
    account, fresh = Account("m", "cmpp", "mobile", rate=5), Account("t", "smgp", "telecom")
    await fresh.gateway.start()
    try:
        async with world(tmp_path, account) as w:
            config = w.daemon.config
            config["accounts"]["m"]["rate"] = 300
            config["accounts"]["t"] = {**fresh.keys, "nodes": [node(fresh.gateway)]}
            config["routes"]["telecom"] = ["t"]
            kept = account.gateway.bound[0]
            rewrite(w.daemon)
            w.daemon.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
            await until(lambda: fresh.gateway.bound, what="the new account's bind")
            one = job(number("telecom"))
            await w.daemon.send(one)
            assert (await w.daemon.final(f"{one['id']}/0"))["account"] == "t"
            assert await w.daemon.metric("carrierd_rate_limit", account="m") == 300
            assert account.gateway.bound == [kept]
            w.daemon.file.write_text("[daemon\n")
            w.daemon.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
            await asyncio.sleep(0.4)
            one = job(number())
            await w.daemon.send(one)
            assert (await w.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
            rewrite(w.daemon)
    finally:
        await fresh.gateway.close()


def rewrite(daemon: Daemon) -> None:
    from .process import toml

    daemon.file.write_text("\n".join(toml(daemon.config)) + "\n")


@alone()
async def test_an_address_in_use_is_two(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile")
    async with world(tmp_path, account) as w:
        other = tmp_path / "other.toml"
        text = w.daemon.file.read_text().replace(
            json.dumps(str(tmp_path / "state")), json.dumps(str(tmp_path / "state2"))
        )
        other.write_text(text)
        ended = await command("run", "--config", str(other))
        assert ended.status == 2
        again = await command("run", "--config", str(w.daemon.file))
        assert again.status == 2, "a state_dir has one daemon"


async def test_the_demo_loses_nothing() -> None:
    ended = await command("demo", "--messages", "40", "--rate", "80", "--json", within=60.0)
    assert ended.status == 0, ended.err
    shown = json.loads(ended.out)
    assert {"messages", "delivered", "lost", "duplicated", "carriers"} <= set(shown)
    assert (shown["messages"], shown["lost"], shown["duplicated"]) == (40, 0, 0)
    assert set(shown["carriers"]) == {"mobile", "unicom", "telecom", "broadnet"}
