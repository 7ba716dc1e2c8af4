"""One run of messages offered open loop, at a rate, and how long everything took.

A message's time is fixed before the run, and every latency from outside begins when it should have
gone, not when the generator came to it.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from daemon.demo.fates import Fates, quantile
from daemon.demo.settings import CARRIERS, Settings
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from .judge import Verdict, judge
from .kafka import own_topics
from .machine import syncs
from .options import BenchError, Options

DELAY, REPORT_DELAY = 0.05, 1.0
ROOM = 100 / 220
"""Account rate over the whole rate: a quarter is what goes there, the rest is not what limits."""
WINDOW = 16
SLICE = 10.0
"""Seconds over which a p99 is taken again, for its spread."""
PATIENCE = 10.0
AT_ONCE = 5_000


class Run:
    """What one run left to look at; latencies are seconds in rising order."""

    def __init__(
        self,
        *,
        rate: float,
        syncs: Sequence[float],
        due: array[float],
        fates: Fates,
        verdict: Verdict,
        per_second: Sequence[int],
        page: str,
    ) -> None:
        self.rate = rate
        self.syncs = syncs
        self.fates = fates
        self.verdict = verdict
        self.per_second = per_second
        """Submits by the gateways' clock in whole seconds, without the first and the last."""
        self.page = page
        self.late = fates.took(due, "produced")
        """How much later than due each message was produced: the generator's own fault."""
        self.queue = fates.took("received", "submitted")
        self.answer = fates.took("submitted", "answered")
        self.answered = fates.took(due, "answered")
        self.delivery = fates.took(due, "reported")

    def slices(self, share: float) -> list[float]:
        """That quantile of the queue, by slice."""
        size = max(1, round(SLICE * self.rate))
        starts = range(0, self.fates.count, size)
        return [
            quantile(self.fates.took("received", "submitted", slice(at, at + size)), share)
            for at in starts
        ]


def settings(rate: float, bootstrap: str | None, prefix: str) -> Settings:
    """Four accounts whose rates and windows allow about twice the load."""
    in_flight = rate / len(CARRIERS) * DELAY
    return Settings(
        rate=max(1.0, rate * ROOM),
        window=WINDOW,
        binds=max(1, math.ceil(2 * in_flight / WINDOW)),
        delay=DELAY,
        report_delay=REPORT_DELAY,
        report_window=max(WINDOW, math.ceil(in_flight)),
        bootstrap=bootstrap,
        topics=prefix,
    )


async def offered(rate: float, seconds: float, options: Options) -> Run:
    """Raises BenchError when it does not end in time."""
    count = max(1, round(seconds * rate))
    deadline = seconds + 90.0
    async with own_topics(options.bootstrap) as prefix:
        chosen = settings(rate, options.bootstrap, prefix)
        traffic = Traffic(f"offered-{uuid.uuid4().hex[:8]}", chosen.carriers)
        try:
            async with (
                asyncio.timeout(deadline),
                Stage(chosen, options.directory) as stage,
            ):
                return await _run(stage, traffic, count, rate)
        except TimeoutError:
            raise BenchError(
                f"{count} messages at {rate:g}/s are not done after {deadline:g} s"
            ) from None


async def _run(stage: Stage, traffic: Traffic, count: int, rate: float) -> Run:
    probed = syncs(stage.directory)
    await stage.start_daemon()
    topics = stage.config.broker.topics
    due = await offer(traffic, stage.outlet, topics.jobs[-1], count, rate)
    fates = await _finished(stage, traffic, count)
    verdict = await judge(stage, fates, traffic)
    counts = await stage.counts(seconds=True)
    page = await stage.metrics()
    if status := await stage.stop_daemon():
        raise BenchError(f"the daemon ended with {status}: {stage.daemon.said()}")
    # Once more at the end: the disk may have become slower meanwhile.
    probed += syncs(stage.directory)
    return Run(
        rate=rate,
        syncs=probed,
        due=due,
        fates=fates,
        verdict=verdict,
        per_second=inner(counts["accounts"]),
        page=page,
    )


async def _finished(stage: Stage, traffic: Traffic, count: int) -> Fates:
    """All that was published, once every message is final or nothing more comes."""
    fates = Fates(traffic.run, count)
    tail = stage.broker.tail(stage.config.broker.topics.reports)
    try:
        await tail.start()
        while fates.settled < count:
            records = await tail.take(AT_ONCE, PATIENCE)
            stage.watch()
            if not records:
                break
            fates.read(records)
    finally:
        await tail.close()
    return fates


def inner(accounts: Mapping[str, Any]) -> list[int]:
    """Submits of all accounts by whole second, without the first and the last, which are cut."""
    total: dict[int, int] = {}
    for account in accounts.values():
        series = account["seconds"]
        for second, submits in enumerate(series["submits"], series["start"] or 0):
            total[second] = total.get(second, 0) + submits
    if not total:
        return []
    return [total.get(second, 0) for second in range(min(total) + 1, max(total))]
