"""What the service manager is told: ready, reloading, stopping, alive (sd_notify(3)).

Without NOTIFY_SOCKET nobody wants to know, and everything here does nothing.  The watchdog is fed
by a callback of the event loop and by nothing else: a loop that is stuck feeds it no more, whatever
other threads still do, and the service manager ends the process and starts it again.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

log = structlog.get_logger()

LONGEST_PAUSE = 5.0
"""Seconds between two looks at what there is to tell; half the watchdog's time if that is less."""
START_PATIENCE = 30.0
"""Seconds more that each sign of life asks for while we start: a large ledger, a slow Kafka."""
STOP_PATIENCE = 30.0
"""Seconds beyond `drain_within` in which a drain closes everything."""


class Notify:
    """The line to the service manager.  Nothing here raises or waits; what it cannot take now is
    told again at the next look."""

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        """`address` as in NOTIFY_SOCKET, None for no manager; `watchdog` in seconds."""
        self._address = address
        self._watchdog = watchdog
        self._socket: socket.socket | None = None
        if address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._address = f"\0{address[1:]}" if address.startswith("@") else address
        pause = LONGEST_PAUSE if watchdog is None else min(LONGEST_PAUSE, watchdog / 2)
        self._pause = pause
        self._owed: deque[bytes] = deque()
        """States that the manager does not know of yet, oldest first."""
        self._status: Callable[[], str] = str
        self._last_status = ""
        self._timer: asyncio.TimerHandle | None = None
        self._state = "starting"
        self._complained = False

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> Notify:
        """As the environment of process `pid` says.

        Raises ValueError for one that no service manager makes.
        """
        address = environ.get("NOTIFY_SOCKET")
        if not address:
            return cls()
        if address[0] not in "/@" or len(address) == 1:
            raise ValueError(f"NOTIFY_SOCKET: {address!r}, allowed are /PATH and @NAME")
        watchdog = None
        if environ.get("WATCHDOG_PID", str(pid)) == str(pid) and "WATCHDOG_USEC" in environ:
            said = environ["WATCHDOG_USEC"]
            if not said.isdecimal() or not int(said):
                raise ValueError(f"WATCHDOG_USEC: {said!r}, allowed are microseconds above 0")
            watchdog = int(said) / 1e6
        return cls(address, watchdog)

    def begin(self, status: Callable[[], str]) -> None:
        """From now on the running loop says that it turns, and what `status()` is: one line."""
        self._status = status
        if self._socket is not None:
            self._look()

    def ready(self) -> None:
        """All that is needed is open."""
        self._state = "ready"
        self._tell("READY=1")
        self._now()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """While another configuration is read and taken over."""
        if self._state != "ready":
            yield
            return
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        yield
        self.ready()

    def stopping(self, within: float) -> None:
        """The drain has begun and takes up to `within` seconds, whatever the unit's timeout is."""
        self._state = "stopping"
        self._tell("STOPPING=1", _extend(within + STOP_PATIENCE))
        self._now()

    def close(self) -> None:
        """Nothing more is told."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _now(self) -> None:
        """Look at once: the status is another one too."""
        if self._timer is not None:
            self._timer.cancel()
            self._look()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._pause, self._look)
        lines = []
        if self._watchdog is not None:
            lines.append("WATCHDOG=1")
        if self._state == "starting":
            lines.append(_extend(START_PATIENCE))
        status = self._status()
        if status != self._last_status:
            lines.append(f"STATUS={status}")
        # A status that is owed is not kept: the next one says more.
        if self._flush() and lines and self._send("\n".join(lines).encode()):
            self._last_status = status

    def _tell(self, *lines: str) -> None:
        if self._socket is not None:
            self._owed.append("\n".join(lines).encode())
            self._flush()

    def _flush(self) -> bool:
        """Whether nothing is owed any more."""
        while self._owed and self._send(self._owed[0]):
            self._owed.popleft()
        return not self._owed

    def _send(self, message: bytes) -> bool:
        if self._socket is None:
            return False
        assert self._address is not None, "there is no socket without one"
        try:
            self._socket.sendto(message, self._address)
        except OSError as exc:  # its queue is full, or it is not there while it restarts itself
            if not self._complained:
                log.warning("the service manager does not listen", error=str(exc))
            self._complained = True
            return False
        self._complained = False
        return True


def _extend(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}"
