"""What is due when: one list per millisecond, so that thousands of items cost one timer.

Items that fall due in the same millisecond keep the order in which they were added.  An item is
never early, and late by less than a millisecond plus what the loop adds.
"""

from __future__ import annotations

import heapq
from math import ceil
from typing import Protocol

TICKS = 1000


class Due(Protocol):
    """Something that happens at a time."""

    def due(self, now: float) -> None: ...


class Agenda:
    """Times are the loop's clock, in seconds."""

    __slots__ = ("_slots", "_ticks", "count")

    def __init__(self) -> None:
        self._slots: dict[int, list[Due]] = {}
        self._ticks: list[int] = []
        self.count = 0

    def add(self, at: float, item: Due) -> None:
        self._slot(at).append(item)
        self.count += 1

    def row(self, at: float) -> list[Due]:
        """What is already due in that millisecond, to insert `add`'s item elsewhere than last."""
        return self._slots.get(ceil(at * TICKS), [])

    def squeeze(self, at: float, item: Due, place: int) -> None:
        """Like `add`, but before what stands at `place` of `row(at)`."""
        self._slot(at).insert(place, item)
        self.count += 1

    def next(self) -> float | None:
        return self._ticks[0] / TICKS if self._ticks else None

    def take(self, now: float) -> list[Due]:
        """Everything due by now, the earliest first."""
        taken: list[Due] = []
        ticks = self._ticks
        # A timer may fire a little early by rounding; that much is due.
        limit = now * TICKS + 1e-3
        while ticks and ticks[0] <= limit:
            taken += self._slots.pop(heapq.heappop(ticks))
        self.count -= len(taken)
        return taken

    def _slot(self, at: float) -> list[Due]:
        tick = ceil(at * TICKS)
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = []
            heapq.heappush(self._ticks, tick)
        return slot
