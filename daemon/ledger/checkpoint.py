"""Copies the log into the ledger's file beside the commits, so that none has to wait for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from daemon.ledger import files
from daemon.ledger.errors import explain

AFTER_ROWS = 16_000
"""So many rows after the last checkpoint comes the next."""


class Checkpoints:
    """In a thread and on a connection of their own; `failed` is told of what goes wrong."""

    def __init__(self, path: Path, failed: Callable[[BaseException], None]) -> None:
        self._path = path
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._db = files.connect(path, cache_kb=64)
        self._executor = ThreadPoolExecutor(1, "ledger-checkpoint")
        self._rows = 0
        """Written since the last one began."""
        self._running: Future[None] | None = None

    def wrote(self, rows: int) -> None:
        """So many more are in the log."""
        self._rows += rows
        if self._rows >= AFTER_ROWS and self._running is None:
            self._rows = 0
            self._running = self._executor.submit(self._run)
            self._running.add_done_callback(
                lambda done: self._loop.call_soon_threadsafe(self._ended, done)
            )

    def _run(self) -> None:
        self._db.execute("pragma wal_checkpoint(passive)").fetchone()

    def _ended(self, done: Future[None]) -> None:
        self._running = None
        if (exc := done.exception()) is not None:
            self._failed(explain(exc, self._path) if isinstance(exc, sqlite3.Error) else exc)

    def undo(self) -> None:
        """Before anything was written: let go of the file."""
        self._db.close()
        self._executor.shutdown(wait=False)

    async def close(self) -> None:
        try:
            await self._loop.run_in_executor(self._executor, self._db.close)
        finally:
            self._executor.shutdown(wait=False)
