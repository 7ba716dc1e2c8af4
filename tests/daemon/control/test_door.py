"""The control socket: who may come in, what may be asked, and how long anything may take."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from daemon.control import door as doors
from daemon.control.client import NotRunning, Refused, ask, follow
from daemon.control.door import Door
from daemon.control.place import LONGEST, NAME, address
from daemon.control.requests import Request, Resume, Status, Wiretap

NOBODY = 65534


class Endless:
    """A stream that goes on for as long as somebody reads it."""

    def __init__(self) -> None:
        self.head: dict[str, Any] = {"begins": True}
        self.within = 0.3
        self.given = 0
        self.closed = asyncio.Event()

    async def lines(self) -> AsyncIterator[bytes]:
        while True:
            self.given += 1
            yield b"%d\n" % self.given
            await asyncio.sleep(0)

    def close(self) -> None:
        self.closed.set()


class Answers:
    def __init__(self) -> None:
        self.asked: list[tuple[Request, int]] = []
        self.stream = Endless()

    def __call__(self, request: Request, uid: int) -> Any:
        self.asked.append((request, uid))
        if isinstance(request, Resume):
            raise doors.Refused(f"no account {request.account}")
        if isinstance(request, Wiretap):
            return self.stream
        return {"name": "here"}


@asynccontextmanager
async def opened(state_dir: Path) -> AsyncIterator[Answers]:
    answers = Answers()
    door = Door(state_dir, answers)
    await door.open()
    try:
        yield answers
    finally:
        await door.close()


async def said(state_dir: Path, *sent: bytes) -> Any:
    """The first line that comes of these octets."""
    reader, writer = await asyncio.open_unix_connection(str(state_dir / NAME))
    with closing(writer):
        for octets in sent:
            writer.write(octets)
        async with asyncio.timeout(30.0):
            return json.loads(await reader.readline())


async def test_the_owner_is_answered_and_known_by_the_kernels_word(tmp_path: Path) -> None:
    async with opened(tmp_path) as answers:
        mode = os.stat(tmp_path / NAME).st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
        assert await asyncio.to_thread(ask, tmp_path, Status()) == {"name": "here"}
        assert answers.asked == [(Status(), os.getuid())]
        with pytest.raises(Refused, match="no account x"):
            await asyncio.to_thread(ask, tmp_path, Resume(account="x"))
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
async def test_another_user_is_refused_whatever_the_files_mode_says(tmp_path: Path) -> None:
    async with opened(tmp_path) as answers:
        os.chmod(tmp_path, 0o755)
        os.chmod(tmp_path / NAME, 0o666)

        def nobody() -> None:
            """In the new process: nobody may run this interpreter, but it is running already."""
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as call:
                call.connect(NAME)
                os.write(1, call.recv(4096))
            os._exit(0)

        call = await asyncio.to_thread(
            subprocess.run,
            ["true"],
            cwd=tmp_path,
            preexec_fn=nobody,
            stdout=subprocess.PIPE,
            timeout=60,
        )
        answer = json.loads(call.stdout)
        assert answer == {"ok": False, "error": "only root and the daemon's own user may ask"}
        assert answers.asked == []


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"\n", "no request"),
        (b'{"do":"reboot"}\n', "reboot"),
        (b'{"do":"status","x":1}\n', "unknown field `x`"),
        (b'{"do":"hold","how":"shot","account":"a"}\n', "shot"),
        (b'{"do":"wiretap","account":"a","seconds":1e9}\n', "seconds"),
        (b'{"do":"status"' + b" " * 5000 + b"}\n", "limit"),
        (b"\xff\xfe\n", "no request"),
        (b"[" * 4000 + b"\n", "no request"),
    ],
)
async def test_what_is_no_request_is_told_so(tmp_path: Path, sent: bytes, error: str) -> None:
    async with opened(tmp_path) as answers:
        answer = await said(tmp_path, sent)
        assert answer["ok"] is False
        assert error in answer["error"]
        assert answers.asked == []
        assert await asyncio.to_thread(ask, tmp_path, Status())


async def test_silence_and_crowds_do_not_keep_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "REQUEST_WITHIN", 0.2)
    async with opened(tmp_path):
        path = str(tmp_path / NAME)
        silent = [await asyncio.open_unix_connection(path) for _ in range(doors.MOST_CONNECTIONS)]
        await asyncio.sleep(0.05)
        assert "connections are open" in (await said(tmp_path, b""))["error"]
        for reader, writer in silent:
            assert b"no request within" in await reader.readline()
            assert await reader.read() == b""
            writer.close()
        assert await asyncio.to_thread(ask, tmp_path, Status())


async def test_a_stream_ends_when_its_reader_has_gone_or_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as answers:
        lines = follow(tmp_path, Wiretap(account="a", seconds=60.0))
        assert await asyncio.to_thread(next, lines) == {"begins": True}
        lines.close()
        async with asyncio.timeout(30.0):
            await answers.stream.closed.wait()
    monkeypatch.setattr(doors, "READ_WITHIN", 0.2)
    async with opened(tmp_path) as answers:
        with socket.socket(socket.AF_UNIX) as lazy:
            lazy.connect(str(tmp_path / NAME))
            lazy.sendall(b'{"do":"wiretap","account":"a","seconds":60}\n')
            async with asyncio.timeout(30.0):
                await answers.stream.closed.wait()
        assert answers.stream.given < 1_000_000


async def test_a_fault_in_an_answer_is_that_callers_alone(tmp_path: Path) -> None:
    def broken(request: Request, uid: int) -> Any:
        raise ZeroDivisionError

    door = Door(tmp_path, broken)
    await door.open()
    try:
        with pytest.raises(NotRunning, match="closed the connection"):
            await asyncio.to_thread(ask, tmp_path, Status())
        door.answer = Answers()
        assert await asyncio.to_thread(ask, tmp_path, Status())
    finally:
        await door.close()


async def test_what_a_killed_daemon_left_is_in_nobodys_way(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no daemon runs"):
        ask(tmp_path, Status())
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / NAME))
    left.close()
    with pytest.raises(NotRunning, match="no daemon runs"):
        ask(tmp_path, Status())
    async with opened(tmp_path):
        assert await asyncio.to_thread(ask, tmp_path, Status())


async def test_a_path_may_be_longer_than_a_sockets_address(tmp_path: Path) -> None:
    state_dir = tmp_path / ("d" * 100) / ("e" * 100)
    state_dir.mkdir(parents=True)
    assert len(str(state_dir / NAME)) > LONGEST
    with address(state_dir) as path:
        assert len(path) <= LONGEST
    async with opened(state_dir):
        assert await asyncio.to_thread(ask, state_dir, Status())
    assert os.listdir(state_dir) == []
