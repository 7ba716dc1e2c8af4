"""The HTTP endpoints under clients that mean no good."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress

import pytest

from daemon.http import MOST_CONNECTIONS
from tests.contract.process import until

from .conftest import PASSWORD, Doors


async def say(port: int, request: bytes, within: float = 30.0) -> bytes:
    """All that is answered until the daemon closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(within):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


async def well(port: int) -> None:
    assert status(await say(port, get("/healthz"))) == 200


@pytest.mark.parametrize("path", ["/", "/status/", "/../etc/passwd", "/%2e%2e/x", "/metrics/x"])
async def test_what_is_not_there_is_not_found(http: int, path: str) -> None:
    assert status(await say(http, get(path))) == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/metrics", "/status", "/healthz", "/readyz"])
async def test_nothing_can_be_changed(http: int, method: str, path: str) -> None:
    assert status(await say(http, get(path, method))) == 405


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\xff" * 100 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /status HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /status HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /status HTTP/1.1\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        b"GET /status HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n",
    ],
    ids=["octets", "method", "version", "path", "header", "headers", "length", "smuggling", "tls"],
)
async def test_what_is_no_request_is_refused_and_closed(
    http: int, request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status(await say(http, request_)) in (0, 400, 431)
    await well(http)
    written = "".join(capfd.readouterr())
    assert "Traceback" not in written
    assert len(written) < 2_000


async def test_a_body_without_end_is_not_listened_to(http: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http)
    writer.write(b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
    async with asyncio.timeout(30.0):
        assert b"405" in await reader.readline()
    sent = 0
    try:
        async with asyncio.timeout(12.0):
            while sent < 200_000_000:
                writer.write(bytes(1_000_000))
                sent += 1_000_000
                await writer.drain()
    except (ConnectionError, TimeoutError):
        pass
    writer.transport.abort()
    assert sent < 100_000_000
    await well(http)


async def test_who_never_ends_his_request_is_closed(
    http: int, monkeypatch: pytest.MonkeyPatch, doors: Doors
) -> None:
    """A connection may last `daemon.http.LONGEST_CONNECTION`; nobody scrapes for longer."""
    monkeypatch.setattr("daemon.http.LONGEST_CONNECTION", 0.3)
    doors.desk.app.http.port = 0
    await doors.desk.app.http.stop()
    await doors.desk.app.http.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.desk.app.http.port)
    began = time.monotonic()
    closed = asyncio.create_task(reader.read())
    for octet in b"GET /status HTTP/1.1\r\nHost: " + b"x" * 300:
        if closed.done():
            break
        writer.write(bytes((octet,)))
        await asyncio.sleep(0.02)
    await until(closed.done, what="closed")
    assert time.monotonic() - began < 5.0
    with suppress(ConnectionResetError):  # where an octet was under way to it
        await closed
    writer.close()


async def test_a_crowd_of_open_connections_keeps_nobody_out_and_few_files_open(
    http: int, doors: Doors
) -> None:
    crowd = [await asyncio.open_connection("127.0.0.1", http) for _ in range(300)]
    await well(http)
    runner = doors.desk.app.http._runner
    assert runner is not None
    assert runner.server is not None
    assert len(runner.server.connections) <= MOST_CONNECTIONS
    oldest, _ = crowd[0]
    assert await oldest.read() == b""
    for _, writer in crowd:
        writer.close()


async def test_what_is_shown_has_no_password_and_no_whole_number(http: int, doors: Doors) -> None:
    peer = doors.desk.peer()
    await doors.desk.take({"id": "j-1", "to": "13912345678", "text": "topsecrettext"})
    ((sequence, _, _),) = await doors.desk.written(peer)
    peer.refuses(sequence, "29")
    wrong = await doors.dial()
    await wrong.bind("smg", "13987654321")
    await wrong.close()
    for path in ("/metrics", "/status", "/readyz", "/healthz"):
        shown = await say(http, get(path))
        for hidden in (PASSWORD, "secret", "13912345678", "13987654321", "topsecrettext"):
            assert hidden.encode() not in shown, f"{path} shows {hidden}"
    body = (await say(http, get("/status"))).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["accounts"][0]["name"] == "a"
