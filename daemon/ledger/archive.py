"""Moves what is finished out of the ledger, into one file per period.

A slice is copied, the archive's commit is on the disk, then the slice is deleted from the ledger in
the writer's next transaction.  A crash between the two leaves the slice in both: `History` takes
the ledger's row, and the next sweep copies over and deletes again.

Keys stay in the ledger's `lookup` after their rows have gone.  They are small, a dead one does no
harm (whoever looks verifies), and `purge` deletes them in bulk.  Those of jobs stay as long as ids
are remembered: this is how a repeat of an archived job is known.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from daemon.ledger import files, keys, purge, runs, young
from daemon.ledger.errors import explain
from daemon.ledger.ledger import Ledger
from daemon.ledger.periods import Period, end_of
from daemon.ledger.rows import INDEX_BITS
from daemon.ledger.statement import Bulk, fetch, real
from daemon.ledger.volume import Volume
from daemon.logger import log

SLICE_JOBS = 200
"""So many jobs are deleted in one transaction: some 5 ms that a commit may have to wait."""
SLICE_MESSAGES = 2_000
FORGET_ROWS = 2_000
CACHE_KB = 4_000

T = TypeVar("T")

_FINISHED = """
    not exists (select 1 from message m where m.mid between j.seq << 10 and j.seq << 10 | 1023
        and (m.final = 0 or m.changed > ?))
"""
_MESSAGES = (
    "(select count(*) from message m where m.mid between j.seq << 10 and j.seq << 10 | 1023)"
)
_PARTIAL = 'case when j."offset" < 0 then hex(j.body) end'
"""The body of a job of which only some messages may be known."""
_DELETE = (
    """
    delete from carrier_id where mid in (
        select m.mid from json_each(?) s cross join message m
        on m.mid between s.value << 10 and s.value << 10 | 1023
    )
    """,
    """
    delete from message where mid in (
        select m.mid from json_each(?) s cross join message m
        on m.mid between s.value << 10 and s.value << 10 | 1023
    )
    """,
    "delete from job where seq in (select value from json_each(?))",
)
_FORGET = "delete from used where id in (select id from used where until <= ? limit ?)"
_LAST_SEQ = """
insert into counter values ('last_seq', ?)
on conflict (name) do update set value = max(value, excluded.value)
"""


class Dropped(NamedTuple):
    """An archive file that is no more."""

    path: Path
    octets: int
    """Of disk that it took, and that are free now."""


class Archiver:
    """Give it the ledger; call `sweep` every minute or so, and `raise_keys` between."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        zone: tzinfo,
        archive_after: float = 3600.0,
        given_within: float = 0.0,
        period: Period = Period.MONTH,
        recipients: Callable[[bytes], int] = lambda _: 0,
    ) -> None:
        """A job moves `archive_after` seconds after the last change of its last message.

        Who holds a finished message in memory for longer must not put it again.  Periods begin
        and end in `zone`.  A broker may give a job's record again for `given_within` seconds: its
        key stays as long, also where its id is forgotten.  `recipients(body)` is how many messages
        a job has: one of which only some are known stays, as the others may be ours to send, until
        its id is forgotten.
        """
        self._ledger = ledger
        self._zone = zone
        self._archive_after = archive_after
        self._given_within = given_within
        self._period = period
        self._recipients = recipients
        self._directory = ledger.state_dir / files.ARCHIVE
        self._db = files.connect(ledger.path, cache_kb=CACHE_KB)
        self._volume: Volume | None = None
        self._thread = ThreadPoolExecutor(1, "ledger-archive")
        self._used = Bulk("insert or replace into used", 3)

    async def sweep(self, now: float) -> int:
        """Move everything that is old enough at `now`; returns how many jobs; raises LedgerError.

        Works in slices, and between two of them the ledger goes on with its commits.
        """
        cutoff = int(now - self._archive_after)
        moved = done = 0
        await self._ledger.settled()
        last = await self._call(self._last_before, cutoff)
        while jobs := await self._call(self._candidates, done, last, cutoff):
            done = jobs[-1][0]
            await self._call(self._copy, jobs, now)
            moved += await self._ledger.run(partial(_delete, [seq for seq, _ in jobs], cutoff))
        await self._call(self._detach)
        await self.raise_keys()
        while await self._ledger.run(partial(_forget, now)):
            pass
        if await self._call(purge.dead, self._db) >= purge.AT_LEAST:
            await self._purge(now)
        return moved

    async def _purge(self, now: float) -> None:
        coming = await self._call(runs.keys, self._db)
        if not await self._call(purge.needed, self._db, coming):
            return
        floor = await self._call(self._purge_floor, now)
        after: tuple[int, int] | None = purge.FIRST
        while after is not None:
            after = await self._ledger.run(partial(purge.delete_dead, after, floor, coming))

    async def raise_keys(self) -> None:
        """In the ledger, once there are enough; in slices, as all that the writer does.

        Who looks something up reads a row of each run: under load call it more often than `sweep`.
        """
        while await self._call(runs.count, self._db) >= runs.MOST_RUNS:
            last = await self._call(runs.oldest, self._db)
            for number in range(runs.SLICES):
                await self._ledger.run(partial(runs.rise, number, last))
        # Of before schema 4: nothing is added there since.
        if await self._call(keys.count, self._db, keys.NEWER, keys.END):
            for number in range(keys.SLICES):
                await self._ledger.run(partial(keys.rise, number))

    async def drop_archives(self, before: float, now: float) -> list[Dropped]:
        """Delete the files whose period was over at `before`; returns them.

        Ids that are still to be remembered at `now` go to the ledger first.  A file that cannot be
        deleted is said in the log and stays.
        """
        dropped: list[Dropped] = []
        for path in files.archives(self._ledger.state_dir):
            if end_of(path.stem, self._zone) > before:
                continue
            after = 0
            while used := await self._call(self._still_used, path, after, now):
                after = used[-1][0]
                await self._ledger.run(partial(_insert, self._used, [row[1:] for row in used]))
            try:
                dropped.append(Dropped(path, await self._call(_unlink, path)))
            except OSError as exc:
                log.error("archive cannot be dropped", path=str(path), error=exc.strerror)
        return dropped

    async def close(self) -> None:
        """Wait for what runs and let go of the files; call it before the ledger's own."""
        await self._call(self._db.close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[..., T], *args: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
        except sqlite3.Error as exc:
            raise explain(exc, self._directory) from exc

    # In the thread

    def _last_before(self, cutoff: int) -> int:
        """The last job received before `cutoff`: numbers go up with time, so by bisection."""
        low, high = self._db.execute(
            "select coalesce(min(seq), 1), coalesce(max(seq), 0) from job"
        ).fetchone()
        sql = "select seq, received from job where seq >= ? order by seq limit 1"
        while low <= high:
            middle = (low + high) // 2
            seq, received = self._db.execute(sql, (middle,)).fetchone()
            if received < cutoff:
                low = seq + 1
            else:
                high = middle - 1
        # Those that may have young rows alone are not finished.
        lowest = young.lowest(self._db)
        return int(high) if lowest is None else min(int(high), (lowest >> INDEX_BITS) - 1)

    def _candidates(self, after: int, last: int, cutoff: int) -> list[tuple[int, float]]:
        """seq and time of receiving of the next finished jobs, a slice of them at most."""
        rest = f"from job j where j.seq > ? and j.seq <= ? and {_FINISHED} order by j.seq limit ?"
        columns = f"j.seq, {real('j.received')}, {_MESSAGES}, {_PARTIAL}"
        jobs: list[tuple[int, float]] = []
        messages = 0
        while rows := fetch(self._db, columns, rest, (after, last, cutoff, SLICE_JOBS)):
            for seq, received, count, body in rows:
                after = seq
                if body is not None and self._stays(received, count, bytes.fromhex(body), cutoff):
                    continue
                messages += count
                if jobs and messages > SLICE_MESSAGES:
                    return jobs
                jobs.append((seq, received))
            if jobs:
                break
        return jobs

    def _stays(self, received: float, count: int, body: bytes, cutoff: int) -> bool:
        """Whether a job that another daemon told of is not known whole."""
        remembered = received + self._ledger.remember_ids > cutoff
        return remembered and count < self._recipients(body)

    def _copy(self, jobs: list[tuple[int, float]], now: float) -> None:
        periods: dict[str, list[int]] = {}
        for seq, received in jobs:
            periods.setdefault(self._period.name_of(received, self._zone), []).append(seq)
        for name, seqs in periods.items():
            if self._volume is None or self._volume.name != name:
                self._detach()
                path = self._directory / f"{name}.sqlite"
                over = end_of(name, self._zone) <= now
                self._volume = Volume(self._db, path, CACHE_KB, over=over)
            self._volume.copy(seqs)

    def _detach(self) -> None:
        # Between sweeps a period is one file.
        if self._volume is not None:
            self._volume.close()
            self._volume = None

    def _purge_floor(self, now: float) -> int:
        """The first job that may have to be known from an archive."""
        within = max(self._ledger.remember_ids, self._given_within)
        seqs = [purge.NO_JOB]
        for path in files.archives(self._ledger.state_dir):
            if end_of(path.stem, self._zone) + within > now:
                with closing(files.connect(path, readonly=True)) as db:
                    seqs += [seq for (seq,) in db.execute("select min(seq) from job") if seq]
        return min(seqs)

    def _still_used(
        self, path: Path, after: int, now: float
    ) -> list[tuple[int, str, bytes, float]]:
        remember = self._ledger.remember_ids
        rest = "from job j where j.seq > ? and j.received + ? > ? order by j.seq limit ?"
        columns = f"j.seq, j.id, hex(j.digest), {real('j.received')}"
        with closing(files.connect(path, readonly=True)) as db:
            rows = fetch(db, columns, rest, (after, remember, now, FORGET_ROWS))
        return [
            (seq, job_id, bytes.fromhex(digest), received + remember)
            for seq, job_id, digest, received in rows
        ]


# Chores: in the writer's thread, within its transaction


def _insert(bulk: Bulk, rows: list[tuple[Any, ...]], db: sqlite3.Connection) -> None:
    bulk.run(db, rows)


def _delete(seqs: list[int], cutoff: int, db: sqlite3.Connection) -> int:
    """Delete the jobs that were copied, but for those that somebody changed since."""
    rest = f"from json_each(?) s cross join job j on j.seq = s.value where {_FINISHED}"
    still = [seq for (seq,) in fetch(db, "j.seq", rest, (orjson.dumps(seqs).decode(), cutoff))]
    which = (orjson.dumps(still).decode(),)
    deleted = sum(db.execute(sql, which).rowcount for sql in _DELETE)
    # The numbers of what is gone must not be given again.
    db.execute(_LAST_SEQ, (max(seqs),))
    purge.count(db, deleted)
    return len(still)


def _forget(now: float, db: sqlite3.Connection) -> bool:
    """Delete some of the ids that need no longer be known; whether there may be more."""
    return db.execute(_FORGET, (now, FORGET_ROWS)).rowcount == FORGET_ROWS


def _unlink(path: Path) -> int:
    """Returns the octets that it frees; raises OSError."""
    freed = 0
    # What SQLite keeps beside it goes first: a file without them is whole, they alone are nothing.
    for suffix in ("-wal", "-shm", ""):
        each = path.with_name(path.name + suffix)
        if each.exists():
            freed += each.stat().st_blocks * 512
            each.unlink()
    return freed
