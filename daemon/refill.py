"""Messages that only the ledger knows, read back into the queues as there is room."""

from __future__ import annotations

import asyncio

from .engine import Engine
from .ledger import Ledger
from .model import Message, State
from .queues import RouteQueue
from .recall import revive_all
from .recovery import durable
from .router import Router

MOST_AT_ONCE = 1_000


class Refill:
    def __init__(self, ledger: Ledger, engine: Engine, router: Router) -> None:
        self.ledger = ledger
        self.engine = engine
        self.router = router
        self._asked: asyncio.Queue[tuple[RouteQueue, int]] = asyncio.Queue()

    def ask(self, queue: RouteQueue, lane: int) -> None:
        """The lane has room again."""
        queue.refilling[lane] = True
        self._asked.put_nowait((queue, lane))

    async def run(self) -> None:
        """Serve who asked, until cancelled."""
        while True:
            queue, lane = await self._asked.get()
            try:
                await self._fill(queue, lane)
            finally:
                queue.refilling[lane] = False
            name = self.router.serving.get(queue.name)
            if name is not None:
                self.router.accounts[name].nudge()

    async def _fill(self, queue: RouteQueue, lane: int) -> None:
        """Up to so many; who asked asks again while there is room."""
        spilled = queue.spilled[lane]
        # What was spilled until now has to be on the disk to be found there.
        await durable(self.ledger)
        found: list[Message] = []
        async with self.engine.reading():
            rows = await self.ledger.queued(
                queue.name, lane, State.WAITING, queue.newest[lane], MOST_AT_ONCE
            )
            for message in revive_all(rows):
                queue.newest[lane] = max(queue.newest[lane], message.mid)
                if self.engine.held(message.mid) is None:
                    self.engine.open[message.mid] = message
                    found.append(message)
        for message in found:
            account = self.engine.accounts.get(message.account or "")
            if message.written and account is not None:
                account.bound.append(message)
            else:
                message.account = None
                queue.lanes.append(message)
        gone = len(found) if len(rows) == MOST_AT_ONCE else spilled
        queue.spilled[lane] = max(0, queue.spilled[lane] - gone)
