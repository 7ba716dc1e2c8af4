"""One at a time, and something once it has ended well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class Reading:
    """Around reading messages from the ledger, see `Memory.reading`.

    A class rather than a generator, because mypyc knows no asynchronous generators.
    """

    __slots__ = ("_ended", "_lock")

    def __init__(self, lock: asyncio.Lock, ended: Callable[[], None]) -> None:
        self._lock = lock
        self._ended = ended

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
        if error is None:
            self._ended()
