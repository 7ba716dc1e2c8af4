"""The carrier's connection to us: who may log in, and what it may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import StateError
from protocols.events import Bound, Closed, Malformed, Received, Reported, UserChanged
from protocols.part import Part
from protocols.session import State
from protocols.sgip.listener import LONGEST_SILENCE, SgipListener

from . import carrier

LOGINS = {"smg": ("secret", "xz-unicom"), "smg2": ("other", "xz-second")}


def fresh() -> SgipListener:
    listener = SgipListener(LOGINS, carrier.limits(), carrier.CLOCK, node=3010012345)
    listener.start(0.0)
    assert listener.outgoing() == b""
    return listener


def bound() -> SgipListener:
    listener = fresh()
    assert listener.receive(carrier.bind("smg", "secret"), 0.0) == [Bound("1.2", "smg")]
    assert listener.outgoing() == carrier.resp(carrier.BIND, carrier.sequence(1))
    return listener


def test_a_login_says_whose_connection_it_is() -> None:
    listener = fresh()
    listener.receive(carrier.bind("smg2", "other"), 0.0)
    assert (listener.login, listener.owner) == ("smg2", "xz-second")


@pytest.mark.parametrize(
    ("name", "password", "kind", "result"),
    [
        ("smg", "wrong", 2, 1),
        ("nobody", "secret", 2, 1),
        ("nobody", "", 2, 1),
        ("smg", "", 2, 1),
        ("smg", "secret", 1, 4),
        ("smg", "secret", 3, 4),
        ("smg", "wrong", 1, 4),
    ],
)
def test_a_wrong_login_is_answered_and_the_connection_ends(
    name: str, password: str, kind: int, result: int
) -> None:
    listener = fresh()
    (closed,) = listener.receive(carrier.bind(name, password, kind), 0.0)
    assert isinstance(closed, Closed)
    assert closed.error
    assert "secret" not in closed.reason
    assert listener.outgoing() == carrier.resp(carrier.BIND, carrier.sequence(1), result)
    assert listener.owner is None


def test_a_login_that_cannot_be_read_is_answered_and_the_connection_ends() -> None:
    listener = fresh()
    (closed,) = listener.receive(carrier.frame(1, carrier.sequence(1), bytes(20)), 0.0)
    assert isinstance(closed, Closed)
    assert listener.outgoing() == carrier.resp(carrier.BIND, carrier.sequence(1), 5)


@pytest.mark.parametrize("command", [c for c in carrier.COMMANDS if c != carrier.BIND])
def test_anything_before_the_login_ends_the_connection_without_an_answer(command: int) -> None:
    listener = fresh()
    (closed,) = listener.receive(carrier.frame(command, carrier.sequence(1), bytes(41)), 0.0)
    assert isinstance(closed, Closed)
    assert listener.outgoing() == b""


def test_a_silent_caller_is_hung_up_on() -> None:
    listener = fresh()
    assert listener.deadline() == 5.0
    assert listener.tick(5.0) == [Closed("no answer to the login", error=True)]


def test_who_is_logged_in_and_says_nothing_for_long_is_told_goodbye() -> None:
    listener = bound()
    listener.receive(carrier.userrpt(3, 2), 100.0)
    listener.outgoing()
    assert listener.deadline() == 100.0 + LONGEST_SILENCE
    assert listener.tick(100.0 + LONGEST_SILENCE - 0.1) == []
    assert listener.state is State.BOUND
    assert listener.tick(100.0 + LONGEST_SILENCE) == []
    ((command, goodbye, _),) = carrier.frames(listener.outgoing())
    assert (command, listener.state) == (carrier.UNBIND, State.CLOSING)
    answer = carrier.frame(carrier.UNBIND | carrier.ANSWER, goodbye)
    assert listener.receive(answer, 800.0) == [Closed("closed by us", error=False)]


def test_a_second_login_is_refused_and_the_first_stands() -> None:
    listener = bound()
    (malformed,) = listener.receive(carrier.bind("smg2", "other", counter=2), 1.0)
    assert isinstance(malformed, Malformed)
    assert listener.outgoing() == carrier.resp(carrier.BIND, carrier.sequence(2), 2)
    assert (listener.state, listener.login) == (State.BOUND, "smg")


def test_reports_messages_and_news_of_subscribers_come_in() -> None:
    listener = bound()
    said = carrier.report(2, bytes(12)) + carrier.deliver(3, b"TD") + carrier.userrpt(4, 0)
    report, message, news = listener.receive(said, 1.0)
    assert isinstance(report, Reported)
    assert isinstance(message, Received)
    assert isinstance(news, UserChanged)
    listener.outgoing()
    listener.acknowledge(message.receipt)
    listener.acknowledge(report.receipt)
    assert listener.outgoing() == carrier.resp(carrier.DELIVER, carrier.sequence(3)) + carrier.resp(
        carrier.REPORT, carrier.sequence(2)
    )


def test_what_was_not_acknowledged_is_not_answered() -> None:
    listener = bound()
    listener.receive(carrier.report(2, bytes(12)), 1.0)
    assert listener.outgoing() == b""
    assert listener.deadline() == 1.0 + LONGEST_SILENCE


def test_a_message_delivered_again_has_the_same_identity() -> None:
    first, second = bound().receive(carrier.deliver(3, b"TD") * 2, 1.0)
    assert isinstance(first, Received)
    assert isinstance(second, Received)
    assert first.identity == second.identity == carrier.sequence(3)


def test_nothing_is_submitted_on_the_carriers_connection() -> None:
    listener = bound()
    assert listener.room == 0
    with pytest.raises(StateError):
        listener.submit("a", Part("13012345678", "1065", b"x"), 0.0)


def test_a_submit_from_the_carrier_ends_the_connection_without_an_answer() -> None:
    listener = bound()
    (closed,) = listener.receive(carrier.frame(carrier.SUBMIT, carrier.sequence(2)), 1.0)
    assert isinstance(closed, Closed)
    assert listener.outgoing() == b""


def test_goodbye_is_answered() -> None:
    listener = bound()
    unbind = carrier.frame(carrier.UNBIND, carrier.sequence(9))
    assert listener.receive(unbind, 1.0) == [Closed("the peer said goodbye", error=False)]
    assert listener.outgoing() == carrier.frame(
        carrier.UNBIND | carrier.ANSWER, carrier.sequence(9)
    )


def test_our_goodbye_still_answers_what_was_received_before() -> None:
    listener = bound()
    (report,) = listener.receive(carrier.report(2, bytes(12)), 1.0)
    assert isinstance(report, Reported)
    listener.close(1.0)
    ((command, sequence, _),) = carrier.frames(listener.outgoing())
    assert command == carrier.UNBIND
    listener.acknowledge(report.receipt)
    assert listener.outgoing() == carrier.resp(carrier.REPORT, carrier.sequence(2))
    last = listener.receive(carrier.frame(carrier.UNBIND | carrier.ANSWER, sequence), 1.1)
    assert last == [Closed("closed by us", error=False)]


@given(
    st.lists(st.tuples(st.sampled_from(carrier.COMMANDS), st.binary(max_size=90)), max_size=5),
    st.booleans(),
)
def test_no_well_framed_octets_make_it_raise(said: list[tuple[int, bytes]], known: bool) -> None:
    listener = bound() if known else fresh()
    for command, body in said:
        listener.receive(carrier.frame(command, carrier.sequence(1), body), 1.0)


@given(st.binary(max_size=300))
def test_no_octets_make_it_raise(noise: bytes) -> None:
    fresh().receive(noise, 1.0)
    bound().receive(noise, 1.0)
