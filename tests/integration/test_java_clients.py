"""Clients that somebody else wrote, logged in to our simulated gateways: CMPP, SGIP and SMGP.

What the gateway counted is compared with what the client says of itself, and its strict check must
find nothing wrong with what others send.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from daemon.sim.account import Listener, Node
from daemon.sim.gateway import SimGateway
from tests.contract.process import until
from tests.peers import java
from tests.peers.java import Event, JavaPeer

from .simulated import ACCESS, LONG, LONG_ASCII, agrees, deliver, gateway, phone, submits, text

pytestmark = pytest.mark.peers

PROTOCOLS: tuple[java.Protocol, ...] = ("cmpp20", "cmpp30", "smgp", "sgip")


@dataclass(frozen=True)
class Pair:
    """A simulated gateway and the Java client that has logged in to it."""

    protocol: java.Protocol
    gateway: SimGateway
    node: Node
    client: JavaPeer

    async def submit(self, to: str, text: str, parts: int) -> tuple[list[Event], list[Event]]:
        """The client's submits and the answers they got."""
        await self.client.submit(to, text)
        sent = await self.client.events("submit", parts, to=[to])
        return sent, [await self.client.event("answer", sequence=s["sequence"]) for s in sent]

    async def reports(self, answers: list[Event]) -> list[Event]:
        return [await self.client.event("report", id=answer["id"]) for answer in answers]


@asynccontextmanager
async def paired(
    java_peer: type[JavaPeer], protocol: java.Protocol, **behaviour: float
) -> AsyncIterator[Pair]:
    async with java_peer("client", protocol, node=3010012345) as client:
        back = None
        if protocol == "sgip":
            back = Listener("127.0.0.1", client.port, "smg", "smgsecret")
        async with gateway(protocol[:4], listener=back, **behaviour) as (made, node):
            await client.connect(made.port)
            await client.event("up")
            yield Pair(protocol, made, node, client)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROTOCOLS)
async def pair(request: pytest.FixtureRequest, java_peer: type[JavaPeer]) -> AsyncIterator[Pair]:
    async with paired(java_peer, request.param, delay=0.01, report_delay=0.02) as made:
        yield made


in_module = pytest.mark.asyncio(loop_scope="module")


@in_module
async def test_a_java_client_is_admitted(pair: Pair) -> None:
    assert (await pair.client.event("login", side="client"))["status"] == 0
    assert pair.node.counts.logins == 1
    assert pair.gateway.connections == 1


@pytest.mark.parametrize(
    ("written", "parts", "coding"),
    [("hello, world", 1, 0), ("您好，世界", 1, 8), (LONG, 3, 8), (LONG_ASCII, 3, 0)],
    ids=["ascii", "chinese", "long chinese", "long ascii"],
)
@in_module
async def test_a_java_clients_texts_are_answered_and_reported(
    pair: Pair, written: str, parts: int, coding: int
) -> None:
    to = phone()
    sent, answers = await pair.submit(to, written, parts)
    assert [answer["result"] for answer in answers] == [0] * parts
    received = submits(pair.node, to)
    assert text(received) == written
    assert [(p.number, p.total, p.coding) for p in received] == [
        (number, parts, coding) for number in range(1, parts + 1)
    ]
    assert [p.content.hex() for p in received] == [s["hex"] for s in sent]
    assert all(p.sender == ACCESS and p.wants_report for p in received)
    assert len({answer["id"] for answer in answers}) == parts
    reports = await pair.reports(answers)
    assert [report["stat"] for report in reports] == ["DELIVRD"] * parts
    assert all(report["to"].removeprefix("86") == to[2:] for report in reports)


@pytest.mark.parametrize("written", ["TD 退订", LONG], ids=["short", "long"])
@in_module
async def test_a_subscribers_message_reaches_a_java_client(pair: Pair, written: str) -> None:
    sender = phone()
    before = pair.node.counts.inbound_taken
    parts = deliver(pair.node, pair.gateway, sender[2:], written)
    whole = await pair.client.event("message", of="inbound", text=written)
    assert whole["from"].removeprefix("86") == sender[2:]
    assert (whole["to"], whole["parts"]) == ([ACCESS], parts)
    await until(lambda: pair.node.counts.inbound_taken == before + parts, what="answers")


@in_module
async def test_a_failed_delivery_is_told_to_a_java_client(pair: Pair) -> None:
    code = {"sgip": "27", "smgp": "UNDELIV/027"}.get(pair.protocol, "UNDELIV")
    pair.gateway.change(pair.node, {"undelivered": 1.0, "undelivered_codes": [code]})
    _, answers = await pair.submit(phone(), "to nobody", 1)
    (report,) = await pair.reports(answers)
    pair.gateway.change(pair.node, {"undelivered": 0.0})
    assert report["stat"] == "UNDELIV"
    if pair.protocol in ("sgip", "smgp"):
        assert int(report["error"]) == 27


@in_module
async def test_a_report_reaches_a_java_client_before_the_answer(pair: Pair) -> None:
    to = phone()
    pair.gateway.change(pair.node, {"early_reports": 1.0, "delay": 0.3})
    await pair.client.submit(to, "early")
    report = await pair.client.event("report")
    assert report["to"] == to
    assert not pair.client.seen("answer", id=report["id"])
    await pair.client.event("answer", id=report["id"], result=0)
    pair.gateway.change(pair.node, {"early_reports": 0.0, "delay": 0.01})


@in_module
async def test_the_counts_agree_with_what_the_java_client_did(pair: Pair) -> None:
    """The last of those that share the pair."""
    client = pair.client
    sent = len(client.seen("submit"))
    await until(lambda: pair.node.counts.reports_taken == sent, what="reports taken")
    agrees(pair.node, sent)
    assert len(client.seen("answer")) == len(client.seen("report")) == sent
    assert pair.node.counts.inbound_taken == len(client.seen("inbound"))
    assert client.seen("error") == []


@in_module
async def test_a_java_client_is_throttled_and_refused_as_told(pair: Pair) -> None:
    throttle = pair.gateway.dialect.throttle
    counts = pair.node.counts
    assert (counts.throttled, counts.refused) == (0, 0)
    pair.gateway.change(pair.node, {"throttle": 1.0})
    await pair.client.submit(phone(), "slower")
    await pair.client.event("answer", result=throttle)
    pair.gateway.change(pair.node, {"throttle": 0.0, "refuse": 1.0})
    to = phone()
    _, answers = await pair.submit(to, "refused", 1)
    pair.gateway.change(pair.node, {"refuse": 0.0})
    assert answers[0]["result"] == pair.gateway.dialect.refusal
    # Some clients send a throttled submit again by themselves, whatever came of it then.
    assert counts.throttled >= 1
    assert counts.refused >= 1
    await until(lambda: counts.submits == counts.answered, what="answers")


@in_module
async def test_a_java_client_that_takes_leave_is_let_go(pair: Pair) -> None:
    await pair.client.leave()
    await pair.client.event("closed", side="client")
    client_side = 1 if pair.protocol == "sgip" else 0  # the gateway's own connection to the client
    await until(lambda: pair.gateway.connections <= client_side, what="the connection's end")
    assert pair.node.counts.closed_in_error == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_java_client_with_a_wrong_password_or_name_is_refused(
    java_peer: type[JavaPeer], protocol: java.Protocol
) -> None:
    wrong: tuple[dict[str, object], ...] = ({"password": "wrong"}, {"login": "900000"})
    async with gateway(protocol[:4]) as (made, node):
        for credentials in wrong:
            async with java_peer("client", protocol, port=made.port, **credentials) as client:
                assert (await client.event("login", side="client"))["status"] > 0
                await client.event("closed", side="client")
                assert not client.seen("up")
        assert (node.counts.logins, node.counts.logins_refused, made.strangers) == (0, 1, 1)
