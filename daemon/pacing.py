"""How fast an account may write.

Two rules at once.  A token bucket spreads the writes, so that a gateway that counts by its own
seconds sees no more than it agreed to; and a log of the last second's writes makes the promise
exact: never more than `rate` in any one second.  A new pacer has nothing to spend, because the
process before it may have written until a moment ago.

A list counts with each of its recipients, and goes whole or not at all.  One that is larger than
the burst goes on credit: the bucket owes what the list takes too much, and the log keeps it a
little longer than its second, so that a gateway that gets one list late and the next one at once
still counts no more than the rate in a second.

Throttle answers cut the pace, and so do answers that stay slow though the windows were cut; it then
grows back by itself.
"""

from __future__ import annotations

from collections import deque

BURST = 0.05
"""Seconds of the rate that may go at once after a pause; see contract section 6.4."""
CUT = 0.7
CUT_AT_MOST_EVERY = 0.25
LIST_SECOND = 1.05
"""Seconds for which the log keeps a list that is larger than the burst."""
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

    __slots__ = (
        "_at",
        "_burst",
        "_cut_at",
        "_last_second",
        "_log",
        "_tokens",
        "lowest",
        "pace",
        "rate",
    )

    def __init__(self, rate: float, lowest: float, now: float) -> None:
        self.rate = rate
        self.lowest = min(lowest, rate)
        self.pace = rate
        """What the gateways have left of the rate."""
        self._tokens = 0.0
        self._burst = max(1.0, rate * BURST)
        self._at = now
        self._cut_at = now - CUT_AT_MOST_EVERY
        self._log: deque[tuple[float, int]] = deque()
        self._last_second = 0

    def ready(self, now: float) -> int:
        """How many parts may be written now."""
        self._refill(now)
        within = max(1, int(self.rate)) - self._last_second
        return max(0, min(int(self._tokens + WHOLE), within))

    @property
    def largest(self) -> int:
        """The most recipients that one list may have."""
        return max(1, int(self.pace))

    @property
    def largest_ever(self) -> int:
        """The most that one list may have when nothing slows the account down."""
        return max(1, int(self.rate))

    def fits(self, count: int, now: float) -> bool:
        """Whether a list of `count` recipients, at most `largest_ever`, may be written now."""
        self._refill(now)
        within = max(1, int(self.rate)) - self._last_second
        return count <= within and self._tokens + WHOLE >= min(count, self._burst)

    def take(self, count: int, now: float) -> None:
        """`count` parts are written now; at most what `ready` said, or a list that `fits`."""
        self._tokens -= count
        self._last_second += count
        at = now if count <= self._burst else now + LIST_SECOND - 1.0
        log = self._log
        if log and log[-1][0] >= at:
            log[-1] = (log[-1][0], log[-1][1] + count)
        else:
            log.append((at, count))

    def soon(self, ahead: float, now: float) -> int:
        """How many parts may be written within the next `ahead` seconds, at most."""
        ready = self.ready(now)
        if self._tokens <= -1.0:  # a list went on credit
            return max(0, int(self._tokens + self.pace * ahead) + 1)
        return ready + int(self.pace * ahead) + 1

    def next_at(self, now: float, count: int = 1) -> float:
        """When `ready` will say one or more, or a list of `count` will fit; not before `now`."""
        self._refill(now)
        at = now
        needs = min(count, self._burst)
        if self._tokens + WHOLE < needs:
            at = now + (needs - self._tokens) / self.pace + LATER
        over = self._last_second + count - max(1, int(self.rate))
        for wrote_at, wrote in self._log:
            if over <= 0:
                break
            over -= wrote
            at = max(at, wrote_at + 1.0)
        return at

    def pace_at(self, now: float) -> float:
        """`pace`, grown back as far as it is by now, though nothing was written meanwhile."""
        self._refill(now)
        return self.pace

    def idle(self, now: float) -> bool:
        """Whether less is written than may be: all that may be saved up is."""
        self._refill(now)
        return self._tokens >= self._burst

    def change(self, rate: float, lowest: float) -> None:
        """Another rate from now on; what was cut is whole again."""
        self.rate = self.pace = rate
        self.lowest = min(lowest, rate)
        self._burst = max(1.0, rate * BURST)
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
            self._tokens = min(self._burst, self._tokens + passed * self.pace)
        log = self._log
        while log and log[0][0] + 1.0 <= now:
            self._last_second -= log.popleft()[1]
