"""What a session owes its owner, whatever the carrier does, for any protocol.

A `Carrier` spells one protocol's other side with its own struct code, so that it can disagree with
`protocols/`. `tests/protocols/test_sessions.py` runs everything here for each of them.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Protocol

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocols.events import (
    Accepted,
    Bound,
    Closed,
    Event,
    Received,
    Rejected,
    Reported,
    Unanswered,
)
from protocols.part import Coding, Part
from protocols.session import Limits, Session, State

LIMITS = Limits(window=4, answer_within=5.0, bind_within=5.0, keepalive=30.0)
HELLO = Part(to="13800138000", sender="106900001234", content=b"hello", coding=Coding.ASCII)

Frame = tuple[int, Any, bytes]
"""Command, sequence (only to be given back) and the octets behind the header."""


class Carrier(Protocol):
    name: str
    submit: int
    deliver_answer: int
    commands: tuple[int, ...]
    """All that may stand in a header, answers included."""
    throttle: int
    refusal: int
    """A submit's answer that is neither yes nor slower."""
    wrong_password: int
    busy: int
    """Login answers; the second one passes."""

    def client(self, limits: Limits, *, first_sequence: int = 1) -> Session: ...
    def frames(self, data: bytes) -> list[Frame]: ...
    def frame(self, command: int, sequence: Any, body: bytes = b"") -> bytes: ...
    def number(self, n: int) -> Any:
        """A sequence for a request of the carrier's."""

    def login_answer(self, login: Frame, status: int = 0) -> bytes: ...
    def submit_answer(self, sequence: Any, result: int = 0, message: int = 1) -> bytes: ...
    def report(self, n: int, message: int) -> bytes:
        """A delivered report, as request `n`, for what was answered with `message`."""

    def inbound(self, n: int, content: bytes) -> bytes: ...
    def farewell(self, n: int) -> bytes: ...
    def farewell_answer(self, farewell: Frame) -> bytes: ...


def bound(carrier: Carrier, limits: Limits = LIMITS, *, first_sequence: int = 1) -> Session:
    session = carrier.client(limits, first_sequence=first_sequence)
    session.start(0.0)
    (login,) = carrier.frames(session.outgoing())
    events = session.receive(carrier.login_answer(login), 0.0)
    assert [type(e) for e in events] == [Bound], events
    return session


def submits(carrier: Carrier, session: Session) -> list[Any]:
    """The sequences of the submits that are about to be written."""
    return [s for c, s, _ in carrier.frames(session.outgoing()) if c == carrier.submit]


class EveryTagComesBackOnce(RuleBasedStateMachine):
    """A submitted tag ends in exactly one event; an Unanswered one may be answered later."""

    carrier: ClassVar[Carrier]

    @initialize()
    def bind(self) -> None:
        self.session = bound(self.carrier)
        self.now, self.next, self.told = 0.0, 0, 0
        self.owed: dict[int, Any] = {}
        self.ended: list[int] = []
        self.late: list[int] = []
        self.closed = 0
        self.receipts: list[Any] = []

    def settle(self, events: list[Event]) -> None:
        for event in events:
            assert not self.closed, "nothing follows Closed"
            if isinstance(event, Unanswered):
                self.ended.append(event.tag)
            elif isinstance(event, Accepted | Rejected):
                known = self.late if event.tag in self.ended else self.ended
                known.append(event.tag)
            elif isinstance(event, Reported | Received):
                self.receipts.append(event.receipt)
            elif isinstance(event, Closed):
                self.closed += 1

    @precondition(lambda self: self.session.room > 0)
    @rule()
    def submit(self) -> None:
        self.session.submit(self.next, HELLO, self.now)
        (self.owed[self.next],) = submits(self.carrier, self.session)
        self.next += 1

    @precondition(lambda self: self.owed)
    @rule(data=st.data(), result=st.sampled_from(["yes", "slower", "no"]), cut=st.integers(0, 60))
    def answer(self, data: st.DataObject, result: str, cut: int) -> None:
        tag = data.draw(st.sampled_from(sorted(self.owed)))  # also ones answered before
        status = {"yes": 0, "slower": self.carrier.throttle, "no": self.carrier.refusal}[result]
        answer = self.carrier.submit_answer(self.owed[tag], status, tag)
        self.settle(self.session.receive(answer[:cut], self.now))
        self.settle(self.session.receive(answer[cut:], self.now))

    @rule(report=st.booleans())
    def tell(self, report: bool) -> None:
        self.told += 1
        told = (
            self.carrier.report(self.told, 1) if report else self.carrier.inbound(self.told, b"x")
        )
        self.settle(self.session.receive(told, self.now))
        self.session.outgoing()

    @precondition(lambda self: self.receipts)
    @rule()
    def acknowledge(self) -> None:
        alive = self.session.state in (State.BOUND, State.CLOSING)
        self.session.acknowledge(self.receipts.pop())
        answers = [c for c, _, _ in self.carrier.frames(self.session.outgoing())]
        assert len(answers) == (1 if alive else 0)

    @rule(data=st.data(), body=st.integers(0, 24).map(bytes) | st.binary(max_size=24))
    def say_anything(self, data: st.DataObject, body: bytes) -> None:
        """Well framed, out of turn or not, with a body of any kind."""
        command = data.draw(st.sampled_from(self.carrier.commands))
        frame = self.carrier.frame(command, self.carrier.number(0x7FFFFFFF), body)
        self.settle(self.session.receive(frame, self.now))
        self.session.outgoing()

    @rule(seconds=st.sampled_from([1.0, 4.9, 5.0, 29.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.settle(self.session.tick(self.now))
        self.session.outgoing()

    @rule()
    def close(self) -> None:
        self.settle(self.session.close(self.now))
        self.session.outgoing()

    @rule()
    def drop(self) -> None:
        self.settle(self.session.lost("test"))

    @invariant()
    def once(self) -> None:
        assert len(self.ended) == len(set(self.ended))
        assert len(self.late) == len(set(self.late))
        if self.session.state is State.CLOSED:
            assert sorted(self.ended) == list(range(self.next))
            assert self.closed == 1


def machine(of: Carrier) -> type[RuleBasedStateMachine]:
    """The machine for one carrier; its `TestCase` is what pytest runs."""
    name = "EveryTagComesBackOnce_" + re.sub(r"\W", "_", of.name)
    made: type[RuleBasedStateMachine] = type(name, (EveryTagComesBackOnce,), {"carrier": of})
    made.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
    return made
