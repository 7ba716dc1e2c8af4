"""SGIP's other direction: the carrier connects to the client to deliver (SGIP 1.2 section 3.1).

A reporter dials when something waits and no connection takes it, and stays connected then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import uniform

from .account import Listener
from .connection import Connection

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


class Reporter:
    """One outgoing connection to a client's listener, when it is needed.

    `make` gives the connection with its session; `enabled` is off while the gateway is dead or
    frozen.
    """

    def __init__(self, listener: Listener, make: Callable[[], Connection]) -> None:
        self.listener = listener
        self.enabled = True
        self._make = make
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()

    def wake(self) -> None:
        """Something waits."""
        if not self.enabled or (self._connection is not None and self._connection.open):
            return
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._dial())

    def settled(self) -> None:
        """The login was answered, or the connection is over."""
        self._settled.set()

    async def stop(self) -> None:
        self.enabled = False
        if self._connection is not None:
            self._connection.hang_up()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _dial(self) -> None:
        """Until a login is admitted."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while self.enabled:
            self._settled.clear()
            try:
                _, self._connection = await loop.create_connection(
                    self._make, self.listener.host, self.listener.port
                )
            except OSError:
                self._connection = None
            else:
                await self._settled.wait()
                if self._connection.admitted:
                    return
            await asyncio.sleep(pause * uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE, pause * 2)
