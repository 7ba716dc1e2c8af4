"""Whether a backup is what was written, and whether it can be worked with; writes nothing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from daemon.backup import manifest
from daemon.backup.copying import counts
from daemon.backup.errors import BackupError
from daemon.backup.manifest import Entry, Manifest
from daemon.broker.local.frames import scan
from daemon.ledger import History, LedgerError, files
from daemon.recall import revive_all

SUFFIX = ".sqlite"


def check(
    where: Path, *, deep: bool = True, say: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Raises BackupError with a line for each thing that is wrong.

    Every file is there and has its digest, its rows and SQLite's blessing, and nothing else is
    there.  With `deep`, indexes are held against their tables, and the first and the last job of
    each file is traced by every way to ask.  `say` is told of each file.
    """
    found = manifest.read(where)
    faults = [f"{where}: {fault}" for fault in _strays(where, found)]
    for entry in found.entries:
        wrong = list(_file(where, entry, deep))
        faults += [f"{where / entry.path}: {fault}" for fault in wrong]
        if not wrong:
            say(f"{entry.path}: sound")
    if not any(entry.path == files.LEDGER for entry in found.entries):
        faults.append(f"{where}: has no {files.LEDGER}")
    if deep and not faults:
        faults += list(_traces(where, found, say))
    if faults:
        raise BackupError("\n".join(faults))
    return found


def _strays(where: Path, found: Manifest) -> Iterator[str]:
    known = {entry.path for entry in found.entries} | {manifest.FILE}
    for path in sorted(where.rglob("*")):
        name = path.relative_to(where).as_posix()
        if not path.is_dir() and name not in known:
            yield f"{name} is not in the manifest"


def _file(where: Path, entry: Entry, deep: bool) -> Iterator[str]:
    path = where / entry.path
    try:
        octets = path.stat().st_size
        if octets != entry.octets:
            yield f"has {octets} octets, written were {entry.octets}"
        elif manifest.sha256(path) != entry.sha256:
            yield "is not what was written: its digest differs"
        elif path.suffix == SUFFIX:
            yield from _database(path, entry, deep)
        elif "record" in entry.rows:
            yield from _segment(path, entry)
    except OSError as exc:
        yield f"cannot be read: {exc.strerror}"


def _database(path: Path, entry: Entry, deep: bool) -> Iterator[str]:
    try:
        with closing(files.connect(path, immutable=True)) as db:
            pragma = "integrity_check" if deep else "quick_check"
            for (said,) in db.execute(f"pragma {pragma}(5)"):
                if said != "ok":
                    yield f"is damaged: {said}"
            there = counts(db)
            if there != entry.rows:
                yield f"has rows {there}, written were {entry.rows}"
    except (LedgerError, sqlite3.Error) as exc:
        yield str(exc).removeprefix(f"{path}: ")


def _segment(path: Path, entry: Entry) -> Iterator[str]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole, records = scan(fd, 0, entry.octets)
    finally:
        os.close(fd)
    if (whole, records) != (entry.octets, entry.rows["record"]):
        yield f"has {records} whole records, written were {entry.rows['record']}"


def _traces(where: Path, found: Manifest, say: Callable[[str], None]) -> Iterator[str]:
    """The first and the last job of each file, by each way to ask, as `carrierd trace` does."""
    try:
        with History.open(where, immutable=True) as history:
            for entry in found.entries:
                if not entry.path.endswith(SUFFIX):
                    continue
                for job_id in _ends(where / entry.path):
                    missing = _untraced(history, job_id)
                    if missing:
                        yield f"{where / entry.path}: a job cannot be traced by {missing}"
                    else:
                        say(f"{entry.path}: a job was traced")
    except LedgerError as exc:
        yield str(exc)
    except (msgspec.MsgspecError, ValueError, TypeError) as exc:
        yield f"{where}: a message cannot be read: {exc}"


def _ends(path: Path) -> list[str]:
    """The first and the last job that has a message there."""
    sql = (
        "select id from job j where exists (select 1 from message m"
        " where m.mid between j.seq << 10 and j.seq << 10 | 1023) order by seq {} limit 1"
    )
    with closing(files.connect(path, immutable=True)) as db:
        rows = [db.execute(sql.format(way)).fetchone() for way in ("asc", "desc")]
    return sorted({row[0] for row in rows if row is not None})


def _untraced(history: History, job_id: str) -> str | None:
    found = history.by_job(job_id)
    if not found:
        return "its id"
    message = revive_all(found)[-1]
    if message.mid not in {row.mid for _, row in history.by_message(message.id)}:
        return "a message's id"
    if message.mid not in {row.mid for _, row in history.by_to(message.to)}:
        return "a number"
    keys = [(message.account, key) for part in message.parts for key in part.carrier_ids]
    if keys and message.mid not in {row.mid for _, row in history.by_carrier_id(keys)}:
        return "a carrier's id"
    return None
