"""The doors of a daemon that is otherwise still: its SGIP listener and its HTTP endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from daemon.listen import Listener
from tests.contract.process import until
from tests.contract.sgip import Caller
from tests.daemon.engine.desk import Desk, Terms, configured
from tests.ports import free_port

LOGIN_WITHIN = 0.4
LATE = 3.0
"""Seconds by which a busy machine may be late with what is due."""
PASSWORD = "n0b0dySees"
LISTEN = """
node_id = 3025112345
corp_id = "12345"
listen = "127.0.0.1:{port}"
listen_login = "{login}"
listen_password = "{password}"
listen_allow = ["{allow}"]
answer_within = {within}
"""


@dataclass
class Doors:
    desk: Desk
    listener: Listener
    bugs: list[Any] = field(default_factory=list)
    """Exceptions that reached the event loop."""
    callers: list[Caller] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.listener.port

    async def dial(self, source: str | None = None) -> Caller:
        caller = await Caller.dial(self.port, source=source)
        self.callers.append(caller)
        return caller

    async def logged_in(self) -> Caller:
        caller = await self.dial()
        assert await caller.bind("smg", PASSWORD) == 0
        return caller

    async def empty(self) -> None:
        """Until no connection is left."""
        await until(lambda: not self.listener.links, what="no connection left")


MakeDoors = Callable[..., Awaitable[Doors]]


@pytest.fixture
async def make_doors(tmp_path: Path) -> AsyncIterator[MakeDoors]:
    opened: list[Doors] = []

    async def make(within: float = LOGIN_WITHIN, **allow: str) -> Doors:
        """One listener; `allow` has the network of each login name, of an account of its own.

        A login comes within so many seconds, or never.
        """
        common = {"port": free_port(), "password": PASSWORD, "within": within}
        terms = [
            Terms(name, "sgip", extra=LISTEN.format(login=login, allow=network, **common))
            for name, (login, network) in zip("ab", allow.items(), strict=False)
        ]
        desk = Desk(tmp_path / "state", configured(*terms))
        await desk.start()
        (listener,) = desk.app.doors.listeners
        found = Doors(desk, listener)
        opened.append(found)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: found.bugs.append(context))
        await listener.start()
        return found

    yield make
    for found in opened:
        for caller in found.callers:
            caller.writer.transport.abort()
        try:
            async with asyncio.timeout(30.0):
                await found.listener.stop()
        finally:
            await found.desk.close()
        assert found.bugs == []


@pytest.fixture
async def doors(make_doors: MakeDoors) -> Doors:
    return await make_doors(smg="127.0.0.1/32")


@pytest.fixture
async def http(doors: Doors) -> AsyncIterator[int]:
    """The port of /metrics and the others."""
    await doors.desk.app.http.start("127.0.0.1", 0)
    yield doors.desk.app.http.port
    await doors.desk.app.http.stop()
