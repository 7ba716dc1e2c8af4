"""What has to happen at a time by itself: the wake times of messages.

The ledger knows them all.  Only those of the next few seconds are in memory, so a message that
waits three days for its report costs nothing here.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

AHEAD = 5.0
"""Seconds that are kept in memory."""


class Alarms:
    """Times are wall times.  A message may be told of more than once: whoever is told looks."""

    def __init__(self, now: float) -> None:
        self.horizon = now
        """Up to here everything is in memory."""
        self._heap: list[tuple[float, int]] = []

    def push(self, at: float | None, mid: int) -> None:
        """The message's wake time is `at` now."""
        if at is not None and at <= self.horizon:
            heapq.heappush(self._heap, (at, mid))

    def extend(self, until: float, found: Iterable[tuple[float, int]]) -> None:
        """The ledger gave everything up to `until`."""
        for at, mid in found:
            heapq.heappush(self._heap, (at, mid))
        self.horizon = max(self.horizon, until)

    def due(self, now: float) -> list[int]:
        """Messages whose time has come."""
        found: dict[int, None] = {}
        while self._heap and self._heap[0][0] <= now:
            found[heapq.heappop(self._heap)[1]] = None
        return list(found)

    def next_at(self) -> float | None:
        return self._heap[0][0] if self._heap else None
