"""One TCP connection of a simulated gateway, driving one session.

Everything happens once per event from the loop: the events of a read go to the owner as one list,
and everything written meanwhile leaves as one write, unless the behaviour cuts, holds or gathers
it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import ceil
from typing import Any, Protocol, cast

from protocols.errors import EncodeError
from protocols.events import Event
from protocols.gateway import GatewaySession, Report
from protocols.part import Part
from protocols.session import State

from .account import Delivery, Node
from .agenda import Agenda

HIGH_WATER = 1024 * 1024


class Teller(Protocol):
    """What every gateway session takes beside what its base class says.

    `identity` is the delivery's own id on the wire, where the protocol has one: the same when it
    is sent again.
    """

    def report(
        self, tag: Any, report: Report, now: float, *, identity: bytes | None = None
    ) -> None: ...

    def deliver(
        self, tag: Any, part: Part, now: float, *, identity: bytes | None = None
    ) -> None: ...


class Owner(Protocol):
    """The gateway, as its connections need it."""

    agenda: Agenda

    @property
    def deaf(self) -> bool:
        """Nothing is read."""
        ...

    @property
    def mute(self) -> bool:
        """Nothing is written."""
        ...

    def identity(self, now: float) -> bytes:
        """An id for a new delivery."""
        ...

    def made(self, connection: Connection, now: float) -> None: ...

    def heard(self, connection: Connection, events: list[Event], now: float) -> None:
        """What the client said, or the clock, or the end of the connection."""
        ...

    def lost(self, connection: Connection, now: float) -> None: ...

    def arm(self, at: float | None) -> None:
        """Call `tick` at this time, or earlier."""
        ...


class Connection(asyncio.Protocol):
    """`node` is known once the client has said who it is; `dialled` tells a reporter's own."""

    __slots__ = (
        "_cutting",
        "_held",
        "_ready",
        "_teller",
        "_transport",
        "_unread",
        "_writable",
        "admitted",
        "answering",
        "dialled",
        "heard_at",
        "loop",
        "mode",
        "node",
        "owner",
        "session",
        "unanswered",
    )

    def __init__(
        self, owner: Owner, session: GatewaySession, node: Node | None = None, *, mode: str = "trx"
    ) -> None:
        self.owner, self.session, self.node = owner, session, node
        self._teller = cast(Teller, session)
        self.dialled = node is not None
        self.mode = mode
        self.loop = asyncio.get_running_loop()
        self.admitted = False
        self.unanswered = 0
        """Submits whose answer was not written yet, as the client's window has them."""
        self.answering = 0
        """Those among them whose answer leaves at the end of this turn."""
        self.heard_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._writable = True
        self._held: deque[tuple[float, bytes]] = deque()
        self._ready = bytearray()
        self._cutting = False
        self._unread = bytearray()

    @property
    def room(self) -> int:
        if not (self.admitted and self._writable) or self.mode == "tx":
            return 0
        if self.owner.mute or self.owner.deaf:
            return 0
        return self.session.room

    @property
    def open(self) -> bool:
        return self._transport is not None

    def deliver(self, delivery: Delivery, now: float) -> None:
        """Only while there is `room`; what the protocol cannot spell is given up and counted."""
        node = self.node
        assert node is not None, "only a connection with a client has room"
        delivery.tries += 1
        if delivery.identity is None:
            delivery.identity = self.owner.identity(now)
        message = delivery.message
        try:
            if isinstance(message, Report):
                node.counts.reports += 1
                self._teller.report(delivery, message, now, identity=delivery.identity)
            else:
                node.counts.inbound += 1
                self._teller.deliver(delivery, message, now, identity=delivery.identity)
        except EncodeError as exc:
            node.counts.fault(f"our own: {exc}")
            if isinstance(message, Report):
                node.counts.reports_given_up += 1
            else:
                node.counts.inbound_given_up += 1
            delivery.done = True

    def flush(self, now: float) -> None:
        """End of a turn: write, close when it is over, look again at the deadline."""
        transport = self._transport
        if transport is None or self.owner.mute:
            return
        data = self.session.outgoing()
        if data:
            self.unanswered -= self.answering
            self.answering = 0
            node = self.node
            if self._held or self._ready or (node and node.behaviour.shapes_output):
                self._hold(data, now)
            else:
                transport.write(data)
        if self.session.state is State.CLOSED:
            self._finish()
        else:
            self.owner.arm(self.session.deadline())

    def tick(self, now: float) -> None:
        deadline = self.session.deadline()
        if deadline is not None and deadline <= now:
            self.owner.heard(self, self.session.tick(now), now)
            self.flush(now)

    def hang_up(self) -> None:
        """At once, without farewell, and without what was still to be written."""
        if self._transport is not None:
            self._transport.abort()

    def farewell(self, now: float) -> None:
        """Take leave as the protocol wants it."""
        self.owner.heard(self, self.session.close(now), now)
        self.flush(now)

    def read(self, on: bool) -> None:
        if self._transport is None:
            return
        if not on:
            self._transport.pause_reading()
            return
        self._transport.resume_reading()
        if self._unread:
            data = bytes(self._unread)
            self._unread.clear()
            self.data_received(data)

    def due(self, now: float) -> None:
        """The agenda says that held octets may leave."""
        held = self._held
        while held and held[0][0] <= now + 1e-6:
            self._ready += held.popleft()[1]
        self._release()

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._transport.set_write_buffer_limits(HIGH_WATER)
        now = self.heard_at = self.loop.time()
        self.session.start(now)
        self.owner.made(self, now)
        if self.owner.deaf:
            self._transport.pause_reading()
        self.flush(now)

    def data_received(self, data: bytes) -> None:
        if self.owner.deaf:
            # uvloop takes no notice of a pause asked for in `connection_made`.
            self._unread += data
            self.read(False)
            return
        now = self.heard_at = self.loop.time()
        self.owner.heard(self, self.session.receive(data, now), now)
        self.flush(now)

    def connection_lost(self, exc: Exception | None) -> None:
        now = self.loop.time()
        self._transport = None
        self._held.clear()
        self._ready.clear()
        self.owner.heard(self, self.session.lost(str(exc) if exc else "connection lost"), now)
        self.owner.lost(self, now)

    def pause_writing(self) -> None:
        self._writable = False
        self.read(False)  # a client that does not read is not listened to either

    def resume_writing(self) -> None:
        self._writable = True
        if not self.owner.deaf:
            self.read(True)
        now = self.loop.time()
        self.owner.heard(self, [], now)
        self.flush(now)

    # Writes that leave later, or in pieces

    def _hold(self, data: bytes, now: float) -> None:
        assert self.node is not None, "only a client's behaviour holds octets back"
        behaviour = self.node.behaviour
        at = now + behaviour.latency
        if behaviour.coalesce:
            at = ceil(at / behaviour.coalesce) * behaviour.coalesce
        if self._held:
            at = max(at, self._held[-1][0])
        self._held.append((at, data))
        if at > now:
            self.owner.agenda.add(at, self)
            self.owner.arm(at)
        else:
            self.due(now)

    def _release(self) -> None:
        transport, ready = self._transport, self._ready
        if transport is None or self._cutting or self.owner.mute:
            return
        node = self.node
        split = node.behaviour.split if node is not None else 0
        if ready and node is not None:
            size = node.chances.piece(split) if split else len(ready)
            transport.write(bytes(ready[:size]))
            del ready[:size]
        if ready:
            self._cutting = True
            self.loop.call_soon(self._next_piece)
        elif self.session.state is State.CLOSED:
            self._finish()

    def _next_piece(self) -> None:
        self._cutting = False
        self._release()

    def _finish(self) -> None:
        if self._transport is not None and not self._held and not self._ready:
            self._transport.close()


class Idle:
    """Looks whether a connection has been silent for too long, and comes back."""

    __slots__ = ("connection", "node")

    def __init__(self, connection: Connection, node: Node) -> None:
        self.connection, self.node = connection, node

    def due(self, now: float) -> None:
        connection, idle = self.connection, self.node.behaviour.idle_close
        if not idle or not connection.open:
            return
        at = connection.heard_at + idle
        if at <= now:
            self.node.counts.closed_idle += 1
            connection.hang_up()
        else:
            connection.owner.agenda.add(at, self)
