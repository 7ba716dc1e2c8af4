"""Drops archive files that are older than they have to be kept, and frees their disk.

Which time it is decides what is deleted, and a host's clock may be a year ahead for an afternoon.
So time passes here as the host says, but at most `CATCH_UP` times as fast as the daemon has run:
and while the host's clock is more than a day ahead of that, nothing is dropped.  So what was kept
for months by a clock that was right is safe from one that is a year ahead, for as long as a year.
A daemon that was off for a month is behind by a month, and has caught up a month later.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, tzinfo
from functools import partial

from daemon.ledger import files
from daemon.ledger.archive import Archiver, Dropped
from daemon.ledger.ledger import Ledger
from daemon.ledger.periods import end_of
from daemon.ledger.reader import DROPPED
from daemon.logger import log

DAY = 86400.0
LEAST = 184 * DAY
"""Six months, in the longest half of a year: nothing younger is dropped, whatever is configured."""
CATCH_UP = 2.0
REACHED = "retention_reached"
"""A counter of the ledger: how far time has come here, in seconds since 1970."""
NOTE_EVERY = 600.0
"""So far may what the ledger says of it be behind."""
BEHIND = DAY
"""No further may the host's clock be ahead for anything to be dropped."""

_SET = """
insert into counter values (?, ?)
on conflict (name) do update set value = max(value, excluded.value)
"""
_GET = "select value from counter where name = ?"


class Retention:
    """Call `run` every minute or so.  `dropped` and `freed` count files and octets since start."""

    def __init__(self, ledger: Ledger, archiver: Archiver, zone: tzinfo) -> None:
        self._ledger = ledger
        self._archiver = archiver
        self._zone = zone
        self._reached: float | None = None
        self._noted = 0.0
        self._steady: float | None = None
        self._said: float | None = None
        self.dropped = 0
        self.freed = 0

    async def run(self, now: float, steady: float, retain: float) -> list[Dropped]:
        """Drop what was over `retain` seconds ago; returns it.  Raises LedgerError.

        `now` is the time of day in seconds since 1970, `steady` counts the seconds that pass.
        """
        reached = await self._time(now, steady)
        if now - reached > BEHIND:
            self._say(now, reached, steady)
            return []
        self._said = None
        before = reached - max(retain, LEAST)
        over = [end for end in self._ends() if end <= before]
        if not over:
            return []
        # First what `trace` says of it, then the files: killed in between, it says too much only
        # until the next run.
        await self._ledger.run(partial(_set, DROPPED, max(over)))
        dropped = await self._archiver.drop_archives(before, reached)
        for each in dropped:
            self.dropped += 1
            self.freed += each.octets
            log.info(
                "archive dropped",
                file=each.path.name,
                period=each.path.stem,
                freed=each.octets,
                reason=f"older than `daemon.retain`, {max(retain, LEAST) / DAY:g} days",
            )
        return dropped

    async def _time(self, now: float, steady: float) -> float:
        """How far time has come, as far as the clock can be believed."""
        passed = steady - self._steady if self._steady is not None else 0.0
        self._steady = steady
        ends = self._ends()
        if not ends:
            self._reached = now  # there is nothing that a wrong clock could cost
        elif self._reached is None:
            self._reached = await self._remembered(now, max(ends))
        self._reached = max(self._reached, min(now, self._reached + CATCH_UP * passed))
        if self._reached - self._noted >= NOTE_EVERY:
            self._noted = self._reached
            await self._ledger.run(partial(_set, REACHED, self._reached))
        return min(now, self._reached)

    def _say(self, now: float, reached: float, steady: float) -> None:
        """Once a day."""
        if self._said is None or steady - self._said >= DAY:
            self._said = steady
            log.warning(
                "archives are kept longer",
                reason="the host's clock is ahead of the time that this ledger has seen pass",
                ahead_days=round((now - reached) / DAY, 1),
                seen_until=datetime.fromtimestamp(reached, self._zone).isoformat(),
            )

    async def _remembered(self, now: float, last: float) -> float:
        """What the ledger says; one that says nothing has seen its records at the least, or the
        time up to the `last` period that it archived."""
        found = await self._ledger.run(partial(_get, REACHED))
        if found is None:
            found = await self._ledger.run(_newest) or last
        return min(now, found)

    def _ends(self) -> list[float]:
        """When each archive's period was over."""
        paths = files.archives(self._ledger.state_dir)
        return [end_of(path.stem, self._zone) for path in paths]


# Chores: in the writer's thread, within its transaction


def _set(name: str, value: float, db: sqlite3.Connection) -> None:
    db.execute(_SET, (name, int(value)))


def _get(name: str, db: sqlite3.Connection) -> float | None:
    row = db.execute(_GET, (name,)).fetchone()
    return None if row is None else float(row[0])


def _newest(db: sqlite3.Connection) -> float | None:
    row = db.execute("select received from job order by seq desc limit 1").fetchone()
    return None if row is None else float(row[0])
