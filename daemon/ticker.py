"""What the daemon does by the clock: wake times, old reports, offsets, and why messages wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from .alarms import AHEAD, Alarms
from .broker.base import Source
from .changes import Changes
from .clock import follow, wall
from .engine import Engine
from .inbound import Inbound
from .offsets import Offsets
from .recall import revive_all
from .status import Status
from .tally import Tally

log = structlog.get_logger()

TICK = 0.1
LOOK_AHEAD_EVERY = 2.0
REPORTS_EVERY = 0.5
COMMIT_EVERY = 0.5
MOST_DUE = 2_000


class Ticker:
    def __init__(
        self,
        *,
        engine: Engine,
        alarms: Alarms,
        inbound: Inbound,
        offsets: Offsets,
        source: Source,
        status: Status,
        tally: Tally,
        now: Callable[[], float],
    ) -> None:
        self.engine = engine
        self.alarms = alarms
        self.inbound = inbound
        self.offsets = offsets
        self.source = source
        self.status = status
        self.tally = tally
        self.now = now
        self._host_set = False
        self._blocked = False
        """Whether something waited when it was last looked."""
        self._paused = engine.paused

    async def run(self) -> None:
        """Until cancelled."""
        before = self.now()
        next_look = next_reports = next_commit = before
        while True:
            now = self.now()
            self._follow_host(now - before)
            at = wall()
            self._follow_group()
            if not self.engine.keeping.connected():
                self.engine.keeping.owe_nothing()
                self.engine.reports.owe_nothing()
            if now >= next_look:
                next_look = now + LOOK_AHEAD_EVERY
                await self._look_ahead(at + AHEAD)
            await self._wake(at)
            # An idle daemon would do little else than look why nothing waits.
            if self._blocked or self.engine.open or now >= next_reports:
                self._count_blocked(now - before, now)
            if now >= next_reports:
                next_reports = now + REPORTS_EVERY
                if not self.engine.paused:
                    self.engine.reports.tick(at)
                c = Changes()
                self.inbound.tick(at, c)
                self.engine.keeping.commit(c)
            if now >= next_commit:
                next_commit = now + COMMIT_EVERY
                self.commit_offsets()
            before = now
            next_at = self.alarms.next_at()
            sleep = TICK if next_at is None else min(TICK, max(0.002, next_at - wall()))
            due = self.now() + sleep
            await asyncio.sleep(sleep)
            self.tally.loop_late.observe(self.now() - due)

    def _follow_group(self) -> None:
        """While the group may have given our partitions to others, nothing is written."""
        engine = self.engine
        paused = engine.paused
        if paused == self._paused:
            if not paused and engine.defers:
                engine.resume()  # it was unsure for less than a tick
            return
        self._paused = paused
        if paused:
            log.warning("paused", reason="another daemon may have our partitions")
            engine.claiming.withdraw()
        else:
            log.info("goes on")
            engine.resume()

    def _follow_host(self, seconds: float) -> None:
        away = follow(seconds)
        if abs(away) >= 1.0 and not self._host_set:
            log.warning(
                "the host's clock was set; times follow slowly, a restart takes it over",
                seconds=round(away),
            )
        self._host_set = abs(away) >= 1.0

    def commit_offsets(self) -> None:
        positions = self.offsets.moved()
        if positions:
            self.source.commit(positions)

    async def _look_ahead(self, until: float) -> None:
        """Bring the wake times of the next seconds into memory."""
        alarms = self.alarms
        after: tuple[float, int] | None = None
        # What is put meanwhile and not durable yet comes by itself.
        alarms.horizon = max(alarms.horizon, until)
        while True:
            found = await self.engine.ledger.due(after, until, MOST_DUE)
            alarms.extend(until, found)
            if len(found) < MOST_DUE:
                return
            after = found[-1]
            await self._wake(wall())

    async def _wake(self, at: float) -> None:
        engine = self.engine
        if engine.paused:
            return  # it may be another daemon's to say
        mids = self.alarms.due(at)
        if not mids:
            return
        away = [mid for mid in mids if engine.memory.held(mid) is None]
        for start in range(0, len(away), MOST_DUE):
            async with engine.memory.reading():
                rows = await engine.ledger.load(away[start : start + MOST_DUE])
                for message in revive_all(rows):
                    if not message.final and engine.memory.held(message.mid) is None:
                        engine.open[message.mid] = message
        engine.wake([engine.open[mid] for mid in mids if mid in engine.open])

    def _count_blocked(self, seconds: float, now: float) -> None:
        self._blocked = False
        for name in self.engine.accounts:
            reason = self.status.why(name, now)
            if reason is not None:
                self.tally.blocked[name, reason] += seconds
                self._blocked = True
