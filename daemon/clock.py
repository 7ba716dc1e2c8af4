"""The two clocks of the daemon.

Every deadline runs on monotonic time, so that setting the host's clock moves none.  What people
read, and what must mean something after a restart, is wall time: seconds since 1970.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, tzinfo

EARLIEST, LATEST = 0.0, 253_370_000_000.0
"""1970 and the year 9998: producers stamp records in odd units, and a stamp must not fail."""


class Stamps:
    """Wall times as RFC 3339 text with milliseconds in one time zone.

    The text of a second is made once, and so is that of the last few moments: what one turn of the
    loop brought has one time.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._seconds: dict[int, tuple[str, str]] = {}
        self._moments = _Moments(self._spell)
        self.text: Callable[[float | None], str | None] = self._moments.__getitem__
        """The text of a time; None of None."""

    def _spell(self, at: float) -> str:
        at = min(max(at, EARLIEST), LATEST)
        thousandths = round(at * 1000)
        second, millisecond = divmod(thousandths, 1000)
        known = self._seconds.get(second)
        if known is None:
            whole = datetime.fromtimestamp(second, self.zone).isoformat()
            known = (whole[:19], whole[19:])
            if len(self._seconds) >= 256:
                self._seconds.clear()
            self._seconds[second] = known
        return f"{known[0]}.{millisecond:03d}{known[1]}"


class _Moments(dict[float | None, str | None]):
    """The last few times that were asked for, and their texts."""

    def __init__(self, spell: Callable[[float], str]) -> None:
        super().__init__()
        self._spell = spell

    def __missing__(self, at: float | None) -> str | None:
        if at is None:
            return None
        if len(self) >= 1024:
            self.clear()
        text = self[at] = self._spell(at)
        return text


_anchor = time.time() - time.monotonic()
FOLLOWS = 0.1
"""How much of every second the daemon's time may run after a host's clock that was set."""


def wall() -> float:
    """Seconds since 1970, steady: what the host's clock said at start, carried on by the
    monotonic clock, so that no deadline is misled when somebody sets the host's.
    """
    return _anchor + time.monotonic()


def host() -> float:
    """Seconds since 1970 by the host's own clock: what a carrier compares a login's stamp with."""
    return time.time()


def follow(seconds: float) -> float:
    """`seconds` have passed: run a little after the host's clock; returns how far away it is."""
    global _anchor
    away = host() - wall()
    step = seconds * FOLLOWS
    _anchor += min(max(away, -step), step)
    return away
