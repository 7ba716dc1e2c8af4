"""Every session of every protocol, made afresh and logged in, for the fuzzer to talk to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from protocols.cmpp.account import CmppAccount
from protocols.cmpp.gateway import CmppGateway
from protocols.cmpp.session import CmppSession
from protocols.events import Fate, LoginAsked
from protocols.gateway import GatewaySession, Report
from protocols.part import Coding, Part
from protocols.session import Clock, Limits, Session, State
from protocols.sgip.account import SgipAccount
from protocols.sgip.frames import Counter
from protocols.sgip.gateway import SgipGateway, SgipReporter
from protocols.sgip.listener import SgipListener
from protocols.sgip.session import SgipSession
from protocols.smgp.account import SmgpAccount
from protocols.smgp.gateway import SmgpGateway
from protocols.smgp.session import SmgpSession
from protocols.smpp.account import SmppAccount
from protocols.smpp.gateway import SmppGateway
from protocols.smpp.session import SmppSession

CLOCK = Clock(epoch=1_795_313_730.0)
LIMITS = Limits(window=8, answer_within=5.0, bind_within=5.0, keepalive=30.0)
LOGIN, SECRET = "901234", "abcd1234"
SECRETS: dict[str, str] = {LOGIN: SECRET}
PART = Part(to="13800138000", sender="106900001234", content=b"hello", coding=Coding.ASCII)
INBOUND = Part(to="106900001234", sender="13800138000", content=b"TD", coding=Coding.ASCII)


@dataclass
class Role:
    """`make` gives the session to be fuzzed and one that is its proper peer, both unstarted."""

    name: str
    protocol: str
    make: Callable[[], tuple[Session, Session]]
    carrier_id: bytes = b""
    """An id that this protocol's gateway may answer with."""
    sequence_at: int = 8
    sequence_size: int = 4
    _script: list[tuple[bool, bytes]] = field(default_factory=list)
    """Of a login: whether the fuzzed session hears it or says it, and the octets."""

    def binding(self) -> Session:
        session, _ = self.make()
        session.start(0.0)
        return session

    def bound(self) -> Session:
        """Logged in by the octets that its proper peer said the first time."""
        if not self._script:
            self._record()
        session = self.binding()
        for heard, octets in self._script:
            if heard:
                self.admit(session, session.receive(octets, 0.0))
            else:
                session.outgoing()
        assert session.state is State.BOUND, f"{self.name} did not log in: {session.state}"
        return session

    def _record(self) -> None:
        session, peer = self.make()
        session.start(0.0)
        peer.start(0.0)
        while session.state is State.BINDING or peer.state is State.BINDING:
            for here, there, heard in ((peer, session, True), (session, peer, False)):
                octets = here.outgoing()
                if octets:
                    self._script.append((heard, octets))
                    self.admit(there, there.receive(octets, 0.0))

    @staticmethod
    def admit(session: Session, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, LoginAsked) and isinstance(session, GatewaySession):
                session.admit(event.ticket, 0.0)

    def pending(self, session: Session) -> list[bytes]:
        """Sequences of its requests that wait for an answer, as they stand in a header."""
        return [
            key if isinstance(key, bytes) else key.to_bytes(4, "big") for key in session._window
        ]

    def ask(self, session: Session, now: float, tags: Iterator[int]) -> None:
        """Fill the window with what this side asks its peer."""
        if isinstance(session, SgipListener):
            return
        for number in range(session.room):
            tag = next(tags)
            if not isinstance(session, GatewaySession):
                session.submit(tag, PART, now)
            elif number % 2:
                session.deliver(tag, INBOUND, now)
            else:
                code = "0" if self.protocol == "sgip" else "DELIVRD"
                at = CLOCK.epoch + now
                told = Report(self.carrier_id, PART.to, PART.sender, Fate.DELIVERED, code, at, at)
                session.report(tag, told, now)


def _cmpp(version: str) -> tuple[Session, Session]:
    return (
        CmppSession(CmppAccount(LOGIN, SECRET, version=version), LIMITS, CLOCK),
        CmppGateway(LIMITS, CLOCK, SECRETS.get),
    )


def _sgip() -> tuple[Session, Session]:
    account = SgipAccount(LOGIN, SECRET, node_id=3025112345, corp_id="12345")
    return (
        SgipSession(account, LIMITS, CLOCK, counter=Counter(0xFFFFFFF0)),
        SgipGateway(LIMITS, CLOCK, SECRETS.get),
    )


def _sgip_back() -> tuple[Session, Session]:
    return (
        SgipListener({LOGIN: (SECRET, None)}, LIMITS, CLOCK),
        SgipReporter(LOGIN, SECRET, LIMITS, CLOCK),
    )


def _smgp() -> tuple[Session, Session]:
    account = SmgpAccount(LOGIN, SECRET)
    return SmgpSession(account, LIMITS, CLOCK), SmgpGateway(LIMITS, CLOCK, SECRETS.get)


def _smpp(mode: Any) -> tuple[Session, Session]:
    account = SmppAccount(LOGIN, SECRET, mode=mode)
    return SmppSession(account, LIMITS, CLOCK), SmppGateway(LIMITS, CLOCK, SECRETS.get)


def _turned(make: Callable[[], tuple[Session, Session]]) -> Callable[[], tuple[Session, Session]]:
    """The other end is the one to be fuzzed."""
    return lambda: make()[::-1]  # type: ignore[return-value]


def cmpp(version: str) -> Callable[[], tuple[Session, Session]]:
    return lambda: _cmpp(version)


def smpp(mode: str) -> Callable[[], tuple[Session, Session]]:
    return lambda: _smpp(mode)


ROLES = (
    Role("cmpp-2.0 client", "cmpp", cmpp("2.0")),
    Role("cmpp-3.0 client", "cmpp", cmpp("3.0")),
    Role("cmpp-2.0 gateway", "cmpp", _turned(cmpp("2.0")), bytes(8)),
    Role("cmpp-3.0 gateway", "cmpp", _turned(cmpp("3.0")), bytes(8)),
    Role("sgip client", "sgip", _sgip, sequence_size=12),
    Role("sgip listener", "sgip", _sgip_back, sequence_size=12),
    Role("sgip gateway", "sgip", _turned(_sgip), bytes(12), sequence_size=12),
    Role("sgip reporter", "sgip", _turned(_sgip_back), bytes(12), sequence_size=12),
    Role("smgp client", "smgp", _smgp),
    Role("smgp gateway", "smgp", _turned(_smgp), bytes(10)),
    Role("smpp client", "smpp", smpp("trx"), sequence_at=12),
    Role("smpp receiver", "smpp", smpp("rx"), sequence_at=12),
    Role("smpp gateway", "smpp", _turned(smpp("trx")), b"4f2a9c01", sequence_at=12),
)


def tags() -> Iterator[int]:
    return itertools.count()
