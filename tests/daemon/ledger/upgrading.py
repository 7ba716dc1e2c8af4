"""Processes that are killed while they bring a ledger forward; `test_migrations` looks at the disk.

`python -m tests.daemon.ledger.upgrading DIR TICKS`: forks a child for each moment, which is killed
with SIGKILL after so many steps of SQLite's machine; prints lines `state …` for each.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from daemon.ledger import files
from daemon.ledger.migrations import STEPS, VERSION, Step, migrate

NEXT = Step(
    VERSION + 1,
    "a table, an index and every row anew",
    everywhere="create table extra (a integer) strict; update job set topic = topic || '.new';",
    ledger='create index message_to on message ("to"); insert into extra select seq from job;',
    rewrites=1.0,
)
MANY = 300
AFTER = Step(
    VERSION + 2,
    "one that takes as long",
    ledger=f"with recursive n (a) as (select 1 union all select a + 1 from n where a < {MANY})"
    " insert into extra select a from n;",
)


def killer(ticks: int) -> Callable[[], int]:
    left = ticks

    def tick() -> int:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    return tick


class Watched(sqlite3.Connection):
    """Dies after so many steps of the machine, whatever handler is asked for."""

    ticks = 0
    tick: Callable[[], int] | None = None

    def set_progress_handler(self, handler: object, n: int) -> None:
        """Of the connection, over all transactions."""
        if self.tick is None:
            self.tick = killer(self.ticks)
        super().set_progress_handler(self.tick, 1)


def upgraded(ledger: Path, ticks: int) -> bool:
    """Whether a child that dies after `ticks` came to the end."""
    child = os.fork()
    if child == 0:
        db = sqlite3.connect(ledger, isolation_level=None, factory=Watched)
        db.ticks = ticks
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = off")  # the machine goes on when we are killed
        migrate(db, ledger, ledger=True, steps=(*STEPS, NEXT, AFTER))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def state(ledger: Path) -> tuple[int, int, int, int]:
    """Version, rows of before, rows anew, rows of the new table: as whoever opens it next sees."""
    db = sqlite3.connect(ledger)
    (version,) = db.execute("pragma user_version").fetchone()
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    old, new = db.execute(
        "select count(*) filter (where topic not like '%.new'),"
        " count(*) filter (where topic like '%.new') from job"
    ).fetchone()
    there = db.execute("select count(*) from sqlite_schema where name = 'extra'").fetchone()[0]
    extra = db.execute("select count(*) from extra").fetchone()[0] if there else -1
    db.close()
    return version, old, new, extra


def main(directory: Path, most: int) -> None:
    pristine = directory / "pristine"
    ticks = 0
    while ticks <= most:
        work = directory / f"at-{ticks}"
        shutil.copytree(pristine, work)
        ledger = work / files.LEDGER
        ended = upgraded(ledger, ticks)
        print("state", *state(ledger), flush=True)
        if ended:
            break
        assert upgraded(ledger, 1 << 40), "the next start goes on"
        print("state", *state(ledger), flush=True)
        shutil.rmtree(work)
        ticks += max(1, ticks // 3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
