"""What a job id, a number and a carrier id lead to: hashes, sorted upwards.

Hashes come in random order, and one that is inserted where it belongs costs a page of 4 KB in the
log, five times the row itself.  So they get into `lookup` sorted, a million at a time: a page gets
a dozen, however many keys there are.

In the ledger they come from runs (`runs`).  In an archive they gather unsorted in `recent`, 65,536
of them go sorted to the *newer* ones, and a million of those to the rest.  Newer and old ones are
one table: newer hashes have 2^32 added, and stand behind the others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import orjson

RECENT_ROWS = 65_536
"""So many gather before they move."""
NEWER_KEYS = 1 << 20
"""So many of the newer ones move to the old ones."""
NEWER = 1 << 32
"""The first hash of the newer ones."""
END = 2 * NEWER
"""Behind all hashes."""
SLICES = 256
"""Transactions in which the newer ones move."""

_SORTED = """
insert or ignore into {0}.lookup select hash + 4294967296, ref from {0}.recent order by hash, ref
"""
_UP = """
insert or ignore into {0}.lookup select hash - 4294967296, ref from {0}.lookup
where hash between ? and ? order by hash, ref
"""


def gather(db: sqlite3.Connection, schema: str = "main") -> int:
    """Move all of `recent` to the newer ones; returns how many keys these were."""
    moved = db.execute(_SORTED.format(schema)).rowcount
    db.execute(f"delete from {schema}.recent")  # noqa: S608
    return moved


def rise(number: int, db: sqlite3.Connection, schema: str = "main") -> None:
    """Move one of the `SLICES` of the newer keys to the old ones."""
    size = NEWER // SLICES
    low = NEWER + number * size
    high = low + size - 1
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
