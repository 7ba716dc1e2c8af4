"""One topic of a directory from some place on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..base import BrokerError, Record
from .reader import Reader
from .segments import end, topic_directory

LOOK_EVERY = 0.005


class LocalTail:
    """See `daemon.broker.base.Tail`.  Only reads; a topic without a file yet is empty."""

    def __init__(self, root: Path, topic: str) -> None:
        self._root = root
        self._topic = topic
        self._executor = ThreadPoolExecutor(1, "local-tail")
        self._reader: Reader | None = None
        self._end = 0

    async def start(self, at: int | None = 0) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._reader = await loop.run_in_executor(self._executor, self._open, at)
        except OSError as exc:
            raise BrokerError(f"local broker in {self._root}: {exc}") from exc

    async def take(self, most: int, wait: float) -> list[Record]:
        reader = self._reader
        if reader is None:
            raise BrokerError(f"local broker in {self._root}: the tail is not open")
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        found: list[Record] = []
        while True:
            if reader.ready():
                await reader.fill()
            reader.take(most, found)
            left = until - loop.time()
            if found or left <= 0:
                return found
            await asyncio.sleep(min(LOOK_EVERY, left))  # a file that grows tells nobody

    async def finished(self) -> bool:
        return self._reader is None or self._reader.offset >= self._end

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.get_running_loop().run_in_executor(self._executor, reader.close)
        self._executor.shutdown(wait=False)

    def _open(self, at: int | None) -> Reader:
        directory = topic_directory(self._root, self._topic)
        self._end = end(directory)
        if at is None:
            at = self._end
        elif at < 0:
            at = max(0, self._end + at)
        reader = Reader(directory, self._topic, self._executor)
        reader.open(at)
        return reader
