"""The archive file of one period, while something is copied into it.

It is attached to a connection whose `main` has the rows; copying them again changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from daemon.ledger import files, keys
from daemon.ledger.rows import hash_carrier_id, hash_job, hash_to, job_ref
from daemon.ledger.statement import Bulk, fetch

_JOBS = "from json_each(?) s cross join main.job j on j.seq = s.value"
_MESSAGES = (
    "from json_each(?) s cross join main.message m"
    " on m.mid between s.value << 10 and s.value << 10 | 1023"
)
_CARRIER_IDS = (
    "from json_each(?) s cross join main.carrier_id c"
    " on c.mid between s.value << 10 and s.value << 10 | 1023"
)
_COPY = (
    f"insert or replace into archive.job select j.* {_JOBS}",
    f"insert or replace into archive.message select m.* {_MESSAGES}",
    f"insert or replace into archive.carrier_id select c.* {_CARRIER_IDS}",
)
FEW_ROWS = 4_096
"""So many keys gather in the file of a period that is over: who traces reads them all."""
_RECENT = "select coalesce(max(rowid) - min(rowid) + 1, 0) from archive.recent"


class Volume:
    """Made if it is not there.  Raises LedgerError and sqlite3.Error; for one thread."""

    def __init__(
        self, db: sqlite3.Connection, path: Path, cache_kb: int, *, over: bool = False
    ) -> None:
        """`over`: little more comes for this period."""
        files.create(path, "schema.sql").close()
        db.execute("attach ? as archive", (str(path),))
        db.execute(f"pragma archive.cache_size = -{cache_kb}")
        db.execute("pragma archive.secure_delete = off")
        db.execute("pragma archive.synchronous = full")
        self.name = path.stem
        self._enough = FEW_ROWS if over else keys.RECENT_ROWS
        self._db = db
        self._recent = Bulk("insert into archive.recent", 2)
        self._newer: int | None = None
        """How many newer keys there are at most; None: not counted yet."""

    def copy(self, seqs: Sequence[int]) -> None:
        """These jobs with all that belongs to them: the rows within SQLite, the keys through here.

        It is durable on return.
        """
        db = self._db
        which = (orjson.dumps(list(seqs)).decode(),)
        with _transaction(db):
            for sql in _COPY:
                db.execute(sql, which)
            found = [
                (hash_job(name), job_ref(seq))
                for seq, name in self._of("j.seq, j.id", _JOBS, which)
            ]
            found += [(hash_to(to), mid) for mid, to in self._of('m.mid, m."to"', _MESSAGES, which)]
            found += [
                (hash_carrier_id(bytes.fromhex(key)), mid)
                for mid, key in self._of("c.mid, hex(c.key)", _CARRIER_IDS, which)
            ]
            self._recent.run(db, found)
        self._raise_keys()

    def close(self) -> None:
        """The last to leave a file folds its log into it."""
        self._db.execute("detach archive")

    def _of(self, columns: str, rest: str, which: tuple[str]) -> list[list[Any]]:
        return fetch(self._db, columns, rest, which)

    def _raise_keys(self) -> None:
        """Where enough have gathered on a level."""
        db = self._db
        if db.execute(_RECENT).fetchone()[0] < self._enough:
            return
        if self._newer is None:
            self._newer = keys.count(db, keys.NEWER, keys.END, "archive")
        with _transaction(db):
            self._newer += keys.gather(db, "archive")
        if self._newer < keys.NEWER_KEYS:
            return
        for number in range(keys.SLICES):
            with _transaction(db):
                keys.rise(number, db, "archive")
        self._newer = 0


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin")
    try:
        yield
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise
