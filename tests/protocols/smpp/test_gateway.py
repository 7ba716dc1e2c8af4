"""The message centre's side: what it refuses, and whole conversations with our ESME."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import ids
from protocols.errors import EncodeError, StateError
from protocols.events import (
    Accepted,
    BindRefused,
    Bound,
    Closed,
    Event,
    Fate,
    LoginAsked,
    Malformed,
    Received,
    Rejected,
    Reported,
    Submitted,
    Taken,
    Unanswered,
)
from protocols.gateway import Report
from protocols.part import Coding, Part
from protocols.session import BEIJING, Clock, Session, State
from protocols.smpp import msgid, pdus, status
from protocols.smpp.account import SmppAccount
from protocols.smpp.gateway import SmppGateway
from protocols.smpp.session import SmppSession
from protocols.smpp.strict import Rules
from protocols.text import header

from . import smsc

SECRETS = {"esme": "password"}
HELLO = Part("13800138000", "106900001234", b"hello", Coding.ASCII)
AT = datetime(2026, 11, 22, 10, 15, 30, tzinfo=BEIJING).timestamp()


def exchange(one: Session, other: Session, now: float = 1.0) -> tuple[list[Event], list[Event]]:
    """Everything that the two have to say to each other; their events."""
    ours: list[Event] = []
    theirs: list[Event] = []
    while (said := one.outgoing()) or (heard := other.outgoing()):
        if said:
            theirs += other.receive(said, now)
        else:
            ours += one.receive(heard, now)
    return ours, theirs


def gateway(**given: Any) -> SmppGateway:
    made = SmppGateway(smsc.limits(), Clock(), SECRETS.get, **given)
    made.start(0.0)
    return made


def session(secret: str = "password", **account: Any) -> SmppSession:
    return SmppSession(SmppAccount("esme", secret, **account), smsc.limits(), Clock())


def bound(account: dict[str, Any] | None = None, **given: Any) -> tuple[SmppSession, SmppGateway]:
    one, other = session(**(account or {})), gateway(**given)
    one.start(0.0)
    _, (asked,) = exchange(one, other)
    assert isinstance(asked, LoginAsked)
    assert (asked.login, asked.status) == ("esme", 0)
    other.admit(asked.ticket, 0.0)
    (ready,) = other.tick(0.0)
    assert isinstance(ready, Bound)
    (event,), _ = exchange(one, other)
    assert isinstance(event, Bound)
    assert event.version == ready.version
    return one, other


def news(carrier_id: bytes, fate: Fate = Fate.DELIVERED, code: str = "DELIVRD") -> Report:
    return Report(carrier_id, "13800138000", "106900001234", fate, code, AT, AT + 60)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"receipt": "text"},
        {"receipt": "tlv"},
        {"receipt": "text", "text_id": "decimal"},
        {"text_id": "decimal", "dates": 12},
        {"dates": 14, "says_version": False},
    ],
)
def test_a_part_goes_out_and_its_report_comes_back(given: dict[str, Any]) -> None:
    one, other = bound(**given)
    one.submit("a", HELLO, 0.0)
    _, (event,) = exchange(one, other)
    assert isinstance(event, Submitted)
    assert (event.to, event.sender, event.content) == (("13800138000",), HELLO.sender, b"hello")
    assert (event.fault, event.wants_report, event.number, event.total) == (0, True, 1, 1)
    message_id = msgid.MsgIds(3).next(datetime.fromtimestamp(AT, BEIJING))
    other.answer(event.ticket, 0, message_id)
    assert exchange(one, other)[0] == [Accepted("a", message_id)]
    other.report("r", news(message_id), 1.0)
    (report,), _ = exchange(one, other)
    assert isinstance(report, Reported)
    assert ids.key("smpp", message_id) in report.keys
    assert (report.fate, report.code, report.to) == (Fate.DELIVERED, "DELIVRD", "13800138000")
    assert other.unanswered == 1
    one.acknowledge(report.receipt)
    assert exchange(one, other) == ([], [Taken("r", 0)])


def test_a_report_may_come_before_the_answer() -> None:
    one, other = bound()
    one.submit("a", HELLO, 0.0)
    _, (event,) = exchange(one, other)
    assert isinstance(event, Submitted)
    other.report("r", news(b"abc"), 1.0)
    other.answer(event.ticket, 0, b"abc")
    first, second = exchange(one, other)[0]
    assert isinstance(first, Reported)
    assert second == Accepted("a", b"abc")


def test_an_intermediate_notification_is_one() -> None:
    one, other = bound(receipt="tlv")
    other.report("r", news(b"abc", Fate.INTERMEDIATE, "ENROUTE"), 1.0)
    (report,), _ = exchange(one, other)
    assert isinstance(report, Reported)
    assert (report.fate, report.code) == (Fate.INTERMEDIATE, "ENROUTE")


@pytest.mark.parametrize(
    "part",
    [
        Part("106900001234", "13800138000", "退订".encode("utf-16-be")),
        Part("106900001234", "13800138000", b"\5\0\3\1\2\1TD", Coding.ASCII, True, 1, 2),
        Part("106900001234", "13800138000", b"TD", Coding.ASCII, False, 1, 2, 77),
        Part("106900001234", "13800138000", b"TD" * 400, Coding.ASCII, payload=True),
    ],
)
def test_a_subscribers_message_comes_in_as_it_was_given(part: Part) -> None:
    one, other = bound()
    other.deliver("m", part, 1.0)
    (event,), _ = exchange(one, other)
    assert isinstance(event, Received)
    assert (event.sender, event.to, event.content) == (part.sender, part.to, part.content)
    assert (event.coding, event.udh) == (part.coding, part.udh)
    segment = part.total > 1 and not part.udh
    assert event.sar == ((part.reference, part.total, part.number) if segment else None)
    one.acknowledge(event.receipt)
    assert exchange(one, other) == ([], [Taken("m", 0)])


@pytest.mark.parametrize("bodies", [False, True])
def test_refusals_have_a_body_only_where_that_is_the_centres_way(bodies: bool) -> None:
    one, other = bound(error_bodies=bodies)
    one.submit("a", HELLO, 0.0)
    _, (event,) = exchange(one, other)
    assert isinstance(event, Submitted)
    other.answer(event.ticket, 0x58)
    answer = other.outgoing()
    assert len(answer) == 16 + bodies
    assert one.receive(answer, 1.0) == [Rejected("a", 0x58, "0x00000058", True)]


@pytest.mark.parametrize(
    ("pdu", "expected", "mode", "version"),
    [
        (smsc.bind(b"esme", b"password"), 0, "trx", "3.4"),
        (smsc.bind(b"esme", b"password", smsc.BIND_TX, 0x50), 0, "tx", "5.0"),
        (smsc.bind(b"esme", b"password", smsc.BIND_RX, 0x00), 0, "rx", "3.3"),
        (smsc.bind(b"esme", b"wrong"), 0x0E, "trx", "3.4"),
        (smsc.bind(b"esme", b"a long password"), 0x0E, "trx", "3.4"),
        (smsc.bind(b"stranger", b"password"), 0x0F, "trx", "3.4"),
        (smsc.bind(b"stranger", b""), 0x0F, "trx", "3.4"),
        (smsc.bind(b"sixteen letters!", b""), 0x0F, "trx", "3.4"),
    ],
)
def test_a_login_is_judged_by_the_table(pdu: bytes, expected: int, mode: str, version: str) -> None:
    (asked,) = gateway().receive(pdu, 0.0)
    assert isinstance(asked, LoginAsked)
    assert (asked.status, asked.mode, asked.version) == (expected, mode, version)


def test_a_refused_login_ends_the_conversation_for_both() -> None:
    one, other = session("wrong"), gateway()
    one.start(0.0)
    _, (asked,) = exchange(one, other)
    assert isinstance(asked, LoginAsked)
    other.refuse(asked.ticket, asked.status)
    (refused, closed), _ = exchange(one, other)
    assert refused == BindRefused(0x0E, "ESME_RINVPASWD 0x0000000E", retry=False)
    assert isinstance(closed, Closed)
    assert [type(e) for e in other.lost("gone")] == [Closed]
    other.admit(asked.ticket, 1.0)
    assert other.state is State.CLOSED


def test_a_login_that_cannot_be_read_is_refused_and_may_be_tried_again() -> None:
    other = gateway()
    (malformed,) = other.receive(smsc.frame(smsc.BIND_TRX, 1, b"esme"), 0.0)
    assert isinstance(malformed, Malformed)
    assert other.outgoing() == smsc.frame(smsc.BIND_TRX | smsc.ANSWER, 1, status=2)
    (asked,) = other.receive(smsc.bind(b"esme", b"password"), 0.0)
    assert isinstance(asked, LoginAsked)


def test_a_second_bind_is_refused() -> None:
    _, other = bound()
    (malformed,) = other.receive(smsc.bind(b"esme", b"password"), 1.0)
    assert isinstance(malformed, Malformed)
    assert other.outgoing() == smsc.frame(smsc.BIND_TRX | smsc.ANSWER, 1, status=5)


def test_a_submit_before_the_bind_or_on_a_receiver_is_refused() -> None:
    _, receiver = bound({"mode": "rx"})
    for other in (gateway(), receiver):
        (malformed,) = other.receive(smsc.frame(smsc.SUBMIT, 5, GOOD.encode()), 0.0)
        assert isinstance(malformed, Malformed)
        assert other.outgoing() == smsc.frame(smsc.SUBMIT | smsc.ANSWER, 5, status=4)


def test_a_transmitter_is_told_nothing() -> None:
    _, other = bound({"mode": "tx"})
    assert other.room == 0
    with pytest.raises(StateError):
        other.report("r", news(b"abc"), 1.0)


def test_a_peer_of_3_3_gets_no_parameters() -> None:
    _, other = bound({"version": "3.3"})
    other.report("r", news(b"abc"), 1.0)
    ((_, _, _, body),) = smsc.frames(other.outgoing())
    assert pdus.SubmitSm.decode(body).tlv == ()


@pytest.mark.parametrize("command", [3, 7, 8])
def test_what_is_asked_of_kept_messages_is_refused(command: int) -> None:
    _, other = bound()
    _, kind = pdus.PDUS["3.4"][command]
    other.receive(smsc.frame(command, 5, kind().encode()), 1.0)
    ((answer, result, sequence, _),) = smsc.frames(other.outgoing())
    assert (answer, sequence) == (command | smsc.ANSWER, 5)
    assert result in (status.RQUERYFAIL, status.RCANCELFAIL, status.RREPLACEFAIL)


GOOD = pdus.SubmitSm(
    source_addr="106900001234",
    destination_addr="13800138000",
    registered_delivery=1,
    short_message=b"hello",
)
LONG = header.spell(7, 2, 1) + "车".encode("utf-16-be")
SEGMENT = ((0x20C, b"\0\1"), (0x20E, b"\2"), (0x20F, b"\1"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, 0),
        ({"destination_addr": "8613800138000", "dest_addr_ton": 1, "dest_addr_npi": 1}, 0),
        ({"validity_period": "000002000000000R"}, 0),
        ({"schedule_delivery_time": "261122101530032+"}, 0),
        ({"esm_class": 0x40, "short_message": LONG, "data_coding": 8}, 0),
        ({"tlv": SEGMENT}, 0),
        ({"short_message": b"", "tlv": ((0x424, b"x" * 500),)}, 0),
        ({"short_message": b"x" * 160}, 0),
        ({"short_message": header.spell(1, 2, 1) + b"x" * 153, "esm_class": 0x40}, 0),
        ({"source_addr": "10655"}, 0x0A),
        ({"source_addr": ""}, 0x0A),
        ({"source_addr": "1069abc"}, 0x0A),
        ({"service_type": "XXX"}, 0x15),
        ({"source_addr_ton": 7}, 0x48),
        ({"source_addr_npi": 99}, 0x49),
        ({"destination_addr": "110"}, 0x0B),
        ({"destination_addr": ""}, 0x0B),
        ({"dest_addr_ton": 7}, 0x50),
        ({"dest_addr_npi": 99}, 0x51),
        ({"esm_class": 0x04}, 0x43),
        ({"esm_class": 0x40, "short_message": b"\x09\0\x03"}, 0x43),
        ({"priority_flag": 4}, 0x06),
        ({"registered_delivery": 3}, 0x07),
        ({"registered_delivery": 0x20}, 0x07),
        ({"replace_if_present_flag": 2}, 0x54),
        ({"sm_default_msg_id": 255}, 0x63),
        ({"schedule_delivery_time": "soon"}, 0x61),
        ({"validity_period": "261322101530032+"}, 0x62),
        ({"data_coding": 0x55}, 0x45),
        ({"short_message": b""}, 0x01),
        ({"short_message": b"x" * 161}, 0x01),
        ({"short_message": b"xx" * 71, "data_coding": 8}, 0x01),
        ({"short_message": header.spell(1, 2, 1) + b"x" * 154, "esm_class": 0x40}, 0x01),
        ({"short_message": b"\xe9"}, 0x45),
        ({"short_message": b"ab\x1b"}, 0x45),
        ({"short_message": b"\x4e", "data_coding": 8}, 0x45),
        ({"short_message": b"\xd8\x3d", "data_coding": 8}, 0x45),
        ({"short_message": "车".encode("gbk")[:1], "data_coding": 15}, 0x45),
        ({"tlv": ((0x424, b"x"),)}, 0xC1),
        ({"tlv": SEGMENT, "esm_class": 0x40, "short_message": LONG, "data_coding": 8}, 0xC1),
        ({"tlv": SEGMENT[:2]}, 0xC3),
        ({"tlv": (*SEGMENT[:2], (0x20F, b"\3"))}, 0xC4),
    ],
)
def test_a_strict_centre_finds_the_fault(change: dict[str, Any], fault: int) -> None:
    _, other = bound(rules=Rules("1069", (change.get("service_type") and "CMT") or ""))
    raw = smsc.frame(smsc.SUBMIT, 77, replace(GOOD, **change).encode())
    (event,) = other.receive(raw, 1.0)
    assert isinstance(event, Submitted)
    assert (event.fault, bool(event.why)) == (fault, bool(fault))


def test_an_oversized_field_is_a_fault_of_that_field() -> None:
    _, other = bound()
    body = b"\0\0\0" + b"1" * 30 + b"\0" + GOOD.encode()[16:]
    (event,) = other.receive(smsc.frame(smsc.SUBMIT, 77, body), 1.0)
    assert isinstance(event, Submitted)
    assert event.fault == status.RINVSRCADR


@pytest.mark.parametrize(
    ("dests", "fault"),
    [
        ((pdus.Destination(0, 0, "13800138000"), pdus.Destination(1, 1, "8613900139001")), 0),
        ((), 0x33),
        ((pdus.Destination(0, 0, "110"),), 0x0B),
        ((pdus.DistributionList("staff"),), 0x44),
    ],
)
def test_a_submit_to_many_is_taken(dests: Any, fault: int) -> None:
    _, other = bound()
    body = pdus.SubmitMulti(source_addr="1069", dest_address=dests, short_message=b"x")
    (event,) = other.receive(smsc.frame(smsc.MULTI, 5, body.encode()), 1.0)
    assert isinstance(event, Submitted)
    assert event.fault == fault
    if not fault:
        assert event.to == ("13800138000", "13900139001")
        other.answer(event.ticket, 0, b"abc")
        assert other.outgoing() == smsc.frame(smsc.MULTI | smsc.ANSWER, 5, b"abc\0\0")


def test_a_submit_by_data_sm_is_taken() -> None:
    _, other = bound()
    body = pdus.DataSm(
        source_addr="1069", destination_addr="13800138000", tlv=((0x424, b"payload"),)
    )
    (event,) = other.receive(smsc.frame(smsc.DATA, 5, body.encode()), 1.0)
    assert isinstance(event, Submitted)
    assert (event.content, event.fault) == (b"payload", 0)
    other.answer(event.ticket, 0, b"abc")
    assert other.outgoing() == smsc.frame(smsc.DATA | smsc.ANSWER, 5, b"abc\0")


def _udh(number: int) -> Part:
    content = header.spell(9, 2, number) + "车".encode("utf-16-be") * 67
    return Part("13800138000", "1069", content, Coding.UCS2, True, number, 2, 9)


@pytest.mark.parametrize(
    "spell",
    [
        _udh,
        lambda n: Part("13800138000", "1069", b"x" * 140, Coding.ASCII, False, n, 2, 513),
        lambda n: Part("13800138000", "1069", b"\x4e\x2d" * 300, payload=True, number=n, total=n),
    ],
)
def test_our_own_long_parts_have_no_fault(spell: Callable[[int], Part]) -> None:
    one, other = bound()
    for number in (1, 2):
        one.submit(number, spell(number), 0.0)
    for number, event in enumerate(exchange(one, other)[1], 1):
        assert isinstance(event, Submitted)
        assert (event.fault, event.why) == (0, "")
        assert event.total == 1 or (event.number, event.total) == (number, 2)


@pytest.mark.parametrize("fate", [Fate.DELIVERED, Fate.INTERMEDIATE])
@pytest.mark.parametrize("to", ["13800138000", "+8613800138000", "1" * 20, ""])
@pytest.mark.parametrize("receipt", ["both", "text", "tlv"])
def test_every_receipt_is_spelled_as_its_declaration_has_it(
    fate: Fate, to: str, receipt: str
) -> None:
    _, other = bound(receipt=receipt)
    senders = ("106900001234", "1069", "106900001234")
    for number, sender in enumerate(senders):
        other.report(number, replace(news(b"A1", fate), to=to, sender=sender), 1.0)
    frames = smsc.frames(other.outgoing())
    assert len(frames) == len(senders)
    for sender, (_, _, _, raw) in zip(senders, frames, strict=True):
        deliver = pdus.SubmitSm.decode(raw)
        assert deliver.encode() == raw
        assert (deliver.source_addr, deliver.destination_addr) == (to, sender)
        assert deliver.esm_class == (0x04 if fate is Fate.DELIVERED else 0x20)
        assert bool(deliver.short_message) == (receipt != "tlv")
        assert bool(deliver.tlv) == (receipt != "text")


def test_an_unanswered_report_comes_back_and_the_client_may_refuse_one() -> None:
    one, other = bound()
    other.report("lost", news(b"a"), 0.0)
    other.outgoing()
    one.receive(smsc.frame(smsc.ENQUIRE, 1), 1.0)
    other.receive(smsc.frame(smsc.ENQUIRE | smsc.ANSWER, 1), 1.0)
    assert other.tick(5.0) == [Unanswered("lost")]
    other.report("refused", news(b"b"), 5.0)
    ((_, _, sequence, _),) = smsc.frames(other.outgoing())
    nack = smsc.frame(smsc.DELIVER | smsc.ANSWER, sequence, b"\0", 0x64)
    assert other.receive(nack, 5.1) == [Taken("refused", 0x64)]


def test_an_id_that_is_no_number_is_not_written_as_one() -> None:
    _, other = bound(text_id="decimal")
    with pytest.raises(EncodeError):
        other.report("r", news(b"not hexadecimal"), 1.0)
    assert (other.outgoing(), other.unanswered) == (b"", 0)


def test_the_centre_probes_and_answers_probes() -> None:
    one, other = bound()
    other.tick(30.0)
    assert exchange(one, other, 30.1) == ([], [])
    assert other.deadline() == pytest.approx(60.1)


def test_both_ends_say_goodbye() -> None:
    for farewell in (0, 1):
        pair = bound()
        pair[farewell].close(1.0)
        ours, theirs = exchange(*pair)
        assert [e for e in (*ours, *theirs) if not isinstance(e, Closed)] == []
        assert len(ours) == len(theirs) == 1


def test_ids_of_one_second_differ_and_have_every_form() -> None:
    made = msgid.MsgIds(gateway=9, first=0xFFFFE)
    moment = datetime.fromtimestamp(AT, BEIJING)
    found = [made.next(moment) for _ in range(4)]
    assert len(set(found)) == 4
    assert {len(i) for i in found} == {15}
    for message_id in found:
        decimal = b"%d" % int(message_id, 16)
        assert ids.key("smpp", message_id) in ids.smpp_keys(decimal, "auto")[0]


@given(
    st.lists(
        st.tuples(st.sampled_from(smsc.COMMANDS), st.sampled_from([0, 0x58]), st.binary()),
        max_size=5,
    )
)
def test_no_well_framed_octets_make_a_gateway_raise(said: list[tuple[int, int, bytes]]) -> None:
    for other in (bound()[1], gateway()):
        for command, result, body in said:
            other.receive(smsc.frame(command, 1, body, result), 1.0)
