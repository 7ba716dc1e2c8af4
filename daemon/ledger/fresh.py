"""First rows of messages, which have no row of their own until something happens to them.

Most messages are answered a few commits after they were taken.  A first row in `message` would be
written, put into the index of what waits, and soon overwritten by a longer one and taken out again:
a quarter of all that the ledger costs.  So the first rows of a commit are one blob in `fresh`.  Who
reads by number looks there for a message that `message` does not have; a row there counts, whatever
`fresh` says.  Before anybody asks an index or changes the tables by himself everything left is
*settled*: it gets its row; and so does, bit by bit, what stays here for long.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Set

import msgspec

from daemon.ledger.rows import (
    INDEX_BITS,
    JOB_INDEX,
    WAITING_STATES,
    MessageRow,
    MessageValues,
    job_ref,
)
from daemon.ledger.statement import Bulk

MOST_ROWS = 8_192
MOST_COMMITS = 256
"""What is older than so many rows, or first rows of so many commits, is settled."""
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


class Fresh:
    """The writer's side: used within its transactions, by its thread.

    The loop may ask whether there is anything.
    """

    __slots__ = ("_commits", "_db", "_done", "_highest", "_live", "_rows")

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
        self._commits: deque[tuple[int, int, list[int]]] = deque()
        """The key of each blob, how many rows it has, and whose: oldest first.

        Of the oldest those at the end are left out that have a row by now.
        """
        self._done = 0
        """So many blobs that are not among them are still to be deleted."""
        self._rows = 0
        self._live: set[int] = set()
        """The messages that have no row of their own."""

    def __bool__(self) -> bool:
        return bool(self._commits or self._done)

    def take(
        self, arrived: list[MessageValues], messages: dict[int, MessageValues], changed: int
    ) -> list[MessageValues]:
        """Keep what waits of `arrived`, those of `messages` that came with their jobs.

        Returns the others of `messages`, in order, for the table.
        """
        live = self._live
        live.difference_update(messages)
        if arrived:
            highest = self._highest
            first = [
                row
                for row in arrived
                if row[5] < WAITING_STATES and not row[6] and row[0] > highest
            ]
            if first:
                self._keep(first, changed)
            self._highest = max(highest, max(arrived)[0] | JOB_INDEX)
        self._trim()
        # One by one: the difference of two sets would look at all that is live.
        return [messages[mid] for mid in sorted([mid for mid in messages if mid not in live])]

    def settle(self) -> None:
        """Everything gets a row of its own."""
        if self._commits or self._done:
            settle(self._db, self._live)
            self._commits.clear()
            self._live.clear()
            self._done = self._rows = 0

    def _keep(self, rows: list[MessageValues], changed: int) -> None:
        mids = [row[0] for row in rows]
        key = min(mids)
        self._db.execute("insert into fresh values (?, ?, ?)", (key, changed, _encode(rows)))
        self._commits.append((key, len(mids), mids))
        self._rows += len(mids)
        self._live.update(mids)

    def _trim(self) -> None:
        """Settle the oldest where there are too many; forget the blobs that nobody needs."""
        commits, live = self._commits, self._live
        old: set[int] = set()
        last = -1
        while commits:
            key, rows, mids = commits[0]
            while mids and mids[-1] not in live:
                mids.pop()  # it gets no first row again
            if mids:
                if len(commits) <= MOST_COMMITS and self._rows <= MOST_ROWS:
                    break
                old |= live.intersection(mids)
            commits.popleft()
            self._rows -= rows
            self._done += 1
            last = key
        if old or (last >= 0 and self._done >= DONE_AT_ONCE):
            settle(self._db, old, last)
            live -= old
            self._done = 0


def settle(db: sqlite3.Connection, live: Set[int] | None = None, last: int = _LAST) -> None:
    """Within a transaction: rows for what the blobs up to `last` have, and these go.

    `live` are those that have none, where that is known.
    """
    if live is None or live:
        for changed, rows in _blobs(db, last):
            if live is not None:
                rows = [row for row in rows if row[0] in live]
            _INSERT.run(db, rows, (changed,))
    db.execute("delete from fresh where first <= ?", (last,))


def there(db: sqlite3.Connection) -> bool:
    """Whether this file has first rows: archives and ledgers of before schema 3 never do."""
    sql = "select exists (select 1 from sqlite_schema where name = 'fresh')"
    return bool(
        db.execute(sql).fetchone()[0]
        and db.execute("select exists (select 1 from fresh)").fetchone()[0]
    )


def rows_of(db: sqlite3.Connection, mids: Set[int]) -> list[MessageRow]:
    """The first rows of these, which have none in `message`: to be read in one transaction."""
    if not there(db):
        return []
    return [MessageRow._make(row) for _, rows in _blobs(db) for row in rows if row[0] in mids]


def mids_of(db: sqlite3.Connection, seqs: Set[int]) -> list[int]:
    """The messages of these jobs that have a first row; some may have one in `message`, too."""
    if not there(db):
        return []
    return [row[0] for _, rows in _blobs(db) for row in rows if row[0] >> INDEX_BITS in seqs]


def _blobs(db: sqlite3.Connection, last: int = _LAST) -> list[tuple[int, list[MessageValues]]]:
    sql = "select changed, rows from fresh where first <= ? order by first"
    return [(changed, _decode(rows)) for changed, rows in db.execute(sql, (last,)).fetchall()]
