"""The ESME's session against a message centre that is spelled with struct."""

from __future__ import annotations

import struct
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DecodeError, EncodeError, StateError
from protocols.events import (
    Accepted,
    BindRefused,
    Bound,
    Closed,
    Event,
    Fate,
    Malformed,
    Received,
    Rejected,
    Reported,
    Unanswered,
)
from protocols.part import Coding, Part
from protocols.session import Clock, State
from protocols.smpp import pdus
from protocols.smpp.account import SmppAccount
from protocols.smpp.session import SmppSession

from .. import vectors
from . import smsc

HELLO = Part("13800138000", "106900001234", b"hello", Coding.ASCII)


def fresh(window: int = 4, first_sequence: int = 1, **account: Any) -> SmppSession:
    made = SmppAccount("smppclient1", "password", **account)
    return SmppSession(made, smsc.limits(window), Clock(), first_sequence=first_sequence)


def bound(window: int = 4, **given: Any) -> SmppSession:
    session = fresh(window, **given)
    session.start(0.0)
    ((command, _, sequence, _),) = smsc.frames(session.outgoing())
    answer = smsc.frame(command | smsc.ANSWER, sequence, b"SMSC01\0")
    assert session.receive(answer, 0.0) == [Bound("3.4", "smppclient1")]
    return session


def vector(name: str) -> dict[str, Any]:
    (found,) = [v for v in vectors.load("smpp34.json") if v["id"] == name]
    return found


def sequence_of(session: SmppSession) -> int:
    """The sequence number of the one request that was written."""
    ((_, _, sequence, _),) = smsc.frames(session.outgoing())
    return sequence


# Login


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("trx", "smpp34_bind_transceiver_typical"),
        ("tx", "smpp34_bind_transmitter_typical"),
    ],
)
def test_the_bind_is_that_of_other_implementations(mode: str, name: str) -> None:
    session = fresh(mode=mode)
    session.start(0.0)
    assert session.outgoing().hex() == vector(name)["hex"]


@pytest.mark.parametrize(
    ("ours", "theirs", "spoken"),
    [
        ("3.4", 0x34, "3.4"),
        ("3.4", 0x50, "3.4"),
        ("3.4", 0x33, "3.3"),
        ("3.4", None, "3.4"),
        ("5.0", 0x50, "5.0"),
        ("5.0", 0x34, "3.4"),
    ],
)
def test_the_lower_version_is_spoken(ours: str, theirs: int | None, spoken: str) -> None:
    session = fresh(version=ours)
    session.start(0.0)
    answer = smsc.bind_resp(sequence_of(session), version=theirs)
    assert session.receive(answer, 0.0) == [Bound(spoken, "smppclient1")]


@pytest.mark.parametrize("body", [b"", b"\0", b"an id that is much longer than a system_id\0"])
def test_any_yes_to_the_bind_is_a_yes(body: bytes) -> None:
    session = fresh()
    session.start(0.0)
    answer = smsc.frame(smsc.BIND_TRX | smsc.ANSWER, sequence_of(session), body)
    assert session.receive(answer, 0.0) == [Bound("3.4", "smppclient1")]


@pytest.mark.parametrize(
    ("status", "retry"),
    [(0x0E, False), (0x0F, False), (0x05, True), (0x0D, True), (0x08, True), (0x58, True)],
)
@pytest.mark.parametrize("body", [b"", b"\0"])
def test_a_refused_bind_says_whether_to_try_again(status: int, retry: bool, body: bytes) -> None:
    session = fresh()
    session.start(0.0)
    sequence = sequence_of(session)
    answer = smsc.frame(smsc.BIND_TRX | smsc.ANSWER, sequence, body, status)
    refused, closed = session.receive(answer, 0.0)
    assert isinstance(refused, BindRefused)
    assert (refused.status, refused.retry) == (status, retry)
    assert isinstance(closed, Closed)


def test_a_bind_refused_with_generic_nack_is_refused() -> None:
    session = fresh()
    session.start(0.0)
    refused, _ = session.receive(smsc.frame(smsc.NACK, sequence_of(session), status=3), 0.0)
    assert isinstance(refused, BindRefused)
    assert (refused.status, refused.retry) == (3, False)


def test_a_deliver_behind_the_bind_resp_in_one_read_is_taken() -> None:
    session = fresh()
    session.start(0.0)
    both = smsc.bind_resp(sequence_of(session)) + smsc.receipt(1)
    first, second = session.receive(both, 0.0)
    assert isinstance(first, Bound)
    assert isinstance(second, Reported)


def test_an_account_that_does_not_fit_is_refused_when_the_session_is_made() -> None:
    for wrong in (
        SmppAccount("sixteen letters!", "password"),
        SmppAccount("esme", "nine char"),
        SmppAccount("esme", "pw", system_type="thirteen char"),
        SmppAccount("esme", "pw", service_id="sixsix"),
        SmppAccount("esme", "pw", source_ton=256),
        SmppAccount("esme", "pw", version="4.0"),
    ):
        with pytest.raises(EncodeError):
            SmppSession(wrong, smsc.limits(), Clock())


def test_the_password_is_in_no_repr() -> None:
    assert "password" not in repr(SmppAccount("esme", "password"))


def test_a_receiver_has_no_room_and_still_hears() -> None:
    session = bound(mode="rx")
    assert session.room == 0
    with pytest.raises(StateError):
        session.submit("a", HELLO, 0.0)
    (event,) = session.receive(smsc.receipt(1), 1.0)
    assert isinstance(event, Reported)


# Submits


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("smpp34_submit_sm_ucs2_chinese", Coding.UCS2),
        ("smpp34_submit_sm_binary", Coding.BINARY),
        ("smpp34_submit_sm_len_254", Coding.ASCII),
        ("smpp34_submit_sm_long_udh6_part2of2", Coding.UCS2),
        ("smpp34_submit_sm_long_udh7_part2of2", Coding.UCS2),
        ("smpp34_submit_sm_long_sar_part2of2", Coding.UCS2),
    ],
)
def test_a_submit_is_that_of_other_implementations(name: str, coding: Coding) -> None:
    golden = vector(name)
    fields = golden["fields"]
    long = "long" in name
    session = bound(
        first_sequence=fields["sequence_id"] - 1,
        source_ton=1,
        source_npi=1,
        dest_ton=1,
        dest_npi=1,
        dest_prefix="86",
    )
    part = Part(
        to=fields["destination_addr"].removeprefix("86"),
        sender=fields["source_addr"],
        content=bytes.fromhex(fields["short_message_hex"]),
        coding=coding,
        udh=fields["esm_class"] == 0x40,
        number=2 if long else 1,
        total=2 if long else 1,
        reference=0x1234 if long else 0,
    )
    session.submit("a", part, 0.0)
    assert session.outgoing().hex() == golden["hex"]


parts = st.builds(
    Part,
    to=st.from_regex(r"\A1[3-9][0-9]{9}\Z"),
    sender=st.from_regex(r"\A[0-9]{1,20}\Z"),
    content=st.binary(max_size=254),
    coding=st.sampled_from(Coding),
    udh=st.booleans(),
    number=st.integers(1, 3),
    total=st.integers(3, 255),
    reference=st.integers(0, 0xFFFF),
    wants_report=st.booleans(),
    expires_at=st.none() | st.floats(0, 4e9),
    payload=st.booleans(),
)


@given(part=parts)
def test_a_submit_is_the_declared_body_for_any_part(part: Part) -> None:
    session = bound(service_id="CMT", source_ton=5, dest_npi=1)
    session.submit("a", part, 0.0)
    ((command, status, _, body),) = smsc.frames(session.outgoing())
    read = pdus.SubmitSm.decode(body)
    assert (command, status) == (smsc.SUBMIT, 0)
    tlv: tuple[tuple[int, bytes], ...] = ()
    if part.payload:
        tlv = ((0x0424, part.content),)
    elif not part.udh:
        reference = struct.pack("!H", part.reference)
        tlv = ((0x20C, reference), (0x20E, bytes((part.total,))), (0x20F, bytes((part.number,))))
    expected = pdus.SubmitSm(
        service_type="CMT",
        source_addr_ton=5,
        source_addr=part.sender,
        dest_addr_npi=1,
        destination_addr=part.to,
        esm_class=0x40 if part.udh else 0,
        validity_period=read.validity_period,
        registered_delivery=1 if part.wants_report else 0,
        data_coding=part.coding,
        short_message=b"" if part.payload else part.content,
        tlv=tlv,
    )
    assert read == expected
    assert body == expected.encode()
    assert (read.validity_period != "") == (part.expires_at is not None)


def test_the_validity_is_absolute_with_the_zones_offset() -> None:
    session = bound()
    part = Part("13800138000", "1069", b"x", Coding.ASCII, expires_at=1_795_400_130.5)
    session.submit("a", part, 0.0)
    ((_, _, _, body),) = smsc.frames(session.outgoing())
    assert pdus.SubmitSm.decode(body).validity_period == "261123101530032+"


def test_a_counted_nul_ends_the_text_where_the_gateway_expects_one() -> None:
    session = bound(nul_terminated=True)
    session.submit("a", HELLO, 0.0)
    ((_, _, _, body),) = smsc.frames(session.outgoing())
    assert pdus.SubmitSm.decode(body).short_message == b"hello\0"


@pytest.mark.parametrize(
    "part",
    [
        Part("13800138000", "1" * 21, b"x"),
        Part("13800138000", "", b"x"),
        Part("1" * 21, "1069", b"x"),
        Part("13800138000", "10\x0069", b"x"),
        Part("13800138000", "１０６９", b"x"),
        Part("13800138000", "1069", bytes(255)),
        Part("13800138000", "1069", bytes(65536), payload=True),
        Part("13800138000", "1069", b"x", total=2, reference=65536),
        Part("13800138000", "1069", b"x", number=3, total=2),
        Part("13800138000", "1069", b"x", expires_at=1e18),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(part: Part) -> None:
    session = bound()
    with pytest.raises(EncodeError):
        session.submit("a", part, 0.0)
    assert (session.outgoing(), session.unanswered) == (b"", 0)


def test_sequence_numbers_go_round_within_31_bits_and_skip_what_waits() -> None:
    session = bound(first_sequence=0x7FFFFFFE)
    session.submit("a", HELLO, 0.0)
    session.submit("b", HELLO, 0.0)
    assert [f.sequence for f in smsc.frames(session.outgoing())] == [0x7FFFFFFF, 1]
    session._sequence = 0x7FFFFFFE
    session.submit("c", HELLO, 0.0)
    assert sequence_of(session) == 2


# Answers


def test_answers_are_matched_by_sequence_not_by_order() -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    session.submit("b", HELLO, 0.0)
    first, second = [f.sequence for f in smsc.frames(session.outgoing())]
    answers = smsc.submit_resp(second, b"22") + smsc.submit_resp(first, b"11")
    assert session.receive(answers, 0.1) == [Accepted("b", b"22"), Accepted("a", b"11")]


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b"4f2a9c01\0", b"4f2a9c01"),
        (b"4f2a9c01\0" + smsc.tlv(0x428, b"\x5a"), b"4f2a9c01"),
        (b"4f2a9c01", b"4f2a9c01"),
        (b"", b""),
        (b"f" * 200 + b"\0", b"f" * 64),
    ],
)
def test_a_yes_is_a_yes_whatever_the_id_looks_like(body: bytes, message_id: bytes) -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    answer = smsc.frame(smsc.SUBMIT | smsc.ANSWER, sequence_of(session), body)
    assert session.receive(answer, 0.1) == [Accepted("a", message_id)]


@pytest.mark.parametrize("body", [b"", b"\0", b"00000000\0"])
@pytest.mark.parametrize(("status", "throttled"), [(0x58, True), (0x14, True), (0x0B, False)])
def test_a_refusal_comes_with_or_without_a_body(status: int, throttled: bool, body: bytes) -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    answer = smsc.frame(smsc.SUBMIT | smsc.ANSWER, sequence_of(session), body, status)
    assert session.receive(answer, 0.1) == [Rejected("a", status, f"0x{status:08X}", throttled)]


def test_a_generic_nack_refuses_the_submit_that_it_names() -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    nack = smsc.frame(smsc.NACK, sequence_of(session), status=0x58)
    assert session.receive(nack, 0.1) == [Rejected("a", 0x58, "0x00000058", True)]


def test_a_generic_nack_that_names_nothing_changes_nothing() -> None:
    session = bound()
    (event,) = session.receive(smsc.frame(smsc.NACK, 0, status=2), 0.1)
    assert isinstance(event, Malformed)
    assert (session.state, session.outgoing()) == (State.BOUND, b"")


def test_silence_past_the_answer_time_is_unanswered_and_a_late_answer_still_counts() -> None:
    session = bound(window=1)
    session.submit("a", HELLO, 0.0)
    sequence = sequence_of(session)
    session.receive(smsc.frame(smsc.ENQUIRE | smsc.ANSWER, 99), 4.0)
    assert session.tick(5.0) == [Unanswered("a")]
    assert session.room == 1
    assert session.receive(smsc.submit_resp(sequence), 6.0) == [Accepted("a", b"4f2a9c01")]


# Keepalive


def test_silence_is_probed_and_a_peer_that_says_nothing_is_given_up() -> None:
    session = bound()
    assert session.deadline() == 30.0
    session.tick(30.0)
    ((command, _, _, body),) = smsc.frames(session.outgoing())
    assert (command, body) == (smsc.ENQUIRE, b"")
    assert session.tick(35.0) == [Closed("nothing was answered for 5 s", error=True)]


@pytest.mark.parametrize("command", [smsc.ENQUIRE | smsc.ANSWER, smsc.NACK])
def test_an_answered_probe_keeps_the_connection(command: int) -> None:
    session = bound()
    session.tick(30.0)
    answer = smsc.frame(command, sequence_of(session), status=0)
    assert session.receive(answer, 31.0) == []
    assert session.deadline() == 61.0


def test_the_peers_probe_is_answered_in_any_state() -> None:
    waiting = fresh()
    waiting.start(0.0)
    waiting.outgoing()
    for session in (waiting, bound()):
        assert session.receive(smsc.frame(smsc.ENQUIRE, 7), 1.0) == []
        assert session.outgoing() == smsc.frame(smsc.ENQUIRE | smsc.ANSWER, 7)


# What comes in


def test_a_receipt_is_answered_only_once_it_is_acknowledged() -> None:
    session = bound()
    (event,) = session.receive(smsc.receipt(7, b"11"), 1.0)
    assert isinstance(event, Reported)
    assert (event.fate, event.code, event.to) == (Fate.DELIVERED, "DELIVRD", "13800138000")
    assert (event.keys[0], event.exact) == (b"11", 1)
    assert session.outgoing() == b""
    session.acknowledge(event.receipt)
    assert session.outgoing() == smsc.frame(smsc.DELIVER | smsc.ANSWER, 7, b"\0")


def test_a_message_comes_with_its_parts_and_header_flag() -> None:
    session = bound()
    sar = smsc.tlv(0x20C, b"\x12\x34") + smsc.tlv(0x20E, b"\2") + smsc.tlv(0x20F, b"\1")
    data = smsc.deliver(1, b"TD", coding=8, esm_class=0x40) + smsc.deliver(2, b"TD", sar)
    first, second = session.receive(data, 1.0)
    assert isinstance(first, Received)
    assert isinstance(second, Received)
    assert (first.sender, first.to, first.content) == ("13800138000", "106900001234", b"TD")
    assert (first.coding, first.udh, first.sar) == (8, True, None)
    assert (second.udh, second.sar) == (False, (0x1234, 2, 1))


@pytest.mark.parametrize(
    "sar",
    [
        smsc.tlv(0x20C, b"\x12\x34"),
        smsc.tlv(0x20C, b"\0\1") + smsc.tlv(0x20E, b"\2") + smsc.tlv(0x20F, b"\3"),
        smsc.tlv(0x20C, b"\0\1") + smsc.tlv(0x20E, b"\0") + smsc.tlv(0x20F, b"\0"),
        smsc.tlv(0x20C, b"") + smsc.tlv(0x20E, b"") + smsc.tlv(0x20F, b""),
    ],
)
def test_segments_that_make_no_sense_are_ignored(sar: bytes) -> None:
    (event,) = bound().receive(smsc.deliver(2, b"TD", sar), 1.0)
    assert isinstance(event, Received)
    assert event.sar is None


def test_the_text_may_be_in_message_payload() -> None:
    (event,) = bound().receive(smsc.deliver(2, b"", smsc.tlv(0x424, b"long" * 100)), 1.0)
    assert isinstance(event, Received)
    assert event.content == b"long" * 100


def test_a_message_delivered_again_has_the_same_identity_and_another_one_not() -> None:
    session = bound()
    data = smsc.deliver(2, b"TD") + smsc.deliver(3, b"TD") + smsc.deliver(4, b"td")
    identities = [e.identity for e in session.receive(data, 1.0) if isinstance(e, Received)]
    assert identities[0] == identities[1] != identities[2]
    assert len(identities[0]) == 8


def test_a_receipt_by_data_sm_is_taken_and_answered() -> None:
    session = bound()
    body = b"\0\0\0" + b"13800138000\0" + b"\0\0" + b"1069\0" + b"\x04\0\0"
    body += smsc.tlv(0x1E, b"abc\0") + smsc.tlv(0x427, b"\5")
    (event,) = session.receive(smsc.frame(smsc.DATA, 9, body), 1.0)
    assert isinstance(event, Reported)
    assert (event.keys[0], event.code, event.to) == (b"abc", "UNDELIV", "13800138000")
    session.acknowledge(event.receipt)
    assert session.outgoing() == smsc.frame(smsc.DATA | smsc.ANSWER, 9, b"\0")


def test_an_oversized_number_is_read() -> None:
    (event,) = bound().receive(smsc.deliver(2, b"TD", source=b"1" * 40), 1.0)
    assert isinstance(event, Received)
    assert event.sender == "1" * 40


@pytest.mark.parametrize(
    ("pdu", "status"),
    [
        (smsc.frame(smsc.DELIVER, 7, b"\0\1\1138"), 0x02),
        (smsc.frame(smsc.DELIVER, 7), 0x02),
        (smsc.deliver(7, b"TD", b"\x02\x0c\0"), 0xC0),
        (smsc.deliver(7, b"TD", b"\x02\x0c\0\x09\1"), 0xC0),
        (smsc.frame(smsc.DELIVER, 7, smsc.deliver(7, b"TD")[16:-1]), 0x01),
        (smsc.deliver(7, b"no receipt", esm_class=4), 0x65),
    ],
)
def test_a_deliver_that_cannot_be_read_is_refused_and_the_session_goes_on(
    pdu: bytes, status: int
) -> None:
    session = bound()
    malformed, event = session.receive(pdu + smsc.receipt(8), 1.0)
    assert isinstance(malformed, Malformed)
    assert isinstance(event, Reported)
    assert session.outgoing() == smsc.frame(smsc.DELIVER | smsc.ANSWER, 7, b"\0", status)


@given(
    text=st.binary(max_size=255),
    esm_class=st.sampled_from([0, 0x40, 3, 0x80]),
    coding=st.integers(0, 255),
    source=st.binary(max_size=30).map(lambda raw: raw.replace(b"\0", b"1")),
    tlvs=st.binary(max_size=20),
    cut=st.integers(0, 400),
)
def test_a_deliver_is_read_as_its_declaration_reads_it(
    text: bytes, esm_class: int, coding: int, source: bytes, tlvs: bytes, cut: int
) -> None:
    whole = smsc.deliver(7, text, tlvs, esm_class=esm_class, coding=coding, source=source)
    pdu = smsc.frame(smsc.DELIVER, 7, whole[16 : 16 + cut])
    (event,) = bound().receive(pdu, 1.0)
    try:
        declared = pdus.SubmitSm.decode(pdu, 16)
    except DecodeError:
        assert isinstance(event, Malformed)
        return
    assert isinstance(event, Received | Reported)
    if isinstance(event, Received):
        payload = dict(reversed(declared.tlv)).get(0x424, b"")
        assert (event.sender, event.to) == (declared.source_addr, declared.destination_addr)
        assert event.content == (declared.short_message or payload)
        assert (event.coding, event.udh) == (declared.data_coding, esm_class == 0x40)


# Out of turn


@pytest.mark.parametrize(
    ("command", "answer", "status"),
    [
        (smsc.SUBMIT, smsc.SUBMIT | smsc.ANSWER, 4),
        (smsc.QUERY, smsc.QUERY | smsc.ANSWER, 4),
        (smsc.BIND_TRX, smsc.BIND_TRX | smsc.ANSWER, 4),
        (0x7777, smsc.NACK, 3),
        (0x111, smsc.NACK, 3),
    ],
)
def test_a_request_out_of_turn_is_refused_and_the_session_goes_on(
    command: int, answer: int, status: int
) -> None:
    session = bound()
    malformed, event = session.receive(smsc.frame(command, 7) + smsc.receipt(8), 1.0)
    assert isinstance(malformed, Malformed)
    assert isinstance(event, Reported)
    assert session.outgoing() == smsc.frame(answer, 7, status=status)


@pytest.mark.parametrize(
    "command",
    [smsc.OUTBIND, smsc.BIND_TRX | smsc.ANSWER, smsc.QUERY | smsc.ANSWER, 0x80007777],
)
def test_what_has_no_answer_gets_none(command: int) -> None:
    session = bound()
    (malformed,) = session.receive(smsc.frame(command, 7), 1.0)
    assert isinstance(malformed, Malformed)
    assert (session.state, session.outgoing()) == (State.BOUND, b"")


def test_a_deliver_before_the_bind_is_answered_is_refused() -> None:
    session = fresh()
    session.start(0.0)
    session.outgoing()
    (malformed,) = session.receive(smsc.receipt(7), 0.0)
    assert isinstance(malformed, Malformed)
    assert session.outgoing() == smsc.frame(smsc.DELIVER | smsc.ANSWER, 7, b"\0", 4)


def test_an_alert_is_heard_and_asks_for_nothing() -> None:
    session = bound()
    golden = bytes.fromhex(vector("smpp34_alert_notification_plain")["hex"])
    assert session.receive(golden, 1.0) == []
    assert session.outgoing() == b""


@pytest.mark.parametrize("length", [0, 15, 0x11001, 0xFFFFFFFF])
def test_a_length_that_no_pdu_has_is_nacked_and_ends_the_connection(length: int) -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    session.outgoing()
    events = session.receive(struct.pack("!IIII", length, smsc.DELIVER, 0, 9), 1.0)
    assert [type(e) for e in events] == [Unanswered, Closed]
    assert session.outgoing() == smsc.frame(smsc.NACK, 0, status=2)


# Farewell


def test_the_peers_goodbye_is_answered_and_the_rest_is_unanswered() -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    session.outgoing()
    events = session.receive(smsc.frame(smsc.UNBIND, 9), 1.0)
    assert events == [Unanswered("a"), Closed("the peer said goodbye", error=False)]
    assert session.outgoing() == smsc.frame(smsc.UNBIND | smsc.ANSWER, 9)


def test_our_goodbye_waits_for_answers_still_owed() -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    sequence = sequence_of(session)
    (report,) = session.receive(smsc.receipt(5), 0.5)
    assert isinstance(report, Reported)
    session.close(1.0)
    farewell = sequence_of(session)
    session.acknowledge(report.receipt)
    assert session.outgoing() == smsc.frame(smsc.DELIVER | smsc.ANSWER, 5, b"\0")
    assert session.receive(smsc.submit_resp(sequence, b"1"), 1.1) == [Accepted("a", b"1")]
    last = session.receive(smsc.frame(smsc.UNBIND | smsc.ANSWER, farewell), 1.2)
    assert last == [Closed("closed by us", error=False)]


# Any octets


STREAM = (
    smsc.receipt(1)
    + smsc.deliver(2, b"TD", smsc.tlv(0x1400, b"x"))
    + smsc.frame(smsc.DELIVER, 3, b"bad")
    + smsc.frame(smsc.ENQUIRE, 4)
    + smsc.frame(0x7777, 5, b"?")
    + smsc.frame(smsc.UNBIND, 6)
)


@given(st.lists(st.integers(1, 60), max_size=30))
def test_where_the_network_cuts_makes_no_difference(cuts: list[int]) -> None:
    whole = bound().receive(STREAM, 1.0)
    session, pieces, rest = bound(), [], STREAM
    for size in [*cuts, len(STREAM)]:
        pieces += session.receive(rest[:size], 1.0)
        rest = rest[size:]
    assert pieces == whole


@given(st.binary(max_size=400))
def test_no_octets_make_it_raise(noise: bytes) -> None:
    session = bound()
    session.receive(noise, 1.0)
    assert len(session._buffer) <= len(noise)


@given(
    said=st.lists(
        st.tuples(st.sampled_from(smsc.COMMANDS), st.sampled_from([0, 1, 0x58]), st.binary()),
        min_size=1,
        max_size=5,
    ),
    mode=st.sampled_from(["trx", "tx", "rx"]),
)
def test_no_well_framed_octets_make_it_raise(
    said: list[tuple[int, int, bytes]], mode: Literal["trx", "tx", "rx"]
) -> None:
    for session in (bound(mode=mode), fresh(mode=mode)):
        if session.state is State.IDLE:
            session.start(0.0)
        events: list[Event] = []
        for command, status, body in said:
            events += session.receive(smsc.frame(command, 1, body, status), 1.0)
        assert sum(isinstance(e, Closed) for e in events) <= 1
