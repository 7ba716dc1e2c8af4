"""What runs as long as the daemon does; what of it ended that must not, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import structlog

log = structlog.get_logger()


class Tasks:
    """`stop` is called when a callback of the loop failed."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.bug: BaseException | None = None
        """What a callback failed with."""
        self._stop = stop
        self._tasks: list[asyncio.Task[None]] = []
        self.loop = asyncio.get_running_loop()

    def watch(self) -> None:
        """Be told of what fails in callbacks."""
        self.loop.set_exception_handler(self._unhandled)

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(self._tasks)

    def run(self, name: str, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    def failure(self) -> BaseException | None:
        """Why one ended that must not."""
        if self.bug is not None:
            return self.bug
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None

    async def ended(self, name: str, deadline: float) -> None:
        """Wait for the end of this one."""
        for task in self._tasks:
            if task.get_name() == name:
                await asyncio.wait([task], timeout=max(0.1, deadline - self.loop.time()))

    async def cancel(self) -> None:
        """End them all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback.

        The network's are ordinary.  Any other is a bug that may have cost events: the daemon stops,
        and the ledger knows what was under way when it starts again.
        """
        exc = context.get("exception")
        if exc is None or isinstance(exc, OSError):
            log.warning("connection trouble", error=str(exc or context.get("message")))
            return
        log.critical("bug", error=repr(exc), where=context.get("message"), exc_info=exc)
        self.bug = exc
        self._stop()
