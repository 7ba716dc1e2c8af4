"""What a message costs when there are ten thousand of them, and when there are ten million.

All jobs are on their topic before the daemon starts.  Memory has to stay bounded by something
other than the number that waits, and neither CPU nor disk nor a lookup may grow with it by more
than a logarithm.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.fates import quantile
from daemon.demo.settings import CARRIERS
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic
from daemon.ledger import History

from .growth import Growth, growth
from .judge import Verdict, judge, read_back
from .kafka import own_topics
from .options import BenchError, Options
from .plot import Panel, Series
from .result import Figure, Result
from .sustained import READ_AT_ONCE, Flow, settings, stopped
from .usage import Usage, disk, usage

LOOKUPS = 200
SEED = 20261122
LEAST_RATE = 1_000
"""Messages a second that a run is given time for."""


@dataclass(slots=True, frozen=True)
class Backlog:
    """One run with everything waiting at the start."""

    messages: int
    per_second: float
    cpu: float
    """Seconds of all threads since the process began, per message."""
    memory: int
    """The most that was resident."""
    disk: int
    """Octets of the ledger when all was done."""
    lookup: float
    """Median seconds that finding one message by its id took when all was done."""
    lookup_to: float
    """The same by its recipient's number."""
    verdict: Verdict


async def backlog(size: int, options: Options) -> Backlog:
    """Raises BenchError when it does not end in time."""
    deadline = 120.0 + size / LEAST_RATE
    async with own_topics(options.bootstrap) as prefix:
        traffic = Traffic(f"backlog-{uuid.uuid4().hex[:8]}", CARRIERS)
        try:
            async with (
                asyncio.timeout(deadline),
                Stage(settings(CARRIERS, options.bootstrap, prefix), options.directory) as stage,
            ):
                return await _work_off(stage, traffic, size)
        except TimeoutError:
            raise BenchError(f"a backlog of {size} is not done after {deadline:g} s") from None


async def _work_off(stage: Stage, traffic: Traffic, size: int) -> Backlog:
    topics = stage.config.broker.topics
    for start in range(0, size, READ_AT_ONCE):
        stop = min(size, start + READ_AT_ONCE)
        await stage.outlet.publish(traffic.records(topics.jobs[-1], start, stop))
    reports = stage.broker.tail(topics.reports)
    try:
        await reports.start()
        await stage.start_daemon()
        flow = Flow(stage, traffic, reports)
        flow.sent = size
        await flow.drain()
        used: Usage = usage(stage.daemon.pid)
    finally:
        await reports.close()
    fates = await read_back(stage, traffic, size)
    verdict = await judge(stage, fates, traffic)
    on_disk = disk(stage.state_dir) - disk(stage.state_dir / "broker")
    await stopped(stage)
    lookup, lookup_to = _lookups(stage.state_dir, traffic, size)
    first, last = min(fates.times["received"]), max(fates.times["reported"])
    return Backlog(
        messages=size,
        per_second=size / (last - first),
        cpu=used.cpu / size,
        memory=used.most_memory,
        disk=on_disk,
        lookup=lookup,
        lookup_to=lookup_to,
        verdict=verdict,
    )


def _lookups(state_dir: Path, traffic: Traffic, size: int) -> tuple[float, float]:
    """Median seconds by message and by number, of messages all over the run.

    Everything is looked up twice and the second time counts: caches that are cold say something
    about the disk.
    """
    chosen = random.Random(SEED).choices(range(size), k=LOOKUPS)
    with History.open(state_dir) as history:
        return (
            _median(history.by_message, [f"{traffic.run}-{index}/0" for index in chosen]),
            _median(history.by_to, [traffic.to(index) for index in chosen]),
        )


def _median(look: Callable[[str], Sequence[object]], words: Sequence[str]) -> float:
    took: list[float] = []
    for _ in range(2):
        took.clear()
        for word in words:
            began = time.perf_counter()
            if not look(word):
                raise BenchError(f"the ledger does not find {word}")
            took.append(time.perf_counter() - began)
    return quantile(sorted(took), 0.5)


# What is said of it


def costs(runs: Sequence[Backlog], start_cpu: float, idle: int) -> dict[str, dict[int, float]]:
    """By name and number of messages; `start_cpu` is what the daemon takes without any message,
    and `idle` what it has resident then."""
    return {
        "µs CPU/message": {
            one.messages: max(1e-3, (one.cpu - start_cpu / one.messages) * 1e6) for one in runs
        },
        "memory B/message": {
            one.messages: max(1e-3, (one.memory - idle) / one.messages) for one in runs
        },
        "ledger B/message": {one.messages: one.disk / one.messages for one in runs},
        "µs lookup by id": {one.messages: one.lookup * 1e6 for one in runs},
        "µs lookup by number": {one.messages: one.lookup_to * 1e6 for one in runs},
    }


def show(result: Result, runs: Sequence[Backlog], start_cpu: float, idle: int) -> None:
    """Adds the tables, and a target for each cost that there is a curve of."""
    curves = costs(runs, start_cpu, idle)
    result.tables["backlog, mixed"] = [
        {
            "messages": one.messages,
            "messages/s": round(one.per_second),
            "memory MB": round(one.memory / (1 << 20), 1),
            **{name: round(curve[one.messages], 1) for name, curve in curves.items()},
        }
        for one in runs
    ]
    grown = {name: found for name, curve in curves.items() if (found := growth(curve))}
    result.targets += [found.target(name) for name, found in grown.items()]
    if grown:
        result.tables["cost curves"] = [_row(name, found) for name, found in grown.items()]


def _row(name: str, found: Growth) -> dict[str, Figure]:
    return {
        "cost": name,
        "verdict": found.word,
        "power": round(found.value, 3),
        "lowest": round(found.low, 3),
        "highest": round(found.high, 3),
        "for ten times": round(10**found.value, 2),
    }


def panels(runs: Sequence[Backlog], curves: Mapping[str, Mapping[int, float]]) -> list[Panel]:
    """For the report: rate and costs over the number of messages."""
    rate = Series("messages/s", [(one.messages, one.per_second) for one in runs])
    return [
        Panel("backlog: rate", "messages", "messages/s", [rate], log_x=True),
        Panel(
            "backlog: cost per message",
            "messages",
            "µs, octets",
            [Series(name, sorted(curve.items())) for name, curve in curves.items()],
            log_x=True,
            log_y=True,
        ),
    ]
