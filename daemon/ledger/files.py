"""Where the ledger's files are, how they are opened, and who may hold them."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import stat
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from daemon.ledger.errors import LedgerError, explain
from daemon.ledger.migrations import VERSION as VERSION
from daemon.ledger.migrations import migrate
from daemon.logger import log

LEDGER = "ledger.sqlite"
LOCK = "ledger.lock"
ARCHIVE = "archive"
RESTORING = ".restoring"
"""The directory within `state_dir` that a restore fills: as long as it is there, it did not end."""
_PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])(-[0-3][0-9])?")
BUSY_SECONDS = 10.0
"""How long a lock held by another program (a backup, the sqlite3 shell) is waited for."""


def connect(
    path: Path, *, readonly: bool = False, immutable: bool = False, cache_kb: int = 2000
) -> sqlite3.Connection:
    """A connection to an existing file, in autocommit; raises LedgerError.

    `immutable`: nobody writes to the file, as in a backup; then not even a lock is taken on it.
    """
    mode = "ro&immutable=1" if immutable else "ro" if readonly else "rw"
    try:
        db = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
    except sqlite3.Error as exc:
        raise explain(exc, path) from exc
    try:
        db.execute(f"pragma cache_size = -{cache_kb}")
        # Distributions build SQLite to overwrite what is deleted with zeros: pages written twice.
        db.execute("pragma secure_delete = off")
        # What a statement may have to undo, and what it sorts: a megabyte or two, which would else
        # be written to the system's own temporary directory, outside state_dir.
        db.execute("pragma temp_store = memory")
        db.execute("pragma synchronous = full")
        found: int = db.execute("pragma user_version").fetchone()[0]
    except sqlite3.Error as exc:
        db.close()
        raise explain(exc, path) from exc
    if found > VERSION:
        db.close()
        raise LedgerError(
            f"{path}: was written by a newer carrierd (schema {found}, this one knows up to"
            f" {VERSION}): run that version, or give this one a state_dir of its own"
        )
    return db


def create(path: Path, *scripts: str, cache_kb: int = 2000) -> sqlite3.Connection:
    """A connection for writing with full durability; the file is made if it is not there.

    `scripts` are the names of the SQL files that make its tables.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would take the mode from the umask; the log beside it gets the mode of the file.
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _close_to_others(made, path)
        finally:
            os.close(made)
    except OSError as exc:
        raise LedgerError(
            f"{path}: cannot be made: {exc.strerror}; state_dir must be a directory that the"
            " daemon's user may write"
        ) from exc
    db = connect(path, cache_kb=cache_kb)
    try:
        db.execute("pragma journal_mode = wal")
        found = db.execute("pragma user_version").fetchone()[0]
        if found:
            migrate(db, path, ledger=len(scripts) > 1)
        else:
            sql = "".join(
                resources.files(__package__).joinpath(name).read_text() for name in scripts
            )
            db.executescript(f"begin; {sql} pragma user_version = {VERSION}; commit;")
    except sqlite3.Error as exc:
        db.close()
        raise explain(exc, path) from exc
    except LedgerError:
        db.close()
        raise
    return db


def _close_to_others(what: int | Path, path: Path) -> None:
    """Texts and numbers are in here: nobody else reads them, whatever was there before."""
    mode = stat.S_IMODE(os.stat(what).st_mode)
    if mode & 0o077:
        os.chmod(what, mode & 0o700)
        log.warning("was open to others, closed", path=str(path), mode=f"{mode:04o}")


def archives(state_dir: Path) -> list[Path]:
    """The archive files, oldest first."""
    return sorted(
        path for path in (state_dir / ARCHIVE).glob("*.sqlite") if _PERIOD.fullmatch(path.stem)
    )


def lock(state_dir: Path, name: str = "") -> int:
    """Make this process the only one to write in `state_dir`, until the descriptor is closed.

    `name` is what others are told of it beside its pid.  The kernel lets go of the lock when the
    process ends, however it ends: what the file says then holds nobody up.
    """
    path = state_dir / LOCK
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _close_to_others(held, path)
        _close_to_others(state_dir, state_dir)
    except OSError as exc:
        raise LedgerError(
            f"{path}: cannot be made: {exc.strerror}; state_dir must be a directory that the"
            " daemon's user may write"
        ) from exc
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        pid, _, who = os.pread(held, 256, 0).decode(errors="replace").strip().partition(" ")
        os.close(held)
        holder = f"pid {pid or 'unknown'}" + (f", {who}" if who else "")
        raise LedgerError(
            f"{state_dir}: is in use by another carrierd ({holder}); stop it, or give this one"
            " a state_dir of its own"
        ) from exc
    os.ftruncate(held, 0)
    os.pwrite(held, f"{os.getpid()} {name}".encode().strip() + b"\n", 0)
    return held
