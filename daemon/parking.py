"""What has to wait long leaves memory, and holds no offset (contract section 6.3).

A message parks when no account of its route could be used for `after` seconds, and at once when its
`not_before` is further away than that.  Where there is a group it goes to `topics.parked` whole, so
that another daemon can take it; the ledger has it in any case, and gives it back when the route is
served again.
"""

from __future__ import annotations

import asyncio

import structlog

from .changes import Changes
from .clock import wall
from .engine import Engine
from .model import LANES, Message, State
from .queues import RouteQueue
from .recall import revive_all
from .recovery import durable
from .router import Router

log = structlog.get_logger()

LOOK_EVERY = 0.5
SLICE = 500
"""Messages parked with one commit."""


class Parking:
    def __init__(self, engine: Engine, router: Router, after: float) -> None:
        self.engine = engine
        self.router = router
        self.after = after

    async def run(self) -> None:
        """Park what waits too long, until cancelled."""
        while True:
            await asyncio.sleep(min(LOOK_EVERY, self.after / 4 + 0.01))
            if self.engine.paused:
                continue  # it may be another daemon's to park
            at = wall()
            for queue in list(self.router.queues.values()):
                if len(queue) and self.takes(queue, at):
                    await self._clear(queue, at)

    def takes(self, queue: RouteQueue, at: float) -> bool:
        """Whether what comes is parked at once: its route has not been served for so long."""
        return self.router.unserved(queue, at) >= self.after

    def far(self, m: Message, at: float) -> bool:
        """Whether its `not_before` is so far away."""
        not_before = m.job.fields.not_before
        return not_before is not None and not_before - at > self.after

    def park(self, m: Message, queue: RouteQueue, c: Changes) -> None:
        """The message, which is not in memory any more, waits for its route."""
        m.state = State.PARKED
        queue.park(m)
        self.hold(m, c)

    def hold(self, m: Message, c: Changes) -> None:
        """The message waits long, and depends on this machine no more."""
        c.touch(m)
        teller = self.engine.teller
        if teller is not None and not m.parked:
            c.tells[m] = teller.parked
        m.parked = True
        c.safe.append(m)

    async def _clear(self, queue: RouteQueue, at: float) -> None:
        count = 0
        for lane in range(LANES):
            count += await self._clear_memory(queue, lane, at)
            count += await self._clear_ledger(queue, lane, at)
        if count:
            log.info("parked", route=queue.name, messages=count)

    async def _clear_memory(self, queue: RouteQueue, lane: int, at: float) -> int:
        count = 0
        while not queue.accounts or self.router.serving.get(queue.name) is None:
            c = Changes()
            for m in queue.lanes.oldest(lane, SLICE):
                if self._waited(m, at) and m.out == 0 and not m.written:
                    self.engine.memory.let_go(m)
                    self.park(m, queue, c)
            if not c:
                return count
            count += len(c.safe)
            self.engine.keeping.commit(c)
            await durable(self.engine.ledger)
        return count

    async def _clear_ledger(self, queue: RouteQueue, lane: int, at: float) -> int:
        """What did not fit into memory."""
        engine = self.engine
        count = after = 0
        while queue.spilled[lane] and self.router.serving.get(queue.name) is None:
            c = Changes()
            await durable(engine.ledger)
            async with engine.memory.reading():
                rows = await engine.ledger.queued(queue.name, lane, State.WAITING, after, SLICE)
                for m in revive_all(rows):
                    after = m.mid
                    if engine.memory.held(m.mid) is not None or not engine.homes.mine(m.job):
                        continue
                    if self._waited(m, at) and not m.written:
                        queue.spilled[lane] = max(0, queue.spilled[lane] - 1)
                        self.park(m, queue, c)
                count += len(c.safe)
                engine.keeping.commit(c)
            if len(rows) < SLICE:
                break
        return count

    def _waited(self, m: Message, at: float) -> bool:
        return at - m.job.received >= self.after
