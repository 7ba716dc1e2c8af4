"""A process of the bench's own beside the gateways: `python -m MODULE`, told what to do by JSON.

It gets one JSON object as a line on its standard input, writes `{"up": true}` when it is at work,
ends when its input is closed, and leaves one JSON object as its last line: what it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Set
from pathlib import Path
from typing import Any

import orjson

from daemon.demo.process import ROOT, TOLD

from .cores import on
from .options import BenchError

UP_WITHIN = 30.0
DOWN_WITHIN = 15.0


class Worker:
    """One that is at work."""

    def __init__(self, module: str, process: Process, log: Path) -> None:
        self._module, self._process, self._log = module, process, log

    @property
    def pid(self) -> int:
        return self._process.pid

    async def work(self, seconds: float) -> None:
        """Let it.  Raises BenchError when it ends by itself."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()
                raise self._failure("ended early")

    async def up(self) -> None:
        """Raises BenchError when it does not get to work."""
        if "up" not in await self._line(UP_WITHIN):
            raise self._failure("did not say that it is up")

    async def end(self) -> dict[str, Any]:
        """Have it end; what it says that it did."""
        assert self._process.stdin is not None, "a pipe"
        self._process.stdin.close()
        told = await self._line(DOWN_WITHIN)
        await self._process.wait()
        return told

    async def _line(self, within: float) -> dict[str, Any]:
        assert self._process.stdout is not None, "a pipe"
        try:
            async with asyncio.timeout(within):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise self._failure(f"says nothing for {within:g} s") from None
        if not line:
            raise self._failure("ended early")
        told: dict[str, Any] = orjson.loads(line)
        if "error" in told:
            raise BenchError(f"{self._module}: {told['error']}")
        return told

    def _failure(self, what: str) -> BenchError:
        said = self._log.read_bytes()[-TOLD:].decode("utf-8", "replace").strip()
        return BenchError(f"{self._module} {what}: {said or 'no word'}")


@contextlib.asynccontextmanager
async def worker(
    module: str,
    task: dict[str, Any],
    directory: Path,
    python: str = sys.executable,
    cores: Set[int] | None = None,
) -> AsyncIterator[Worker]:
    """At work, on these cores or on those of the bench; killed at the end if it has not ended by
    then.  Raises BenchError.

    What it says on standard error goes to a file in `directory`.
    """
    log = directory / f"{module}.log"
    with log.open("wb") as errors, on(cores or os.sched_getaffinity(0)):
        process = await asyncio.create_subprocess_exec(
            *(python, "-m", module),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        assert process.stdin is not None, "a pipe"
        process.stdin.write(orjson.dumps(task) + b"\n")
        working = Worker(module, process, log)
        await working.up()
        yield working
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
