"""What the daemon keeps of messages that are in flight: answered, and their reports not there yet.

Gateways answer at once and report in an hour, which nobody waits for.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from daemon.demo.settings import CARRIERS
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic

from .growth import growth
from .kafka import own_topics
from .options import BenchError, Options
from .result import Figure, Result, median, none_of
from .sustained import PATIENCE, READ_AT_ONCE, settings, stopped
from .usage import usage

REPORT_DELAY = 3600.0
SIZES = (10_000, 100_000, 1_000_000)
MOST = 100_000
SETTLED = 2.0
"""Seconds after the last answer, over which the memory's median is taken."""
LOOK_EVERY = 0.1
LEAST_RATE = 1_000
"""Messages a second that a run is given time for."""


@dataclass(slots=True, frozen=True)
class Flight:
    messages: int
    idle: int
    """Octets that were resident before the first."""
    memory: int
    """And with all of them in flight."""
    twice: int
    missing: int
    """Messages that the gateways have not answered."""

    @property
    def each(self) -> float:
        """Octets for one message."""
        return max(0.0, (self.memory - self.idle) / self.messages)


def sizes(options: Options) -> list[int]:
    most = options.most or (SIZES[-1] if options.full else MOST)
    most = min(most, SIZES[-1])
    return sorted({size for size in SIZES if size < most} | {most})


async def flight(size: int, options: Options) -> Flight:
    """Raises BenchError when it does not end in time."""
    deadline = 120.0 + size / LEAST_RATE
    async with own_topics(options.bootstrap) as prefix:
        chosen = replace(settings(CARRIERS, options.bootstrap, prefix), report_delay=REPORT_DELAY)
        traffic = Traffic(f"flight-{uuid.uuid4().hex[:8]}", CARRIERS)
        try:
            async with asyncio.timeout(deadline), Stage(chosen, options.directory) as stage:
                return await _run(stage, traffic, size)
        except TimeoutError:
            raise BenchError(f"{size} messages are not in flight after {deadline:g} s") from None


async def _run(stage: Stage, traffic: Traffic, size: int) -> Flight:
    topic = stage.config.broker.topics.jobs[-1]
    await stage.start_daemon()
    pid = stage.daemon.pid
    idle = usage(pid).memory
    for start in range(0, size, READ_AT_ONCE):
        stop = min(size, start + READ_AT_ONCE)
        await stage.outlet.publish(traffic.records(topic, start, stop))
    totals = await _answered(stage, size)
    samples: list[float] = []
    give_up = time.monotonic() + SETTLED
    while time.monotonic() < give_up:
        samples.append(usage(pid).memory)
        await asyncio.sleep(LOOK_EVERY)
    await stopped(stage)
    return Flight(
        messages=size,
        idle=idle,
        memory=round(median(samples)),
        twice=totals["twice"],
        missing=size - totals["answered"],
    )


async def _answered(stage: Stage, size: int) -> Mapping[str, int]:
    """The gateways' counts when they have answered all, or nothing more comes."""
    seen, since = -1, time.monotonic()
    while True:
        stage.watch()
        totals: Mapping[str, int] = (await stage.counts())["totals"]
        now = time.monotonic()
        if totals["answered"] != seen:
            seen, since = totals["answered"], now
        if seen >= size or now - since > PATIENCE:
            return totals
        await asyncio.sleep(LOOK_EVERY)


def show(result: Result, runs: Sequence[Flight]) -> None:
    """Adds a table, what must not be, and a target where there is a curve."""
    rows: list[dict[str, Figure]] = [
        {
            "messages in flight": run.messages,
            "memory MB": round(run.memory / (1 << 20), 1),
            "B/message": round(run.each, 1),
        }
        for run in runs
    ]
    result.tables["in flight: answered, not reported"] = rows
    result.targets += [
        none_of("in flight: sent twice", [run.twice for run in runs]),
        none_of("in flight: unanswered", [run.missing for run in runs]),
    ]
    found = growth({run.messages: max(1e-3, run.each) for run in runs})
    if found is not None:
        result.targets.append(found.target("B/message in flight"))
