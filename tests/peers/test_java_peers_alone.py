"""The Java gateway and the Java client do their part against each other, without code of ours."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.peers import fixture, java
from tests.peers.java import Event, JavaPeer

# The pairs live as long as the module: starting a Java program costs more than any test here.
pytestmark = [pytest.mark.peers, pytest.mark.asyncio(loop_scope="module")]

PROTOCOLS = ("cmpp20", "cmpp30", "smgp", "sgip")
ACCESS = "10690001"
LONG = "长" * 66 + "😀" + "尾" * 90


@dataclass(frozen=True)
class Pair:
    """A gateway and a client that has logged in to it; each test has its own phone number."""

    protocol: java.Protocol
    gateway: JavaPeer
    client: JavaPeer

    async def answers(self, submits: list[Event]) -> list[Event]:
        return [await self.client.event("answer", sequence=s["sequence"]) for s in submits]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROTOCOLS)
async def pair(request: pytest.FixtureRequest, java_peer: type[JavaPeer]) -> AsyncIterator[Pair]:
    protocol: java.Protocol = request.param
    async with java_peer("client", protocol, node=3010012345) as client:
        back = {"callback": f"127.0.0.1:{client.port}"} if protocol == "sgip" else {}
        async with java_peer("gateway", protocol, node=1010, report=20, **back) as gateway:
            await client.connect(gateway.port)
            await client.event("up")
            yield Pair(protocol, gateway, client)


async def test_submits_are_answered_and_reported_under_one_id(pair: Pair) -> None:
    phone = "8613800138001"
    await pair.client.submit(phone, "hello, world")
    await pair.client.submit(phone, "你好，世界")
    submits = await pair.client.events("submit", 2, to=[phone])
    answers = await pair.answers(submits)
    reports = await pair.client.events("report", 2, to=phone)
    assert [a["result"] for a in answers] == [0, 0]
    assert len({a["id"] for a in answers}) == 2
    assert [r["id"] for r in reports] == [a["id"] for a in answers]
    assert [r["stat"] for r in reports] == ["DELIVRD", "DELIVRD"]
    received = pair.gateway.seen("submit", to=[phone])
    assert [(s["coding"], s["text"], s["hex"]) for s in received] == [
        (0, "hello, world", b"hello, world".hex()),
        (8, "你好，世界", "你好，世界".encode("utf-16-be").hex()),
    ]
    assert all(s["from"] == ACCESS and s["report"] for s in received)
    for report in reports:
        taken = await pair.gateway.event("taken", sequence=report["sequence"])
        assert (taken["of"], taken["result"]) == ("report", 0)


async def test_long_messages_go_in_parts_and_are_joined_again(pair: Pair) -> None:
    phone = "8613800138002"
    await pair.client.submit(phone, LONG)
    whole = await pair.gateway.event("message", to=[phone])
    assert whole["text"] == LONG
    parts = pair.gateway.seen("submit", to=[phone])
    assert [(p["number"], p["total"], p["udhi"]) for p in parts] == [
        (1, 3, True),
        (2, 3, True),
        (3, 3, True),
    ]
    assert whole["sequences"] == [p["sequence"] for p in parts]
    assert len({a["id"] for a in await pair.answers(parts)}) == 3
    await pair.client.events("report", 3, to=phone)


async def test_inbound_messages_reach_the_client_short_and_long(pair: Pair) -> None:
    phone = "8613800138003"
    await pair.gateway.inbound(phone, ACCESS, "TD 退订")
    await pair.gateway.inbound(phone, ACCESS, LONG)
    messages = await pair.client.events("message", 2, of="inbound")
    assert all(m["from"] == phone for m in messages)
    assert [(m["of"], m["text"]) for m in messages] == [("inbound", "TD 退订"), ("inbound", LONG)]
    assert all(m["to"] == [ACCESS] for m in messages)
    await pair.gateway.events("taken", 4, of="inbound", result=0)


async def test_gbk_is_sent_and_read_as_gbk(pair: Pair) -> None:
    phone = "8613800138004"
    await pair.client.change(coding=15)
    await pair.client.submit(phone, "国标码")
    await pair.client.change(coding="auto")
    submit = await pair.gateway.event("submit", to=[phone])
    assert (submit["coding"], submit["hex"]) == (15, "国标码".encode("gbk").hex())
    assert submit["text"] == "国标码"


async def test_a_gateway_refuses_and_fails_what_it_is_told_to(pair: Pair) -> None:
    phone = "8613800138005"
    await pair.gateway.change(stat="UNDELIV", error=27)
    await pair.client.submit(phone, "fails")
    report = await pair.client.event("report", to=phone)
    assert report["stat"] == "UNDELIV"
    if pair.protocol in ("sgip", "smgp"):
        assert int(report["error"]) == 27
    await pair.gateway.change(stat="DELIVRD", error=0, result=9)
    await pair.client.submit(phone, "refused")
    refused = (await pair.client.events("submit", 2, to=[phone]))[1]
    (answer,) = await pair.answers([refused])
    await pair.gateway.change(result=0)
    assert answer["result"] == 9
    assert not pair.client.seen("report", id=answer["id"])


async def test_a_report_can_come_before_the_answer_or_only_when_asked_for(pair: Pair) -> None:
    phone = "8613800138006"
    await pair.gateway.change(delay=300, report=0)
    await pair.client.submit(phone, "early")
    early = await pair.client.event("report", to=phone)
    assert not pair.client.seen("answer", id=early["id"])
    await pair.client.event("answer", id=early["id"])
    await pair.gateway.change(delay=0, report="never")
    await pair.client.submit(phone, "later")
    submit = (await pair.client.events("submit", 2, to=[phone]))[1]
    (answer,) = await pair.answers([submit])
    assert not pair.client.seen("report", id=answer["id"])
    await pair.gateway.report_all("DELIVRD")
    await pair.client.event("report", id=answer["id"])
    await pair.gateway.change(report=20)


async def stopped(pid: int) -> None:
    """Stops all threads of a process; the signal alone is only on its way to them."""
    os.kill(pid, signal.SIGSTOP)

    def states() -> set[str]:
        stats = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat"))
        return {stat.rpartition(")")[2].split()[0] for stat in stats}

    async with asyncio.timeout(20):
        while states() != {"T"}:  # noqa: ASYNC110  # another process's threads
            await asyncio.sleep(0.01)


async def test_a_command_has_been_carried_out_when_it_returns(java_peer: type[JavaPeer]) -> None:
    async with java_peer("gateway", "cmpp20") as gateway:
        await stopped(gateway.pid)
        changing = asyncio.create_task(gateway.change(delay=0))
        leaving = asyncio.create_task(gateway.leave())
        ended, _ = await asyncio.wait({changing, leaving}, timeout=0.3)
        assert not ended
        os.kill(gateway.pid, signal.SIGCONT)
        await asyncio.gather(changing, leaving)
        assert [done["command"] for done in gateway.seen("done")] == ["set delay 0", "leave"]
        changing = asyncio.create_task(gateway.change(delay=1))
        os.kill(gateway.pid, signal.SIGKILL)
        with pytest.raises(java.PeerGoneError):
            await changing
        with pytest.raises(java.PeerGoneError):
            await gateway.change(delay=2)


async def test_a_wrong_password_and_an_unknown_name_are_refused(
    java_peer: type[JavaPeer], pair: Pair
) -> None:
    wrong: tuple[dict[str, object], ...] = ({"password": "wrong"}, {"login": "900000"})
    for credentials in wrong:
        async with java_peer(
            "client", pair.protocol, port=pair.gateway.port, **credentials
        ) as client:
            assert (await client.event("login", side="client"))["status"] > 0
            await client.event("closed", side="client")
            assert not client.seen("up")


async def test_a_silent_link_is_kept_alive_where_the_protocol_can(
    java_peer: type[JavaPeer], pair: Pair
) -> None:
    async with java_peer("client", pair.protocol, port=pair.gateway.port, idle=1) as client:
        up = await client.event("up")
        if pair.protocol == "sgip":
            # It has no keepalive: the link is closed instead.
            await client.event("closed", link=up["link"])
        else:
            await client.event("other", link=up["link"])
            assert not client.seen("closed")


async def test_an_orderly_leave_closes_both_ends(pair: Pair) -> None:
    await pair.client.leave()
    await pair.client.event("closed", side="client")
    first = pair.gateway.seen("login", side="gateway", status=0)[0]
    await pair.gateway.event("closed", side="gateway", link=first["link"])


async def test_a_mistaken_command_raises_and_ends_nothing(java_peer: type[JavaPeer]) -> None:
    async with java_peer("client", "cmpp30") as client:
        with pytest.raises(java.CommandRefusedError, match="not logged in"):
            await client.submit("8613800138000", "to nobody")
        with pytest.raises(java.CommandRefusedError, match="unknown setting 'nonsense'"):
            await client.change(nonsense=1)
        await client.change(coding=8)
        with pytest.raises(ValueError, match="one line"):
            await client.submit("8613800138000", "two\nlines")


async def test_a_program_that_cannot_start_says_why(java_peer: type[JavaPeer]) -> None:
    with pytest.raises(java.PeerGoneError, match="port=x is not a whole number"):
        async with java_peer("gateway", "cmpp30", port="x"):
            pass


async def test_the_program_is_gone_after_the_block_even_when_it_failed(
    java_peer: type[JavaPeer],
) -> None:
    peer = java_peer("gateway", "smgp")

    async def fail_inside() -> None:
        async with peer:
            os.kill(peer.pid, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_inside()
    with pytest.raises(ProcessLookupError):
        os.kill(peer.pid, 0)


async def test_what_never_happens_is_reported_with_what_did(java_peer: type[JavaPeer]) -> None:
    async with java_peer("gateway", "cmpp20") as gateway:
        with pytest.raises(AssertionError, match=r"no submit in 0\.1 s\. It said:\n.*listening"):
            await gateway.event("submit", within=0.1)
        waiting = asyncio.create_task(gateway.event("submit"))
        os.kill(gateway.pid, 9)
        with pytest.raises(java.PeerGoneError):
            await waiting


async def test_missing_java_skips_on_a_laptop_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask = fixture.java_peer.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr(java, "missing", lambda: "java not found on PATH")
    monkeypatch.delenv("CARRIERD_REQUIRE_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="java not found on PATH"):
        ask()
    monkeypatch.setenv("CARRIERD_REQUIRE_PEERS", "1")
    with pytest.raises(pytest.fail.Exception, match="java not found on PATH"):
        ask()
