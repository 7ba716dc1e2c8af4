"""What the service manager hears, on a real socket, and when it does not listen."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.notify import Notify


@pytest.fixture(params=["@abstract", "path"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    abstract = request.param == "@abstract"
    name = f"@carrierd-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name[1:]}" if abstract else name)
        listening.setblocking(False)
        yield listening, name


def heard(listening: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(listening.recv(65536).decode())
        except BlockingIOError:
            return found


async def test_states_are_told_in_order_and_the_status_when_it_changes(
    manager: tuple[socket.socket, str],
) -> None:
    listening, name = manager
    notify = Notify(name)
    said = "opening"
    notify.begin(lambda: said)
    assert heard(listening) == ["EXTEND_TIMEOUT_USEC=30000000\nSTATUS=opening"]
    notify.ready()
    assert heard(listening) == ["READY=1"], "the status is the same"
    said = "up"
    notify.stopping(12.5)
    assert heard(listening) == ["STOPPING=1\nEXTEND_TIMEOUT_USEC=42500000", "STATUS=up"]
    notify.close()
    notify.ready()
    assert heard(listening) == []


async def test_a_full_queue_loses_no_state(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name)
        listening.setblocking(False)
        notify = Notify(name, watchdog=0.02)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    other.sendto(b"x", name)
        with capture_logs() as logs:
            notify.ready()
            notify.begin(lambda: "up")
        assert [line["event"] for line in logs] == ["the service manager does not listen"]
        assert set(heard(listening)) == {"x"}
        async with asyncio.timeout(30.0):
            found: list[str] = []
            while len(found) < 2:
                await asyncio.sleep(0.005)
                found += heard(listening)
        assert found[:2] == ["READY=1", "WATCHDOG=1\nSTATUS=up"]
        notify.close()


async def test_a_reload_before_it_is_ready_says_nothing_of_it(
    manager: tuple[socket.socket, str],
) -> None:
    listening, name = manager
    notify = Notify(name)
    with notify.reloading():
        pass
    assert heard(listening) == []
    notify.close()


async def test_a_reload_that_breaks_is_never_called_ready(
    manager: tuple[socket.socket, str],
) -> None:
    listening, name = manager
    notify = Notify(name)
    notify.ready()
    with pytest.raises(ZeroDivisionError), notify.reloading():
        raise ZeroDivisionError
    ready, reloading = heard(listening)
    assert (ready, reloading.partition("\n")[0]) == ("READY=1", "RELOADING=1")
    notify.close()


async def test_without_a_manager_nothing_happens() -> None:
    notify = Notify.of({"WATCHDOG_USEC": "1000"}, 1)
    notify.begin(lambda: pytest.fail("nobody wants to know"))
    with notify.reloading():
        notify.ready()
    notify.stopping(1.0)
    notify.close()


async def test_a_watchdog_that_is_another_process_s_is_not_fed(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name)
        listening.setblocking(False)
        environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "2"}
        notify = Notify.of(environ, 1)
        notify.begin(lambda: "up")
        (told,) = heard(listening)
        assert "WATCHDOG" not in told
        notify.close()


@pytest.mark.parametrize(
    ("environ", "wrong"),
    [
        ({"NOTIFY_SOCKET": "run/x"}, "NOTIFY_SOCKET: 'run/x', allowed are /PATH and @NAME"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, "WATCHDOG_USEC: 'soon', allowed"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, "WATCHDOG_USEC: '0', allowed"),
    ],
)
def test_an_environment_that_no_manager_makes_is_refused(
    environ: dict[str, str], wrong: str
) -> None:
    with pytest.raises(ValueError, match=wrong):
        Notify.of(environ, 1)
