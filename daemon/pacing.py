"""How fast an account may write.

Two rules at once.  A token bucket spreads the writes, so that a gateway that counts by its own
seconds sees no more than it agreed to; and a log of the last second's writes makes the promise
exact: never more than `rate` in any one second.  A new pacer has nothing to spend, because the
process before it may have written until a moment ago.

Throttle answers cut the pace, and so do answers that stay slow though the windows were cut; it then
grows back by itself.
"""

from __future__ import annotations

from collections import deque

BURST = 0.05
"""Seconds of the rate that may go at once after a pause; see contract section 6.4."""
CUT = 0.7
CUT_AT_MOST_EVERY = 0.25
WHOLE, LATER = 1e-4, 1e-6
"""A token that is whole but for this much is whole: a loop that has run for weeks tells the time in
steps that a fast account can see."""
RECOVERS_IN = 10.0
"""Seconds from the lowest pace back to the whole rate."""


class Pacer:
    """`rate` in parts per second; `lowest` is how far it may be cut.

    >>> pacer = Pacer(rate=100, lowest=10, now=0.0)
    >>> pacer.ready(0.0), pacer.ready(0.03), pacer.ready(9.0)
    (0, 3, 5)
    """

    __slots__ = ("_at", "_cut_at", "_last_second", "_log", "_tokens", "lowest", "pace", "rate")

    def __init__(self, rate: float, lowest: float, now: float) -> None:
        self.rate = rate
        self.lowest = min(lowest, rate)
        self.pace = rate
        """What the gateways have left of the rate."""
        self._tokens = 0.0
        self._at = now
        self._cut_at = now - CUT_AT_MOST_EVERY
        self._log: deque[tuple[float, int]] = deque()
        self._last_second = 0

    def ready(self, now: float) -> int:
        """How many parts may be written now."""
        self._refill(now)
        within = max(1, int(self.rate)) - self._last_second
        return max(0, min(int(self._tokens + WHOLE), within))

    def take(self, count: int, now: float) -> None:
        """`count` parts are written now; at most what `ready` said."""
        self._tokens -= count
        self._last_second += count
        log = self._log
        if log and log[-1][0] == now:
            log[-1] = (now, log[-1][1] + count)
        else:
            log.append((now, count))

    def soon(self, ahead: float, now: float) -> int:
        """How many parts may be written within the next `ahead` seconds, at most."""
        return self.ready(now) + int(self.pace * ahead) + 1

    def next_at(self, now: float) -> float:
        """When `ready` will say one or more; not before `now`."""
        self._refill(now)
        at = now
        if self._tokens + WHOLE < 1.0:
            at = now + (1.0 - self._tokens) / self.pace + LATER
        if self._last_second >= max(1, int(self.rate)):
            at = max(at, self._log[0][0] + 1.0)
        return at

    def change(self, rate: float, lowest: float) -> None:
        """Another rate from now on; what was cut is whole again."""
        self.rate = self.pace = rate
        self.lowest = min(lowest, rate)
        self._tokens = min(self._tokens, 0.0)

    def throttled(self, now: float) -> bool:
        """The gateway says slower; returns whether this was news."""
        if now < self._cut_at + CUT_AT_MOST_EVERY:
            return False
        self._refill(now)
        self._cut(self.pace * CUT, now)
        return True

    def slowed(self, pace: float, now: float) -> bool:
        """No more than `pace` goes through; returns whether it was cut."""
        self._refill(now)
        if now < self._cut_at + CUT_AT_MOST_EVERY or pace >= self.pace:
            return False
        self._cut(pace, now)
        return True

    def _cut(self, pace: float, now: float) -> None:
        self._cut_at = now
        self.pace = max(self.lowest, pace)
        self._tokens = min(self._tokens, 0.0)

    def _refill(self, now: float) -> None:
        passed = now - self._at
        if passed > 0:
            self._at = now
            if self.pace < self.rate:
                grown = (self.rate - self.lowest) / RECOVERS_IN * passed
                self.pace = min(self.rate, self.pace + grown)
            burst = max(1.0, self.rate * BURST)
            self._tokens = min(burst, self._tokens + passed * self.pace)
        log = self._log
        while log and log[0][0] + 1.0 <= now:
            self._last_second -= log.popleft()[1]
