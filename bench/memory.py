"""How the daemon's resident memory goes while one process after the other lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from daemon.demo.stage import Stage, StageError
from daemon.demo.traffic import Traffic, offer

from .following import Following
from .options import BenchError
from .result import Figure
from .slope import Sample
from .usage import usage

FILL = 300_000
FILL_RATE = 1500.0
"""Messages a second, more than is offered afterwards: so that is no new largest batch."""
CAUGHT_UP_WITHIN = 120.0
LOOK_EVERY = 0.1
SAMPLE_EVERY = 1.0
MIB = 1 << 20


class Memory:
    """`watch` samples resident octets over monotonic seconds.

    `runs` has one list for every process: whoever starts another one says `next_process`.
    """

    def __init__(self, stage: Stage) -> None:
        self.runs: list[list[Sample]] = [[]]
        self.paused = False
        """Whether there is just now no process to look at."""
        self._stage = stage

    @property
    def most(self) -> int:
        """Octets; 0 before the first sample."""
        return max((int(value) for run in self.runs for _, value in run), default=0)

    def next_process(self) -> None:
        self.runs.append([])
        self.paused = False

    async def watch(self) -> None:
        """Until cancelled; raises StageError when the daemon has ended by itself."""
        while True:
            if not self.paused:
                self._stage.watch()
                try:
                    used = usage(self._stage.daemon.pid)
                except OSError as exc:
                    raise StageError(f"carrierd run is not there: {exc}") from exc
                self.runs[-1].append((time.monotonic(), float(used.memory)))
            await asyncio.sleep(SAMPLE_EVERY)


async def fill(stage: Stage, traffic: Traffic, following: Following) -> None:
    """Let the daemon work until all that it keeps within bounds has reached them.

    The ledger's caches of pages fill with the ledger, 24 MB of them, and its statements are kept
    compiled for every size of a batch that has been met.  Afterwards memory has no reason to grow.
    Takes the first `FILL` messages; raises BenchError when they do not all become final.
    """
    topic = stage.config.broker.topics.jobs[-1]
    await offer(traffic, stage.outlet, topic, FILL, FILL_RATE)
    give_up = time.monotonic() + CAUGHT_UP_WITHIN
    while following.fates.settled < FILL:
        stage.watch()
        if time.monotonic() > give_up:
            raise BenchError(f"{FILL - following.fates.settled} of {FILL} messages are not final")
        await asyncio.sleep(LOOK_EVERY)


async def ended(work: Sequence[asyncio.Task[Any]], watch: asyncio.Task[None]) -> None:
    """Until all the work is done; what fails first ends the rest and is raised."""
    waiting: set[asyncio.Task[Any]] = set(work)
    try:
        while waiting:
            done, _ = await asyncio.wait({*waiting, watch}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            waiting -= done
    finally:
        for task in (*work, watch):
            task.cancel()
        await asyncio.gather(*work, watch, return_exceptions=True)


def by_process(runs: Sequence[Sequence[Sample]]) -> list[dict[str, Figure]]:
    """The rows of a table."""
    return [
        {
            "process": number,
            "seconds": round(run[-1][0] - run[0][0]),
            "first MB": round(run[0][1] / MIB, 1),
            "last MB": round(run[-1][1] / MIB, 1),
            "most MB": round(max(value for _, value in run) / MIB, 1),
        }
        for number, run in enumerate(runs, 1)
        if run
    ]
