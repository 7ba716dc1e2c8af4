"""What every client session does, for all carrier protocols."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import StateError
from protocols.events import (
    Accepted,
    BindRefused,
    Closed,
    Event,
    Fate,
    Received,
    Rejected,
    Reported,
    Unanswered,
)
from protocols.session import Limits, State

from .cmpp.carrier import CmppCarrier
from .machine import HELLO, Carrier, bound, machine, submits
from .sgip.carrier import SgipCarrier
from .smgp.carrier import SmgpCarrier
from .smpp.smsc import SmppCarrier

CARRIERS: list[Carrier] = [
    CmppCarrier("2.0"),
    CmppCarrier("3.0"),
    SgipCarrier(),
    SmgpCarrier(),
    SmppCarrier(),
]
every_carrier = pytest.mark.parametrize("carrier", CARRIERS, ids=lambda c: c.name)

for _carrier in CARRIERS:
    _machine = machine(_carrier)
    globals()[f"Test{_machine.__name__}"] = _machine.TestCase


@every_carrier
def test_a_wrong_password_is_final(carrier: Carrier) -> None:
    refused, closed = refuse(carrier, carrier.wrong_password)
    assert isinstance(refused, BindRefused)
    assert (refused.status, refused.retry) == (carrier.wrong_password, False)
    assert isinstance(closed, Closed)
    assert closed.error


@every_carrier
def test_a_gateway_without_room_is_asked_again_later(carrier: Carrier) -> None:
    refused, _ = refuse(carrier, carrier.busy)
    assert isinstance(refused, BindRefused)
    assert refused.retry


def refuse(carrier: Carrier, status: int) -> list[Event]:
    session = carrier.client(Limits())
    session.start(0.0)
    (login,) = carrier.frames(session.outgoing())
    return session.receive(carrier.login_answer(login, status), 0.0)


@every_carrier
def test_a_login_that_nobody_answers_ends(carrier: Carrier) -> None:
    session = carrier.client(Limits(bind_within=5.0))
    session.start(0.0)
    assert session.deadline() == 5.0
    (closed,) = session.tick(5.0)
    assert isinstance(closed, Closed)
    assert closed.error


@every_carrier
def test_answers_are_matched_by_sequence_not_by_order(carrier: Carrier) -> None:
    session = bound(carrier)
    session.submit("a", HELLO, 0.0)
    session.submit("b", HELLO, 0.0)
    first, second = submits(carrier, session)
    answers = carrier.submit_answer(second, message=22) + carrier.submit_answer(first, message=11)
    b, a = session.receive(answers, 0.1)
    assert isinstance(a, Accepted)
    assert isinstance(b, Accepted)
    assert (a.tag, b.tag) == ("a", "b")
    assert session.room == 4


@every_carrier
def test_throttling_is_told_apart_from_refusal(carrier: Carrier) -> None:
    session = bound(carrier)
    session.submit("a", HELLO, 0.0)
    session.submit("b", HELLO, 0.0)
    first, second = submits(carrier, session)
    a, b = session.receive(
        carrier.submit_answer(first, carrier.throttle)
        + carrier.submit_answer(second, carrier.refusal),
        0.1,
    )
    assert isinstance(a, Rejected)
    assert isinstance(b, Rejected)
    assert (a.status, a.throttled) == (carrier.throttle, True)
    assert (b.status, b.throttled) == (carrier.refusal, False)


@every_carrier
def test_a_full_window_takes_no_more(carrier: Carrier) -> None:
    session = bound(carrier, Limits(window=2))
    session.submit(1, HELLO, 0.0)
    session.submit(2, HELLO, 0.0)
    assert session.room == 0
    with pytest.raises(StateError):
        session.submit(3, HELLO, 0.0)
    assert len(submits(carrier, session)) == 2


@every_carrier
def test_silence_past_the_answer_time_frees_the_slot_and_a_late_answer_still_counts(
    carrier: Carrier,
) -> None:
    session = bound(carrier, Limits(window=2, answer_within=5.0))
    session.submit("a", HELLO, 0.0)
    session.submit("b", HELLO, 4.0)
    first, second = submits(carrier, session)
    session.receive(carrier.submit_answer(second), 4.5)
    assert session.tick(4.9) == []
    assert session.tick(5.0) == [Unanswered("a")]
    assert session.room == 2
    (late,) = session.receive(carrier.submit_answer(first), 6.0)
    assert isinstance(late, Accepted)
    assert late.tag == "a"


@every_carrier
def test_a_bind_on_which_nothing_at_all_is_answered_in_time_is_closed(carrier: Carrier) -> None:
    frozen, slow = (bound(carrier, Limits(window=8, answer_within=5.0)) for _ in range(2))
    for session in (frozen, slow):
        session.submit("a", HELLO, 0.0)
        session.submit("b", HELLO, 1.0)
        (_, second) = submits(carrier, session)
    # What the peer says by itself is no answer.
    assert len(frozen.receive(carrier.inbound(3, b"hello"), 2.0)) == 1
    assert len(slow.receive(carrier.submit_answer(second), 2.0)) == 1
    assert slow.tick(5.0) == [Unanswered("a")]
    assert slow.state is State.BOUND
    *unanswered, closed = frozen.tick(5.0)
    assert unanswered == [Unanswered("a"), Unanswered("b")]
    assert isinstance(closed, Closed)
    assert closed.error


@every_carrier
def test_a_report_quotes_what_its_submit_was_answered_with(carrier: Carrier) -> None:
    session = bound(carrier)
    known = session.submit("a", HELLO, 0.0)
    (sequence,) = submits(carrier, session)
    (accepted,) = session.receive(carrier.submit_answer(sequence, message=11), 0.1)
    assert isinstance(accepted, Accepted)
    assert known in (None, accepted.carrier_id)


@every_carrier
def test_a_report_is_answered_only_once_it_is_acknowledged(carrier: Carrier) -> None:
    session = bound(carrier)
    (event,) = session.receive(carrier.report(7, message=11), 1.0)
    assert isinstance(event, Reported)
    assert (event.fate, event.exact) == (Fate.DELIVERED, 1)
    assert event.to.endswith(("13800138000", "13300133000"))
    assert session.outgoing() == b""
    session.acknowledge(event.receipt)
    ((command, sequence, _),) = carrier.frames(session.outgoing())
    assert (command, sequence) == (
        carrier.frames(carrier.report(7, 11))[0][0] | 1 << 31,
        carrier.number(7),
    )


@every_carrier
def test_an_inbound_message_told_again_is_the_same_one(carrier: Carrier) -> None:
    session = bound(carrier)
    (first,) = session.receive(carrier.inbound(7, b"TD"), 1.0)
    (other,) = session.receive(carrier.inbound(8, b"hello"), 1.0)
    (again,) = session.receive(carrier.inbound(7, b"TD"), 9.0)
    assert isinstance(first, Received)
    assert isinstance(other, Received)
    assert isinstance(again, Received)
    assert first.content == b"TD"
    assert first.identity == again.identity != other.identity


@every_carrier
def test_the_peers_goodbye_is_answered_and_what_it_owes_is_unanswered(carrier: Carrier) -> None:
    session = bound(carrier)
    session.submit("a", HELLO, 0.0)
    session.outgoing()
    unanswered, closed = session.receive(carrier.farewell(9), 1.0)
    assert unanswered == Unanswered("a")
    assert isinstance(closed, Closed)
    assert not closed.error
    ((command, sequence, _),) = carrier.frames(session.outgoing())
    asked = carrier.frames(carrier.farewell(9))[0]
    assert (command, sequence) == (asked[0] | 1 << 31, asked[1])


@every_carrier
def test_answers_still_owed_arrive_after_our_goodbye(carrier: Carrier) -> None:
    session = bound(carrier)
    session.submit("a", HELLO, 0.0)
    (sequence,) = submits(carrier, session)
    assert session.close(1.0) == []
    (goodbye,) = carrier.frames(session.outgoing())
    assert session.room == 0
    (accepted,) = session.receive(carrier.submit_answer(sequence), 1.5)
    assert isinstance(accepted, Accepted)
    (event,) = session.receive(carrier.report(5, 1), 1.6)
    assert isinstance(event, Reported)
    session.acknowledge(event.receipt)
    assert len(carrier.frames(session.outgoing())) == 1
    (closed,) = session.receive(carrier.farewell_answer(goodbye), 2.0)
    assert isinstance(closed, Closed)
    assert not closed.error
    assert session.state is State.CLOSED


@every_carrier
def test_sequence_numbers_start_again_after_the_last(carrier: Carrier) -> None:
    session = bound(carrier, Limits(window=8), first_sequence=0x7FFFFFFE)
    for tag in range(4):
        session.submit(tag, HELLO, 0.0)
    sequences = submits(carrier, session)
    assert len(set(sequences)) == 4
    answers = b"".join(carrier.submit_answer(s) for s in sequences)
    events = session.receive(answers, 0.1)
    assert [e.tag for e in events if isinstance(e, Accepted)] == [0, 1, 2, 3]


@every_carrier
@settings(max_examples=50)
@given(cuts=st.lists(st.integers(1, 60), max_size=30))
def test_where_the_network_cuts_makes_no_difference(carrier: Carrier, cuts: list[int]) -> None:
    def talk() -> tuple[bytes, list[Event]]:
        session = bound(carrier)
        session.submit("a", HELLO, 0.0)
        (sequence,) = submits(carrier, session)
        stream = (
            carrier.report(1, 5)
            + carrier.submit_answer(sequence, message=5)
            + carrier.inbound(3, b"hello")
            + carrier.frame(carrier.deliver_answer, carrier.number(99))
            + carrier.farewell(4)
        )
        events: list[Event] = []
        for size in [*cuts, len(stream)]:
            events += session.receive(stream[:size], 1.0)
            stream = stream[size:]
        return session.outgoing(), events

    pieces = talk()
    cuts = []
    assert pieces == talk()


@every_carrier
@settings(max_examples=50)
@given(pieces=st.lists(st.binary(max_size=100), max_size=12))
def test_no_octets_make_it_raise_or_keep_more_than_a_frame(
    carrier: Carrier, pieces: list[bytes]
) -> None:
    session = bound(carrier)
    for piece in pieces:
        session.receive(piece, 1.0)
        assert len(session._buffer) < session.longest


@every_carrier
@settings(max_examples=100)
@given(data=st.data(), body=st.binary(max_size=200))
def test_no_frame_in_any_state_makes_it_raise(
    carrier: Carrier, data: st.DataObject, body: bytes
) -> None:
    command = data.draw(st.sampled_from(carrier.commands) | st.integers(0, 2**32 - 1))
    frame = carrier.frame(command, carrier.number(3), body)
    binding = carrier.client(Limits())
    binding.start(0.0)
    closing = bound(carrier)
    closing.close(0.0)
    for session in (binding, closing, bound(carrier)):
        events = session.receive(frame, 1.0)
        assert sum(isinstance(e, Closed) for e in events) == (session.state is State.CLOSED)
        session.receive(frame, 1.0)


@every_carrier
def test_an_impossible_length_ends_the_conversation(carrier: Carrier) -> None:
    session = bound(carrier)
    session.submit("a", HELLO, 0.0)
    session.outgoing()
    unanswered, closed = session.receive(b"\xff" * 20, 1.0)
    assert unanswered == Unanswered("a")
    assert isinstance(closed, Closed)
    assert closed.error
    assert session.receive(carrier.report(1, 1), 1.0) == []
