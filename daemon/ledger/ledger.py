"""What the daemon must still know after a crash, in SQLite.

Writes are grouped the way PostgreSQL groups commits: while one transaction is on its way to the
disk, the next one gathers.  Alone, a change waits for one commit; under load a thousand of them
share it.  No timer, no size to tune.

The loop only gathers; a writer thread, a reader thread and one for checkpoints do the rest,
each with a connection of its own, so that a lookup never waits for a commit nor a commit for
the copying of the log into the file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from daemon.ledger import files, ids, runs, start
from daemon.ledger.checkpoint import Checkpoints
from daemon.ledger.errors import LedgerError, explain
from daemon.ledger.events import unpack
from daemon.ledger.keys import RECENT_ROWS
from daemon.ledger.reader import Reader
from daemon.ledger.rows import (
    Entries,
    Event,
    JobRow,
    Known,
    MessageRow,
    Queued,
    Waiting,
)
from daemon.ledger.runs import STEPS
from daemon.ledger.writer import Batch, Writer
from daemon.ledger.young import NEVER

T = TypeVar("T")

WRITER_CACHE_KB = 16_000
READER_CACHE_KB = 4_000
LOG_PAGES = 8_000
"""The log starts over once it has so many pages (32 MB) and all of them are in the file."""
SWITCH_SECONDS = 0.00005
"""How long the loop may keep the interpreter from a thread that wants it.

A loop that always has something to do still lets go of the interpreter once per turn, for the few
microseconds of a `select`: too short for the writer to wake up and take it, yet it starts
its waiting time anew.  With Python's 5 ms and turns of a millisecond single commits took up to
30 s (1,700 messages/s); with this 80 ms (33,000 messages/s), at no cost where nobody waits.
"""


def _forgotten(job: JobRow) -> bool:
    return False


class Ledger:
    """One per state directory, used from one event loop.

    `failed` gets a LedgerError when a write fails: from then on nothing is kept and nobody is
    called back, and the daemon has to stop.
    """

    @classmethod
    def open(
        cls,
        state_dir: Path,
        *,
        on_events: Callable[[int, list[Event]], None],
        on_commit: Callable[[float], None] | None = None,
        remember_ids: float = 30 * 86400.0,
        clock: Callable[[], float] = time.time,
        name: str = "",
    ) -> Self:
        """Open or make the ledger in `state_dir`; raises LedgerError.

        `on_events` gets the events of a commit once they are durable, with the number to give to
        `told` when they were published.  `on_commit` gets the seconds each commit took.  A job id
        is known for `remember_ids` seconds after it was received.  `clock` tells the time of day.
        `name` is told to whoever finds the directory in use.
        """
        held = files.lock(state_dir, f"instance {name}" if name else "")
        try:
            if (state_dir / files.RESTORING).exists():
                raise LedgerError(
                    f"{state_dir}: a restore did not come to its end here; run `carrierd restore`"
                    " again"
                )
            return cls(state_dir, held, on_events, on_commit, remember_ids, clock)
        except BaseException:
            os.close(held)
            raise

    def __init__(
        self,
        state_dir: Path,
        held: int,
        on_events: Callable[[int, list[Event]], None],
        on_commit: Callable[[float], None] | None,
        remember_ids: float,
        clock: Callable[[], float],
    ) -> None:
        self.state_dir = state_dir
        self.path = state_dir / files.LEDGER
        self.remember_ids = remember_ids
        self._held = held
        self._on_events = on_events
        self._on_commit = on_commit
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
        self.failed: asyncio.Future[None] = self._loop.create_future()
        with ExitStack() as undo:
            self._db = files.create(self.path, "schema.sql", "hot.sql", cache_kb=WRITER_CACHE_KB)
            undo.callback(self._db.close)
            self._read_db = files.connect(self.path, cache_kb=READER_CACHE_KB)
            undo.callback(self._read_db.close)
            self._checkpoints = Checkpoints(self.path, self._fail)
            undo.callback(self._checkpoints.undo)
            try:
                # The third connection's checkpoints do the copying.  Those of the writer find
                # little left, start the log over, and bound it if the others do not get through.
                self._db.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")
                self._db.execute(f"pragma journal_size_limit = {LOG_PAGES * 4096}")
                self._writer = Writer(self._db)
                refs = runs.gathered(self._db)
                self._recent_rows = len(refs)
                lately = ids.lately(self._db, state_dir, refs)
                self._outbox_number = start.one(self._db, "select coalesce(max(n), 0) from outbox")
            except sqlite3.Error as exc:
                raise explain(exc, self.path) from exc
            undo.pop_all()
        self._soonest = NEVER
        """As of the last commit that is durable: the first deadline of messages without a row."""
        self._steps = 0
        """Of the run of keys that is being written; 0 when none is."""
        self._gathering = Batch()
        self._reader = Reader(self._read_db, state_dir, self._writer.runs.gathered)
        self._write_thread = ThreadPoolExecutor(1, "ledger-writer")
        self._read_thread = ThreadPoolExecutor(1, "ledger-reader")
        self._writing = False
        self._due = False
        self._idle: asyncio.Future[None] | None = None
        self._told = 0
        self._closing = False
        self._closed = False
        self._ids = ids.Ids(
            lately,
            remember_ids,
            clock,
            partial(self._read, self._reader.known),
            partial(self._read, self._reader.used_ids),
            self._fail,
        )

    # Writing

    def put(self, entries: Entries, then: Callable[[], None] | None = None) -> None:
        """Keep `entries`; call `then` once they would survive a power cut, in the order of puts.

        Never blocks.  After a failure it does nothing: whoever awaits `failed` stops the daemon.
        """
        if self._closed:
            raise LedgerError(f"{self.path}: is closed")
        batch = self._gathering
        if entries.jobs:
            batch.jobs += entries.jobs
            self._ids.add(entries.jobs)
        batch.messages += entries.messages
        batch.carrier_ids += entries.carrier_ids
        batch.events += entries.events
        for claim_id in entries.unclaims:
            batch.claims[claim_id] = None
        for claim in entries.claims:
            batch.claims[claim[0]] = claim
        for drop in entries.drops:
            batch.keeps[drop] = None
        for kept in entries.keeps:
            batch.keeps[kept[0], kept[1]] = kept
        if then is not None:
            batch.then.append(then)
        if not self._writing and not self._due:
            # At the end of this turn of the loop: what it puts together is one commit.
            self._due = True
            self._loop.call_soon(self._write_due)

    def _write_due(self) -> None:
        self._due = False
        if not self._writing and not self._closed and self._owes():
            self._write()

    def told(self, number: int) -> None:
        """Every event of the commits up to `number` was published; the next commit forgets them."""
        self._told = max(self._told, number)
        self._gathering.told = self._told

    @property
    def last_batch(self) -> int:
        """The number of the last commit that had events; 0 when none waits to be published."""
        return self._outbox_number

    @property
    def waiting(self) -> int:
        """Rows that gather for the next commit: what intake may look at to slow down."""
        return self._gathering.rows()

    async def run(self, chore: Callable[[sqlite3.Connection], T]) -> T:
        """Run `chore` in the writer's thread, inside the next transaction; for the archiver.

        Returns its result once that is durable.  A chore must be quick: commits wait for it.
        """
        result: list[T] = []
        self._gathering.chores.append(lambda db: result.append(chore(db)))
        await self.durable()
        return result[0]

    async def durable(self) -> None:
        """Everything that was put would survive a power cut, and whoever waited was called."""
        done: asyncio.Future[None] = self._loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        self._gathering.then.append(finish)
        if not self._writing:
            self._write()
        # The failure of a write is everybody's, also of those who wait here.
        await asyncio.wait((done, self.failed), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise LedgerError(f"{self.path}: the ledger has failed, see the first error")

    async def settled(self) -> None:
        """All messages that were put have durable rows of their own, and are in the indexes."""
        # What the writer says of itself is true for readers only between two transactions.
        if self._writing or self._owes() or self._writer.young:
            await self.run(lambda _: None)

    def _write(self) -> None:
        if self.failed.done():
            return
        batch, self._gathering = self._gathering, Batch()
        self._writing = True
        batch.changed = int(self._clock())
        if batch.events:
            self._outbox_number += 1
            batch.number = self._outbox_number
        self._recent_rows += batch.rows()
        if batch.writes():
            self._move_recent(batch)
        work = self._write_thread.submit(self._writer.write, batch)
        work.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._written, done, batch)
        )

    def _move_recent(self, batch: Batch) -> None:
        """A step of the move with each commit, so that none is long; all when the next is due."""
        full = self._recent_rows >= RECENT_ROWS
        if full and not self._steps:
            # Everything put until now is in this batch or before it, and moves.
            batch.begins = True
            self._steps, self._recent_rows, full = STEPS, 0, False
            self._ids.settle()
        if self._steps:
            batch.steps = self._steps if full else 1
            self._steps -= batch.steps
            batch.settled = not self._steps

    def _written(self, done: Future[float], batch: Batch) -> None:
        self._writing = False
        exc = done.exception()
        if self.failed.done():
            return
        if exc is not None:
            self._fail(explain(exc, self.path) if isinstance(exc, sqlite3.Error) else exc)
            return
        self._soonest = batch.soonest
        if batch.settled:
            self._ids.settled()
        if self._owes():
            self._write()
        self._checkpoints.wrote(batch.rows())
        try:
            if self._on_commit is not None and batch.writes():
                self._on_commit(done.result())
            if batch.events:
                self._on_events(batch.number, batch.events)
            for then in batch.then:
                then()
        except Exception as bug:
            # The order of the callbacks is broken: what depends on those that are left out is lost.
            self._fail(bug)
            return
        if self._idle is not None and not self._writing and not self._idle.done():
            self._idle.set_result(None)

    def _owes(self) -> bool:
        batch = self._gathering
        return bool(batch.then) or batch.writes() or (self._closing and batch.told is not None)

    def _fail(self, exc: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(exc)
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def close(self) -> None:
        """Write what has gathered, call everybody back, and let go of the files."""
        if self._closing:
            return
        self._closing = True
        self._ids.sieve.close()
        while not self.failed.done() and (self._writing or self._owes()):
            self._idle = self._loop.create_future()
            if not self._writing:
                self._write()
            await self._idle
        self._closed = True
        run = self._loop.run_in_executor
        try:
            await run(self._read_thread, self._read_db.close)
            await self._checkpoints.close()
            await run(self._write_thread, self._close_file)
        finally:
            for thread in (self._read_thread, self._write_thread):
                thread.shutdown(wait=False)
            os.close(self._held)

    def _close_file(self) -> None:
        try:
            if not self.failed.done():
                self._writer.settle()
                self._db.execute("pragma wal_checkpoint(truncate)").fetchone()
            self._db.close()
        except sqlite3.Error as exc:
            raise explain(exc, self.path) from exc

    # Lookups

    @property
    def jobs_put(self) -> int:
        """So many: whether a look at ids is still right after an await."""
        return self._ids.put

    def recent(self, job_id: str) -> Known | None:
        """Whether `job_id` was put lately, durable or not; for a last look between two awaits.

        `finished` is not looked up and false.
        """
        return self._ids.recent(job_id)

    async def known(
        self, job_ids: Sequence[str], given: Callable[[JobRow], bool] = _forgotten
    ) -> dict[str, Known]:
        """Those of `job_ids` that jobs have used up, also jobs put and not yet durable.

        `given` says, in the reader's thread, of a finished job that is too old to be remembered
        whether it is meant all the same.
        """
        return await self._ids.known(job_ids, given)

    async def find(
        self, wanted: Sequence[tuple[str, bytes]]
    ) -> dict[tuple[str, bytes], list[tuple[int, int]]]:
        """Messages and parts of (account, carrier id), newest first: gateways use ids again."""
        return await self._read(self._reader.find, wanted)

    async def load(self, mids: Sequence[int]) -> list[tuple[JobRow, MessageRow]]:
        """Those of `mids` that are not archived, in order."""
        return await self._read(self._reader.load, mids)

    async def due(
        self, after: tuple[float, int] | None, until: float, limit: int
    ) -> list[tuple[float, int]]:
        """(wake, mid) of unfinished messages, in order, behind `after` and not later than `until`.

        The last pair of one call is `after` of the next.
        """
        if self._writing or self._owes():
            await self.durable()
        if self._soonest <= until:
            await self.settled()
        return await self._read(self._reader.due, after, until, limit)

    async def queued(
        self, route: str, lane: int, state: int, after: int, limit: int
    ) -> list[tuple[JobRow, MessageRow]]:
        """Messages of a queue with mid > `after`, oldest first; `state` is below WAITING_STATES."""
        await self.settled()
        return await self._read(self._reader.queued, route, lane, state, after, limit)

    async def queued_mids(
        self, route: str, lane: int, state: int, after: int, limit: int
    ) -> list[int]:
        """As `queued`, the numbers alone."""
        await self.settled()
        return await self._read(self._reader.queued_mids, route, lane, state, after, limit)

    async def queues(self) -> list[Queued]:
        """What waits, of all routes; reads the index of what waits once."""
        await self.settled()
        return await self._read(self._reader.queues)

    async def outbox(self, after: int, limit: int) -> list[tuple[int, list[Event]]]:
        """Events that were not told, of at most `limit` commits with a number > `after`."""
        rows = await self._read(self._reader.outbox, after, limit)
        return [(number, unpack(events)) for number, events in rows]

    async def _read(self, lookup: Callable[..., T], *args: object) -> T:
        try:
            return await self._loop.run_in_executor(self._read_thread, lookup, *args)
        except sqlite3.Error as exc:
            raise explain(exc, self.path) from exc

    # At start, before the first put

    def last_seq(self) -> int:
        """The highest seq ever used; 0 when there was none."""
        return start.last_seq(self._db)

    def starts(self) -> int:
        """How often the ledger was opened for work, now included; durable when it returns."""
        return start.starts(self._db)

    def identity(self) -> int:
        """A number that no other ledger has, made with this one."""
        return start.identity(self._db)

    def claims(self) -> list[tuple[int, float, bytes]]:
        """id, when, mids."""
        return start.claims(self._db)

    def kept(self, kind: str) -> list[tuple[bytes, float, bytes]]:
        """key, when, value of everything kept under `kind`, oldest first."""
        return start.kept(self._db, kind)

    def unfinished(self) -> list[Waiting]:
        """Unfinished messages by route, lane and state; reads the whole ledger once."""
        return start.unfinished(self._db)

    def unfinished_in(self, state: int) -> list[int]:
        """Unfinished messages in one state, oldest first; reads the whole ledger once."""
        return start.unfinished_in(self._db, state)
