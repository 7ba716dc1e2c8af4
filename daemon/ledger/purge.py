"""Deletes the keys of rows that were archived from the ledger's `lookup`.

A key lies in a page with some two hundred others, of all ages.  Deleted with its row it costs that
page in the log; left until every eighth key is dead, and then taken in the order of the table,
a page serves a few dozen.
"""

from __future__ import annotations

import sqlite3

from daemon.ledger.statement import Bulk, fetch

AT_LEAST = 20_000
"""Fewer dead keys than this are not worth a pass."""
PASS_ROWS = 5_000
"""So many keys are looked at for each transaction that deletes the dead ones."""
FIRST = (-1, -1)
NO_JOB = 1 << 53
"""A seq behind all jobs."""

_LAST = (1 << 32, 0)
_DEAD_KEYS = Bulk("delete from lookup where (hash, ref) in (", 2, ")")
_COUNT = """
insert into counter values ('dead_keys', ?)
on conflict (name) do update set value = value + excluded.value
"""


def count(db: sqlite3.Connection, keys: int) -> None:
    """Remember that the rows of so many keys went away."""
    db.execute(_COUNT, (keys,))


def needed(db: sqlite3.Connection) -> bool:
    dead, keys = db.execute(
        "select (select coalesce(max(value), 0) from counter where name = 'dead_keys'),"
        " (select count(*) from lookup)"
    ).fetchone()
    return bool(dead >= AT_LEAST and dead >= keys // 8)


def dead_keys(
    db: sqlite3.Connection, after: tuple[int, int], floor: int
) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
    """Where to go on (None: nowhere) and the dead ones among the next keys behind `after`.

    Keys of jobs from `floor` on are not dead: their ids are to be remembered.
    """
    db.execute("begin")
    try:
        last = db.execute(
            "select hash, ref from lookup where (hash, ref) > (?, ?)"
            " order by hash, ref limit 1 offset ?",
            (*after, PASS_ROWS),
        ).fetchone()
        rest = (
            "from lookup where (hash, ref) > (?, ?) and (hash, ref) <= (?, ?)"
            " and (ref & 1023 <> 1023 or ref >> 10 < ?)"
            " and not exists (select 1 from job where seq = ref >> 10)"
        )
        keys = fetch(db, "hash, ref", rest, (*after, *(last or _LAST), floor))
    finally:
        db.execute("commit")
    return last, [(found, ref) for found, ref in keys]


def delete(keys: list[tuple[int, int]], done: bool, db: sqlite3.Connection) -> None:
    """Delete `keys`; with `done`, start counting anew."""
    _DEAD_KEYS.run(db, keys)
    if done:
        db.execute("delete from counter where name = 'dead_keys'")
