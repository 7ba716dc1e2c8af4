"""Reads one topic's directory from some offset on, while others append to it."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Executor
from pathlib import Path

from ..base import BrokerError, Record
from .frames import begins_whole, decode, read, read_cached, scan, skip
from .segments import bases, segment

FEW = 64 * 1024
"""Bytes that are copied on the loop; more are read by the thread."""


class Reader:
    """Reads ahead one chunk of the file, in a thread, and gives it out without waiting.

        if reader.ready():
            await reader.fill()
        reader.take(most, into)

    So whoever waits for several readers fills them all before it takes from any.
    """

    def __init__(self, directory: Path, topic: str, executor: Executor) -> None:
        self._directory = directory
        self._topic = topic
        self._executor = executor
        self._fd = -1
        self._base = 0
        self._at = 0  # byte in the file of the first record not taken
        self._data = b""  # read ahead; `_at` is its byte `_cursor`
        self._cursor = 0
        self._seen = (-1, -1)  # size and time of the file when it had nothing more
        self._filling: asyncio.Future[None] | None = None
        self.offset = 0  # of the next record to take

    def open(self, at: int) -> None:
        """Blocking.  The next record is number `at`; or the first kept, or the next written."""
        have = bases(self._directory)
        self.offset = at
        if not have:
            return
        base = max((base for base in have if base <= at), default=have[0])
        self._switch(base)
        if at > base:
            _, count = scan(self._fd, 0, os.fstat(self._fd).st_size)
            self.offset = base + min(count, at - base)
            self._at = skip(self._fd, self.offset - base)

    def ready(self) -> bool:
        """True when there may be something to `fill` with; two system calls."""
        if self._data:
            return False
        if self._filling is not None:
            return True
        if self._fd < 0:
            return bool(bases(self._directory))
        stat = os.fstat(self._fd)
        return (
            (stat.st_size, stat.st_mtime_ns) != self._seen or not stat.st_nlink or self._followed()
        )

    async def fill(self) -> None:
        """Read ahead.  Raises BrokerError for a damaged segment.  Cancelling loses nothing."""
        if self._filling is None and self._fill_now():
            return
        if self._filling is None:
            loop = asyncio.get_running_loop()
            self._filling = loop.run_in_executor(self._executor, self._refill)
        try:
            await asyncio.shield(self._filling)
        finally:
            if self._filling.done():
                self._filling = None

    def take(self, most: int, into: list[Record]) -> None:
        """Add up to `most` of what was read ahead."""
        if not self._data:
            return
        count, cursor = decode(self._data, self._cursor, most, self._topic, self.offset, into)
        self.offset += count
        self._at += cursor - self._cursor
        self._cursor = cursor
        if count < most:  # what is left is a frame cut by the chunk's end
            self._data, self._cursor = b"", 0

    def sync(self) -> None:
        """Make durable what was taken, whoever wrote it.  Closed segments are already."""
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _fill_now(self) -> bool:
        """What was written a moment ago is in memory still: no thread is worth waking for it."""
        if self._fd < 0:
            return False
        grown = os.fstat(self._fd).st_size - self._at
        if not 0 < grown <= FEW:
            return False
        data = read_cached(self._fd, self._at, grown)
        if not begins_whole(data):
            return False
        self._data, self._cursor = data, 0
        return True

    def _followed(self) -> bool:
        return self.offset > self._base and os.path.exists(segment(self._directory, self.offset))

    def _switch(self, base: int) -> None:
        fd = os.open(segment(self._directory, base), os.O_RDONLY | os.O_CLOEXEC)
        self.close()
        self._fd, self._base, self._at, self._seen = fd, base, 0, (-1, -1)
        self.offset = base

    def _refill(self) -> None:
        if self._fd < 0:
            have = bases(self._directory)
            if not have:
                return
            self._switch(have[0])
        while True:
            followed = self._followed()  # asked first: then the file has its last size
            stat = os.fstat(self._fd)
            data = read(self._fd, self._at, stat.st_size)
            if begins_whole(data):
                self._data, self._cursor = data, 0
                return
            if followed and self._at == stat.st_size:
                self._switch(self.offset)
                continue
            if not stat.st_nlink:
                later = [base for base in bases(self._directory) if base >= self.offset]
                if later:
                    self._switch(later[0])
                    continue
            elif self._at < stat.st_size and self._base != bases(self._directory)[-1]:
                name = segment(self._directory, self._base)
                raise BrokerError(
                    f"{name}: the record at byte {self._at} (offset {self.offset}) is damaged;"
                    " move the file away to go on behind it"
                )
            self._seen = (stat.st_size, stat.st_mtime_ns)
            return
