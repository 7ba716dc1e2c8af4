"""Puts a backup into an empty state directory: all of it, or nothing that a daemon would start on.

The files gather in `.restoring` within the state directory, which may be a mount of its own.  They
are renamed into place when all of them are durable, and last of all `.restoring` goes: until then
no daemon starts there, and another restore begins anew.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from daemon.backup import copying, doubt
from daemon.backup.checking import check
from daemon.backup.copying import Pace
from daemon.backup.doubt import Since
from daemon.backup.errors import BackupError
from daemon.backup.manifest import Manifest
from daemon.backup.taking import BROKER
from daemon.broker.local.segments import sync_directory
from daemon.config import Config
from daemon.control.place import NAME as CONTROL
from daemon.ledger import files

IGNORED = frozenset({files.LOCK, CONTROL, "lost+found"})
"""What an empty state directory may have."""
SPARE = 64 << 20


class Restored(NamedTuple):
    manifest: Manifest
    since: Since | None
    """None where the daemon has not run since the backup."""


def restore(
    config: Config,
    where: Path,
    *,
    moved: bool = False,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Restored:
    """Restore the backup at `where` into `daemon.state_dir`; raises BackupError and LedgerError.

    `moved`: the daemon has not run since the backup was made, so that nothing can have happened
    since (`doubt`).  `say` is told of each file.
    """
    found = check(where, deep=False)
    if found.broker != config.broker.kind:
        raise BackupError(
            f'{where}: was made with the broker "{found.broker}", the configuration says'
            f' "{config.broker.kind}": what waits there is not in this backup'
        )
    state_dir = config.daemon.state_dir
    held = files.lock(state_dir, "carrierd restore")
    try:
        _empty(state_dir)
        _room(state_dir, found)
        since = _gather(config, where, found, moved, say, clock)
        _place(state_dir)
    except OSError as exc:
        raise BackupError(
            f"{exc.filename or state_dir}: {exc.strerror}; nothing was restored, and nothing"
            " starts there: try again"
        ) from exc
    finally:
        os.close(held)
    return Restored(found, since)


def _empty(state_dir: Path) -> None:
    """Raises BackupError; what a restore has left that did not end goes."""
    unfinished = state_dir / files.RESTORING
    if unfinished.exists():
        for name in (files.LEDGER, f"{files.LEDGER}-wal", f"{files.LEDGER}-shm"):
            (state_dir / name).unlink(missing_ok=True)
        for name in (files.ARCHIVE, BROKER):
            shutil.rmtree(state_dir / name, ignore_errors=True)
    there = sorted({path.name for path in state_dir.iterdir()} - IGNORED - {files.RESTORING})
    if there:
        raise BackupError(
            f"{state_dir}: is not empty, it has {', '.join(there[:5])}: nothing was changed; move"
            " it away, or restore into another state_dir"
        )
    if unfinished.exists():
        shutil.rmtree(unfinished)


def _room(state_dir: Path, found: Manifest) -> None:
    needed = sum(entry.octets for entry in found.entries) + SPARE
    free = shutil.disk_usage(state_dir).free
    if free < needed:
        raise BackupError(f"{state_dir}: needs {needed} octets free, there are {free}")


def _gather(
    config: Config,
    where: Path,
    found: Manifest,
    moved: bool,
    say: Callable[[str], None],
    clock: Callable[[], float],
) -> Since | None:
    state_dir = config.daemon.state_dir
    part = state_dir / files.RESTORING
    part.mkdir(mode=0o700)
    sync_directory(state_dir)
    pace = Pace(0.0)
    for entry in found.entries:
        target = part / entry.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copying.plain(where / entry.path, target, pace)
        say(f"{entry.path}: restored, {entry.octets} octets")
    since = None
    if not moved:
        since = doubt.admit(part / files.LEDGER, config, found.made, clock())
    _give(state_dir, part)
    for directory in (part, *(path for path in part.rglob("*") if path.is_dir())):
        sync_directory(directory)
    return since


def _give(state_dir: Path, part: Path) -> None:
    """To the owner of the state directory: root may restore for the daemon's user."""
    if os.geteuid() == 0:
        owner = state_dir.stat()
        for path in (part, state_dir / files.LOCK, *part.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)


def _place(state_dir: Path) -> None:
    part = state_dir / files.RESTORING
    for path in sorted(part.iterdir()):
        path.rename(state_dir / path.name)
    sync_directory(state_dir)
    part.rmdir()
    sync_directory(state_dir)
