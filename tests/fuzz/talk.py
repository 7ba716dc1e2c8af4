"""One session under fuzz: what it must hold to, whatever it hears, is checked at every step."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from protocols.events import (
    Accepted,
    Closed,
    Event,
    LoginAsked,
    Malformed,
    Received,
    Rejected,
    Reported,
    Submitted,
    Taken,
    Unanswered,
)
from protocols.gateway import GatewaySession
from protocols.session import Session, State

from .roles import Role, tags

_DETAIL = re.compile(r"0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"|\b[0-9a-f]{6,}\b")


class BrokenPromiseError(AssertionError):
    """The session did what it promised never to do."""


class Talk:
    """Sessions of one role, one after the other as the fuzzer ends them."""

    def __init__(self, role: Role, chance: random.Random) -> None:
        self.role = role
        self.chance = chance
        self.now = 0.0
        self.tags: Iterator[int] = tags()
        self.sessions = 0
        self.session: Session
        self.renew()

    def renew(self) -> None:
        """Most are logged in; some wait for the login, and some have said goodbye."""
        dice = self.chance.random()
        self.now = 0.0
        self.owed: set[int] = set()
        self.session = self.role.binding() if dice < 0.1 else self.role.bound()
        self.sessions += 1
        if self.session.state is State.BOUND:
            self.ask()
            if dice > 0.95:
                self.session.close(0.0)
        self.session.outgoing()

    def ask(self) -> None:
        self.role.ask(self.session, self.now, self.tags)
        self.owed.update(tag for _, tag in self.session._window.values())

    def hear(self, octets: bytes) -> list[Event]:
        """Octets come; raises BrokenPromiseError, and whatever a session lets through."""
        session = self.session
        events = session.receive(octets, self.now)
        for event in events:
            self._reply(event)
        events += session.tick(self.now)  # a login refused just now ends the conversation
        self._check(events)
        out = session.outgoing()
        # The shortest request has 12 octets and the longest answer 115.
        if len(out) > 16 * (len(octets) + session.longest) + 1024:
            raise BrokenPromiseError(f"{len(out)} octets said to {len(octets)}")
        if session.state is State.CLOSED and session.receive(octets, self.now):
            raise BrokenPromiseError("events after Closed")
        return events

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._check(self.session.tick(self.now))
        self.session.outgoing()
        if self.session.state is State.BOUND:
            self.ask()
            self.session.outgoing()

    def _check(self, events: list[Event]) -> None:
        session = self.session
        closed = session.state is State.CLOSED
        if sum(type(event) is Closed for event in events) != closed:
            raise BrokenPromiseError(f"{session.state.value}, and {events}")
        if closed and type(events[-1]) is not Closed:
            raise BrokenPromiseError(f"{events[-1]} after Closed")
        if len(session._buffer) >= session.longest:
            raise BrokenPromiseError(f"{len(session._buffer)} octets kept")
        limits = session.limits
        if len(session._window) > limits.window or len(session._late) > 4 * limits.window:
            raise BrokenPromiseError(
                f"{len(session._window)} in the window, {len(session._late)} late"
            )
        for event in events:
            if isinstance(event, Unanswered | Accepted | Rejected | Taken):
                if event.tag not in self.owed:
                    raise BrokenPromiseError(f"{event}: nobody asked")
                if not isinstance(event, Unanswered):
                    self.owed.discard(event.tag)

    def _reply(self, event: Event) -> None:
        session, dice = self.session, self.chance.random()
        if isinstance(event, Reported | Received):
            if dice < 0.5:
                session.acknowledge(event.receipt)
        elif isinstance(session, GatewaySession):
            if isinstance(event, Submitted):
                if dice < 0.5:
                    status = event.fault if event.fault < 256 else 8
                    session.answer(event.ticket, status, self.role.carrier_id)
            elif isinstance(event, LoginAsked):
                if dice < 0.8:
                    session.admit(event.ticket, self.now)
                else:
                    session.refuse(event.ticket, 3)


def signature(role: Role, events: list[Event]) -> str:
    """What happened, without its details: an input with a new one is worth keeping."""
    told = []
    for event in events:
        word = type(event).__name__
        if isinstance(event, Malformed):
            word += ":" + _DETAIL.sub("#", event.error)
        elif isinstance(event, Closed):
            word += ":" + _DETAIL.sub("#", event.reason)
        elif isinstance(event, Submitted):
            word += ":" + _DETAIL.sub("#", event.why)
        if word not in told:
            told.append(word)
    return f"{role.name}: {' '.join(told)}"
