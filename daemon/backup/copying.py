"""Copies of files that others write to: whole, durable, for the owner alone, and not too fast."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from daemon.broker.local.frames import scan
from daemon.ledger import files, young
from daemon.ledger.errors import explain

PAGES = 256
"""Of 4 KB, copied in one step: then the disk is somebody else's."""
SYNC_OCTETS = 2 << 20
"""No more than this waits for the disk at once: a commit beside it waits behind that."""
TABLES = ("job", "message", "carrier_id")


class Pace:
    """At most `rate` octets a second over all that it is told of; 0 is as fast as it goes."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._began = time.monotonic()
        self.octets = 0

    def wait(self, octets: int) -> None:
        """So many more were copied."""
        self.octets += octets
        if self._rate:
            early = self._began + self.octets / self._rate - time.monotonic()
            if early > 0:
                time.sleep(early)


def ledger(source: Path, target: Path, pace: Pace) -> dict[str, int]:
    """As `database`, of the file that the daemon commits to.

    As long as it is read its log cannot start over, and the first commit after that has to fold in
    what gathered: half a second for 30 MB.  So it is read as fast as memory takes it, and goes to
    the disk from there.
    """
    hasty = target.with_name(f"{target.name}.hasty")
    rows = _snapshot(source, hasty)
    plain(hasty, target, pace)
    hasty.unlink()
    return rows


def database(source: Path, target: Path, pace: Pace) -> dict[str, int]:
    """The rows by table of what SQLite had committed when it began; raises LedgerError, OSError.

    One read transaction spans it all.  Without, SQLite would begin anew after every commit of
    another connection.
    """
    rows = _snapshot(source, target, pace)
    fd = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return rows


def _snapshot(source: Path, target: Path, pace: Pace | None = None) -> dict[str, int]:
    """Without `pace` at once, and not synced on the way; not durable yet either way."""
    made = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with (
            closing(files.connect(source, readonly=True)) as live,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            try:
                copy.execute("pragma synchronous = off")
                live.execute("begin")
                live.execute("select count(*) from sqlite_schema").fetchone()
                size: int = live.execute("pragma page_size").fetchone()[0]
                unsynced = 0

                def step(_status: int, _left: int, _all: int) -> None:
                    nonlocal unsynced
                    if pace is not None:
                        unsynced += PAGES * size
                        if unsynced >= SYNC_OCTETS:
                            os.fdatasync(made)
                            unsynced = 0
                        pace.wait(PAGES * size)

                live.backup(copy, pages=PAGES, progress=step)
                live.execute("commit")
                copy.execute("pragma journal_mode = delete")
                if young.there(copy):
                    # Who looks at a backup finds every message in its table.
                    copy.execute("begin")
                    young.settle(copy)
                    copy.execute("commit")
                return counts(copy)
            except sqlite3.Error as exc:
                # The source is only read.
                wrote = exc.sqlite_errorname.endswith(("FULL", "WRITE", "TRUNCATE", "FSYNC"))
                raise explain(exc, target if wrote else source) from exc
    finally:
        os.close(made)


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """Rows by table of a ledger or an archive."""
    return {
        table: db.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608
        for table in TABLES
    }


def plain(source: Path, target: Path, pace: Pace) -> None:
    """The octets as they are; raises OSError."""
    made = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with source.open("rb") as file:
            unsynced = 0
            while data := file.read(PAGES * 4096):
                os.write(made, data)
                unsynced += len(data)
                if unsynced >= SYNC_OCTETS:
                    os.fdatasync(made)
                    unsynced = 0
                pace.wait(len(data))
        os.fsync(made)
    finally:
        os.close(made)


def segment(source: Path, target: Path, pace: Pace) -> int:
    """A segment of the local broker up to its last whole record; how many records; OSError."""
    plain(source, target, pace)
    copy = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(copy).st_size
        whole, records = scan(copy, 0, size)
        if whole < size:
            os.ftruncate(copy, whole)
            os.fsync(copy)
    finally:
        os.close(copy)
    return records
