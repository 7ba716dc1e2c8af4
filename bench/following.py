"""What is published, read while it comes, for suites whose traffic has no end known beforehand."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from daemon.broker.base import Tail
from daemon.demo.fates import Fates
from daemon.demo.stage import Stage

AT_ONCE = 5_000
WAIT = 0.1


class Following:
    """`async with` reads the reports topic into `fates` until it is left."""

    def __init__(self, stage: Stage, fates: Fates) -> None:
        self.fates = fates
        self.moved = time.monotonic()
        """When a message became final for the last time."""
        self.records = 0
        """Read so far."""
        self._tail: Tail = stage.broker.tail(stage.config.broker.topics.reports)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._tail.start()
        except BaseException:
            await self._tail.close()
            raise
        self._task = asyncio.create_task(self._read(), name="reports")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None, "entered"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._tail.close()

    async def settled(self, patience: float) -> None:
        """Until every message is final, or none became so for `patience` seconds.

        Raises BrokerError when the topic cannot be read.
        """
        assert self._task is not None, "entered"
        begun = time.monotonic()
        while self.fates.settled < self.fates.count:
            if time.monotonic() - max(begun, self.moved) > patience:
                return
            if self._task.done():
                self._task.result()
            await asyncio.sleep(WAIT)

    async def _read(self) -> None:
        while True:
            records = await self._tail.take(AT_ONCE, WAIT)
            self.records += len(records)
            if records and self.fates.read(records):
                self.moved = time.monotonic()
