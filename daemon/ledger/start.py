"""What the daemon reads of its ledger at the start, on the writer's connection."""

from __future__ import annotations

import secrets
import sqlite3

from daemon.ledger.rows import Waiting


def last_seq(db: sqlite3.Connection) -> int:
    return max(
        one(db, "select coalesce(max(seq), 0) from job"),
        one(db, "select coalesce(max(value), 0) from counter where name = 'last_seq'"),
    )


def starts(db: sqlite3.Connection) -> int:
    sql = (
        "insert into counter values ('starts', 1)"
        " on conflict (name) do update set value = value + 1 returning value"
    )
    value: int = db.execute(sql).fetchall()[0][0]
    return value


def identity(db: sqlite3.Connection) -> int:
    sql = (
        "insert into counter values ('identity', ?)"
        " on conflict (name) do update set value = value returning value"
    )
    value: int = db.execute(sql, (secrets.randbits(62) | 1 << 61,)).fetchall()[0][0]
    return value


def claims(db: sqlite3.Connection) -> list[tuple[int, float, bytes]]:
    return db.execute("select id, at, mids from claim order by id").fetchall()


def kept(db: sqlite3.Connection, kind: str) -> list[tuple[bytes, float, bytes]]:
    sql = "select key, at, value from keep where kind = ? order by at, key"
    return db.execute(sql, (kind,)).fetchall()


def unfinished(db: sqlite3.Connection) -> list[Waiting]:
    sql = (
        "select route, lane, state, count(*), min(mid) from message where final = 0"
        " group by route, lane, state order by route, lane, state"
    )
    return [Waiting(*row) for row in db.execute(sql)]


def unfinished_in(db: sqlite3.Connection, state: int) -> list[int]:
    sql = "select mid from message where final = 0 and state = ? order by mid"
    return [mid for (mid,) in db.execute(sql, (state,))]


def one(db: sqlite3.Connection, sql: str) -> int:
    value: int = db.execute(sql).fetchone()[0]
    return value
