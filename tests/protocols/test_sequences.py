"""Sequence numbers at the ends of their spaces, ours and the peer's, in all protocols.

Ours: 1 to 0x7fffffff and round again in SMPP (section 3.2), whose range CMPP and SMGP share here
because some gateways read theirs as signed; SGIP's third word is all of its 32 bits.  The peer's
are whatever it says.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

from protocols.events import Accepted, Closed, Received, Unanswered
from protocols.session import Limits, Session, State

from .machine import HELLO, LIMITS, Carrier, bound, submits
from .test_sessions import CARRIERS

LAST = 0x7FFFFFFF

every_carrier = pytest.mark.parametrize("carrier", CARRIERS, ids=lambda c: c.name)
with_plain_numbers = pytest.mark.parametrize(
    "carrier", [c for c in CARRIERS if c.name != "sgip-1.2"], ids=lambda c: c.name
)
ENDS = (0, 1, LAST, LAST + 1, 0xFFFFFFFF)
"""What a peer may begin with or come to; taken as signed, half of them are negative."""


def given(carrier: Carrier, session: Session, tag: int, now: float = 0.0) -> Any:
    session.submit(tag, HELLO, now)
    (sequence,) = submits(carrier, session)
    return sequence


@with_plain_numbers
def test_after_the_last_number_comes_one(carrier: Carrier) -> None:
    session = bound(carrier, first_sequence=LAST - 2)  # which the login takes
    assert [given(carrier, session, tag) for tag in range(4)] == [LAST - 1, LAST, 1, 2]


def test_after_the_last_number_of_sgip_comes_zero() -> None:
    (carrier,) = (c for c in CARRIERS if c.name == "sgip-1.2")
    session = bound(carrier, first_sequence=0xFFFFFFFD)
    words = [struct.unpack(">III", given(carrier, session, tag)) for tag in range(4)]
    assert [word[2] for word in words] == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]
    assert len({word[:2] for word in words}) == 1


@with_plain_numbers
def test_a_probe_and_a_goodbye_take_no_number_that_waits_for_its_answer(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers come round while a part waits: here there are eight."""
    monkeypatch.setattr(Session, "last_sequence", 8)
    session = bound(carrier, Limits(window=4, answer_within=100.0, keepalive=30.0))
    waiting = [given(carrier, session, tag) for tag in range(2)]
    assert waiting == [2, 3]
    now = 0.0
    for tag in range(2, 6):
        sequence = given(carrier, session, tag, now)
        session.receive(carrier.submit_answer(sequence), now)
    assert sequence == 7
    taken = []
    for _ in range(3):
        now += 30.0
        assert session.tick(now) == []
        ((_, sequence, _),) = carrier.frames(session.outgoing())
        taken.append(sequence)
        session.receive(carrier.inbound(9, b"alive"), now)
        session._probed(now)
    session.close(now)
    ((_, goodbye, _),) = carrier.frames(session.outgoing())
    assert [*taken, goodbye] == [8, 1, 4, 5]
    answers = b"".join(carrier.submit_answer(number) for number in waiting)
    assert [e.tag for e in session.receive(answers, now) if isinstance(e, Accepted)] == [0, 1]


@every_carrier
@pytest.mark.parametrize("number", ENDS, ids=hex)
def test_whatever_number_the_peer_gives_its_request_is_answered_with_it(
    carrier: Carrier, number: int
) -> None:
    session = bound(carrier)
    (event,) = session.receive(carrier.inbound(number, b"hello"), 1.0)
    assert isinstance(event, Received)
    session.acknowledge(event.receipt)
    ((command, sequence, _),) = carrier.frames(session.outgoing())
    assert (command, sequence) == (carrier.deliver_answer, carrier.number(number))


@every_carrier
def test_a_request_of_the_peers_under_a_number_of_ours_answers_nothing(carrier: Carrier) -> None:
    session = bound(carrier, LIMITS)
    ours = given(carrier, session, 0)
    number = struct.unpack(">III", ours)[2] if isinstance(ours, bytes) else ours
    (event,) = session.receive(carrier.inbound(number, b"hello"), 1.0)
    assert isinstance(event, Received)
    assert session.unanswered == 1
    (accepted,) = session.receive(carrier.submit_answer(ours), 1.0)
    assert isinstance(accepted, Accepted)


@every_carrier
def test_a_number_is_not_mistaken_for_that_of_a_connection_before(carrier: Carrier) -> None:
    """A gateway that answers after we came back answers nothing."""
    before = bound(carrier, first_sequence=77)
    old = given(carrier, before, 0)
    unanswered, closed = before.lost("reset")
    assert unanswered == Unanswered(0)
    assert isinstance(closed, Closed)
    session = bound(carrier, first_sequence=1077)
    ours = given(carrier, session, 1)
    assert old != ours
    assert session.receive(carrier.submit_answer(old), 1.0) == []
    assert (session.state, session.unanswered) == (State.BOUND, 1)
