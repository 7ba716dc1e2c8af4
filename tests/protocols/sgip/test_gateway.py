"""The gateway's ends: what it refuses, and whole conversations with our own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    UserChanged,
)
from protocols.gateway import Report
from protocols.part import Coding, Part
from protocols.session import Session, State
from protocols.sgip import pdus, status
from protocols.sgip.account import SgipAccount
from protocols.sgip.frames import Counter
from protocols.sgip.gateway import SgipGateway, SgipReporter
from protocols.sgip.listener import SgipListener
from protocols.sgip.session import SgipSession
from protocols.sgip.strict import Rules
from protocols.text import header

from . import carrier

SECRETS = {"sp12345": "pw123456"}
HELLO = Part("13012345678", "106550101234", b"hello", Coding.ASCII)


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


def session(secret: str = "pw123456") -> SgipSession:
    account = SgipAccount("sp12345", secret, 3010012345, "12345", service_id="OTP")
    return SgipSession(account, carrier.limits(), carrier.CLOCK, counter=Counter())


def gateway(**given: Any) -> SgipGateway:
    made = SgipGateway(carrier.limits(), carrier.CLOCK, SECRETS.get, **given)
    made.start(0.0)
    return made


def bound(**given: Any) -> tuple[SgipSession, SgipGateway]:
    one, other = session(), gateway(**given)
    one.start(0.0)
    _, (asked,) = exchange(one, other)
    assert isinstance(asked, LoginAsked)
    assert (asked.login, asked.version, asked.status, asked.mode) == ("sp12345", "1.2", 0, "tx")
    other.admit(asked.ticket, 0.0)
    assert other.tick(0.0) == [Bound("1.2", "sp12345")]
    assert exchange(one, other) == ([Bound("1.2", "sp12345")], [])
    return one, other


def reporting(**given: Any) -> tuple[SgipReporter, SgipListener]:
    one = SgipReporter("smg", "secret", carrier.limits(), carrier.CLOCK, **given)
    other = SgipListener({"smg": ("secret", "a")}, carrier.limits(), carrier.CLOCK)
    one.start(0.0)
    other.start(0.0)
    assert exchange(one, other) == ([Bound("1.2", "smg")], [Bound("1.2", "smg")])
    return one, other


def submitted(part: Part) -> Submitted:
    one, other = bound()
    one.submit("a", part, 0.0)
    _, (event,) = exchange(one, other)
    assert isinstance(event, Submitted)
    return event


def test_a_part_goes_out_and_its_report_comes_back_on_the_carriers_connection() -> None:
    one, other = bound()
    sequence = one.submit("a", HELLO, 0.0)
    assert sequence is not None
    _, (event,) = exchange(one, other)
    assert isinstance(event, Submitted)
    assert (event.to, event.sender, event.content) == (("13012345678",), HELLO.sender, b"hello")
    assert (event.fault, event.wants_report, event.number, event.total) == (0, True, 1, 1)

    reporter, listener = reporting()
    news = Report(event.ticket, "13012345678", HELLO.sender, Fate.FAILED, "29", 0.0, 1.0)
    reporter.report("r", news, 1.0)
    _, (report,) = exchange(reporter, listener)
    assert isinstance(report, Reported)
    assert (report.keys, report.fate, report.code) == ((sequence[4:],), Fate.FAILED, "29")
    assert report.to == "8613012345678"
    assert reporter.unanswered == 1
    listener.acknowledge(report.receipt)
    assert exchange(reporter, listener) == ([Taken("r", 0)], [])

    other.answer(event.ticket, 0)
    assert exchange(one, other) == ([Accepted("a", sequence)], [])


def test_one_connection_for_everything_works_as_well() -> None:
    one, other = bound(bare_numbers=True, reserve="LINK0001")
    sequence = one.submit("a", HELLO, 0.0)
    assert sequence is not None
    exchange(one, other)
    other.report("r", Report(sequence, "13012345678", "1065", Fate.INTERMEDIATE, "0", 0, 1), 1.0)
    other.deliver("m", Part("106550101234", "13012345678", b"TD", Coding.ASCII), 1.0)
    other.user_changed("u", "13012345678", "106550101234", 2, 1.0)
    (report, message, news), (taken,) = exchange(one, other)
    assert isinstance(report, Reported)
    assert isinstance(message, Received)
    assert (report.fate, report.to) == (Fate.INTERMEDIATE, "13012345678")
    assert (message.sender, message.to, message.content) == ("13012345678", "106550101234", b"TD")
    assert news == UserChanged("13012345678", "106550101234", 2)
    assert taken == Taken("u", 0)
    one.acknowledge(message.receipt)
    one.acknowledge(report.receipt)
    assert exchange(one, other) == ([], [Taken("m", 0), Taken("r", 0)])


def test_refusals_and_short_answers_are_understood() -> None:
    one, other = bound(short_answers=True)
    one.submit("a", HELLO, 0.0)
    _, (event,) = exchange(one, other)
    assert isinstance(event, Submitted)
    other.answer(event.ticket, 88)
    answer = other.outgoing()
    assert len(answer) == 21
    assert one.receive(answer, 1.0) == [Rejected("a", 88, "88", True)]


@pytest.mark.parametrize(
    ("login", "secret", "kind", "expected"),
    [
        ("sp12345", "pw123456", 1, 0),
        ("sp12345", "wrong", 1, 1),
        ("stranger", "pw123456", 1, 1),
        ("stranger", "", 1, 1),
        ("sp12345", "pw123456", 2, 4),
    ],
)
def test_a_login_is_judged_by_the_table(login: str, secret: str, kind: int, expected: int) -> None:
    (asked,) = gateway().receive(carrier.bind(login, secret, kind), 0.0)
    assert isinstance(asked, LoginAsked)
    assert asked.status == expected


def test_a_refused_login_ends_the_conversation_for_both() -> None:
    one, other = session("wrong"), gateway()
    one.start(0.0)
    _, (asked,) = exchange(one, other)
    assert isinstance(asked, LoginAsked)
    other.refuse(asked.ticket, asked.status)
    (refused, closed), _ = exchange(one, other)
    assert refused == BindRefused(1, status.meaning(1), retry=False)
    assert isinstance(closed, Closed)
    (ended,) = other.lost("gone")
    assert isinstance(ended, Closed)
    other.admit(asked.ticket, 1.0)
    assert other.state is State.CLOSED


def test_a_submit_before_the_login_is_admitted_ends_the_connection() -> None:
    other = gateway()
    other.receive(carrier.bind("sp12345", "pw123456", 1), 0.0)
    (closed,) = other.receive(carrier.frame(carrier.SUBMIT, carrier.sequence(2)), 0.0)
    assert isinstance(closed, Closed)
    assert other.outgoing() == b""


def test_a_second_login_is_refused_with_2() -> None:
    _, other = bound()
    (malformed,) = other.receive(carrier.bind("sp12345", "pw123456", 1, 9), 1.0)
    assert isinstance(malformed, Malformed)
    assert other.outgoing() == carrier.resp(carrier.BIND, carrier.sequence(9), 2)


def test_a_login_that_cannot_be_read_is_refused_with_5() -> None:
    other = gateway()
    (closed,) = other.receive(carrier.frame(carrier.BIND, carrier.sequence(1), bytes(5)), 0.0)
    assert isinstance(closed, Closed)
    assert other.outgoing() == carrier.resp(carrier.BIND, carrier.sequence(1), 5)


def test_a_trace_is_answered_with_no_nodes() -> None:
    _, other = bound()
    other.receive(carrier.frame(carrier.TRACE, carrier.sequence(9), bytes(41)), 1.0)
    assert other.outgoing() == carrier.frame(
        carrier.TRACE | carrier.ANSWER, carrier.sequence(9), b"\0"
    )


GOOD = pdus.Submit(
    sp_number="106550101234",
    charge_number="0" * 21,
    user_number=("8613012345678",),
    corp_id="12345",
    service_type="OTP",
    fee_value="0",
    given_value="0",
    message_content=b"hello",
)
LONG = header.spell(7, 2, 1) + "车".encode("utf-16-be")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, 0),
        ({"charge_number": ""}, 0),
        ({"message_coding": 8, "message_content": LONG, "tp_udhi": 1}, 0),
        ({"expire_time": "261122101530032+"}, 0),
        ({"sp_number": "10690000"}, status.SP_NUMBER),
        ({"sp_number": ""}, status.SP_NUMBER),
        ({"corp_id": "54321"}, status.CORP_ID),
        ({"service_type": "XXX"}, status.SERVICE_CODE),
        ({"charge_number": "13012345678"}, status.CHARGE_NUMBER),
        ({"user_number": ()}, 5),
        ({"user_number": ("13012345678",)}, 6),
        ({"user_number": ("8613012345678", "8623012345678")}, 6),
        ({"fee_type": 5}, 5),
        ({"fee_value": "100000"}, 5),
        ({"given_value": "1.5"}, 5),
        ({"agent_flag": 2}, 5),
        ({"morelate_to_mt_flag": 4}, 5),
        ({"priority": 10}, 5),
        ({"report_flag": 4}, 5),
        ({"message_type": 1}, 5),
        ({"message_coding": 9}, 5),
        ({"expire_time": "tomorrow"}, 5),
        ({"schedule_time": "261322101530032+"}, 5),
        ({"message_content": b""}, 8),
        ({"message_content": bytes(161)}, 8),
        ({"message_content": bytes(142), "message_coding": 8}, 8),
        ({"message_content": b"\xe9"}, 5),
        ({"message_content": b"\x4e", "message_coding": 8}, 5),
        ({"message_content": b"\xd8\x3d", "message_coding": 8}, 5),
        ({"message_content": "车".encode("gbk")[:1], "message_coding": 15}, 5),
        ({"message_content": LONG, "message_coding": 8, "tp_udhi": 64}, status.BAD_UDHI),
        ({"message_content": b"\x09\0\x03", "message_coding": 8, "tp_udhi": 1}, status.BAD_UDHI),
    ],
)
def test_a_strict_gateway_finds_the_fault(change: dict[str, Any], fault: int) -> None:
    _, other = bound(rules=Rules("106550101", "OTP", "12345"))
    raw = carrier.frame(carrier.SUBMIT, carrier.sequence(77), replace(GOOD, **change).encode())
    (event,) = other.receive(raw, 1.0)
    assert isinstance(event, Submitted)
    assert (event.fault, bool(event.why)) == (fault, bool(fault))


def test_a_sequence_used_twice_is_a_fault() -> None:
    _, other = bound()
    raw = carrier.frame(carrier.SUBMIT, carrier.sequence(77), GOOD.encode())
    first, second = other.receive(raw + raw, 1.0)
    assert isinstance(first, Submitted)
    assert isinstance(second, Submitted)
    assert (first.fault, second.fault) == (0, status.BAD_SEQUENCE)


def test_our_own_long_parts_have_no_fault() -> None:
    for number in (1, 2):
        content = header.spell(9, 2, number) + "车".encode("utf-16-be") * 67
        event = submitted(
            Part("13012345678", "106550101234", content, Coding.UCS2, True, number, 2, 9)
        )
        assert (event.fault, event.why) == (0, "")
        assert (event.number, event.total, event.udh) == (number, 2, True)


def test_a_submit_that_cannot_be_read_is_refused() -> None:
    _, other = bound()
    (malformed,) = other.receive(
        carrier.frame(carrier.SUBMIT, carrier.sequence(5), GOOD.encode()[:-20]), 1.0
    )
    assert isinstance(malformed, Malformed)
    assert other.outgoing() == carrier.resp(carrier.SUBMIT, carrier.sequence(5), 5)


def test_a_sequence_that_waits_for_its_answer_is_not_used_again() -> None:
    reporter, _ = reporting()
    part = Part("106550101234", "13012345678", b"TD", Coding.ASCII)
    reporter.deliver("a", part, 1.0, identity=carrier.sequence(50))
    with pytest.raises(StateError):
        reporter.deliver("b", part, 1.0, identity=carrier.sequence(50))
    assert len(carrier.frames(reporter.outgoing())) == 1


def test_what_is_not_answered_comes_back_unanswered_and_may_be_said_again() -> None:
    reporter, listener = reporting()
    part = Part("106550101234", "13012345678", b"TD", Coding.ASCII)
    reporter.user_changed("u", "13012345678", "1065", 0, 1.0)
    exchange(reporter, listener, 2.0)
    reporter.deliver("a", part, 2.0, identity=carrier.sequence(50))
    (first,) = exchange(reporter, listener, 2.0)[1]
    reporter.user_changed("v", "13012345678", "1065", 0, 3.0)
    exchange(reporter, listener, 3.0)
    assert reporter.tick(7.0) == [Unanswered("a")]
    reporter.deliver("a", part, 7.0, identity=carrier.sequence(50))
    (second,) = exchange(reporter, listener, 7.0)[1]
    assert isinstance(first, Received)
    assert isinstance(second, Received)
    assert first.identity == second.identity
    listener.acknowledge(first.receipt)
    listener.acknowledge(second.receipt)
    assert exchange(reporter, listener, 7.1)[0] == [Taken("a", 0)]


@pytest.mark.parametrize("code", ["DELIVRD", "256", ""])
def test_a_report_code_is_one_octet_in_decimal(code: str) -> None:
    reporter, _ = reporting()
    with pytest.raises(EncodeError):
        reporter.report("r", Report(bytes(12), "13012345678", "1", Fate.FAILED, code, 0, 0), 1.0)
    assert reporter.outgoing() == b""


def test_a_reporter_that_is_turned_away_knows_it() -> None:
    reporter = SgipReporter("smg", "wrong", carrier.limits(), carrier.CLOCK)
    listener = SgipListener({"smg": ("secret", "a")}, carrier.limits(), carrier.CLOCK)
    reporter.start(0.0)
    listener.start(0.0)
    ours, theirs = exchange(reporter, listener)
    assert [type(e) for e in ours] == [BindRefused, Closed]
    assert [type(e) for e in theirs] == [Closed]


def test_both_ends_say_goodbye() -> None:
    one, other = bound()
    one.close(1.0)
    assert exchange(one, other) == (
        [Closed("closed by us", error=False)],
        [Closed("the peer said goodbye", error=False)],
    )
    reporter, listener = reporting()
    reporter.close(1.0)
    assert [type(e) for side in exchange(reporter, listener) for e in side] == [Closed, Closed]


@given(st.lists(st.tuples(st.sampled_from(carrier.COMMANDS), st.binary(max_size=200)), max_size=5))
def test_no_well_framed_octets_make_a_gateway_raise(said: list[tuple[int, bytes]]) -> None:
    for side in (bound()[1], gateway(), reporting()[0]):
        for command, body in said:
            side.receive(carrier.frame(command, carrier.sequence(1), body), 1.0)
