"""One topic as a directory of segment files, and who appends to them.

A segment is named after the offset of its first record.  Only the last one grows.  Any
process may append: it holds the lock file for as long as the write takes, and first looks
at what others have written since.  Whoever has the lock is the only writer, so a frame that
is not whole then was left by one that died, and is cut off.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..base import BrokerError
from .frames import BODY, HEAD, scan

ROLL_BYTES = 16 << 20
ROLL_AFTER = 86400.0
SUFFIX = ".log"
NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


def topic_directory(root: Path, topic: str) -> Path:
    """Raises BrokerError for a name that Kafka would not take either."""
    if not NAME.fullmatch(topic) or topic in (".", ".."):
        raise BrokerError(
            f"topic {topic!r}: letters, digits, dot, underscore and hyphen are allowed, 1 to 200"
        )
    return root / topic


def bases(directory: Path) -> list[int]:
    """The first offsets of all segments, in order; empty when there is no directory."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(int(name[: -len(SUFFIX)]) for name in names if name.endswith(SUFFIX))


def segment(directory: Path, base: int) -> str:
    return f"{directory}/{base:020d}{SUFFIX}"


def sync_directory(directory: Path) -> None:
    """Make new names in it durable."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Appender:
    """Writes to one topic.  Blocking, and for one thread at a time."""

    def __init__(
        self,
        directory: Path,
        *,
        roll_bytes: int = ROLL_BYTES,
        roll_after: float = ROLL_AFTER,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._roll_bytes = roll_bytes
        self._roll_after = roll_after
        self._clock = clock
        self._fd = -1
        self._base = self._count = self._size = 0
        self._born: float | None = None  # when the segment's first record was written
        made = not directory.is_dir()
        directory.mkdir(mode=0o770, parents=True, exist_ok=True)
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            if made:
                sync_directory(directory.parent)
            with self._locked():
                self._open(max(bases(directory), default=0))
                self._catch_up()
        except BaseException:
            self.close()
            raise

    @property
    def end(self) -> int:
        """The offset of the next record, as far as this process has seen."""
        return self._base + self._count

    def look(self) -> int:
        """`end`, as it is now."""
        with self._locked():
            self._catch_up()
        return self.end

    def append(self, data: bytes, count: int) -> None:
        """Write `count` frames; `sync` makes them durable.  Raises OSError, nothing written."""
        with self._locked():
            self._catch_up()
            if self._size and (
                self._size + len(data) > self._roll_bytes or self._age() >= self._roll_after
            ):
                self._roll()
            at = self._size
            try:
                view = memoryview(data)
                while view:
                    written = os.pwrite(self._fd, view, at)
                    view = view[written:]
                    at += written
            except OSError:
                os.ftruncate(self._fd, self._size)
                raise
            self._size = at
            self._count += count

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def drop_older(self, retain: float) -> int:
        """Remove the segments to which nothing was added for `retain` seconds; how many."""
        limit = self._clock() - retain
        with self._locked():
            self._catch_up()
            if self._size and os.fstat(self._fd).st_mtime < limit:
                self._roll()
            dropped = 0
            for base in bases(self._directory)[:-1]:
                name = segment(self._directory, base)
                if os.stat(name).st_mtime >= limit:
                    break
                os.unlink(name)
                dropped += 1
            return dropped

    def close(self) -> None:
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _age(self) -> float:
        if self._born is None:
            head = os.pread(self._fd, HEAD.size + BODY.size, 0)
            self._born = float(BODY.unpack_from(head, HEAD.size)[0])
        return self._clock() - self._born

    def _catch_up(self) -> None:
        """See what other processes have appended, and cut off what one of them left half."""
        while True:
            stat = os.fstat(self._fd)
            if not stat.st_nlink:  # read, or too old, and removed; so there is a later one
                self._open(max(bases(self._directory), default=self.end))
                continue
            if stat.st_size != self._size:
                start = self._size if stat.st_size > self._size else 0
                if not start:
                    self._count = 0
                self._size, more = scan(self._fd, start, stat.st_size)
                self._count += more
            if self._count and os.path.exists(segment(self._directory, self.end)):
                self._open(self.end)
                continue
            if self._size < stat.st_size:
                os.ftruncate(self._fd, self._size)
                os.fdatasync(self._fd)
            return

    def _roll(self) -> None:
        # What is in a closed segment is whole and durable: readers rely on it.
        os.fdatasync(self._fd)
        self._open(self.end)

    def _open(self, base: int) -> None:
        name = segment(self._directory, base)
        made = not os.path.exists(name)
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._base, self._count, self._size, self._born = fd, base, 0, 0, None
        if made:
            sync_directory(self._directory)


def end(directory: Path) -> int:
    """The offset of the next record, without the lock: a write under way may not count."""
    have = bases(directory)
    if not have:
        return 0
    fd = os.open(segment(directory, have[-1]), os.O_RDONLY | os.O_CLOEXEC)
    try:
        return have[-1] + scan(fd, 0, os.fstat(fd).st_size)[1]
    finally:
        os.close(fd)
