"""The daemon's end of the control socket: who may come in, and how long anything may take."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import orjson
import structlog

from .place import NAME, address
from .requests import LONGEST, Request, read

log = structlog.get_logger()

REQUEST_WITHIN = 2.0
READ_WITHIN = 10.0
"""Seconds for the caller to send a request, and to read an answer."""
MOST_CONNECTIONS = 16
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group, as SO_PEERCRED gives them (unix(7))."""


class Refused(Exception):  # noqa: N818  # an answer to the operator
    """It cannot be done; the text says why and what would do."""


class Stream(Protocol):
    """An answer that goes on."""

    head: dict[str, Any]
    within: float
    """Seconds after which it has ended by itself."""

    def lines(self) -> AsyncIterator[bytes]: ...
    def close(self) -> None: ...


Answer = Callable[[Request, int], dict[str, Any] | Stream]
"""What comes of a request of a user, by id.  Raises Refused."""


class Door:
    """One for each state directory: the ledger's lock sees to that."""

    def __init__(self, state_dir: Path, answer: Answer) -> None:
        self.state_dir = state_dir
        self.answer = answer
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Raises OSError when the socket cannot be made."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Nobody gets in before it has its mode: a socket admits nobody until it listens.
            fresh = f"{NAME}.new"
            (self.state_dir / fresh).unlink(missing_ok=True)
            with address(self.state_dir, fresh) as path:
                made.bind(path)
            os.chmod(self.state_dir / fresh, 0o600)
            # A daemon that was killed has left its own behind.
            os.replace(self.state_dir / fresh, self.state_dir / NAME)
            made.setblocking(False)
            self._server = await asyncio.start_unix_server(self._call, sock=made, limit=LONGEST)
        except OSError:
            made.close()
            raise

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        (self.state_dir / NAME).unlink(missing_ok=True)

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call is not None, "the server made one"
        self._calls.add(call)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError):
            pass  # the caller has gone, or does not read
        except Exception as exc:
            # As for any server: a fault in an answer is the caller's trouble, not every carrier's.
            log.exception("control request failed", error=repr(exc))
        finally:
            self._calls.discard(call)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _caller(writer)
        if uid not in (0, os.geteuid()):
            log.warning("control connection refused", uid=uid)
            await _say(writer, _no("only root and the daemon's own user may ask"))
            return
        if len(self._calls) > MOST_CONNECTIONS:
            await _say(writer, _no(f"{MOST_CONNECTIONS} connections are open already"))
            return
        try:
            async with asyncio.timeout(REQUEST_WITHIN):
                line = await reader.readline()
            request = read(line)
        except TimeoutError:
            await _say(writer, _no(f"no request within {REQUEST_WITHIN:g} s"))
            return
        except ValueError as exc:  # too long a line is one, too
            await _say(writer, _no(f"no request: {exc}"))
            return
        try:
            answer = self.answer(request, uid)
        except Refused as exc:
            await _say(writer, _no(str(exc)))
            return
        if isinstance(answer, dict):
            await _say(writer, {"ok": True, **answer})
        else:
            await _follow(answer, reader, writer)


async def _follow(
    stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Until the stream ends or the caller has gone; one who does not read gets no longer."""
    pump = asyncio.create_task(_pump(stream, writer))
    gone = asyncio.create_task(reader.read(1))
    try:
        within = stream.within + READ_WITHIN
        await asyncio.wait((pump, gone), timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
    finally:
        stream.close()
        for task in (pump, gone):
            task.cancel()
        await asyncio.gather(pump, gone, return_exceptions=True)


async def _pump(stream: Stream, writer: asyncio.StreamWriter) -> None:
    await _say(writer, {"ok": True, **stream.head})
    async for lines in stream.lines():
        writer.write(lines)
        await writer.drain()


async def _say(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(orjson.dumps(answer) + b"\n")
    with suppress(ConnectionError):
        async with asyncio.timeout(READ_WITHIN):
            await writer.drain()


def _no(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


def _caller(writer: asyncio.StreamWriter) -> int:
    """The user who made the connection, as the kernel knows it."""
    peer = writer.get_extra_info("socket")
    said = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(said)[1]
    return uid
