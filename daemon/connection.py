"""One TCP connection driving one session.

Everything a loop turn wants to write goes out in one `write`, at the end of that turn.  One timer
per connection, armed for the session's own deadline.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Protocol, cast

from protocols.events import Event
from protocols.session import BOUND, Session, State

HIGH_WATER = 256 * 1024
"""Octets in the socket's buffer above which nothing new is written."""


class Tap(Protocol):
    """Who looks on; called with what the connection reads and writes, must not block."""

    def heard(self, data: bytes) -> None: ...
    def wrote(self, data: bytes) -> None: ...


class Connection(asyncio.Protocol):
    """What the session has to say is told by `_tell`, `_resumed` and `_ended`, see `Link`."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.quiet = False
        """Whether the peer closed it while nothing was owed."""
        self.tap: Tap | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._writable = True
        self._dirty = False
        self._ending = False

    def _tell(self, events: Sequence[Event], now: float) -> None:
        """What one read brought, or a deadline, or the end."""
        raise NotImplementedError

    def _resumed(self, now: float) -> None:
        """The socket takes more again."""
        raise NotImplementedError

    def _ended(self) -> None:
        """After the last of what was told."""
        raise NotImplementedError

    @property
    def ends(self) -> tuple[Any, Any]:
        """The addresses of the connection, ours and the peer's; None where it has none any more."""
        transport = self._transport
        if transport is None:
            return None, None
        return transport.get_extra_info("sockname"), transport.get_extra_info("peername")

    @property
    def bound(self) -> bool:
        return self.session.state is BOUND

    def acknowledge(self, receipts: Sequence[Any]) -> None:
        """These are safe with us now; the peer may forget them.

        After the goodbye it hears nothing any more, and says them again on the next connection.
        """
        if not self.bound:
            return
        self.session.acknowledge(*receipts)
        self.touch()

    def touch(self) -> None:
        """There may be something to write at the end of this turn."""
        if not self._dirty:
            self._dirty = True
            self.loop.call_soon(self._write)

    def close(self) -> None:
        """Say goodbye and end."""
        now = self.loop.time()
        self._heard(self.session.close(now), now)

    def abort(self) -> None:
        """End without a word."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._transport.set_write_buffer_limits(HIGH_WATER)
        _keep_alive(transport.get_extra_info("socket"))
        self.session.start(self.loop.time())
        self.touch()

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        if self.tap is not None:
            self.tap.heard(data)
        self._heard(self.session.receive(data, now), now)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reason = str(exc) if exc else "the peer closed the connection"
        # Not when the session itself gave up: then it owed nothing any more, but ended for trouble.
        gave_up = self.session.state is State.CLOSED
        self.quiet = exc is None and not gave_up and self.session.unanswered == 0
        events = self.session.lost(reason)
        if events:
            self._tell(events, self.loop.time())
        if not self.closed.done():
            self.closed.set_result(None)
            self._ended()

    def pause_writing(self) -> None:
        self._writable = False
        # Who asks and does not read is not answered into memory.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._resumed(self.loop.time())

    # How it is done

    def _heard(self, events: Sequence[Event], now: float) -> None:
        if events:
            self._tell(events, now)
        self.touch()

    def _write(self) -> None:
        self._dirty = False
        transport = self._transport
        if transport is None:
            return
        data = self.session.outgoing()
        if data:
            if self.tap is not None:
                self.tap.wrote(data)
            transport.write(data)
        if self.session.state is State.CLOSED:
            transport.close()
            if not self._ending and transport.get_write_buffer_size():
                # The last words wait for a peer that may never read them.
                self._ending = True
                if self._timer is not None:
                    self._timer.cancel()
                within = self.session.limits.bind_within
                self._timer = self.loop.call_later(within, transport.abort)
            return
        self._arm()

    def _arm(self) -> None:
        at = self.session.deadline()
        if at == self._timer_at and self._timer is not None:
            return
        if self._timer is not None:
            # Moving later costs nothing: let it fire early, and look again then.
            if at is not None and self._timer_at is not None and at > self._timer_at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = None if at is None else self.loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self.loop.time()
        if self._timer_at is not None:
            now = max(now, self._timer_at)  # the loop may wake a rounding error early
        self._heard(self.session.tick(now), now)


def _keep_alive(sock: socket.socket | None) -> None:
    """SGIP has no keepalive: TCP's finds a far end that vanished without a word."""
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
