"""One carrier connection as bytes in, events out.

A session owns everything that can be decided without a socket or a clock: frames, the login, the
window, keepalive, who may say what when.  Its owner reads and writes the bytes, tells it the
time, and wakes it when `deadline()` comes:

    session.start(now)                      the connection is open
    events = session.receive(data, now)     bytes from the peer
    session.submit(tag, part, now)          a part for the peer, while `room` > 0
    session.acknowledge(*receipts)          what the peer told us is safe with us
    data = session.outgoing()               bytes for the peer; call after each of these
    events = session.tick(now)              `deadline()` has passed
    events = session.lost(reason)           the connection is gone

`receive`, `tick` and `lost` never raise, whatever the peer did: it comes back as an event.  Every
tag given with a request comes back in exactly one of Accepted, Rejected, Taken or Unanswered; after
Unanswered a late answer may still follow while the connection lives.  Closed is the last event.

A receipt is, for its owner to keep, the octets that answer what came with it.

A protocol says how it spells these things, in `_bind`, `_probe`, `_farewell`, `_submit`,
`_refuse` and `_on_frame`.  The gateway's side of each conversation is the same
machine with other words; see `gateway.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from enum import Enum
from typing import Any, ClassVar, Final

from .errors import DecodeError, FramingError, StateError
from .events import BindRefused, Bound, Closed, Event, Malformed, Unanswered
from .marks import mypyc_attr
from .part import Part

BEIJING = timezone(timedelta(hours=8), "CST")


class State(Enum):
    IDLE = "idle"
    BINDING = "binding"
    BOUND = "bound"
    CLOSING = "closing"
    CLOSED = "closed"


# Rule: every change of state is in this table, and `_go` is the only way to change it.
NEXT: dict[State, frozenset[State]] = {
    State.IDLE: frozenset({State.BINDING, State.CLOSED}),
    State.BINDING: frozenset({State.BOUND, State.CLOSED}),
    State.BOUND: frozenset({State.CLOSING, State.CLOSED}),
    State.CLOSING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}


BOUND: Final = State.BOUND
CLOSED: Final = State.CLOSED
TALKING: Final = (BOUND, State.CLOSING)
"""States in which the peer may say anything."""


@dataclass(slots=True, frozen=True)
class Limits:
    """One bind's agreement with its peer; times in seconds.

    `window` is the number of requests that may be unanswered, `answer_within` how long an answer
    may take before its request is unanswered, `bind_within` the same for the login and the
    farewell, `keepalive` the silence after which the peer is probed (None: never, as in SGIP).
    """

    window: int = 16
    answer_within: float = 5.0
    bind_within: float = 5.0
    keepalive: float | None = 30.0


@dataclass(slots=True, frozen=True)
class Clock:
    """What the owner's `now` means: `now + epoch` is seconds since 1970, shown in `zone`."""

    epoch: float = 0.0
    zone: tzinfo = BEIJING

    def at(self, now: float) -> datetime:
        return datetime.fromtimestamp(now + self.epoch, self.zone)


@mypyc_attr(allow_interpreted_subclasses=True)
class Session:
    header: ClassVar[struct.Struct]
    """Starts with the length of the whole PDU."""
    longest: ClassVar[int]
    """Octets of the longest PDU that is believed; memory is bounded by it."""
    last_sequence: ClassVar[int] = 0x7FFFFFFF

    def __init__(self, limits: Limits, clock: Clock, *, first_sequence: int = 1) -> None:
        self.limits = limits
        self.clock = clock
        self.state = State.IDLE
        self.version = ""
        self._window: dict[Any, tuple[float, Any]] = {}
        self._late: dict[Any, Any] = {}
        self._buffer = b""
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self._sequence = (first_sequence - 1) % self.last_sequence
        self._heard_at = 0.0
        self._answered_at = 0.0
        self._until = 0.0
        self._probe_until: float | None = None

    # What the owner calls

    @property
    def room(self) -> int:
        """How many more requests the window takes now."""
        return self.limits.window - len(self._window) if self.state is BOUND else 0

    @property
    def unanswered(self) -> int:
        """How many requests are waiting for their answer."""
        return len(self._window)

    @property
    def pending(self) -> bytes:
        """What came of a PDU that is not whole yet."""
        return self._buffer

    def tags(self) -> list[Any]:
        """Those of the requests that are waiting for their answer."""
        return [tag for _, tag in self._window.values()]

    def start(self, now: float) -> None:
        self._go(State.BINDING)
        self._heard_at = self._answered_at = now
        self._until = now + self.limits.bind_within
        self._bind(now)

    def submit(self, tag: Any, part: Part, now: float) -> bytes | None:
        """Returns what a report will quote, where that is known before the answer (SGIP).

        Raises EncodeError when the part cannot be spelled, and StateError without room; nothing
        is written then.
        """
        if self.room < 1:
            raise StateError(f"no room in {self.state.value} session")
        return self._submit(tag, part, now)

    def acknowledge(self, *receipts: Any) -> None:
        """After the connection is gone this does nothing: the peer will tell us again."""
        if self.state in TALKING:
            self._acknowledge(receipts)

    def receive(self, data: bytes, now: float) -> list[Event]:
        if self._buffer:
            data = self._buffer + data
        self._heard_at = now
        header, longest = self.header, self.longest
        unpack, size = header.unpack_from, header.size
        have = len(data)
        last = have - size
        at = 0
        try:
            while at <= last and self.state is not CLOSED:
                head = unpack(data, at)
                length: int = head[0]
                if not size <= length <= longest:
                    self._on_bad_length(head)
                    raise FramingError(f"a PDU of {length} octets, {size} to {longest} allowed")
                end = at + length
                if end > have:
                    break
                pdu = data[at:end]
                at = end
                try:
                    self._on_frame(head, pdu, now)
                except DecodeError as exc:
                    self._refuse(head, pdu, exc)
                    self._events.append(Malformed(str(exc), pdu))
        except FramingError as lost:  # compiled, one name has one type
            self._end(str(lost), error=True)
        self._buffer = data[at:] if at < have and self.state is not CLOSED else b""
        return self._take_events()

    def lost(self, reason: str) -> list[Event]:
        """The connection is gone."""
        self._end(reason, error=self.state is not State.CLOSING)
        return self._take_events()

    def close(self, now: float) -> list[Event]:
        """Say goodbye properly; answers still owed may arrive until the peer's goodbye."""
        if self.state is State.BOUND:
            self._go(State.CLOSING)
            self._until = now + self.limits.bind_within
            self._farewell(now)
        elif self.state is not State.CLOSING:
            self._end("closed by us", error=False)
        return self._take_events()

    def outgoing(self) -> bytes:
        """Everything to write since the last call, as one piece."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def deadline(self) -> float | None:
        """When `tick` has something to do next."""
        if self.state in (State.BINDING, State.CLOSING):
            return self._until
        if self.state is not State.BOUND:
            return None
        at = self._probe_until
        if at is None and self.limits.keepalive is not None:
            at = self._heard_at + self.limits.keepalive
        # Every answer gets the same time and a dict keeps its order: the first is the oldest.
        for expires, _ in self._window.values():
            return expires if at is None else min(expires, at)
        return at

    def tick(self, now: float) -> list[Event]:
        if self.state is State.BINDING:
            if now >= self._until:
                self._end("no answer to the login", error=True)
        elif self.state is State.CLOSING:
            if now >= self._until:
                self._end("no answer to the farewell", error=False)
        elif self.state is State.BOUND:
            self._expire(now)
            keepalive = self.limits.keepalive
            if (
                self.state is State.BOUND
                and keepalive is not None
                and self._probe_until is None
                and now >= self._heard_at + keepalive
            ):
                self._probe_until = now + self.limits.answer_within
                self._probe(now)
        return self._take_events()

    # What a protocol fills in

    def _bind(self, now: float) -> None:
        """Write the login."""
        raise NotImplementedError

    def _probe(self, now: float) -> None:
        """Write a keepalive request; its answer calls `_probed`."""
        raise NotImplementedError

    def _farewell(self, now: float) -> None:
        raise NotImplementedError

    def _submit(self, tag: Any, part: Part, now: float) -> bytes | None:
        """Encode first, then `_expect`, then write."""
        raise NotImplementedError

    def _refuse(self, head: tuple[int, ...], pdu: bytes, error: DecodeError) -> None:
        """Answer a PDU that cannot be read, so that the peer does not send it for ever."""
        raise NotImplementedError

    def _on_bad_length(self, head: tuple[int, ...]) -> None:
        """Last words before the connection ends for an impossible length; SMPP has some."""

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        """One whole PDU, header included.  May raise DecodeError, and FramingError to close."""
        raise NotImplementedError

    # What a protocol uses

    def _bound(self, version: str, now: float, login: str = "") -> None:
        self._go(State.BOUND)
        self.version = version
        self._heard_at = self._answered_at = now
        self._events.append(Bound(version, login))

    def _refused(self, status: int, reason: str, *, retry: bool) -> None:
        """The peer refused our login."""
        self._events.append(BindRefused(status, reason, retry))
        self._end(f"login refused: {reason}", error=True)

    def _acknowledge(self, receipts: Sequence[bytes]) -> None:
        self._out += receipts

    def _expect(self, sequence: Any, tag: Any, now: float) -> None:
        """A request with this sequence number is about to be written."""
        self._window[sequence] = (now + self.limits.answer_within, tag)

    def _answered(self, sequence: Any, now: float) -> Any:
        """The tag this answers, or None when nothing was asked or it came far too late."""
        self._answered_at = now
        entry = self._window.pop(sequence, None)
        if entry is not None:
            return entry[1]
        return self._late.pop(sequence, None)

    def _probed(self, now: float) -> None:
        """A probe was answered."""
        self._answered_at = now
        self._probe_until = None

    def _emit(self, event: Event) -> None:
        self._events.append(event)

    def _next_sequence(self) -> int:
        """1 to `last_sequence`, cyclic, never one that is still waiting for its answer."""
        sequence = self._sequence
        while True:
            sequence = sequence % self.last_sequence + 1
            if sequence not in self._window and sequence not in self._late:
                self._sequence = sequence
                return sequence

    def _end(self, reason: str, *, error: bool) -> None:
        if self.state is State.CLOSED:
            return
        self._go(State.CLOSED)
        self._events += [Unanswered(tag) for _, tag in self._window.values()]
        self._window.clear()
        self._late.clear()
        self._events.append(Closed(reason, error))

    def _expire(self, now: float) -> None:
        within = self.limits.answer_within
        late = []
        for sequence, (expires, _) in self._window.items():
            if expires > now:
                break
            late.append(sequence)
        silent = False
        if late:
            silent = self._answered_at <= self._window[late[0]][0] - within
            for sequence in late:
                tag = self._window.pop(sequence)[1]
                self._late[sequence] = tag
                self._events.append(Unanswered(tag))
            for sequence in list(self._late)[: -4 * self.limits.window]:
                del self._late[sequence]
        if self._probe_until is not None and now >= self._probe_until:
            silent = silent or self._answered_at <= self._probe_until - within
            self._probe_until = None
        if silent:
            self._end(f"nothing was answered for {within:g} s", error=True)

    def _go(self, to: State) -> None:
        if to not in NEXT[self.state]:
            raise StateError(f"{self.state.value} cannot become {to.value}")
        self.state = to

    def _take_events(self) -> list[Event]:
        events = self._events
        if events:
            self._events = []
        return events
