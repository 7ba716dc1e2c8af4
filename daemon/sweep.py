"""What is finished moves from the ledger to the archive files, and old files go."""

from __future__ import annotations

import asyncio
import time

import structlog

from . import jobs
from .clock import wall
from .config import Daemon
from .ledger import Archiver, Ledger, Retention

log = structlog.get_logger()

SWEEP_EVERY = 60.0
RAISE_EVERY = 5.0
"""Seconds: four of the ledger's runs come in so many at most."""
MARGIN = 86400.0
"""Seconds for which the daemon may have been off."""


class Sweep:
    def __init__(self, ledger: Ledger, settings: Daemon, report_within: float) -> None:
        """`report_within` is the longest of any account: so long may a message hold its offset."""
        self.settings = settings
        self.archiver = Archiver(
            ledger,
            zone=settings.timezone,
            archive_after=settings.archive_after,
            given_within=report_within + MARGIN,
            recipients=lambda body: len(jobs.unpack(body).to),
        )
        self.retention = Retention(ledger, self.archiver, settings.timezone)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for _ in range(round(SWEEP_EVERY / RAISE_EVERY)):
                await asyncio.sleep(RAISE_EVERY)
                await self.archiver.raise_keys()
            at = wall()
            moved = await self.archiver.sweep(at)
            if moved:
                log.info("archived", jobs=moved)
            await self.retention.run(at, time.monotonic(), self.settings.retain)

    async def close(self) -> None:
        """Before the ledger's own."""
        await self.archiver.close()
