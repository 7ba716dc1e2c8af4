"""Our client and our gateway talking to each other, for all carrier protocols."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocols.cmpp.account import CmppAccount
from protocols.cmpp.gateway import CmppGateway
from protocols.cmpp.msgid import MsgIds as CmppIds
from protocols.cmpp.session import CmppSession
from protocols.events import (
    Accepted,
    BindRefused,
    Bound,
    Closed,
    Fate,
    LoginAsked,
    Received,
    Rejected,
    Reported,
    Submitted,
    Taken,
)
from protocols.gateway import GatewaySession, Report
from protocols.part import Coding, Part
from protocols.session import Clock, Limits, Session, State
from protocols.smgp.account import SmgpAccount
from protocols.smgp.gateway import SmgpGateway
from protocols.smgp.msgid import MsgIds as SmgpIds
from protocols.smgp.session import SmgpSession

from .conversation import Conversation

CLOCK = Clock(epoch=1_795_313_730.0)
LIMITS = Limits(window=4, keepalive=30.0, answer_within=5.0)
SECRETS = {"901234": "abcd1234"}
PART = Part(
    to="13800138000",
    sender="106900001234",
    content="【测试】你好".encode("utf-16-be"),
    expires_at=1_795_320_000.0,
)
MO = Part(
    to="106900001234", sender="13800138000", content="退订".encode("gb18030"), coding=Coding.GB18030
)

Make = Callable[[str], tuple[Session, GatewaySession, bytes]]
"""A client with a secret, a gateway, and an id to answer with."""


def cmpp(version: str) -> Make:
    def make(secret: str) -> tuple[Session, GatewaySession, bytes]:
        account = CmppAccount("901234", secret, version=version)
        gateway = CmppGateway(LIMITS, CLOCK, SECRETS.get)
        return CmppSession(account, LIMITS, CLOCK), gateway, CmppIds(123456).next(CLOCK.at(0.0))

    return make


def smgp(secret: str) -> tuple[Session, GatewaySession, bytes]:
    client = SmgpSession(SmgpAccount("901234", secret), LIMITS, CLOCK)
    return client, SmgpGateway(LIMITS, CLOCK, SECRETS.get), SmgpIds().next(CLOCK.at(0.0))


MAKES = [
    pytest.param(cmpp("2.0"), id="cmpp-2.0"),
    pytest.param(cmpp("3.0"), id="cmpp-3.0"),
    pytest.param(smgp, id="smgp-3.0"),
]
every_protocol = pytest.mark.parametrize("make", MAKES)


def joined(make: Make) -> tuple[Conversation, bytes]:
    client, gateway, carrier_id = make("abcd1234")
    talk = Conversation(client, gateway)
    talk.start()
    asked = talk.told_gateway(LoginAsked)
    assert (asked.login, asked.status) == ("901234", 0)
    gateway.admit(asked.ticket, talk.now)
    talk.turn()
    assert talk.at_client == [Bound(client.version)]
    talk.at_client.clear()
    talk.at_gateway += gateway.tick(talk.now)
    assert talk.told_gateway(Bound).login == "901234"
    return talk, carrier_id


def told(carrier_id: bytes, fate: Fate = Fate.DELIVERED, code: str = "DELIVRD") -> Report:
    at = CLOCK.epoch
    return Report(carrier_id, PART.to, PART.sender, fate, code, at, at + 60)


@every_protocol
def test_a_part_is_submitted_answered_and_reported(make: Make) -> None:
    talk, carrier_id = joined(make)
    talk.client.submit("a", PART, talk.now)
    talk.turn()
    got = talk.told_gateway(Submitted)
    assert (got.fault, got.why) == (0, "")
    assert (got.to, got.sender, got.content) == ((PART.to,), PART.sender, PART.content)
    assert (got.coding, got.udh, got.number, got.total) == (8, False, 1, 1)
    assert got.wants_report
    assert got.fields.valid_time == "261122120000032+"
    talk.gateway.answer(got.ticket, 0, carrier_id)
    talk.gateway.report("r", told(carrier_id), talk.now)
    talk.turn()
    accepted, reported = talk.at_client
    assert accepted == Accepted("a", carrier_id)
    assert isinstance(reported, Reported)
    assert (reported.keys[0], reported.fate, reported.code) == (
        carrier_id,
        Fate.DELIVERED,
        "DELIVRD",
    )
    assert reported.to == PART.to
    talk.client.acknowledge(reported.receipt)
    talk.turn()
    assert talk.told_gateway(Taken) == Taken("r", 0)


@every_protocol
def test_a_report_may_overtake_its_answer(make: Make) -> None:
    talk, carrier_id = joined(make)
    talk.client.submit("a", PART, talk.now)
    talk.turn()
    got = talk.told_gateway(Submitted)
    talk.gateway.report("r", told(carrier_id), talk.now)
    talk.gateway.answer(got.ticket, 0, carrier_id)
    talk.turn()
    assert [type(event) for event in talk.at_client] == [Reported, Accepted]


@every_protocol
def test_the_parts_of_a_long_message_keep_their_header(make: Make) -> None:
    talk, _ = joined(make)
    content = b"\5\0\3\x17\2\2" + "好".encode("utf-16-be") * 3
    part = Part(PART.to, PART.sender, content, udh=True, number=2, total=2)
    talk.client.submit("a", part, talk.now)
    talk.turn()
    got = talk.told_gateway(Submitted)
    assert (got.fault, got.why) == (0, "")
    assert (got.udh, got.number, got.total, got.content) == (True, 2, 2, content)


@every_protocol
def test_a_refusal_keeps_its_code(make: Make) -> None:
    talk, _ = joined(make)
    talk.client.submit("a", PART, talk.now)
    talk.turn()
    talk.gateway.answer(talk.told_gateway(Submitted).ticket, 10)
    talk.turn()
    assert talk.told_client(Rejected) == Rejected("a", 10, "10", throttled=False)


@every_protocol
def test_an_inbound_message_arrives_whole_and_once(make: Make) -> None:
    talk, identity = joined(make)
    for _ in range(2):
        talk.gateway.deliver("m", MO, talk.now, identity=identity)  # type: ignore[call-arg]
        talk.turn()
    first, again = talk.at_client
    assert isinstance(first, Received)
    assert isinstance(again, Received)
    assert (first.sender, first.to, first.content) == (MO.sender, MO.to, MO.content)
    assert (first.coding, first.udh) == (15, False)
    assert first.identity == again.identity
    talk.client.acknowledge(first.receipt)
    talk.turn()
    assert talk.told_gateway(Taken) == Taken("m", 0)


@every_protocol
def test_a_header_of_an_inbound_part_is_announced(make: Make) -> None:
    talk, _ = joined(make)
    part = Part(MO.to, MO.sender, b"\5\0\3\1\2\1" + MO.content, udh=True, number=1, total=2)
    talk.gateway.deliver("m", part, talk.now)
    talk.turn()
    assert talk.told_client(Received).udh


@every_protocol
def test_failures_and_news_on_the_way_are_told_apart(make: Make) -> None:
    talk, carrier_id = joined(make)
    talk.gateway.report("r", told(carrier_id, Fate.FAILED, "UNDELIV"), talk.now)
    talk.turn()
    reported = talk.told_client(Reported)
    assert reported.fate is Fate.FAILED
    assert reported.code.startswith("UNDELIV")
    talk.gateway.report("s", told(carrier_id, Fate.INTERMEDIATE, "ACCEPTD"), talk.now)
    talk.turn()
    assert talk.told_client(Reported).fate is Fate.INTERMEDIATE


@every_protocol
def test_a_wrong_password_is_seen_and_refused(make: Make) -> None:
    client, gateway, _ = make("wrong")
    talk = Conversation(client, gateway)
    talk.start()
    asked = talk.told_gateway(LoginAsked)
    assert asked.status != 0
    gateway.refuse(asked.ticket, asked.status)
    talk.turn()
    refused = talk.told_client(BindRefused)
    assert (refused.status, refused.retry) == (asked.status, False)
    assert gateway.state is client.state is State.CLOSED


@every_protocol
def test_silence_is_probed_from_both_sides_and_the_answer_keeps_it_up(make: Make) -> None:
    talk, _ = joined(make)
    for _ in range(20):
        talk.wait(30.0)
    assert talk.client.state is talk.gateway.state is State.BOUND
    assert talk.at_client == talk.at_gateway == []


@every_protocol
def test_a_frozen_gateway_is_given_up(make: Make) -> None:
    talk, _ = joined(make)
    assert talk.client.tick(30.0) == []
    assert talk.client.outgoing() != b""
    (closed,) = talk.client.tick(35.0)
    assert isinstance(closed, Closed)
    assert closed.error


@every_protocol
def test_both_sides_part_in_peace(make: Make) -> None:
    for leaver in ("client", "gateway"):
        talk, _ = joined(make)
        getattr(talk, leaver).close(talk.now)
        talk.turn()
        assert not talk.told_client(Closed).error
        assert not talk.told_gateway(Closed).error


@every_protocol
def test_a_report_that_nobody_answers_frees_the_gateways_window(make: Make) -> None:
    talk, carrier_id = joined(make)
    talk.gateway.report("r", told(carrier_id), talk.now)
    assert talk.gateway.room == 3
    talk.gateway.outgoing()
    talk.gateway.receive(b"", 4.0)
    events = talk.gateway.tick(5.0)
    assert [getattr(event, "tag", None) for event in events][:1] == ["r"]
