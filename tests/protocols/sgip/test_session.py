"""Our own SGIP connection against a gateway that is spelled with struct."""

from __future__ import annotations

import struct
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
    Malformed,
    Received,
    Rejected,
    Reported,
    Unanswered,
    UserChanged,
)
from protocols.part import Coding, Part
from protocols.session import Clock, State
from protocols.sgip import pdus
from protocols.sgip.account import SgipAccount
from protocols.sgip.frames import Counter
from protocols.sgip.session import SgipSession

from .. import vectors
from . import carrier

ACCOUNT = SgipAccount("sp12345", "pw123456", 3010012345, "12345", service_id="OTP")
HELLO = Part("13012345678", "106550101234", b"hello", Coding.ASCII)


def fresh(window: int = 4, counter: Counter | None = None, **account: Any) -> SgipSession:
    made = SgipAccount("sp12345", "pw123456", 3010012345, "12345", **account)
    return SgipSession(made, carrier.limits(window), carrier.CLOCK, counter=counter or Counter())


def bound(window: int = 4, **given: Any) -> SgipSession:
    session = fresh(window, **given)
    session.start(0.0)
    ((command, sequence, _),) = carrier.frames(session.outgoing())
    assert command == carrier.BIND
    events = session.receive(carrier.resp(carrier.BIND, sequence), 0.0)
    assert events == [Bound("1.2", "sp12345")]
    return session


def vector(name: str) -> dict[str, Any]:
    (found,) = [v for v in vectors.load("sgip12.json") if v["id"] == name]
    return found


def test_the_bind_is_that_of_other_implementations() -> None:
    session = fresh(counter=Counter(0xFFFFFFFF))
    session.start(0.0)
    golden = bytes.fromhex(vector("sgip12_bind_sp_to_smg")["hex"])
    ours = session.outgoing()
    assert ours[20:] == golden[20:]
    assert struct.unpack("!III", ours[8:20]) == (3010012345, 108093005, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("name", "coding"),
    [("sgip12_submit_gbk", Coding.GB18030), ("sgip12_submit_long_udh6_part2of2", Coding.UCS2)],
)
def test_a_submit_is_that_of_other_implementations(name: str, coding: Coding) -> None:
    golden = vector(name)
    session = bound(service_id="OTP", counter=Counter(0xFFFFFFFE))
    fields = golden["fields"]
    part = Part(
        to=fields["user_number"][0].removeprefix("86"),
        sender=fields["sp_number"],
        content=bytes.fromhex(fields["message_content_hex"]),
        coding=coding,
        udh=fields["tp_udhi"] == 1,
        number=2 if fields["tp_udhi"] else 1,
        total=2 if fields["tp_udhi"] else 1,
    )
    sequence = session.submit("a", part, 0.0)
    ours, theirs = session.outgoing(), bytes.fromhex(golden["hex"])
    assert ours[20:] == theirs[20:]
    assert sequence == ours[8:20] == struct.pack("!III", 3010012345, 108093005, 0xFFFFFFFF)


parts = st.builds(
    Part,
    to=st.from_regex(r"\A1[3-9][0-9]{9}\Z"),
    sender=st.from_regex(r"\A[0-9]{1,21}\Z"),
    content=st.binary(max_size=160),
    coding=st.sampled_from(Coding),
    udh=st.booleans(),
    wants_report=st.booleans(),
    expires_at=st.none() | st.floats(0, 4e9),
)


@given(part=parts, udhi=st.sampled_from([1, 64]))
def test_a_submit_is_the_declared_body_for_any_part(part: Part, udhi: int) -> None:
    session = bound(udhi=udhi, service_id="OTP")
    session.submit("a", part, 0.0)
    ((command, _, body),) = carrier.frames(session.outgoing())
    read = pdus.Submit.decode(body)
    assert command == carrier.SUBMIT
    assert read.encode() == body
    assert read == pdus.Submit(
        sp_number=part.sender,
        charge_number="0" * 21,
        user_number=("86" + part.to,),
        corp_id="12345",
        service_type="OTP",
        fee_type=1,
        fee_value="0",
        given_value="0",
        expire_time=read.expire_time,
        report_flag=1 if part.wants_report else 2,
        tp_udhi=udhi if part.udh else 0,
        message_coding=part.coding,
        message_content=part.content,
    )
    assert (read.expire_time != "") == (part.expires_at is not None)


def test_the_validity_is_written_in_the_daemons_zone() -> None:
    session = bound()
    session.submit("a", Part("13012345678", "1065", b"x", expires_at=carrier.CLOCK.epoch), 0.0)
    ((_, _, body),) = carrier.frames(session.outgoing())
    assert pdus.Submit.decode(body).expire_time == "260108093005032+"


@pytest.mark.parametrize(
    "part",
    [
        Part("13012345678", "10655010123456789012345", b"x"),
        Part("13012345678", "", b"x"),
        Part("1301234567a", "1065", b"x"),
        Part("13012345678", "1065", bytes(161)),
        Part("13012345678", "1065", b"x", total=2),
        Part("13012345678", "1065", b"x", expires_at=1e18),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(part: Part) -> None:
    session = bound()
    with pytest.raises(EncodeError):
        session.submit("a", part, 0.0)
    assert (session.outgoing(), session.unanswered) == (b"", 0)


def test_an_account_that_does_not_fit_is_refused_when_the_session_is_made() -> None:
    for wrong in (
        SgipAccount("login of more than 16", "pw", 1, "12345"),
        SgipAccount("sp", "pw", 1, "123456"),
        SgipAccount("sp", "pw", 2**32, "12345"),
        SgipAccount("sp", "pw", 1, "12345", service_id="eleven char"),
    ):
        with pytest.raises(EncodeError):
            SgipSession(wrong, carrier.limits(), Clock(), counter=Counter())


def test_the_password_is_in_no_repr() -> None:
    assert "pw123456" not in repr(ACCOUNT)


def test_binds_of_one_account_never_share_a_sequence() -> None:
    counter = Counter(0xFFFFFFFE)
    first, second = bound(counter=counter), bound(counter=counter)
    taken = [s.submit(n, HELLO, 0.0) for n, s in enumerate((first, second, first, second))]
    assert len(set(taken)) == 4
    assert counter.value == 4


def test_an_answer_gives_back_the_submits_own_sequence() -> None:
    session = bound()
    sequence = session.submit("a", HELLO, 0.0)
    assert sequence is not None
    (accepted,) = session.receive(carrier.resp(carrier.SUBMIT, sequence), 0.1)
    assert accepted == Accepted("a", sequence)
    assert ids.show("sgip", sequence) == "3010012345:108093005:1"


def test_an_answer_without_reserve_is_an_answer() -> None:
    session = bound()
    sequence = session.submit("a", HELLO, 0.0)
    assert sequence is not None
    short = carrier.frame(carrier.SUBMIT | carrier.ANSWER, sequence, b"\0")
    assert session.receive(short, 0.1) == [Accepted("a", sequence)]


@pytest.mark.parametrize(("result", "throttled"), [(88, True), (33, True), (11, True), (5, False)])
def test_a_refusal_has_its_result_in_decimal(result: int, throttled: bool) -> None:
    session = bound()
    sequence = session.submit("a", HELLO, 0.0)
    assert sequence is not None
    events = session.receive(carrier.resp(carrier.SUBMIT, sequence, result), 0.1)
    assert events == [Rejected("a", result, str(result), throttled)]


def test_throttle_codes_of_the_account_are_the_complete_set() -> None:
    session = bound(throttle_codes=frozenset({77}))
    first, second = session.submit("a", HELLO, 0.0), session.submit("b", HELLO, 0.0)
    assert first is not None
    assert second is not None
    answers = carrier.resp(carrier.SUBMIT, first, 77) + carrier.resp(carrier.SUBMIT, second, 88)
    assert session.receive(answers, 0.1) == [
        Rejected("a", 77, "77", True),
        Rejected("b", 88, "88", False),
    ]


def test_a_second_answer_to_the_same_submit_says_nothing() -> None:
    session = bound()
    sequence = session.submit("a", HELLO, 0.0)
    assert sequence is not None
    answer = carrier.resp(carrier.SUBMIT, sequence)
    assert len(session.receive(answer + answer, 0.1)) == 1


@pytest.mark.parametrize(
    ("result", "retry"), [(1, False), (4, False), (94, False), (3, True), (34, True), (200, True)]
)
def test_a_refused_login_says_whether_to_try_again(result: int, retry: bool) -> None:
    session = fresh()
    session.start(0.0)
    ((_, sequence, _),) = carrier.frames(session.outgoing())
    refused, closed = session.receive(carrier.resp(carrier.BIND, sequence, result), 0.0)
    assert isinstance(refused, BindRefused)
    assert (refused.status, refused.retry) == (result, retry)
    assert isinstance(closed, Closed)


def test_there_is_no_keepalive_whatever_the_limits_say() -> None:
    session = bound()
    assert session.deadline() is None
    assert session.tick(1e6) == []
    assert session.outgoing() == b""


def test_a_report_on_our_own_connection_is_taken_and_answered_once_it_is_safe() -> None:
    session = bound()
    sequence = session.submit("a", HELLO, 0.0)
    assert sequence is not None
    session.outgoing()
    (event,) = session.receive(carrier.report(7, sequence, 2, 219), 1.0)
    assert isinstance(event, Reported)
    assert (event.fate, event.code, event.to) == (Fate.FAILED, "219", "8613012345678")
    assert (event.keys, event.exact) == ((ids.key("sgip", sequence),), 1)
    assert session.outgoing() == b""
    session.acknowledge(event.receipt)
    assert session.outgoing() == carrier.resp(carrier.REPORT, carrier.sequence(7))


@pytest.mark.parametrize(
    ("state", "error", "fate", "code"),
    [
        (0, 0, Fate.DELIVERED, "0"),
        (1, 0, Fate.INTERMEDIATE, "0"),
        (2, 29, Fate.FAILED, "29"),
        (9, 0, Fate.FAILED, "0"),
    ],
)
def test_states_of_reports(state: int, error: int, fate: Fate, code: str) -> None:
    (event,) = bound().receive(carrier.report(7, bytes(12), state, error), 1.0)
    assert isinstance(event, Reported)
    assert (event.fate, event.code) == (fate, code)


def test_a_report_with_another_node_word_finds_its_part() -> None:
    session = bound()
    sequence = session.submit("a", HELLO, 0.0)
    assert sequence is not None
    (event,) = session.receive(carrier.report(7, bytes(4) + sequence[4:]), 1.0)
    assert isinstance(event, Reported)
    assert event.keys == (ids.key("sgip", sequence),)


def test_an_inbound_message_comes_with_its_header_flag_and_identity() -> None:
    (event,) = bound().receive(carrier.deliver(3, b"\x05\0\x03\1\2\1TD", 8, 64), 1.0)
    assert event == Received(
        sender="8613012345678",
        to="106550101234",
        content=b"\x05\0\x03\1\2\1TD",
        coding=8,
        udh=True,
        receipt=carrier.resp(carrier.DELIVER, carrier.sequence(3)),
        identity=carrier.sequence(3),
    )


def test_news_of_a_subscriber_are_answered_at_once() -> None:
    session = bound()
    events = session.receive(carrier.userrpt(3, 1), 1.0)
    assert events == [UserChanged("8613012345678", "106550101234", 1)]
    assert session.outgoing() == carrier.resp(carrier.USERRPT, carrier.sequence(3))


@pytest.mark.parametrize("command", [carrier.DELIVER, carrier.REPORT, carrier.USERRPT])
def test_what_cannot_be_read_is_refused_and_the_connection_goes_on(command: int) -> None:
    session = bound()
    cut = carrier.frame(command, carrier.sequence(3), bytes(30))
    malformed, event = session.receive(cut + carrier.report(4, bytes(12)), 1.0)
    assert isinstance(malformed, Malformed)
    assert isinstance(event, Reported)
    assert session.outgoing() == carrier.resp(command, carrier.sequence(3), 5)


@pytest.mark.parametrize(
    "command",
    [
        carrier.SUBMIT,
        carrier.BIND,
        carrier.TRACE,
        6,
        carrier.BIND | carrier.ANSWER,
        carrier.DELIVER | carrier.ANSWER,
        carrier.UNBIND | carrier.ANSWER,
        0x7777,
    ],
)
def test_a_command_out_of_turn_ends_the_connection_without_an_answer(command: int) -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    session.outgoing()
    events = session.receive(carrier.frame(command, carrier.sequence(3), bytes(41)), 1.0)
    assert [type(e) for e in events] == [Unanswered, Closed]
    assert session.outgoing() == b""


def test_a_report_before_the_login_is_answered_ends_the_connection() -> None:
    session = fresh()
    session.start(0.0)
    session.outgoing()
    (closed,) = session.receive(carrier.report(1, bytes(12)), 0.0)
    assert isinstance(closed, Closed)
    assert session.outgoing() == b""


def test_the_carriers_goodbye_is_answered_and_the_rest_is_unanswered() -> None:
    session = bound()
    session.submit("a", HELLO, 0.0)
    session.outgoing()
    events = session.receive(carrier.frame(carrier.UNBIND, carrier.sequence(9)), 1.0)
    assert events == [Unanswered("a"), Closed("the peer said goodbye", error=False)]
    assert session.outgoing() == carrier.frame(carrier.UNBIND | carrier.ANSWER, carrier.sequence(9))


def test_an_idle_connection_may_be_hung_up_without_a_goodbye() -> None:
    session = bound()
    session.submit("first", HELLO, 0.0)
    ((_, sequence, _),) = carrier.frames(session.outgoing())
    session.receive(carrier.resp(carrier.SUBMIT, sequence), 0.0)
    assert session.lost("gone") == [Closed("gone", False)]


def test_a_connection_lost_with_answers_owed_is_an_error() -> None:
    session = bound()
    session.submit("first", HELLO, 0.0)
    assert session.lost("gone") == [Unanswered("first"), Closed("gone", True)]


def test_our_goodbye_waits_for_answers_still_owed() -> None:
    session = bound()
    sequence = session.submit("a", HELLO, 0.0)
    assert sequence is not None
    session.outgoing()
    assert session.close(1.0) == []
    ((command, farewell, _),) = carrier.frames(session.outgoing())
    assert command == carrier.UNBIND
    assert session.room == 0
    with pytest.raises(StateError):
        session.submit("b", HELLO, 1.0)
    answers = carrier.resp(carrier.SUBMIT, sequence)
    assert session.receive(answers, 1.1) == [Accepted("a", sequence)]
    last = session.receive(carrier.frame(carrier.UNBIND | carrier.ANSWER, farewell), 1.2)
    assert last == [Closed("closed by us", error=False)]


def test_a_length_that_no_pdu_has_ends_the_connection() -> None:
    (closed,) = bound().receive(struct.pack("!IIIII", 1 << 30, 3, 0, 0, 0), 1.0)
    assert isinstance(closed, Closed)
    assert closed.error


STREAM = (
    carrier.report(1, bytes(12))
    + carrier.deliver(2, b"TD")
    + carrier.frame(carrier.DELIVER, carrier.sequence(3), bytes(9))
    + carrier.userrpt(4, 2)
    + carrier.frame(carrier.UNBIND, carrier.sequence(5))
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
    st.lists(
        st.tuples(st.sampled_from(carrier.COMMANDS), st.binary(max_size=90)), min_size=1, max_size=5
    )
)
def test_no_well_framed_octets_make_it_raise(said: list[tuple[int, bytes]]) -> None:
    for session in (bound(), fresh()):
        if session.state is State.IDLE:
            session.start(0.0)
        events: list[Event] = []
        for command, body in said:
            events += session.receive(carrier.frame(command, carrier.sequence(1), body), 1.0)
        assert sum(isinstance(e, Closed) for e in events) <= 1
