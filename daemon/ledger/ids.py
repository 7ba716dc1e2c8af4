"""Which job ids are used up: asked for every record, answered from memory for nearly all.

Ids of jobs put lately are here whole, until their keys are where the reader looks; that an older
one was certainly never used the sieve says.  Only what is left is looked up on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import orjson

from daemon.ledger import reader
from daemon.ledger.reader import Position, Slice
from daemon.ledger.rows import INDEX_BITS, JobRow, JobValues, Known, is_job
from daemon.ledger.sieve import Sieve

Lately = dict[str, tuple[int, bytes, float]]
"""seq, digest and time of receiving by job id."""


class Ids:
    """On the loop; `look` asks the reader's thread for what memory cannot tell."""

    __slots__ = ("_clock", "_look", "_new", "_settling", "put", "remember", "sieve")

    def __init__(
        self,
        lately: Lately,
        remember: float,
        clock: Callable[[], float],
        look: Callable[..., Awaitable[dict[str, Known]]],
        used: Callable[[Position], Awaitable[Slice]],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`used` reads the ids that are on the disk, and `failed` is told when that fails."""
        self._new = lately
        self._settling: Lately = {}
        """Of which the keys are on their way up."""
        self.remember = remember
        self._clock = clock
        self._look = look
        self.put = 0
        """So many: whether a look at ids is still right after an await."""
        self.sieve = Sieve(used, failed)
        self.sieve.fill(lately)

    def add(self, jobs: Sequence[JobValues]) -> None:
        """These are put."""
        self.put += len(jobs)
        new = self._new
        for row in jobs:
            new[row[1]] = (row[0], row[2], row[7])
        self.sieve.add(jobs)
        if self.sieve.worn:
            self.sieve.fill([*new, *self._settling])

    def settle(self) -> None:
        """The keys of all that was put begin to move."""
        self._settling, self._new = self._new, {}

    def settled(self) -> None:
        """And are now where the reader looks."""
        self._settling = {}

    def recent(self, job_id: str) -> Known | None:
        found = self._new.get(job_id) or self._settling.get(job_id)
        if found is None or found[2] + self.remember <= self._clock():
            return None
        return Known(found[0], found[1], False)

    async def known(self, ids: Sequence[str], given: Callable[[JobRow], bool]) -> dict[str, Known]:
        ids = self.sieve.doubtful(ids)
        if not ids:
            return {}
        now = self._clock()
        recent: Lately = {}
        for job_id in ids:
            found = self._new.get(job_id) or self._settling.get(job_id)
            if found is not None:
                recent[job_id] = found
        seqs = {job_id: found[0] for job_id, found in recent.items()}
        known = await self._look(ids, seqs, now, self.remember, given)
        for job_id, (seq, digest, received) in recent.items():
            if received + self.remember > now:
                known.setdefault(job_id, Known(seq, digest, False))
        return known


def lately(db: sqlite3.Connection, state_dir: Path, refs: Iterable[int]) -> Lately:
    """Of the jobs among `refs`, whose keys have gathered; where few come, some are archived."""
    seqs = {ref >> INDEX_BITS for ref in refs if is_job(ref)}
    which = (orjson.dumps(list(seqs)).decode(),)
    sql = "select id, seq, digest, received from job where seq in (select value from json_each(?))"
    rows = db.execute(sql, which).fetchall()
    archived = seqs.difference([row[1] for row in rows])
    for row in reader.archived(state_dir, archived):
        rows.append((row.id, row.seq, row.digest, row.received))
    rows.sort(key=lambda row: row[1])
    return {row[0]: (row[1], row[2], row[3]) for row in rows}
