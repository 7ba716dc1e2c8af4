"""What goes wrong with the files of the ledger, as a sentence for the operator."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_ADVICE = {
    "SQLITE_FULL": "the disk (or its quota) is full: free space, then start again",
    "SQLITE_READONLY": "it cannot be written: check its owner, its mode and the mount",
    "SQLITE_CORRUPT": "it is damaged: keep a copy, then restore it or move it away",
    "SQLITE_NOTADB": "it is not an SQLite file: move it away or correct state_dir",
    "SQLITE_CANTOPEN": "it cannot be opened: check that the directory exists and who owns it",
    "SQLITE_PERM": "permission denied: check its owner and its mode",
    "SQLITE_IOERR": "reading or writing failed: check the disk and the kernel's log",
    "SQLITE_BUSY": "another program holds it locked: close what else writes to it",
}


class LedgerError(Exception):
    """The ledger cannot be opened, read or written; the daemon must not go on without it."""


def explain(exc: sqlite3.Error, path: Path) -> LedgerError:
    """`exc`, which happened on `path`, with what to do about it."""
    name = getattr(exc, "sqlite_errorname", "") or ""
    for prefix, advice in _ADVICE.items():
        if name.startswith(prefix):
            return LedgerError(f"{path}: {advice} ({name}: {exc})")
    return LedgerError(f"{path}: {exc}" + (f" ({name})" if name else ""))
