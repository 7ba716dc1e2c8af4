"""One `carrierd` command as a child process."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Where the packages are: children find them from here, whatever directory we were started in."""
TOLD = 2_000
"""Octets of its log that a failure quotes."""


class Child:
    """Started by `start`, ended by `stop`; what it says goes to a file."""

    def __init__(self, command: str, config: Path, log: Path, prefix: Sequence[str] = ()) -> None:
        """`prefix` is a command that runs what follows it, in another namespace say."""
        self.command = command
        self._prefix = prefix
        self._config = config
        self._log = log
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "asked for after start"
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            # In a session of its own: Ctrl-C is for us, and we end it in good order.
            self._process = await asyncio.create_subprocess_exec(
                *(*self._prefix, sys.executable, "-m", "daemon", "--log-level", "warning"),
                *(self.command, "--config", str(self._config)),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )

    async def stop(self, within: float) -> int:
        """SIGTERM, and SIGKILL when that takes longer than `within`; returns the exit status."""
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(within):
                    await process.wait()
            except TimeoutError:
                process.kill()
        return await process.wait()

    async def kill(self) -> None:
        """SIGKILL: it gets to do nothing more.  One that has ended already stays so."""
        process = self._process
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def said(self) -> str:
        """The end of what it wrote."""
        try:
            return self._log.read_bytes()[-TOLD:].decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return ""
