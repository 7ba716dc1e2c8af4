"""Topics of a directory from some place on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ..base import BrokerError, Place, Record
from .reader import Reader
from .segments import end, topic_directory

# A file that grows tells nobody, so it is looked at: after a twentieth of the time that
# brought nothing, within these limits.
LOOK_SHARE = 0.05
LOOK_FIRST = 0.005
LOOK_LAST = 0.02

_T = TypeVar("_T")


class LocalTail:
    """See `daemon.broker.base.Tail`.  Only reads; a topic without a file yet is empty."""

    def __init__(self, root: Path, topics: Sequence[str]) -> None:
        self._root = root
        self._topics = tuple(topics)
        self._executor = ThreadPoolExecutor(1, "local-tail")
        self._readers: dict[str, Reader] = {}
        self._turns: deque[Reader] = deque()  # whoever took first takes last
        self._found_at = 0.0
        self._ends: dict[Place, int] = {}  # as they were at the start

    async def start(self, at: int | Mapping[Place, int] | None = 0) -> None:
        self._ends = await self._in_thread(self._look)
        self._readers = await self._in_thread(lambda: self._open(at))
        self._turns.extend(self._readers.values())

    async def take(self, most: int, wait: float) -> list[Record]:
        self._started()
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        found: list[Record] = []
        while True:
            # All before any is taken from: then cancelling loses nothing.
            for reader in self._turns:
                if reader.ready():
                    await reader.fill()
            for reader in self._turns:
                reader.take(most - len(found), found)
                if len(found) == most:
                    break
            now = loop.time()
            if found:
                self._found_at = now
                self._turns.rotate(-1)
                return found
            if now >= until:
                return found
            pause = min(max((now - self._found_at) * LOOK_SHARE, LOOK_FIRST), LOOK_LAST)
            await asyncio.sleep(min(pause, until - now))

    async def ends(self) -> dict[Place, int]:
        self._started()
        return await self._in_thread(self._look)

    async def reached(self, ends: Mapping[Place, int]) -> bool:
        self._started()
        return all(self._readers[topic].offset >= end for (topic, _), end in ends.items())

    async def finished(self) -> bool:
        return not self._readers or await self.reached(self._ends)

    async def close(self) -> None:
        readers, self._readers = self._readers, {}
        loop = asyncio.get_running_loop()
        for reader in readers.values():
            await loop.run_in_executor(self._executor, reader.close)
        self._executor.shutdown(wait=False)

    def _started(self) -> None:
        if not self._readers:
            raise BrokerError(f"local broker in {self._root}: the tail is not open")

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
        except OSError as exc:
            raise BrokerError(f"local broker in {self._root}: {exc}") from exc

    # In the thread

    def _look(self) -> dict[Place, int]:
        return {(topic, 0): end(topic_directory(self._root, topic)) for topic in self._topics}

    def _open(self, at: int | Mapping[Place, int] | None) -> dict[str, Reader]:
        readers = {}
        for topic in self._topics:
            reader = Reader(topic_directory(self._root, topic), topic, self._executor)
            reader.open(_begin(at, topic, self._ends[topic, 0]))
            readers[topic] = reader
        return readers


def _begin(at: int | Mapping[Place, int] | None, topic: str, end: int) -> int:
    if at is None:
        return end
    if isinstance(at, Mapping):
        kept = at.get((topic, 0), 0)
        return kept if kept <= end else 0
    return at if at >= 0 else max(0, end + at)
