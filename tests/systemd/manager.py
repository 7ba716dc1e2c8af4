"""A service manager's side of a real daemon process: the notify socket, the environment, a socket
to inherit, and the unit's sandbox as far as it is made of system call filters.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.contract.process import ROOT, toml

UNIT = ROOT / "systemd" / "carrierd.service"
# What a manager does between fork and exec; SIGUSR1 blocks the loop, and the loop alone.
LAUNCH = """
import json, os, signal, sys, time
from pathlib import Path

wanted = json.loads(sys.argv[1])
pid = os.environ["WATCHDOG_PID"] = str(os.getpid())
if wanted["listen"] is not None:
    os.dup2(wanted["listen"], 3)
    os.environ |= {"LISTEN_PID": pid, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "sgip"}
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60))
if wanted["calls"]:
    from tests.systemd.confine import confine
    confine(Path(wanted["unit"]), set(wanted["calls"]))
from daemon.cli import main
sys.exit(main(["run", "--config", wanted["config"]]))
"""


class Manager:
    """Reads what one service tells it; `name` as in NOTIFY_SOCKET."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        self.socket.setblocking(False)
        self.told: list[dict[str, str]] = []

    def close(self) -> None:
        self.socket.close()

    async def next(self, within: float) -> dict[str, str]:
        """The next message, by name.  Raises TimeoutError."""
        async with asyncio.timeout(within):
            data = await asyncio.get_running_loop().sock_recv(self.socket, 65536)
        message = dict(line.split("=", 1) for line in data.decode().split("\n"))
        self.told.append(message)
        return message


class Service:
    """`carrierd run` as the manager starts it.  Ended by `end` at the latest."""

    def __init__(self, manager: Manager, directory: Path, config: dict[str, Any]) -> None:
        self.manager = manager
        self.file = directory / "carrierd.toml"
        self.log = directory / "stderr.log"
        self.config = {
            "http": {"listen": "127.0.0.1:0"},
            "broker": {"kind": "local"},
            **config,
            "daemon": {"state_dir": str(directory / "state"), **config.get("daemon", {})},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        *,
        watchdog: float | None = None,
        listen: socket.socket | None = None,
        calls: set[str] | None = None,
    ) -> None:
        """`calls`: the only system calls that it may make, see `confine`."""
        self.file.write_text("\n".join(toml(self.config)) + "\n")
        wanted = {
            "config": str(self.file),
            "listen": None if listen is None else listen.fileno(),
            "calls": sorted(calls or ()),
            "unit": str(UNIT),
        }
        environ = {**os.environ, "NOTIFY_SOCKET": self.manager.name}
        if watchdog is not None:
            environ["WATCHDOG_USEC"] = str(round(watchdog * 1e6))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, json.dumps(wanted)],
                cwd=ROOT,
                env=environ,
                pass_fds=() if listen is None else (listen.fileno(),),
                stdout=log,
                stderr=log,
            )

    async def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        try:
            await self.manager.next(seconds)
        except TimeoutError:
            return True
        return False

    async def tells(self, key: str, within: float = 5.0) -> dict[str, str]:
        """The next message that has this key."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            assert self.process is not None
            try:
                message = await self.manager.next(0.2)
            except TimeoutError:
                if self.process.poll() is not None:
                    break
            else:
                if key in message:
                    return message
        raise AssertionError(f"no {key}: {self.manager.told}\n{self.log.read_text()[-2000:]}")

    async def ready(self) -> None:
        await self.tells("READY", within=20.0)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self, within: float = 10.0) -> int:
        """The exit status."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, within)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]
