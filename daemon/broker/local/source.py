"""The jobs topics of a directory, for the one daemon that works on it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog

from ..base import BrokerError, Place, Placed, Record
from .reader import Reader
from .segments import (
    Appender,
    bases,
    segment,
    sync_directory,
    topic_directory,
)
from .watch import Watch

POSITIONS = "positions.json"  # next offset to read, by topic
COMMIT_EVERY = 1.0
ENDS_EVERY = 2.0

LOOK_FIRST = 0.0005
"""Not sooner after the last records, so that those of many writers come together."""
LOOK_UNTOLD, LOOK_TOLD = 0.01, 1.0
"""Seconds between two looks where writing is not told, and where it is."""

log = structlog.get_logger()


class LocalSource:
    """See `daemon.broker.base.Source`.  A second one on the same directory is refused."""

    def __init__(
        self,
        root: Path,
        topics: Sequence[str],
        *,
        on_assigned: Placed | None = None,
    ) -> None:
        self._root = root
        self._topics = tuple(topics)
        self._on_assigned = on_assigned
        self._executor = ThreadPoolExecutor(1, "local-source")
        self._readers: dict[str, Reader] = {}
        self._ends: dict[str, Appender] = {}  # they only count here
        self._paused: set[str] = set()
        self._wake = asyncio.Event()
        self._watch: Watch | None = None
        self._found_at = 0.0
        self._owed: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._lock = -1
        self._closed = False
        self._upkeep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        try:
            await self._in_thread(self._open)
        except OSError as exc:
            await self.close()
            raise BrokerError(f"local broker in {self._root}: {exc}") from exc
        except BrokerError:
            await self.close()
            raise
        self._watch = Watch([topic_directory(self._root, t) for t in self._topics], self._wake.set)
        self._upkeep = asyncio.create_task(self._keep(), name="local source upkeep")
        if self._on_assigned is not None:
            self._on_assigned(frozenset((topic, 0) for topic in self._topics))

    async def take(self, most: int, wait: float) -> list[Record]:
        watch = self._watch
        if watch is None:
            raise BrokerError(f"local broker in {self._root}: the source is not open")
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        found: list[Record] = []
        while True:
            told = watch.complete()
            self._wake.clear()
            readers = [self._readers[t] for t in self._topics if t not in self._paused]
            # All before any is taken from: then cancelling loses nothing.
            for reader in readers:
                if reader.ready():
                    await reader.fill()
            for reader in readers:
                reader.take(most - len(found), found)
                if len(found) == most:
                    break
            now = loop.time()
            left = until - now
            if found:
                self._found_at = now
                return found
            if left <= 0:
                return found
            pause = LOOK_TOLD if told or not readers else LOOK_UNTOLD
            alarm = loop.call_later(min(pause, left), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                alarm.cancel()
            early = self._found_at + LOOK_FIRST - loop.time()
            if early > 0:
                await asyncio.sleep(early)

    def commit(self, positions: Mapping[Place, int]) -> None:
        for (topic, _), offset in positions.items():
            self._owed[topic] = offset

    def sure(self) -> bool:
        return self._upkeep is not None  # it has the lock

    def pause(self, topics: Sequence[str] = ()) -> None:
        self._paused.update(topics or self._topics)
        self._wake.set()

    def resume(self, topics: Sequence[str] = ()) -> None:
        self._paused.difference_update(topics or self._topics)
        self._wake.set()

    def lag(self) -> dict[Place, int]:
        return {
            (topic, 0): max(0, self._ends[topic].end - reader.offset)
            for topic, reader in self._readers.items()
        }

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._upkeep is not None:
            self._upkeep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._upkeep
            self._upkeep = None
            try:
                await self._in_thread(self._flush)
            except OSError as exc:
                log.error("positions not kept", directory=str(self._root), error=str(exc))
        await self._in_thread(self._shut)
        self._executor.shutdown()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + ENDS_EVERY
        while True:
            await asyncio.sleep(COMMIT_EVERY)
            try:
                await self._in_thread(self._flush)
                if loop.time() >= look_at:
                    look_at = loop.time() + ENDS_EVERY
                    await self._in_thread(self._look)
            except OSError as exc:
                # Nothing is lost: after a restart these are given once more.
                log.error("positions not kept", directory=str(self._root), error=str(exc))

    async def _in_thread(self, call: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, call)

    # In the thread

    def _open(self) -> None:
        self._root.mkdir(mode=0o770, parents=True, exist_ok=True)
        self._lock = os.open(
            self._root / "source.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660
        )
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BrokerError(
                f"local broker in {self._root}: another process takes its jobs"
            ) from None
        self._told = self._positions()
        for topic in self._topics:
            directory = topic_directory(self._root, topic)
            self._ends[topic] = Appender(directory)
            reader = self._readers[topic] = Reader(directory, topic, self._executor)
            reader.open(self._told.get(topic, 0))

    def _positions(self) -> dict[str, int]:
        path = self._root / POSITIONS
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as exc:
            raise BrokerError(
                f"{path}: {exc}; without this file all kept jobs are given again"
            ) from exc

    def _flush(self) -> None:
        owed = dict(self._owed)
        if all(self._told.get(topic) == offset for topic, offset in owed.items()):
            return
        # A position must not outlive the records before it: new ones would be passed over.
        for topic in owed:
            self._readers[topic].sync()
        told = self._told | owed
        path = self._root / POSITIONS
        half = path.with_suffix(".part")
        with half.open("wb") as file:
            file.write(msgspec.json.encode(told))
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
        sync_directory(self._root)
        self._told = told
        for topic, offset in owed.items():
            directory = topic_directory(self._root, topic)
            have = bases(directory)
            for base, following in itertools.pairwise(have):
                if following <= offset:
                    os.unlink(segment(directory, base))

    def _look(self) -> None:
        for appender in self._ends.values():
            appender.look()

    def _shut(self) -> None:
        for reader in self._readers.values():
            reader.close()
        for appender in self._ends.values():
            appender.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
