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
from .watch import Watch

LOOK_FIRST = 0.005
"""Not sooner after the last records, so that those of many writes come together."""
LOOK_UNTOLD, LOOK_TOLD = 0.02, 1.0
"""Seconds between two looks where writing is not told, and where it is."""

_T = TypeVar("_T")


class LocalTail:
    """See `daemon.broker.base.Tail`.  Only reads; a topic without a file yet is empty."""

    def __init__(self, root: Path, topics: Sequence[str]) -> None:
        self._root = root
        self._topics = tuple(topics)
        self._executor = ThreadPoolExecutor(1, "local-tail")
        self._readers: dict[str, Reader] = {}
        self._turns: deque[Reader] = deque()  # whoever took first takes last
        self._watch: Watch | None = None
        self._wake = asyncio.Event()
        self._found_at = 0.0
        self._ends: dict[Place, int] = {}  # as they were at the start

    async def start(self, at: int | Mapping[Place, int] | None = 0) -> None:
        self._ends = await self._in_thread(self._look)
        self._readers = await self._in_thread(lambda: self._open(at))
        self._turns.extend(self._readers.values())
        self._watch = Watch([topic_directory(self._root, t) for t in self._topics], self._wake.set)

    async def take(self, most: int, wait: float) -> list[Record]:
        watch = self._started()
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        found: list[Record] = []
        while True:
            told = watch.complete()
            self._wake.clear()
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
            pause = LOOK_TOLD if told else LOOK_UNTOLD
            alarm = loop.call_later(min(pause, until - now), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                alarm.cancel()
            early = self._found_at + LOOK_FIRST - loop.time()
            if early > 0:
                await asyncio.sleep(min(early, max(0.0, until - loop.time())))

    def places(self) -> dict[Place, int]:
        return {(topic, 0): reader.offset for topic, reader in self._readers.items()}

    async def ends(self) -> dict[Place, int]:
        self._started()
        return await self._in_thread(self._look)

    async def reached(self, ends: Mapping[Place, int]) -> bool:
        self._started()
        return all(self._readers[topic].offset >= end for (topic, _), end in ends.items())

    async def finished(self) -> bool:
        return not self._readers or await self.reached(self._ends)

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        readers, self._readers = self._readers, {}
        loop = asyncio.get_running_loop()
        for reader in readers.values():
            await loop.run_in_executor(self._executor, reader.close)
        self._executor.shutdown(wait=False)

    def _started(self) -> Watch:
        if self._watch is None:
            raise BrokerError(f"local broker in {self._root}: the tail is not open")
        return self._watch

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
