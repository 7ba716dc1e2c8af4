"""From the ledger's outbox to the broker: published in order, and only then forgotten."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from .broker.base import Outlet, RecordsRefused
from .ledger.rows import Event

log = structlog.get_logger()

MOST_AT_ONCE = 5_000


class Outbox:
    """`told(n)` lets the ledger drop every batch up to `n`."""

    def __init__(self, outlet: Outlet, told: Callable[[int], None]) -> None:
        self.outlet = outlet
        self.told = told
        self.waiting = 0
        """Records that are durable here and not published yet."""
        self._batches: deque[tuple[int, Sequence[Event]]] = deque()
        self._some = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def put(self, n: int, events: Sequence[Event]) -> None:
        """A batch that is durable in the ledger."""
        self._batches.append((n, events))
        self.waiting += len(events)
        self._some.set()
        self._empty.clear()

    async def run(self) -> None:
        """Publish what comes, until cancelled."""
        while True:
            await self._some.wait()
            records: list[Event] = []
            last = 0
            while self._batches and (not records or len(records) < MOST_AT_ONCE):
                last, events = self._batches.popleft()
                records += events
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
            self.told(last)
            self.waiting -= len(records)
            if not self._batches:
                self._some.clear()
                self._empty.set()

    async def flushed(self) -> None:
        """Until nothing waits."""
        await self._empty.wait()
