"""What only SMGP clients do."""

from __future__ import annotations

import struct
from hashlib import md5

import pytest

from protocols.errors import EncodeError
from protocols.events import (
    BindRefused,
    Bound,
    Malformed,
    Received,
    Rejected,
    Reported,
)
from protocols.part import Coding, Part
from protocols.session import Clock, Limits
from protocols.smgp.account import Mode, SmgpAccount
from protocols.smgp.session import SmgpSession

from ..machine import HELLO, LIMITS, bound, submits
from .carrier import ACTIVE_TEST, ANSWER, CLOCK, DELIVER, LOGIN, SUBMIT, SmgpCarrier, message_id

CARRIER = SmgpCarrier()
CONTENT = b"\5\0\3\1\2\1" + "你".encode("utf-16-be")


def login(account: SmgpAccount, clock: Clock = CLOCK) -> bytes:
    session = SmgpSession(account, Limits(), clock)
    session.start(0.0)
    ((command, _, body),) = CARRIER.frames(session.outgoing())
    assert command == LOGIN
    return body


def logged_in(account: SmgpAccount) -> SmgpSession:
    session = SmgpSession(account, LIMITS, CLOCK)
    session.start(0.0)
    (asked,) = CARRIER.frames(session.outgoing())
    session.receive(CARRIER.login_answer(asked), 0.0)
    return session


def test_the_login_holds_the_digest_over_ten_digits() -> None:
    body = login(SmgpAccount("333", "0555"), Clock(epoch=1_772_294_405.0))
    assert body[:8] == b"333\0\0\0\0\0"
    assert body[8:24] == md5(b"333" + bytes(7) + b"0555" + b"0301000005").digest()
    assert body[24:] == b"\2" + struct.pack("!I", 301000005) + b"\x30"


def test_an_id_is_padded_in_the_digest_only_when_asked() -> None:
    padded = login(SmgpAccount("333", "0555", md5_pad=True))
    assert padded[8:24] == md5(b"333" + bytes(12) + b"0555" + b"1122101530").digest()


@pytest.mark.parametrize(("mode", "said"), [("tx", 0), ("rx", 1), ("trx", 2)])
def test_the_login_says_what_the_connection_is_for(mode: Mode, said: int) -> None:
    assert login(SmgpAccount("333", "0555", mode=mode))[24] == said


@pytest.mark.parametrize(
    "account", [SmgpAccount("123456789", "s"), SmgpAccount("333", "s", version="1.3")]
)
def test_an_account_that_cannot_log_in_is_refused_at_once(account: SmgpAccount) -> None:
    with pytest.raises(EncodeError):
        SmgpSession(account, Limits(), CLOCK)


def test_a_wrong_proof_of_the_gateway_is_told_and_does_not_cost_the_bind() -> None:
    session = SmgpSession(SmgpAccount("333", "0555"), LIMITS, CLOCK)
    session.start(0.0)
    (asked,) = CARRIER.frames(session.outgoing())
    answer = CARRIER.login_answer(asked)[:-17] + bytes(16) + b"\x30"
    hello, odd = session.receive(answer, 0.0)
    assert hello == Bound("3.0")
    assert isinstance(odd, Malformed)


@pytest.mark.parametrize(
    ("refusal", "retry"), [(21, False), (3, False), (20, False), (1, True), (2, True), (130, True)]
)
def test_a_refused_login_says_whether_to_try_again(refusal: int, retry: bool) -> None:
    session = SmgpSession(SmgpAccount("333", "0555"), LIMITS, CLOCK)
    session.start(0.0)
    (asked,) = CARRIER.frames(session.outgoing())
    refused, _ = session.receive(CARRIER.login_answer(asked, refusal), 0.0)
    assert isinstance(refused, BindRefused)
    assert (refused.status, refused.retry) == (refusal, retry)


def test_a_version_that_is_too_high_names_the_one_that_is_spoken() -> None:
    session = SmgpSession(SmgpAccount("333", "0555"), LIMITS, CLOCK)
    session.start(0.0)
    (asked,) = CARRIER.frames(session.outgoing())
    refused, _ = session.receive(CARRIER.login_answer(asked, 22)[:-1] + b"\x13", 0.0)
    assert isinstance(refused, BindRefused)
    assert not refused.retry
    assert "1.3" in refused.reason


def test_active_test_is_answered() -> None:
    session = bound(CARRIER)
    assert session.receive(CARRIER.frame(ACTIVE_TEST, 77), 1.0) == []
    assert CARRIER.frames(session.outgoing()) == [(ACTIVE_TEST | ANSWER, 77, b"")]


def test_an_accounts_own_throttle_codes_count() -> None:
    session = logged_in(SmgpAccount("333", "0555", throttle_codes=frozenset({1, 130})))
    session.submit("a", HELLO, 0.0)
    (sequence,) = submits(CARRIER, session)
    (rejected,) = session.receive(CARRIER.submit_answer(sequence, 130), 0.1)
    assert rejected == Rejected("a", 130, "130", throttled=True)


def test_a_report_quotes_the_submits_id_not_its_own() -> None:
    session = bound(CARRIER)
    (event,) = session.receive(CARRIER.report(3, 11, b"UNDELIV err:003"), 1.0)
    assert isinstance(event, Reported)
    assert event.keys == (message_id(11),)
    assert (event.code, event.to) == ("UNDELIV/003", "13300133000")
    session.acknowledge(event.receipt)
    ((command, sequence, body),) = CARRIER.frames(session.outgoing())
    assert (command, sequence) == (DELIVER | ANSWER, 3)
    assert body == bytes.fromhex("01006101161700010003") + bytes(4)


@pytest.mark.parametrize("content", [b"", b"stat:DELIVRD", bytes(122)])
def test_a_report_that_says_nothing_is_refused_and_the_session_goes_on(content: bytes) -> None:
    session = bound(CARRIER)
    odd = CARRIER.deliver(7, content, is_report=1)
    malformed, event = session.receive(odd + CARRIER.report(8, 11), 1.0)
    assert isinstance(malformed, Malformed)
    assert isinstance(event, Reported)
    ((command, sequence, answer),) = CARRIER.frames(session.outgoing())
    assert (command, sequence, answer[-4:]) == (DELIVER | ANSWER, 7, b"\0\0\0\x0a")


def test_a_deliver_that_cannot_be_read_is_refused_with_its_own_id() -> None:
    session = bound(CARRIER)
    body = CARRIER.frames(CARRIER.inbound(7, bytes(100)))[0][2]
    (malformed,) = session.receive(CARRIER.frame(DELIVER, 7, body[:-60]), 1.0)
    assert isinstance(malformed, Malformed)
    ((_, _, answer),) = CARRIER.frames(session.outgoing())
    assert answer == body[:10] + b"\0\0\0\x0a"


@pytest.mark.parametrize(
    "tail",
    [b"\0\2\0\1\1", b"\0\2\0\1\x40", b"\0\x14\0\2ab\0\2\0\1\1", b"\0\2\0\1\1\0\3\0\x14cut"],
    ids=["1", "64", "behind an unknown one", "before one cut short"],
)
def test_any_tp_udhi_announces_a_header(tail: bytes) -> None:
    session = bound(CARRIER)
    (event,) = session.receive(CARRIER.deliver(3, CONTENT, fmt=8, tail=tail), 1.0)
    assert isinstance(event, Received)
    assert (event.udh, event.coding, event.content) == (True, 8, CONTENT)


@pytest.mark.parametrize(
    ("content", "udh"), [(CONTENT, True), (b"\5\0\3\1\2\3hi", False), (b"hello", False)]
)
def test_a_header_that_nobody_announced_is_found_when_plausible(content: bytes, udh: bool) -> None:
    session = bound(CARRIER)
    (event,) = session.receive(CARRIER.deliver(3, content, fmt=8), 1.0)
    assert isinstance(event, Received)
    assert event.udh is udh


def test_nothing_is_answered_before_the_login() -> None:
    session = CARRIER.client(LIMITS)
    session.start(0.0)
    session.outgoing()
    early = CARRIER.report(1, 1) + CARRIER.submit_answer(1)
    assert [type(e) for e in session.receive(early, 0.0)] == [Malformed, Malformed]
    assert session.outgoing() == b""


def test_a_submit_says_what_the_part_says() -> None:
    session = logged_in(SmgpAccount("333", "0555", service_id="XZ", msg_src="333"))
    part = Part(
        "13300133000",
        "106590001234",
        CONTENT,
        udh=True,
        number=1,
        total=2,
        wants_report=False,
        expires_at=1_795_400_130.9,
    )
    session.submit("a", part, 0.0)
    ((command, _, body),) = CARRIER.frames(session.outgoing())
    assert command == SUBMIT
    by_hand = struct.pack(
        "!BBB10s2s6s6sB17s17s21s21sB21sB",
        *(6, 0, 1, b"XZ", b"00", b"000000", b"000000", 8, b"261123101530032+", b""),
        *(b"106590001234", b"", 1, b"13300133000", len(CONTENT)),
    )
    joined = bytes.fromhex("0002000101 0009000102 000a000101")
    assert body == by_hand + CONTENT + bytes(8) + joined + b"\0\x10\0\x08333" + bytes(5)


def test_a_single_part_has_no_parameters_of_a_long_message() -> None:
    session = bound(CARRIER)
    session.submit("a", Part("13300133000", "1065", b"hi", Coding.ASCII), 0.0)
    ((_, _, body),) = CARRIER.frames(session.outgoing())
    assert body.endswith(b"\2hi" + bytes(8))
