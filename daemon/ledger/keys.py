"""What a job id, a number and a carrier id lead to: hashes, sorted upwards over three levels.

Hashes come in random order, and one that is inserted where it belongs costs a page of 4 KB in the
log, five times the row itself.  So keys gather unsorted in `recent`, 65,536 of them go up sorted to
the *newer* ones, and a million of those to the rest.  At each step a page gets a dozen, however
many keys there are: 3 µs of CPU per key at ten million where a single level took 6 and grew.

Newer and old ones are one table, `lookup`: newer hashes have 2^32 added, and stand behind the
others.  While there are few old ones, keys go to them at once.  What moves does so in slices by
hash, a slice a commit, and is on both levels meanwhile, which does no harm.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import orjson

RECENT_ROWS = 65_536
"""So many gather in `recent` before they move."""
NEWER_KEYS = 1 << 20
"""So many of the newer ones move to the old ones; as few old ones are added to at once."""
NEWER = 1 << 32
"""The first hash of the newer ones."""
END = 2 * NEWER
"""Behind all hashes."""
_INSERTS, _DELETES = 8, 4
STEPS = _INSERTS + _DELETES
"""Commits over which `recent` moves: slices of 8,192 keys, some 10 ms each, and then they go."""
SLICES = 256
"""Transactions in which the newer ones move."""

_SORTED = """
insert or ignore into {0}.lookup select hash + ?, ref from {0}.recent
where rowid <= ? and hash between ? and ? order by hash, ref
"""
_UP = """
insert or ignore into {0}.lookup select hash - 4294967296, ref from {0}.lookup
where hash between ? and ? order by hash, ref
"""


class Upward:
    """Moves what gathered in `recent` of one file up; used within transactions of one thread."""

    __slots__ = ("_db", "_level", "_old", "_rows", "_schema", "_step", "_upto", "newer")

    def __init__(self, db: sqlite3.Connection, schema: str = "main", *, few: bool = True) -> None:
        """Reads up to a million keys; with `few` false they never go to the old ones at once."""
        self._db = db
        self._schema = schema
        self.newer = count(db, NEWER, END, schema)
        """How many newer ones there are at most, or NEWER_KEYS."""
        self._old = count(db, 0, NEWER - 1, schema) if few else NEWER_KEYS
        self._step = STEPS
        self._level = self._upto = self._rows = 0

    def begin(self) -> None:
        """All that is in `recent` now is to move."""
        sql = f"select coalesce(max(rowid), 0), count(*) from {self._schema}.recent"  # noqa: S608
        self._upto, self._rows = self._db.execute(sql).fetchone()
        self._step = 0
        if self._old < NEWER_KEYS:
            self._level = 0
            self._old += self._rows
        else:
            self._level = NEWER
            self.newer += self._rows

    def step(self) -> bool:
        """Move a slice of it; whether that was the last one."""
        step, self._step = self._step, self._step + 1
        if step < _INSERTS:
            low, high = _slice(step, _INSERTS)
            sql = _SORTED.format(self._schema)
            self._db.execute(sql, (self._level, self._upto, low, high))
        else:
            later = self._rows * (STEPS - 1 - step) // _DELETES
            sql = f"delete from {self._schema}.recent where rowid <= ?"  # noqa: S608
            self._db.execute(sql, (self._upto - later,))
        return self._step >= STEPS

    def move(self) -> None:
        """All of it at once."""
        self.begin()
        while not self.step():
            pass


def rise(number: int, db: sqlite3.Connection, schema: str = "main") -> None:
    """Move one of the `SLICES` of the newer keys to the old ones."""
    low, high = (bound + NEWER for bound in _slice(number, SLICES))
    db.execute(_UP.format(schema), (low, high))
    sql = f"delete from {schema}.lookup where hash between ? and ?"  # noqa: S608
    db.execute(sql, (low, high))


def count(db: sqlite3.Connection, low: int, high: int, schema: str = "main") -> int:
    """Keys with these hashes, NEWER_KEYS at most."""
    sql = (
        f"select count(*) from (select 1 from {schema}.lookup"  # noqa: S608
        " where hash between ? and ? limit ?)"
    )
    found: int = db.execute(sql, (low, high, NEWER_KEYS)).fetchone()[0]
    return found


def everywhere(hashes: Iterable[int]) -> str:
    """The hashes as they are in `lookup`, on both levels, for `json_each`."""
    listed = list(hashes)
    return orjson.dumps(listed + [hash_ + NEWER for hash_ in listed]).decode()


def _slice(number: int, of: int) -> tuple[int, int]:
    """The lowest and the highest hash of it."""
    size = NEWER // of
    return number * size, (number + 1) * size - 1


class Recent:
    """In memory, where the keys in `recent` lead to: the table has no index.

    Written by the writer's thread and read by the reader's, which looks here first and only then
    begins to read the file: what has left here is in `lookup` by then.
    """

    __slots__ = ("_moving", "_new")

    def __init__(self) -> None:
        self._new: dict[int, int | tuple[int, ...]] = {}
        self._moving: dict[int, int | tuple[int, ...]] = {}

    def add(self, keys: Iterable[tuple[int, int]]) -> None:
        new = self._new
        for hash_, ref in keys:
            before = new.get(hash_)
            if before is None:
                new[hash_] = ref
            elif isinstance(before, tuple):
                new[hash_] = (*before, ref)
            else:
                new[hash_] = (before, ref)

    def begin(self) -> None:
        """All of them begin to move."""
        self._moving, self._new = self._new, {}

    def moved(self) -> None:
        """The move is durable."""
        self._moving = {}

    def refs(self, hashes: Iterable[int]) -> set[int]:
        found: set[int] = set()
        for hash_ in hashes:
            for keys in (self._new, self._moving):
                refs = keys.get(hash_)
                if isinstance(refs, tuple):
                    found.update(refs)
                elif refs is not None:
                    found.add(refs)
        return found
