"""From the ledger's outbox to the broker: published in order, and only then forgotten.

A few publishes are under way at a time; the broker keeps the order of each key over them.  While
the broker is away only so much waits in memory: the rest is in the ledger anyway, and is read from
there when the broker is back.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog

from .broker.base import Outlet, RecordsRefused
from .ledger.rows import Event

log = structlog.get_logger()

MOST_AT_ONCE = 2_000
"""Records of one publish."""
MOST_UNDER_WAY = 4
"""Publishes at a time."""
MOST_IN_MEMORY = 10_000
"""Records that wait in memory."""
HUSH = 0.05
BATCHES = 50
"""Commits read back from the ledger at a time."""

Batch = tuple[int, Sequence[Event]]


class _Publish(NamedTuple):
    last: int
    records: int
    done: asyncio.Task[None]


class Outbox:
    """`told(n)` is told that every batch up to `n` is published; `more(after, limit)` reads what is
    not back from the ledger.
    """

    def __init__(
        self,
        outlet: Outlet,
        told: Callable[[int], None],
        more: Callable[[int, int], Awaitable[Sequence[Batch]]],
        still_meant: Callable[[Sequence[Event]], Awaitable[Sequence[Event]]] | None = None,
        *,
        silent: Callable[[], bool] = lambda: False,
        silences: Callable[[], int] = lambda: 0,
    ) -> None:
        self.outlet = outlet
        self.told = told
        self.more = more
        self.still_meant = still_meant
        """What is to be published of the events of before the start, or of before a silence."""
        self.silent = silent
        """Whether nothing may be published now."""
        self.silences = silences
        """How often that has been so, also while a publish was waited for."""
        self._heeded = 0
        self.waiting = 0
        """Records that are durable here and not published yet."""
        self._batches: deque[Batch] = deque()
        self._in_memory = 0
        self._under_way: deque[_Publish] = deque()
        self._taken = 0
        """The last batch that was taken from memory or from the ledger."""
        self._newest = 0
        """The last batch that was put."""
        self._behind = True
        """Whether the ledger has batches that memory has not: at start it may."""
        self._counted_from: int | None = None
        self._some = asyncio.Event()
        self._some.set()
        self._empty = asyncio.Event()
        self._told = 0
        self._doubtful = sys.maxsize
        """Batches up to this one may say less than has been said since."""
        self._progress = asyncio.Event()

    def put(self, n: int, events: Sequence[Event]) -> None:
        """A batch that is durable in the ledger."""
        if self._counted_from is None:
            self._counted_from = n
            self._doubtful = n - 1
        self._newest = n
        self.waiting += len(events)
        self._some.set()
        self._empty.clear()
        if self._behind or self._in_memory > MOST_IN_MEMORY:
            self._behind = True
            return
        self._batches.append((n, events))
        self._in_memory += len(events)

    async def run(self) -> None:
        """Publish what comes, until cancelled."""
        try:
            while True:
                if not self._under_way:
                    await self._some.wait()
                if self.silent() or self.silences() != self._heeded:
                    await self._hush()
                if not self._batches and self._behind:
                    await self._read_back()
                while self._batches and len(self._under_way) < MOST_UNDER_WAY:
                    self._publish()
                if self._under_way:
                    await self._finish(self._under_way.popleft())
        finally:
            for publish in self._under_way:
                publish.done.cancel()

    async def reached(self, n: int) -> None:
        """Until the batch `n` is published, and all before it."""
        while self._told < n:
            self._progress.clear()
            await self._progress.wait()

    async def flushed(self) -> None:
        """Until nothing waits."""
        await self._empty.wait()

    async def tell(self, topic: str) -> None:
        """Publish what waits for this topic now, also in a silence; it goes again in its turn."""
        after = self._told
        while found := await self.more(after, BATCHES):
            records = [event for _, events in found for event in events if event[0] == topic]
            if records:
                await self._publish_all(records)
            after = found[-1][0]

    async def _hush(self) -> None:
        """Say nothing for a while; then what waited is looked at again."""
        while self.silent():  # noqa: ASYNC110  # a clock decides it
            await asyncio.sleep(HUSH)
        self._heeded = self.silences()
        self._batches.clear()
        self._in_memory = 0
        self._behind = True
        self._taken = self._under_way[-1].last if self._under_way else self._told
        if self._counted_from is not None:  # else all there is comes from before the start
            self._doubtful = self._newest

    async def _read_back(self) -> None:
        found = await self.more(self._taken, BATCHES)
        for n, stored in found:
            events: Sequence[Event] = stored
            if n <= self._doubtful and self.still_meant is not None:
                events = await self.still_meant(stored)
            self._batches.append((n, events))
            self._in_memory += len(events)
            if self._counted_from is None or n < self._counted_from:
                self.waiting += len(events)  # of before the start
            else:
                self.waiting -= len(stored) - len(events)
        if not found and self._taken >= self._newest:
            self._behind = False
            self._rest()

    def _publish(self) -> None:
        records: list[Event] = []
        while self._batches and len(records) < MOST_AT_ONCE:
            self._taken, events = self._batches.popleft()
            records += events
        self._in_memory -= len(records)
        task = asyncio.create_task(self._publish_all(records))
        self._under_way.append(_Publish(self._taken, len(records), task))

    async def _publish_all(self, records: Sequence[Event]) -> None:
        try:
            await self.outlet.publish(records)
        except RecordsRefused as exc:
            # All others are published; these never will be, and nothing may wait for them.
            for index, reason in exc.refused.items():
                topic, key, value = records[index]
                log.error(
                    "record refused by the broker",
                    topic=topic,
                    key=key.decode("utf-8", "replace") if key else None,
                    octets=len(value),
                    error=reason,
                )

    async def _finish(self, publish: _Publish) -> None:
        await publish.done
        self.told(publish.last)
        self._told = publish.last
        self._progress.set()
        self.waiting -= publish.records
        self._rest()

    def _rest(self) -> None:
        if not self._batches and not self._under_way and not self._behind:
            self._some.clear()
            self._empty.set()
