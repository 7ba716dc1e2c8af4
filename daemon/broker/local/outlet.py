"""Appends to the topics of a directory; returns when the disk has it.

What is published while one write is on its way to the disk gathers and goes with the next,
with one lock and one sync per topic.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from ..base import JSON, MSGPACK, BrokerError
from .frames import Frames, gather
from .segments import Appender, topic_directory

RETRY_AFTER = 1.0
SWEEP_EVERY = 3600.0

log = structlog.get_logger()


class _Batch:
    """What goes to the disk together: frames by topic, and who waits for them."""

    __slots__ = ("frames", "waiting")

    def __init__(self) -> None:
        self.frames: dict[str, Frames] = {}
        self.waiting: list[asyncio.Future[None]] = []


class LocalOutlet:
    """See `daemon.broker.base.Outlet`.

    A record is never refused.  A full disk is waited for, like a broker that is away; a failed
    sync is not: what was written before may be gone, so everything after it fails.
    """

    def __init__(
        self,
        root: Path,
        topics: Sequence[str],
        retain: Mapping[str, float],
        packed: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._topics = tuple(topics)
        self._types = {topic: (MSGPACK if topic in packed else JSON).encode() for topic in topics}
        self._retain = retain
        self._clock = clock
        self._appenders: dict[str, Appender] = {}
        self._executor = ThreadPoolExecutor(1, "local-outlet")
        self._batch = _Batch()
        self._filled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = False
        self._closed = False
        self._broken: BrokerError | None = None

    @property
    def connected(self) -> bool:
        return self._connected

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._executor, self._open)
        except OSError as exc:
            raise BrokerError(f"local broker in {self._root}: {exc}") from exc
        self._connected = True
        self._tasks = [
            asyncio.create_task(self._write(), name="local outlet write"),
            asyncio.create_task(self._sweep(), name="local outlet sweep"),
        ]

    async def publish(
        self,
        records: Sequence[tuple[str, bytes | None, bytes | None]],
        content_type: str | None = None,
    ) -> None:
        if not records:
            return
        if self._broken is not None:
            raise self._broken
        if not self._tasks:
            raise BrokerError(f"local broker in {self._root}: the outlet is not open")
        now = self._clock()
        types = self._types
        if content_type is not None:
            types = dict.fromkeys(types, content_type.encode("latin-1"))
        for topic in {topic for topic, _, _ in records}:
            if topic not in types:
                raise BrokerError(f"topic {topic!r} is not one that this outlet was opened for")
        gather(records, types, now, self._batch.frames)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._batch.waiting.append(done)
        self._filled.set()
        await done

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._connected = False
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fail(self._batch, BrokerError(f"local broker in {self._root}: closed"))
        await asyncio.get_running_loop().run_in_executor(self._executor, self._shut)
        self._executor.shutdown()

    # On the loop

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            self._filled.clear()
            batch, self._batch = self._batch, _Batch()
            while True:
                try:
                    await loop.run_in_executor(self._executor, self._append, batch)
                except OSError as exc:
                    self._connected = False
                    log.error("not published yet", directory=str(self._root), error=str(exc))
                    await asyncio.sleep(RETRY_AFTER)
                except BrokerError as exc:
                    self._connected = False
                    self._broken = exc
                    self._fail(batch, exc)
                    self._fail(self._batch, exc)
                    return
                except asyncio.CancelledError:
                    self._fail(batch, BrokerError(f"local broker in {self._root}: closed"))
                    raise
                else:
                    break
            self._connected = True
            for done in batch.waiting:
                if not done.done():
                    done.set_result(None)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while self._retain:
            try:
                await loop.run_in_executor(self._executor, self._drop)
            except OSError as exc:
                log.warning("old files stay", directory=str(self._root), error=str(exc))
            await asyncio.sleep(SWEEP_EVERY)

    def _fail(self, batch: _Batch, why: BrokerError) -> None:
        for done in batch.waiting:
            if not done.done():
                done.set_exception(why)

    # In the thread

    def _open(self) -> None:
        for topic in self._topics:
            self._appenders[topic] = Appender(topic_directory(self._root, topic), clock=self._clock)

    def _append(self, batch: _Batch) -> None:
        """Raises OSError when it is to be tried again; what was written then is not repeated."""
        written = []
        try:
            for topic in list(batch.frames):
                frames = batch.frames[topic]
                self._appenders[topic].append(b"".join(frames.pieces), frames.count)
                del batch.frames[topic]
                written.append(topic)
        finally:
            for topic in written:
                try:
                    self._appenders[topic].sync()
                except OSError as exc:
                    raise BrokerError(
                        f"local broker in {self._root}: topic {topic} cannot be made durable: {exc}"
                    ) from exc

    def _drop(self) -> None:
        for topic, appender in self._appenders.items():
            if topic in self._retain:
                appender.drop_older(self._retain[topic])

    def _shut(self) -> None:
        with contextlib.ExitStack() as stack:
            for appender in self._appenders.values():
                stack.callback(appender.close)
