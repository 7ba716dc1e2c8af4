"""Deletes the keys of rows that were archived from the ledger's `lookup`.

A key lies in a page with some two hundred others, of all ages.  Deleted with its row it costs that
page in the log; left until every eighth key is dead, and then taken in the order of the table,
a page serves a few dozen.
"""

from __future__ import annotations

import sqlite3

from daemon.ledger.keys import END

AT_LEAST = 20_000
"""Fewer dead keys than this are not worth a pass."""
PASS_ROWS = 3_000
"""So many keys are looked at in one transaction: some 5 ms that a commit may have to wait."""
FIRST = (-1, -1)
NO_JOB = 1 << 53
"""A seq behind all jobs."""

_LAST = (END, 0)
_AHEAD = """
select hash, ref from lookup where (hash, ref) > (?, ?) order by hash, ref limit 1 offset ?
"""
_DELETE = """
delete from lookup where (hash, ref) > (?, ?) and (hash, ref) <= (?, ?)
and (ref & 1023 <> 1023 or ref >> 10 < ?)
and not exists (select 1 from job where seq = ref >> 10)
"""
_COUNT = """
insert into counter values ('dead_keys', ?)
on conflict (name) do update set value = value + excluded.value
"""


def count(db: sqlite3.Connection, keys: int) -> None:
    """Remember that the rows of so many keys went away."""
    db.execute(_COUNT, (keys,))


def dead(db: sqlite3.Connection) -> int:
    """How many keys of rows that went away may be left."""
    sql = "select coalesce(max(value), 0) from counter where name = 'dead_keys'"
    return int(db.execute(sql).fetchone()[0])


def needed(db: sqlite3.Connection, coming: int) -> bool:
    """Whether every eighth key in `lookup` is dead; of `coming`, which are not there yet, all are
    taken to be.
    """
    there = dead(db) - coming
    if there < AT_LEAST:
        return False
    # Counting reads all there is: no more than the answer needs.
    sql = "select count(*) from (select 1 from lookup limit ?)"
    return bool(db.execute(sql, (8 * there + 8,)).fetchone()[0] // 8 <= there)


def delete_dead(
    after: tuple[int, int], floor: int, coming: int, db: sqlite3.Connection
) -> tuple[int, int] | None:
    """Delete the dead ones among the next keys behind `after`; where to go on, None: nowhere.

    Keys of jobs from `floor` on are not dead: their ids are to be remembered.  Dead ones among
    `coming` stay counted.
    """
    last: tuple[int, int] | None = db.execute(_AHEAD, (*after, PASS_ROWS)).fetchone()
    db.execute(_DELETE, (*after, *(last or _LAST), floor))
    if last is None:
        sql = "update counter set value = min(value, ?) where name = 'dead_keys'"
        db.execute(sql, (coming,))
    return last
