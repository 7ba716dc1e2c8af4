"""What only CMPP clients do."""

from __future__ import annotations

import struct
from dataclasses import replace
from hashlib import md5

import pytest

from protocols.cmpp.account import CmppAccount
from protocols.cmpp.session import CmppSession
from protocols.errors import EncodeError
from protocols.events import (
    Accepted,
    BindRefused,
    Bound,
    Fate,
    Malformed,
    Received,
    Rejected,
    Reported,
)
from protocols.part import Part
from protocols.session import Clock, Limits

from ..machine import HELLO, LIMITS, bound, submits
from .carrier import ACTIVE_TEST, ANSWER, CLOCK, CONNECT, DELIVER, SUBMIT, CmppCarrier, message_id

V2, V3 = CmppCarrier("2.0"), CmppCarrier("3.0")
both = pytest.mark.parametrize("carrier", [V2, V3], ids=lambda c: c.version)


def login(account: CmppAccount, clock: Clock = CLOCK) -> bytes:
    session = CmppSession(account, Limits(), clock)
    session.start(0.0)
    ((command, _, body),) = V3.frames(session.outgoing())
    assert command == CONNECT
    return body


def test_the_login_holds_the_digest_over_ten_digits() -> None:
    # Sunday, 2026-03-01 00:00:05 in Beijing: a month of one digit.
    body = login(CmppAccount("901234", "abcd1234"), Clock(epoch=1_772_294_405.0))
    assert body[23:] == struct.pack("!I", 301000005)
    assert body[6:22] == md5(b"901234" + bytes(9) + b"abcd1234" + b"0301000005").digest()
    assert body[22] == 0x30


def test_the_login_of_2_0_says_so() -> None:
    assert login(CmppAccount("901234", "abcd1234", version="2.0"))[22] == 0x20


def test_a_short_address_is_padded_in_the_digest_only_when_asked() -> None:
    plain = login(CmppAccount("9001", "1234"))
    padded = login(CmppAccount("9001", "1234", md5_pad=True))
    assert plain[:6] == padded[:6] == b"9001\0\0"
    assert plain[6:22] == md5(b"9001" + bytes(9) + b"1234" + b"1122101530").digest()
    assert padded[6:22] == md5(b"9001\0\0" + bytes(9) + b"1234" + b"1122101530").digest()


@pytest.mark.parametrize(
    "account", [CmppAccount("1234567", "s", msg_src="1"), CmppAccount("1", "s", "4.0")]
)
def test_an_account_that_cannot_log_in_is_refused_at_once(account: CmppAccount) -> None:
    with pytest.raises(EncodeError):
        CmppSession(account, Limits(), CLOCK)


def test_a_2_0_gateway_may_answer_the_login_with_four_octets_of_status() -> None:
    session = V2.client(LIMITS)
    session.start(0.0)
    (asked,) = V2.frames(session.outgoing())
    assert session.receive(V3.login_answer(asked), 0.0) == [Bound("2.0")]


def test_a_wrong_proof_of_the_gateway_is_told_and_does_not_cost_the_bind() -> None:
    session = V3.client(LIMITS)
    session.start(0.0)
    (asked,) = V3.frames(session.outgoing())
    answer = V3.login_answer(asked)[:-17] + bytes(16) + b"\x30"
    hello, odd = session.receive(answer, 0.0)
    assert hello == Bound("3.0")
    assert isinstance(odd, Malformed)
    assert session.room == LIMITS.window


def test_a_version_that_is_too_high_names_the_one_that_is_spoken() -> None:
    session = V3.client(LIMITS)
    session.start(0.0)
    (asked,) = V3.frames(session.outgoing())
    refused, _ = session.receive(V3.login_answer(asked, 4)[:-1] + b"\x20", 0.0)
    assert isinstance(refused, BindRefused)
    assert not refused.retry
    assert "2.0" in refused.reason


@both
def test_active_test_is_answered_with_its_octet(carrier: CmppCarrier) -> None:
    session = bound(carrier)
    assert session.receive(carrier.frame(ACTIVE_TEST, 77), 1.0) == []
    assert carrier.frames(session.outgoing()) == [(ACTIVE_TEST | ANSWER, 77, b"\0")]


@pytest.mark.parametrize("octets", [b"", b"\0", b"\0\0\0\0"])
def test_an_active_test_is_answered_with_any_body(octets: bytes) -> None:
    session = bound(V3, replace(LIMITS, keepalive=30.0))
    session.tick(30.0)
    ((command, sequence, _),) = V3.frames(session.outgoing())
    assert command == ACTIVE_TEST
    assert session.receive(V3.frame(ACTIVE_TEST | ANSWER, sequence, octets), 31.0) == []
    assert session.tick(36.0) == []
    assert session.deadline() == 61.0


@both
def test_a_submit_answer_in_the_other_versions_width_is_read(carrier: CmppCarrier) -> None:
    other = V2 if carrier is V3 else V3
    session = bound(carrier)
    session.submit("a", HELLO, 0.0)
    session.submit("b", HELLO, 0.0)
    first, second = submits(carrier, session)
    answers = other.submit_answer(first, 0, 9) + other.submit_answer(second, 8)
    assert session.receive(answers, 0.1) == [
        Accepted("a", message_id(9)),
        Rejected("b", 8, "8", throttled=True),
    ]


def test_an_accounts_own_throttle_codes_count() -> None:
    account = CmppAccount("901234", "abcd1234", throttle_codes=frozenset({8, 77}))
    session = CmppSession(account, LIMITS, CLOCK)
    session.start(0.0)
    (asked,) = V3.frames(session.outgoing())
    session.receive(V3.login_answer(asked), 0.0)
    session.submit("a", HELLO, 0.0)
    (sequence,) = submits(V3, session)
    (rejected,) = session.receive(V3.submit_answer(sequence, 77), 0.1)
    assert rejected == Rejected("a", 77, "77", throttled=True)


@both
@pytest.mark.parametrize("width", [21, 32])
def test_a_report_is_read_by_its_length_in_both_versions(carrier: CmppCarrier, width: int) -> None:
    session = bound(carrier)
    (event,) = session.receive(carrier.report(3, 11, width=width), 1.0)
    assert isinstance(event, Reported)
    assert (event.keys, event.to) == ((message_id(11),), "13800138000")


def test_a_report_of_71_octets_that_says_60_is_read() -> None:
    session = bound(V3)
    pdu = bytearray(V3.report(3, 11))
    assert pdu[88] == 71
    pdu[88] = 60
    (event,) = session.receive(bytes(pdu), 1.0)
    assert isinstance(event, Reported)
    assert event.to == "13800138000"


@pytest.mark.parametrize(
    ("stat", "fate", "code"),
    [
        (b"DELIVRD", Fate.DELIVERED, "DELIVRD"),
        (b"ACCEPTD", Fate.INTERMEDIATE, "ACCEPTD"),
        (b"MK:0012", Fate.FAILED, "MK:0012"),
        (b"AF:4", Fate.FAILED, "AF:4"),
        (b"UNDELIV", Fate.FAILED, "UNDELIV"),
        (b"OK\0junk", Fate.FAILED, "OK"),
    ],
)
def test_status_words(stat: bytes, fate: Fate, code: str) -> None:
    session = bound(V3)
    (event,) = session.receive(V3.report(3, 11, stat), 1.0)
    assert isinstance(event, Reported)
    assert (event.fate, event.code) == (fate, code)


@both
def test_an_acknowledgement_repeats_the_delivers_own_id(carrier: CmppCarrier) -> None:
    session = bound(carrier)
    (event,) = session.receive(carrier.report(3, 11), 1.0)
    assert isinstance(event, Reported)
    session.acknowledge(event.receipt)
    ((command, sequence, body),) = carrier.frames(session.outgoing())
    assert (command, sequence) == (DELIVER | ANSWER, 3)
    assert body == struct.pack("!Q" + carrier.result, 0x5003, 0)


@both
@pytest.mark.parametrize("udhi", [1, 64])
def test_any_tp_udhi_announces_a_header(carrier: CmppCarrier, udhi: int) -> None:
    session = bound(carrier)
    (event,) = session.receive(carrier.deliver(3, b"\5\0\3\1\2\1hi", udhi=udhi, fmt=8), 1.0)
    assert isinstance(event, Received)
    assert (event.udh, event.coding, event.content) == (True, 8, b"\5\0\3\1\2\1hi")
    assert (event.sender, event.to) == ("13800138000", "106900001234")


def test_parts_that_share_one_msg_id_are_not_the_same() -> None:
    session = bound(V3)
    (one,) = session.receive(V3.deliver(3, b"\5\0\3\1\2\1hi", udhi=1), 1.0)
    (two,) = session.receive(V3.deliver(3, b"\5\0\3\1\2\2hi", udhi=1), 1.0)
    assert isinstance(one, Received)
    assert isinstance(two, Received)
    assert one.identity != two.identity


def test_a_link_id_cut_short_is_no_fault() -> None:
    session = bound(V3)
    body = V3.frames(V3.inbound(3, b"hi"))[0][2]
    (event,) = session.receive(V3.frame(DELIVER, 3, body[:-15]), 1.0)
    assert isinstance(event, Received)


@both
@pytest.mark.parametrize(
    ("spoil", "result"),
    [
        (lambda body: body[:30], 1),
        (lambda body: body[:-40], 1),
    ],
)
def test_a_deliver_that_cannot_be_read_is_refused_and_the_session_goes_on(
    carrier: CmppCarrier, spoil: object, result: int
) -> None:
    assert callable(spoil)
    session = bound(carrier)
    body = carrier.frames(carrier.inbound(7, bytes(100)))[0][2]
    cut = carrier.frame(DELIVER, 7, spoil(body))
    malformed, event = session.receive(cut + carrier.report(8, 11), 1.0)
    assert isinstance(malformed, Malformed)
    assert isinstance(event, Reported)
    ((command, sequence, answer),) = carrier.frames(session.outgoing())
    assert (command, sequence) == (DELIVER | ANSWER, 7)
    assert answer == struct.pack("!Q" + carrier.result, 0x5007, result)


def test_a_report_of_an_impossible_length_is_refused_with_the_length_result() -> None:
    session = bound(V3)
    (malformed,) = session.receive(V3.deliver(7, bytes(30), registered_delivery=1), 1.0)
    assert isinstance(malformed, Malformed)
    assert "30 octets" in malformed.error
    ((_, _, answer),) = V3.frames(session.outgoing())
    assert answer[-4:] == b"\0\0\0\4"


def test_nothing_is_answered_before_the_login() -> None:
    session = V3.client(LIMITS)
    session.start(0.0)
    session.outgoing()
    early = V3.report(1, 1) + V3.submit_answer(1)
    assert [type(e) for e in session.receive(early, 0.0)] == [Malformed, Malformed]
    assert session.outgoing() == b""


def test_an_unknown_command_is_told_and_the_session_goes_on() -> None:
    session = bound(V3)
    (malformed,) = session.receive(V3.frame(0x99, 1, b"abc"), 1.0)
    assert isinstance(malformed, Malformed)
    assert "0x00000099" in malformed.error
    assert session.outgoing() == b""
    assert session.room == LIMITS.window


def test_what_cannot_be_spelled_writes_nothing_and_takes_no_room() -> None:
    session = bound(V3)
    with pytest.raises(EncodeError, match="src_id"):
        session.submit("a", Part("13800138000", "1" * 22, b"hi"), 0.0)
    assert session.outgoing() == b""
    assert session.room == LIMITS.window


def test_a_submit_says_what_the_part_says() -> None:
    account = CmppAccount("901234", "abcd1234", service_id="XZ12123", udhi=64)
    session = CmppSession(account, LIMITS, CLOCK)
    session.start(0.0)
    (asked,) = V3.frames(session.outgoing())
    session.receive(V3.login_answer(asked), 0.0)
    content = b"\5\0\3\x07\2\1" + "你".encode("utf-16-be")
    part = Part(
        "13800138000",
        "106900001234",
        content,
        udh=True,
        number=1,
        total=2,
        wants_report=False,
        expires_at=1_795_400_130.9,
    )
    session.submit("a", part, 0.0)
    ((command, _, body),) = V3.frames(session.outgoing())
    assert command == SUBMIT
    by_hand = struct.pack(
        "!QBBBB10sB32sBBBB6s2s6s17s17s21sB32sBB",
        *(0, 2, 1, 0, 0, b"XZ12123", 2, b"", 0, 0, 64, 8, b"901234", b"01", b"000000"),
        *(b"261123101530032+", b"", b"106900001234", 1, b"13800138000", 0, len(content)),
    )
    assert body == by_hand + content + bytes(20)
