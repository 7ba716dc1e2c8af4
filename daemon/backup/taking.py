"""Makes a backup beside the running daemon.

Each backup is a directory of its own and whole by itself; archives and segments that did not change
since the one before are hard links to its files.  It has its name only once all of it is on disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec

from daemon.backup import copying, manifest
from daemon.backup.copying import Pace
from daemon.backup.errors import BackupError
from daemon.backup.manifest import Entry, Manifest
from daemon.broker.local.segments import bases, segment, sync_directory
from daemon.broker.local.source import POSITIONS
from daemon.config import Config
from daemon.ledger import LedgerError, files
from daemon.ledger.errors import explain

BROKER = "broker"
PART = ".part-"
LOCK = ".lock"
SPARE = 64 << 20
"""Octets that stay free on the backup's disk."""

Seen = tuple[int, int, int]


class Taken(NamedTuple):
    """What was made."""

    path: Path
    manifest: Manifest
    copied: int
    """Octets; the others are linked."""
    seconds: float
    removed: list[Path]
    """Older backups that made room."""


def take(
    config: Config,
    into: Path,
    *,
    rate: float = 0.0,
    keep: int = 0,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Taken:
    """A backup in `into`, at most `rate` octets a second; raises BackupError and LedgerError.

    Of more than `keep` backups the oldest are removed; 0 keeps all.  `say` is told of each file.
    """
    began = time.monotonic()
    state_dir = config.daemon.state_dir
    if not (state_dir / files.LEDGER).exists():
        raise BackupError(f"{state_dir}: has no {files.LEDGER}: there is nothing to back up")
    if into.resolve().is_relative_to(state_dir.resolve()):
        raise BackupError(f"{into}: is inside state_dir, and would be lost with it: take another")
    try:
        with _alone(into):
            before = _last(into)
            stamp = datetime.fromtimestamp(clock(), UTC).strftime("%Y%m%dT%H%M%SZ")
            part = into / f"{PART}{stamp}"
            part.mkdir(mode=0o700)
            job = _Job(config, part, before, Pace(rate), say)
            try:
                made = job.run(clock)
                path = _named(part, into, stamp)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            removed = manifest.backups(into)[:-keep] if keep else []
            for old in removed:
                # Under that name it is none any more, wherever the rest is interrupted.
                shutil.rmtree(old.rename(into / f"{PART}{old.name}"))
    except sqlite3.Error as exc:
        raise explain(exc, into) from exc
    except OSError as exc:
        where = exc.filename or into
        raise BackupError(f"{where}: {exc.strerror}; no backup was made") from exc
    return Taken(path, made, job.pace.octets, time.monotonic() - began, removed)


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    """One at a time; what one that was killed has left goes."""
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(into / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"{into}: another backup is being made there") from None
        for left in into.glob(f"{PART}*"):
            shutil.rmtree(left)
        yield
    finally:
        os.close(held)


def _last(into: Path) -> tuple[Path, dict[str, Entry]]:
    """The backup before and what is in it; one that cannot be read is no help."""
    for path in reversed(manifest.backups(into)):
        try:
            return path, {entry.path: entry for entry in manifest.read(path).entries}
        except BackupError:
            continue
    return into, {}


def _named(part: Path, into: Path, stamp: str) -> Path:
    """Gives a finished backup its name, durably: one behind all others, whatever the clock says."""
    for directory in (part, *(path for path in part.rglob("*") if path.is_dir())):
        sync_directory(directory)
    last = max((path.name for path in manifest.backups(into)), default="")
    name, number = max(stamp, last[: len(stamp)]), 1
    while (path := into / (name if number == 1 else f"{name}-{number:03d}")).exists():
        number += 1
    part.rename(path)
    sync_directory(into)
    return path


class _Job:
    """One backup while it is made, in `part`."""

    def __init__(
        self,
        config: Config,
        part: Path,
        before: tuple[Path, dict[str, Entry]],
        pace: Pace,
        say: Callable[[str], None],
    ) -> None:
        self._config = config
        self._state_dir = config.daemon.state_dir
        self._part = part
        self._previous, self._before = before
        self.pace = pace
        self._say = say
        self._entries: list[Entry] = []

    def run(self, clock: Callable[[], float]) -> Manifest:
        """The order is what makes the copies one whole: see README.md."""
        local = self._config.broker.kind == "local"
        jobs = self._config.broker.topics.jobs if local else ()
        self._room()
        positions = self._positions() if local else {}
        ends = {topic: self._topic(topic) for topic in jobs}
        made = clock()
        self._database(self._state_dir / files.LEDGER)
        for path in files.archives(self._state_dir):
            self._archive(path)
        if local:
            for directory in sorted((self._state_dir / BROKER).glob("*/")):
                if directory.name not in jobs:
                    self._topic(directory.name)
        with closing(files.connect(self._part / files.LEDGER, immutable=True)) as db:
            sql = "select count(*) from message where final = 0"
            unfinished: int = db.execute(sql).fetchone()[0]
            schema: int = db.execute("pragma user_version").fetchone()[0]
            untaken = sum(
                max(0, end - max(positions.get(topic, 0), _taken(db, topic)))
                for topic, end in ends.items()
            )
        result = Manifest(
            format=manifest.FORMAT,
            made=made,
            instance=self._config.daemon.name,
            version=version("carrierd"),
            schema=schema,
            broker=self._config.broker.kind,
            unfinished=unfinished,
            untaken=untaken,
            entries=tuple(self._entries),
        )
        manifest.write(result, self._part)
        _sync(self._part / manifest.FILE)
        return result

    def _room(self) -> None:
        """Whether what is to be copied fits; what can be linked needs nothing."""
        wal = self._state_dir / f"{files.LEDGER}-wal"
        # Twice, see `copying.ledger`.
        needed = 2 * (self._state_dir / files.LEDGER).stat().st_size
        needed += wal.stat().st_size if wal.exists() else 0
        broker = self._state_dir / BROKER
        paths = [*files.archives(self._state_dir), *broker.glob("*/*.log")]
        needed += sum(
            path.stat().st_size for path in paths if self._unchanged(path, _seen(path)) is None
        )
        free = shutil.disk_usage(self._part).free
        if free < needed + SPARE:
            raise BackupError(
                f"{self._part.parent}: needs {needed + SPARE} octets free for this backup, there"
                f" are {free}; remove older ones, or see --keep"
            )

    def _positions(self) -> dict[str, int]:
        source = self._state_dir / BROKER / POSITIONS
        if not source.exists():
            return {}
        target = self._target(f"{BROKER}/{POSITIONS}")
        copying.plain(source, target, self.pace)
        self._add(target)
        return msgspec.json.decode(target.read_bytes(), type=dict[str, int])

    def _topic(self, topic: str) -> int:
        """Copies a topic; the offset behind its last record."""
        directory = self._state_dir / BROKER / topic
        end = 0
        have = bases(directory)
        for base in have:
            source = Path(segment(directory, base))
            closed = base != have[-1]
            name = f"{BROKER}/{topic}/{source.name}"
            seen = _seen(source) if closed else None
            linked = self._link(source, name, seen)
            if linked is None:
                target = self._target(name)
                try:
                    records = copying.segment(source, target, self.pace)
                except FileNotFoundError:
                    target.unlink(missing_ok=True)
                    continue  # it was read to its end and removed meanwhile
                linked = self._add(target, {"record": records}, seen)
            end = base + linked.rows["record"]
        return end

    def _archive(self, path: Path) -> None:
        name = f"{files.ARCHIVE}/{path.name}"
        seen = _seen(path)
        if self._link(path, name, seen) is None:
            target = self._target(name)
            try:
                rows = copying.database(path, target, self.pace)
            except LedgerError:
                if path.exists():
                    raise
                target.unlink(missing_ok=True)
                return  # it was dropped meanwhile, being too old
            # What was written to it while it was copied is of the next backup.
            self._add(target, rows, seen if seen == _seen(path) else None)

    def _database(self, path: Path) -> None:
        target = self._target(path.name)
        self._add(target, copying.ledger(path, target, self.pace))

    def _target(self, name: str) -> Path:
        target = self._part / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return target

    def _add(
        self, target: Path, rows: dict[str, int] | None = None, seen: Seen | None = None
    ) -> Entry:
        entry = Entry(
            path=target.relative_to(self._part).as_posix(),
            octets=target.stat().st_size,
            sha256=manifest.sha256(target),
            rows=rows or {},
            source=seen,
        )
        self._entries.append(entry)
        self._say(f"{entry.path}: copied, {entry.octets} octets")
        return entry

    def _unchanged(self, source: Path, seen: Seen | None) -> Entry | None:
        """What the backup before has of it, if that is still all there is."""
        entry = self._before.get(source.relative_to(self._state_dir).as_posix())
        return entry if entry is not None and seen is not None and entry.source == seen else None

    def _link(self, source: Path, name: str, seen: Seen | None) -> Entry | None:
        entry = self._unchanged(source, seen)
        if entry is None:
            return None
        old = self._previous / name
        try:
            if old.stat().st_size != entry.octets:
                return None
            os.link(old, self._target(name))
        except OSError:
            return None  # removed, or on a file system without hard links: then it is copied
        self._entries.append(entry)
        self._say(f"{entry.path}: unchanged, linked")
        return entry


def _taken(db: sqlite3.Connection, topic: str) -> int:
    """The offset behind the last job that this ledger has of the topic: they come in order."""
    sql = 'select coalesce(max("offset"), -1) + 1 from job where topic = ?'
    found: int = db.execute(sql, (topic,)).fetchone()[0]
    return found


def _seen(path: Path) -> Seen | None:
    """What tells that a file did not change; None while it has a log that is not folded in."""
    wal = path.with_name(path.name + "-wal")
    try:
        if wal.exists() and wal.stat().st_size:
            return None
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(fd, 0o600)
        os.fsync(fd)
    finally:
        os.close(fd)
