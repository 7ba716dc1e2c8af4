"""Brings a file that an older version wrote to today's schema, in small steps.

A step is one transaction that ends with the file's new version: killed at any moment, the file has
either all of it or nothing, and the next start goes on from there.  The ledger is brought forward
when it is opened for work; an archive file when something is written to it next, and until then it
is read as it is.  So what reads archives has to understand every version that `retain` may have
left, and `tests/daemon/ledger/golden` has a ledger and an archive of each.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from daemon.ledger.errors import LedgerError, explain
from daemon.logger import log

MARGIN = 16 << 20
"""Octets that have to be free whatever a step writes."""
SAY_EVERY = 10.0
"""Seconds after which a step that goes on says so."""
_LOOK_EVERY = 1_000_000
"""Steps of SQLite's machine between two looks at the clock."""


class Step(NamedTuple):
    """From schema `to` - 1 to `to`."""

    to: int
    name: str
    """What it does, for the log."""
    everywhere: str = ""
    """SQL for the ledger and for archives, each statement with its semicolon."""
    ledger: str = ""
    """SQL for the ledger alone, after that."""
    rewrites: float = 0.0
    """The share of the file that is written anew: so much has to be free twice, in the log and in
    the file."""


STEPS = (
    Step(2, "newer keys stand behind the others in `lookup`: the tables are the same"),
    Step(
        3,
        "first rows of messages gather in `fresh`",
        ledger="create table fresh"
        " (first integer primary key, changed integer not null, rows blob not null) strict;",
    ),
    Step(
        4,
        "keys gather in octets and move over in runs, and a list's id is one row",
        ledger="create table gathered"
        " (n integer primary key, hashes blob not null, refs blob not null) strict;"
        " create table run"
        " (n integer primary key, hashes blob not null, refs blob not null) strict;",
    ),
    Step(5, "events in the outbox are compressed: the tables are the same"),
    Step(
        6,
        "first and later rows of young messages gather in `young`",
        ledger="create table young (n integer primary key, lowest integer not null,"
        " highest integer not null, changed integer not null, rows blob not null) strict;"
        " insert into young select row_number() over (order by first), first,"
        " 9223372036854775807, changed, rows from fresh;"
        " drop table fresh;",
    ),
)
VERSION = STEPS[-1].to
"""The schema of this version, in `pragma user_version`."""


def migrate(
    db: sqlite3.Connection,
    path: Path,
    *,
    ledger: bool,
    steps: Sequence[Step] = STEPS,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Take the steps that the file at `path` has not seen; `ledger` says that it is no archive.

    Raises LedgerError before a step when the disk has no room for it, and sqlite3.Error; the file
    is then at the version that it had before that step.
    """
    found: int = db.execute("pragma user_version").fetchone()[0]
    for step in steps:
        if step.to > found:
            _take(db, path, step, step.everywhere + step.ledger * ledger, clock)


def _take(
    db: sqlite3.Connection, path: Path, step: Step, sql: str, clock: Callable[[], float]
) -> None:
    size = path.stat().st_size
    needed = int(2 * step.rewrites * size) + MARGIN
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise LedgerError(
            f"{path}: schema {step.to} ({step.name}) needs {needed} octets free on its disk, there"
            f" are {free}: nothing was changed; make room, then start again"
        )
    said = log.bind(path=str(path), schema=step.to, step=step.name)
    said.info("bringing the schema forward", octets=size)
    began = last = clock()

    def going_on() -> int:
        nonlocal last
        if clock() - last >= SAY_EVERY:
            last = clock()
            wal = path.with_name(path.name + "-wal")
            written = wal.stat().st_size if wal.exists() else 0
            said.info("schema goes on", seconds=round(last - began), written=written)
        return 0

    db.set_progress_handler(going_on, _LOOK_EVERY)
    try:
        db.executescript(f"begin immediate; {sql} pragma user_version = {step.to}; commit;")
    except sqlite3.Error as exc:
        if db.in_transaction:
            db.execute("rollback")
        raise explain(exc, path) from exc
    finally:
        db.set_progress_handler(None, 0)
    said.info("schema is there", seconds=round(clock() - began, 1))
