"""Lookups beside the running daemon: one thread, one connection of its own.

Everything comes back in a single row (`statement.fetch`), for the same reason that everything is
written in a single statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson

from daemon.ledger import files, runs, young
from daemon.ledger.keys import END, NEWER, everywhere
from daemon.ledger.rows import (
    INDEX_BITS,
    WAITING_STATES,
    JobRow,
    Known,
    MessageRow,
    Queued,
    hash_carrier_id,
    hash_job,
    is_job,
)
from daemon.ledger.runs import Gathered
from daemon.ledger.statement import fetch, real

SLICE_KEYS = 10_000
"""So many keys are looked at in one reading: some 2 ms that another lookup may have to wait."""

SLICE_ROWS = 40
"""As many keys in runs."""

Position = tuple[int, str]
"""Where a slice of used ids begins: END above a row of a run, which it is below; below a hash in
`lookup`; then, behind an id in `used`."""
FIRST: Final = (1 << 62, "")
Slice = tuple[list[int], Position | None]
"""Hashes of ids, and where to go on."""
DROPPED = "dropped_until"
"""A counter of the ledger, see `dropped_until`."""

_JOB = (
    'j.seq, j.id, hex(j.digest), j.topic, j.partition, j."offset",'
    f" {real('j.produced')}, {real('j.received')}, hex(j.body)"
)
_MESSAGE = (
    f'm.mid, m."to", m.route, m.lane, m.account, m.state, m.final, {real("m.wake")}, hex(m.life)'
)
_JOINED = "from message m join job j on j.seq = m.mid >> 10"
_WIDTH = len(JobRow._fields)


def job_row(columns: Sequence[Any]) -> JobRow:
    """The row of columns fetched as `_JOB`."""
    seq, job_id, digest, topic, partition, offset, produced, received, body = columns
    return JobRow(
        seq,
        job_id,
        bytes.fromhex(digest),
        topic,
        partition,
        offset,
        produced,
        received,
        bytes.fromhex(body),
    )


def message_row(columns: Sequence[Any]) -> MessageRow:
    """The row of columns fetched as `_MESSAGE`."""
    return MessageRow._make((*columns[:-1], bytes.fromhex(columns[-1])))


def messages(db: sqlite3.Connection, mids: Iterable[int]) -> list[MessageRow]:
    """Those of `mids` that this file has, in order; within a transaction, if somebody writes."""
    wanted = set(mids)
    rest = "from message m where m.mid in (select value from json_each(?)) order by m.mid"
    rows = [message_row(row) for row in fetch(db, _MESSAGE, rest, (_json(wanted),))]
    if len(rows) < len(wanted):
        first = young.rows_of(db, wanted.difference([row.mid for row in rows]))
        if first:
            rows = sorted(rows + first)
    return rows


def jobs(db: sqlite3.Connection, seqs: Iterable[int]) -> list[JobRow]:
    """Those of `seqs` that this file has, in order."""
    rest = "from job j where j.seq in (select value from json_each(?)) order by j.seq"
    return [job_row(row) for row in fetch(db, _JOB, rest, (_json(seqs),))]


def mids_of(db: sqlite3.Connection, seqs: Iterable[int]) -> list[int]:
    """The messages of these jobs that this file has."""
    rest = (
        "from json_each(?) s cross join message m"
        " on m.mid between s.value << 10 and s.value << 10 | 1023"
    )
    which = set(seqs)
    mids = {mid for (mid,) in fetch(db, "m.mid", rest, (_json(which),))}
    return sorted(mids.union(young.mids_of(db, which)))


def refs(db: sqlite3.Connection, hashes: Iterable[int]) -> set[int]:
    """What these hashes lead to, but for what gathers; some of it wrongly, a hash has 32 bits."""
    which = list(hashes)
    found = runs.refs(db, which) if runs.there(db) else set()
    sql = "select json_group_array(ref) from lookup where hash in (select value from json_each(?))"
    return found.union(orjson.loads(db.execute(sql, (everywhere(which),)).fetchone()[0]))


def recent_refs(db: sqlite3.Connection, hashes: Iterable[int]) -> set[int]:
    """As `refs`, for what gathers alone; reads all of it."""
    which = list(hashes)
    found = runs.gathered_refs(db, which) if runs.there(db) else set()
    sql = "select json_group_array(ref) from recent where hash in (select value from json_each(?))"
    return found.union(orjson.loads(db.execute(sql, (_json(which),)).fetchone()[0]))


def carrier_ids(db: sqlite3.Connection, mids: Iterable[int]) -> list[tuple[str, bytes, int, int]]:
    """The carrier ids that lead to these messages: account, key, mid, part; each once.

    What members of a list have in common stands with the first of them, and leads to all.
    """
    rest = "from carrier_id where mid in (select value from json_each(?))"
    rows = fetch(db, "account, hex(key), mid, part", rest, (_json(mids),))
    found = (
        (account, bytes.fromhex(key), each, max(part, 0))
        for account, key, mid, part in rows
        for each in range(mid, mid + 1 - min(part, 0))
    )
    # One that was answered for itself as well has a row of its own.
    return list(dict.fromkeys(found))


def archived(state_dir: Path, seqs: set[int]) -> list[JobRow]:
    """Those of `seqs` that an archive has; raises LedgerError."""
    found: list[JobRow] = []
    for path in reversed(files.archives(state_dir)):
        if not seqs:
            break
        with closing(files.connect(path, readonly=True)) as db:
            rows = jobs(db, seqs)
        found += rows
        seqs = seqs.difference(row.seq for row in rows)
    return found


def dropped_until(db: sqlite3.Connection) -> int | None:
    """The end of the last period of which the archive was dropped, in seconds since 1970."""
    row = db.execute("select value from counter where name = ?", (DROPPED,)).fetchone()
    return None if row is None else int(row[0])


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()


class Reader:
    """The lookups of `Ledger`; each runs as one read transaction, in the reader's thread."""

    __slots__ = ("_db", "_gathered", "_state_dir")

    def __init__(self, db: sqlite3.Connection, state_dir: Path, gathered: Gathered) -> None:
        self._db = db
        self._state_dir = state_dir
        self._gathered = gathered

    def known(
        self,
        ids: Sequence[str],
        recent: dict[str, int],
        now: float,
        remember: float,
        given: Callable[[JobRow], bool],
    ) -> dict[str, Known]:
        """`recent` has the jobs among `ids` whose keys may not be on the disk yet; `given` is as in
        `Ledger.known`.
        """
        wanted = set(ids)

        def counts(row: JobRow) -> bool:
            return row.id in wanted and (row.received + remember > now or given(row))

        db = self._db
        db.execute("begin")
        try:
            found = {ref >> INDEX_BITS for ref in self._job_refs(ids)} | set(recent.values())
            rows = jobs(db, found)
            unfinished = self._unfinished({row.seq for row in rows})
            # What was forgotten is still known while it is under way.
            known = {
                row.id: Known(row.seq, row.digest, row.seq not in unfinished, row.offset < 0)
                for row in rows
                if (row.id in wanted and row.seq in unfinished) or counts(row)
            }
            rest = "from used where id in (select value from json_each(?)) and until > ?"
            for job_id, digest in fetch(db, "id, hex(digest)", rest, (_json(ids), now)):
                known.setdefault(job_id, Known(None, bytes.fromhex(digest), True))
        finally:
            db.execute("commit")
        if missing := found - {row.seq for row in rows}:
            for row in archived(self._state_dir, missing):
                if counts(row):
                    known.setdefault(row.id, Known(row.seq, row.digest, True))
        return known

    def used_ids(self, position: Position) -> Slice:
        """Hashes of job ids that were used, but for what gathers: a slice of them, the last first.

        Keys move from runs to `lookup`, and there from the newer ones down to the old ones: so all
        that are in a run or there now are in one slice or another, whatever moves meanwhile.
        """
        high, after = position
        if high > END:
            return self._used_in_runs(high)
        if high < 0:
            rest = "from used where id > ? order by id limit ?"
            ids = [job_id for (job_id,) in fetch(self._db, "id", rest, (after, SLICE_KEYS))]
            return list(map(hash_job, ids)), (-1, ids[-1]) if ids else None
        self._db.execute("begin")
        try:
            sql = "select hash from lookup where hash < ? order by hash desc limit 1 offset ?"
            row = self._db.execute(sql, (high, SLICE_KEYS)).fetchone()
            low = -1 if row is None else row[0]
            rest = "from lookup where hash >= ? and hash < ? and ref & 1023 = 1023"
            found = fetch(self._db, f"hash & {NEWER - 1}", rest, (low, high))
        finally:
            self._db.execute("commit")
        return [hash_ for (hash_,) in found], (low, "")

    def _used_in_runs(self, high: int) -> Slice:
        rows = runs.slices(self._db, high - END, SLICE_ROWS)
        found = [
            hash_
            for _, hashes, refs in rows
            for hash_, ref in zip(hashes, refs, strict=True)
            if is_job(ref)
        ]
        return found, (END + rows[-1][0] if rows else END, "")

    def _job_refs(self, ids: Sequence[str]) -> list[int]:
        return [ref for ref in refs(self._db, map(hash_job, ids)) if is_job(ref)]

    def _unfinished(self, seqs: set[int]) -> set[int]:
        rest = (
            "from json_each(?) s where exists (select 1 from message m where m.final = 0 and"
            " m.mid between s.value << 10 and s.value << 10 | 1023)"
        )
        if not seqs:
            return set()
        found = {seq for (seq,) in fetch(self._db, "s.value", rest, (_json(seqs),))}
        if first := young.mids_of(self._db, seqs - found):
            # What has a row was looked at.
            rest = "from message m where m.mid in (select value from json_each(?))"
            first -= {mid for (mid,) in fetch(self._db, "m.mid", rest, (_json(first),))}
            found |= {mid >> INDEX_BITS for mid in first}
        return found

    def find(
        self, wanted: Sequence[tuple[str, bytes]]
    ) -> dict[tuple[str, bytes], list[tuple[int, int]]]:
        found: dict[tuple[str, bytes], list[tuple[int, int]]] = {}
        hashes = {hash_carrier_id(key) for _, key in wanted}
        mids = self._gathered.refs(hashes)  # before the reading begins, see there
        self._db.execute("begin")
        try:
            mids |= refs(self._db, hashes)
            rows = carrier_ids(self._db, (ref for ref in mids if not is_job(ref)))
        finally:
            self._db.execute("commit")
        asked = set(wanted)
        for account, key, mid, part in sorted(rows, key=lambda row: row[2:], reverse=True):
            if (account, key) in asked:
                found.setdefault((account, key), []).append((mid, part))
        return found

    def load(self, mids: Sequence[int]) -> list[tuple[JobRow, MessageRow]]:
        # In one reading: what has only a young row may get one of its own at any time.
        db = self._db
        db.execute("begin")
        try:
            pairs = self._pairs(
                "where m.mid in (select value from json_each(?)) order by m.mid", (_json(mids),)
            )
            if len(pairs) == len(set(mids)) or not young.there(db):
                return pairs
            rows = messages(db, mids)
            by_seq = {row.seq: row for row in jobs(db, {row.mid >> INDEX_BITS for row in rows})}
        finally:
            db.execute("commit")
        return [(by_seq[row.mid >> INDEX_BITS], row) for row in rows]

    def queued(
        self, route: str, lane: int, state: int, after: int, limit: int
    ) -> list[tuple[JobRow, MessageRow]]:
        # The second condition on state is what lets SQLite see that the partial index will do.
        rest = (
            "where m.route = ? and m.lane = ? and m.state = ? and m.mid > ?"
            f" and m.state < {WAITING_STATES} order by m.mid limit ?"
        )
        return self._pairs(rest, (route, lane, state, after, limit))

    def queued_mids(self, route: str, lane: int, state: int, after: int, limit: int) -> list[int]:
        rest = (
            "from message m where m.route = ? and m.lane = ? and m.state = ? and m.mid > ?"
            f" and m.state < {WAITING_STATES} order by m.mid limit ?"
        )
        return [
            mid for (mid,) in fetch(self._db, "m.mid", rest, (route, lane, state, after, limit))
        ]

    def queues(self) -> list[Queued]:
        # `group by` would sort a row for each message; this has one for each group.
        self._db.execute(
            "create temp table if not exists queue (route, lane, state, topic, partition, size,"
            " primary key (route, lane, state, topic, partition)) without rowid"
        )
        self._db.execute("delete from temp.queue")
        self._db.execute(
            "insert into temp.queue select m.route, m.lane, m.state, j.topic, j.partition, 1"
            f" {_JOINED} where m.state < {WAITING_STATES} on conflict do update set size = size + 1"
        )
        columns = "route, lane, state, topic, partition, size"
        return [Queued(*row) for row in fetch(self._db, columns, "from temp.queue")]

    def due(
        self, after: tuple[float, int] | None, until: float, limit: int
    ) -> list[tuple[float, int]]:
        rest = (
            "from message m where m.final = 0 and m.wake is not null and m.wake <= ?"
            " and m.wake >= ? and (m.wake > ? or m.mid > ?) order by m.wake, m.mid limit ?"
        )
        wake, mid = after or (-1e300, -1)
        rows = fetch(self._db, f"{real('m.wake')}, m.mid", rest, (until, wake, wake, mid, limit))
        return [(float(wake), mid) for wake, mid in rows]

    def outbox(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        rest = "from outbox where n > ? order by n limit ?"
        rows = fetch(self._db, "n, hex(events)", rest, (after, limit))
        return [(n, bytes.fromhex(events)) for n, events in rows]

    def _pairs(self, rest: str, parameters: Sequence[Any]) -> list[tuple[JobRow, MessageRow]]:
        rows = fetch(self._db, f"{_JOB}, {_MESSAGE}", f"{_JOINED} {rest}", parameters)
        return [(job_row(row[:_WIDTH]), message_row(row[_WIDTH:])) for row in rows]
