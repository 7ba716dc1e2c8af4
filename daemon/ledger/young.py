"""Rows of young messages, which have none in `message` until they are final.

Most messages are answered a few commits after they were taken, and reported a few later.  Rows in
`message` would be written, put into the indexes of what waits and of deadlines, soon overwritten by
longer ones and taken out of the indexes again: a quarter of all that the ledger costs.  So what a
commit says of young messages is one blob in `young`, and a message's last row there counts.  Who
reads by number looks there for a message that `message` does not have; a row there counts, whatever
`young` says.  Before anybody asks an index or changes the tables by himself everything left is
*settled*: it gets its row; and so does, bit by bit, what stays here for long.

Before schema 6 there were first rows alone, in `fresh`: those are read as well.
"""

from __future__ import annotations

import math
import sqlite3
from collections import deque
from collections.abc import Mapping, Set
from typing import NamedTuple

import msgspec

from daemon.ledger.rows import (
    INDEX_BITS,
    JOB_INDEX,
    MessageRow,
    MessageValues,
    job_ref,
)
from daemon.ledger.statement import Bulk

MOST_YOUNG = 16_384
MOST_ROWS = 32_768
MOST_COMMITS = 512
"""Of messages, of rows and of the commits that they came with: what is older is settled.  All is
settled in one transaction when somebody asks an index: that may not take long.
"""
NEVER = math.inf
DONE_AT_ONCE = 8
"""Blobs of which no row counts any more go so many at a time."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[MessageValues]).decode
_INSERT = Bulk(
    'insert into message (changed, mid, "to", route, lane, account, state, final, wake, life)',
    9,
    "on conflict (mid) do nothing",
    shared=1,
)
_LAST = (1 << 63) - 1


class Young:
    """The writer's side: used within its transactions, by its thread.

    The loop may ask whether there is anything.
    """

    __slots__ = ("_commits", "_db", "_done", "_highest", "_n", "_newest", "_rows", "soonest")

    def __init__(self, db: sqlite3.Connection) -> None:
        """Settles what a daemon that was killed has left."""
        self._db = db
        if there(db):
            db.execute("begin immediate")
            settle(db)
            db.execute("commit")
        highest: int = db.execute("select coalesce(max(seq), 0) from job").fetchone()[0]
        self._highest = job_ref(highest)
        """No message above it can have a row."""
        self._n = 0
        """Of the last blob."""
        self._commits: deque[tuple[int, int, list[int]]] = deque()
        """The number of each blob, how many rows it has, and whose: oldest first.

        Of the oldest those at the end are left out of which a later row counts.
        """
        self._done = 0
        """So many blobs that are not among them are still to be deleted."""
        self._rows = 0
        self._newest: dict[int, int] = {}
        """The blob with the row that counts, of messages that have no row of their own."""
        self.soonest = NEVER
        """No message without a row of its own has a deadline before this."""

    def __bool__(self) -> bool:
        return bool(self._commits or self._done)

    def take(
        self, arrived: list[MessageValues], messages: dict[int, MessageValues], changed: int
    ) -> list[MessageValues]:
        """Keep the rows of young ones; `arrived` are those of `messages` that came with their jobs.

        Returns the others of `messages`, in order, for the table.
        """
        newest, highest = self._newest, self._highest
        if arrived:
            self._highest = max(highest, max(arrived)[0] | JOB_INDEX)
        young: list[MessageValues] = []
        rest: list[MessageValues] = []
        for mid in sorted(messages):
            row = messages[mid]
            if row[6]:
                newest.pop(mid, None)
                rest.append(row)
            elif mid > highest or mid in newest:
                young.append(row)
            else:
                rest.append(row)
        if young:
            self._keep(young, changed)
        self._trim()
        return rest

    def settle(self) -> None:
        """Everything gets a row of its own."""
        if self._commits or self._done:
            settle(self._db, self._newest)
            self._commits.clear()
            self._newest.clear()
            self._done = self._rows = 0
            self.soonest = NEVER

    def _keep(self, rows: list[MessageValues], changed: int) -> None:
        mids = [row[0] for row in rows]
        self._n += 1
        blob = (self._n, mids[0], mids[-1], changed, _encode(rows))
        self._db.execute("insert into young values (?, ?, ?, ?, ?)", blob)
        self._commits.append((self._n, len(mids), mids))
        self._rows += len(mids)
        self._newest.update(dict.fromkeys(mids, self._n))
        soonest = self.soonest
        for row in rows:
            wake = row[7]
            if wake is not None and wake < soonest:
                soonest = wake
        self.soonest = soonest

    def _trim(self) -> None:
        """Settle the oldest where there are too many; forget the blobs that nobody needs."""
        commits, newest = self._commits, self._newest
        old: dict[int, int] = {}
        last = -1
        while commits:
            n, rows, mids = commits[0]
            while mids and newest.get(mids[-1]) != n:
                mids.pop()
            if mids:
                if (
                    len(commits) <= MOST_COMMITS
                    and self._rows <= MOST_ROWS
                    and len(newest) - len(old) <= MOST_YOUNG
                ):
                    break
                old.update({mid: n for mid in mids if newest.get(mid) == n})
            commits.popleft()
            self._rows -= rows
            self._done += 1
            last = n
        if old or (last >= 0 and self._done >= DONE_AT_ONCE):
            settle(self._db, old, last)
            for mid in old:
                del newest[mid]
            self._done = 0


def settle(
    db: sqlite3.Connection, newest: Mapping[int, int] | None = None, last: int = _LAST
) -> None:
    """Within a transaction: rows for what the blobs up to `last` have, and these go.

    `newest` is the blob with the row that counts of those that have none, where that is known.
    """
    if newest is None or newest:
        counts: dict[int, tuple[int, MessageValues]] = {}
        for n, changed, rows in _blobs(db, last):
            for row in rows:
                if newest is None or newest.get(row[0]) == n:
                    counts[row[0]] = changed, row
        by_time: dict[int, list[MessageValues]] = {}
        for mid in sorted(counts):
            changed, row = counts[mid]
            by_time.setdefault(changed, []).append(row)
        for changed, rows in by_time.items():
            _INSERT.run(db, rows, (changed,))
    if (sql := _sql(db)) is not None:
        db.execute(sql.delete, (last,))


def there(db: sqlite3.Connection) -> bool:
    """Whether this file has young rows: archives and ledgers of before schema 3 never do."""
    sql = _sql(db)
    return sql is not None and bool(db.execute(sql.exists).fetchone()[0])


def lowest(db: sqlite3.Connection) -> int | None:
    """No message below it has a young row; None where none has."""
    found: int | None = db.execute("select min(lowest) from young").fetchone()[0]
    return found


def rows_of(db: sqlite3.Connection, mids: Set[int]) -> list[MessageRow]:
    """The rows here of these, which have none in `message`: to be read in one transaction."""
    if not mids:
        return []
    blobs = _blobs(db, max(mids), min(mids))
    found = {row[0]: row for _, _, rows in blobs for row in rows if row[0] in mids}
    return [MessageRow._make(row) for row in found.values()]


def mids_of(db: sqlite3.Connection, seqs: Set[int]) -> set[int]:
    """The messages of these jobs that have a row here; some may have one in `message`, too."""
    if not seqs:
        return set()
    blobs = _blobs(db, job_ref(max(seqs)), min(seqs) << INDEX_BITS)
    return {row[0] for _, _, rows in blobs for row in rows if row[0] >> INDEX_BITS in seqs}


class _Sql(NamedTuple):
    exists: str
    until: str
    """Blobs up to a number, oldest first: their numbers, when, and rows."""
    between: str
    """As `until`, of the blobs that may have rows of messages from the second number to the first.
    """
    delete: str
    """Blobs up to a number."""


_SQL = {
    "young": _Sql(
        "select exists (select 1 from young)",
        "select n, changed, rows from young where n <= ? order by n",
        "select n, changed, rows from young where lowest <= ? and highest >= ? order by n",
        "delete from young where n <= ?",
    ),
    "fresh": _Sql(
        "select exists (select 1 from fresh)",
        "select first, changed, rows from fresh where first <= ? order by first",
        "select first, changed, rows from fresh where first <= ? and ? is not null order by first",
        "delete from fresh where first <= ?",
    ),
}


def _sql(db: sqlite3.Connection) -> _Sql | None:
    row = db.execute(
        "select name from sqlite_schema where type = 'table' and name in ('young', 'fresh')"
    ).fetchone()
    return None if row is None else _SQL[row[0]]


def _blobs(
    db: sqlite3.Connection, high: int, low: int | None = None
) -> list[tuple[int, int, list[MessageValues]]]:
    """Number, time and rows, oldest first: up to the number `high`, or, with `low`, of the blobs
    that may have rows of messages from `low` to `high`.
    """
    sql = _sql(db)
    if sql is None:
        return []
    if low is None:
        found = db.execute(sql.until, (high,)).fetchall()
    else:
        found = db.execute(sql.between, (high, low)).fetchall()
    return [(n, changed, _decode(rows)) for n, changed, rows in found]
