"""Carries a stop out: what it covers and waits, in memory or in the ledger, is rejected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
import structlog

from .changelog import Stop
from .changes import Changes
from .clock import wall
from .engine import Engine
from .model import INDEX_BITS, LANES, WAITS, Message
from .recall import revive_all
from .recovery import durable
from .router import Router
from .stops import KIND, REMEMBERED, STOPPED, Stops

log = structlog.get_logger()

SLICE = 500


class Stopping:
    def __init__(self, stops: Stops, engine: Engine, router: Router) -> None:
        self.stops = stops
        self.engine = engine
        self.router = router

    def restore(self) -> None:
        """Stops of before the start; those that can mean nothing any more are forgotten."""
        c = Changes()
        for key, at, value in self.engine.ledger.kept(KIND):
            if at + REMEMBERED < wall():
                c.entries.drops.append((KIND, key))
            else:
                self.stops.add(msgspec.msgpack.decode(value, type=Stop))
        self.engine.keeping.commit(c)

    def note(self, stop: Stop, c: Changes) -> None:
        """From now on nothing that the stop covers is written."""
        self.stops.add(stop)
        key = f"{stop.what}\0{stop.name}".encode()
        c.entries.keeps.append((KIND, key, stop.at, msgspec.msgpack.encode(stop)))

    async def again(self) -> None:
        """Carry out all stops: messages came that another daemon had when it was told of them."""
        for stop in self.stops.all():
            await self.carry_out(stop)

    async def carry_out(self, stop: Stop) -> None:
        """Reject what the stop covers now; jobs that are taken later are seen to by intake."""
        stopped = self._reject(list(self.engine.open.values()))
        await durable(self.engine.ledger)  # what waits is to be found there
        async for mids in self._waiting(stop):
            async with self.engine.memory.reading():
                rows = await self.engine.ledger.load(mids)
                found = [m for m in revive_all(rows) if self.engine.memory.held(m.mid) is None]
                stopped += self._reject(found)
        if stopped:
            log.info("stopped", what=stop.what, name=stop.name, messages=stopped)

    def _reject(self, messages: Sequence[Message]) -> int:
        count = 0
        at = wall()
        for start in range(0, len(messages), SLICE):
            c = Changes()
            for message in messages[start : start + SLICE]:
                if self.engine.homes.mine(message.job) and self.stops.cover(message):
                    self.router.left(message)
                    self.engine.settle.refused(message, STOPPED, at, c)
                    count += 1
            self.engine.keeping.commit(c)
        return count

    async def _waiting(self, stop: Stop) -> AsyncIterator[Sequence[int]]:
        """Messages in the ledger that the stop may cover."""
        ledger = self.engine.ledger
        if stop.what == "job":
            known = (await ledger.known([stop.name])).get(stop.name)
            if known is not None and known.seq is not None:
                first = known.seq << INDEX_BITS
                yield range(first, first + (1 << INDEX_BITS))
            return
        for route in list(self.router.queues):
            for lane in range(LANES):
                for state in WAITS:
                    after = 0
                    while mids := await ledger.queued_mids(route, lane, state, after, SLICE):
                        yield mids
                        after = mids[-1]
