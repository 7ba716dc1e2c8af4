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
        parked = queue.parked[lane] > 0  # those are the older ones
        state = State.PARKED if parked else State.WAITING
        away = queue.parked if parked else queue.spilled
        newest = queue.newest_parked if parked else queue.newest
        before = away[lane]
        # What was spilled until now has to be on the disk to be found there.
        await durable(self.ledger)
        found: list[Message] = []
        async with self.engine.memory.reading():
            start = newest[lane]
            rows = await self.ledger.queued(queue.name, lane, state, start, MOST_AT_ONCE)
            if rows and newest[lane] == start:  # else older ones came meanwhile
                newest[lane] = rows[-1][1].mid
            for message in revive_all(rows):
                ours = self.engine.homes.mine(message.job) and message.job.whole
                if ours and self.engine.memory.held(message.mid) is None:
                    message.state = State.WAITING
                    self.engine.open[message.mid] = message
                    found.append(message)
        for message in found:
            account = self.engine.accounts.get(message.account or "")
            if message.written and account is not None:
                account.bound.append(message)
            else:
                message.account = None
                queue.lanes.append(message)
        gone = len(found) if len(rows) == MOST_AT_ONCE else before
        away[lane] = max(0, away[lane] - gone)
