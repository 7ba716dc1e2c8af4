"""The contract's rate over all four protocols: seconds that fell short, and how long things took.

Messages are offered open loop and every latency from outside begins when the message should have
gone, not when the generator came to it.
"""

from __future__ import annotations

import asyncio
import math
import os
import uuid
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from daemon.demo.fates import Fates, quantile, share_within
from daemon.demo.settings import Settings, Value
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from .judge import Verdict, judge
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .options import BenchError, Options
from .result import Figure, Result, Target, none_of
from .scrape import buckets, estimate

SECONDS = 60.0
RATE = 220.0
ACCOUNT_RATE = 100.0
"""Parts per second of each of the four accounts: not what limits."""
DELAY, REPORT_DELAY = 0.05, 1.0

LEAST_PER_SECOND = 200
QUEUE_MS = 25.0
SYNC_MS = 1.0
"""The queue's target holds where a sync takes no longer than this at p99."""
SLICE = 10.0
"""Seconds over which a p99 is taken again, for its spread."""
PATIENCE = 10.0
AT_ONCE = 5_000


async def measure(options: Options) -> Result:
    """Raises BenchError when the run does not end in time."""
    load = os.getloadavg()[0]
    seconds = options.seconds or SECONDS
    count = round(seconds * RATE)
    async with own_topics(options.bootstrap) as prefix:
        settings = Settings(
            rate=ACCOUNT_RATE,
            delay=DELAY,
            report_delay=REPORT_DELAY,
            bootstrap=options.bootstrap,
            topics=prefix,
        )
        traffic = Traffic(f"contract-{uuid.uuid4().hex[:8]}", settings.carriers)
        parameters: dict[str, Value] = {
            "rate": RATE,
            "seconds": seconds,
            "messages": count,
            "parts per message": 1,
        }
        deadline = seconds + 90.0
        options.note(f"contract: {count} messages at {RATE:g}/s for {seconds:g} s")
        try:
            async with asyncio.timeout(deadline):
                run = await _run(settings, traffic, count, options)
        except TimeoutError:
            raise BenchError(f"contract: not done after {deadline:g} s") from None
    facts = machine(load) | shown_syncs(run.syncs)
    result = Result("contract", parameters | settings.parameters(), facts)
    _targets(result, run)
    _tables(result, run)
    return result


class _Run:
    """What one run left to look at."""

    def __init__(
        self,
        *,
        syncs: Sequence[float],
        due: array[float],
        fates: Fates,
        verdict: Verdict,
        per_second: Sequence[int],
        page: str,
    ) -> None:
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

    def slices(self) -> list[float]:
        """p99 of the queue, by slice."""
        size = round(SLICE * RATE)
        starts = range(0, self.fates.count, size)
        return [
            quantile(self.fates.took("received", "submitted", slice(at, at + size)), 0.99)
            for at in starts
        ]


async def _run(settings: Settings, traffic: Traffic, count: int, options: Options) -> _Run:
    async with Stage(settings, options.directory) as stage:
        probed = syncs(stage.directory)
        await stage.start_daemon()
        topics = stage.config.broker.topics
        due = await offer(traffic, stage.outlet, topics.jobs[-1], count, RATE)
        fates = await _finished(stage, traffic, count)
        verdict = await judge(stage, fates, traffic)
        counts = await stage.counts(seconds=True)
        page = await stage.metrics()
        if status := await stage.stop_daemon():
            raise BenchError(f"contract: the daemon ended with {status}: {stage.daemon.said()}")
        # Once more at the end: the disk may have become slower meanwhile.
        probed += syncs(stage.directory)
    return _Run(
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


def _targets(result: Result, run: _Run) -> None:
    count = run.fates.count
    seconds = run.per_second
    lowest = min(seconds, default=0)
    p99 = quantile(run.queue, 0.99) * 1e3
    disk = quantile(sorted(run.syncs), 0.99) * 1e3
    applies = disk <= SYNC_MS
    by_slice = [value * 1e3 for value in run.slices()]
    within_5 = share_within(run.delivery, 5.0, count) * 100
    within_7 = share_within(run.delivery, 7.0, count) * 100
    answered_7 = share_within(run.answered, 7.0, count) * 100
    result.targets += [
        Target(
            "lowest inner second",
            f">= {LEAST_PER_SECOND}",
            lowest,
            lowest >= LEAST_PER_SECOND,
            "submits",
            (lowest, max(seconds, default=0)),
        ),
        Target("delivered within 5 s", ">= 100", round(within_5, 3), within_5 >= 100, "%"),
        Target("delivered within 7 s", ">= 98", round(within_7, 3), within_7 >= 98, "%"),
        Target("answered within 7 s", ">= 98", round(answered_7, 3), answered_7 >= 98, "%"),
        Target(
            "queue p99",
            f"<= {QUEUE_MS:g} where fdatasync p99 <= {SYNC_MS:g} ms"
            + ("" if applies else f" (does not apply: {disk:.2f} ms)"),
            round(p99, 1),
            not math.isnan(p99) and (p99 <= QUEUE_MS or not applies),
            "ms",
            (round(min(by_slice), 1), round(max(by_slice), 1)),
        ),
        none_of("lost", [run.verdict.lost]),
        none_of("sent twice", [run.verdict.twice]),
        none_of("not delivered", [run.verdict.undelivered]),
        none_of("final events repeated", [run.verdict.repeated]),
        none_of("refused as malformed", [run.verdict.faults]),
    ]


def _tables(result: Result, run: _Run) -> None:
    rows: list[dict[str, Figure]] = []
    for name, exact, family in (
        ("queue: received .. written", run.queue, "carrierd_queue_seconds"),
        ("answer: written .. answered", run.answer, "carrierd_answer_seconds"),
        ("delivery: due .. reported", run.delivery, "carrierd_delivery_seconds"),
        ("generator: due .. produced", run.late, None),
    ):
        rows.append({"ms": name, "by": "events", **_row(exact)})
        if family is not None:
            rows.append({"ms": name, "by": "/metrics", **_estimated(run.page, family)})
    result.tables["latency"] = rows


def _row(ordered: Sequence[float]) -> dict[str, Figure]:
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: round(quantile(ordered, share) * 1e3, 1) for name, share in shares.items()}


def _estimated(page: str, family: str) -> dict[str, Figure]:
    found = buckets(page, family)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
    row: dict[str, Figure] = {
        name: round(estimate(found, share) * 1e3, 1) for name, share in shares.items()
    }
    return row | {"max": None}
