"""The contract's rate over all four protocols: seconds that fell short, and how long things took.

The run itself is `offered`; `urgent` follows, and for a report `loads`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from daemon.demo.fates import quantile, share_within
from daemon.demo.settings import Value

from . import loads, urgent
from .machine import machine, shown_syncs
from .offered import Run, offered, settings
from .options import Options
from .result import Figure, Result, Target, none_of
from .scrape import buckets, estimate

SECONDS = 60.0
RATE = 220.0
LEAST = 200 / 220
"""Of the rate, in every inner second."""
SYNC_MS = 1.0
"""The queue's targets hold where a sync takes no longer than this at p99."""
QUEUE_MS: tuple[tuple[float, dict[float, float]], ...] = (
    (RATE, {0.5: 2.0, 0.99: 10.0}),
    (2000.0, {0.99: 20.0}),
)
"""Up to which rate, and the most milliseconds by quantile; there is no target above."""


async def measure(options: Options) -> Result:
    """Raises BenchError when a run does not end in time."""
    load = os.getloadavg()[0]
    seconds, rate = options.seconds or SECONDS, options.rate or RATE
    options.note(f"contract: {round(seconds * rate)} messages at {rate:g}/s for {seconds:g} s")
    run = await offered(rate, seconds, options)
    parameters: dict[str, Value] = {
        "rate": rate,
        "seconds": seconds,
        "messages": run.fates.count,
        "parts per message": 1,
    }
    result = Result(
        "contract",
        parameters | settings(rate, options.bootstrap, "").parameters(),
        machine(load) | shown_syncs(run.syncs),
    )
    _targets(result, run)
    _tables(result, run)
    if options.rate is None:
        urgent.show(result, await urgent.measure(options))
    if options.report is not None:
        loads.show(result, await loads.measure(options))
    return result


def _targets(result: Result, run: Run) -> None:
    count, seconds = run.fates.count, run.per_second
    least, lowest = round(run.rate * LEAST), min(seconds, default=0)
    within_5 = share_within(run.delivery, 5.0, count) * 100
    within_7 = share_within(run.delivery, 7.0, count) * 100
    answered_7 = share_within(run.answered, 7.0, count) * 100
    result.targets += [
        Target(
            "lowest inner second",
            f">= {least}",
            lowest,
            lowest >= least,
            "submits",
            (lowest, max(seconds, default=0)),
        ),
        Target("delivered within 5 s", ">= 100", round(within_5, 3), within_5 >= 100, "%"),
        Target("delivered within 7 s", ">= 98", round(within_7, 3), within_7 >= 98, "%"),
        Target("answered within 7 s", ">= 98", round(answered_7, 3), answered_7 >= 98, "%"),
        *_queue(run),
        none_of("lost", [run.verdict.lost]),
        none_of("sent twice", [run.verdict.twice]),
        none_of("not delivered", [run.verdict.undelivered]),
        none_of("final events repeated", [run.verdict.repeated]),
        none_of("refused as malformed", [run.verdict.faults]),
    ]


def _queue(run: Run) -> list[Target]:
    most = next((limits for rate, limits in QUEUE_MS if run.rate <= rate), {})
    disk = quantile(sorted(run.syncs), 0.99) * 1e3
    applies = disk <= SYNC_MS
    targets = []
    for share, limit in most.items():
        found = quantile(run.queue, share) * 1e3
        by_slice = [value * 1e3 for value in run.slices(share)]
        targets.append(
            Target(
                f"queue p{share * 100:g}",
                f"<= {limit:g} where fdatasync p99 <= {SYNC_MS:g} ms"
                + ("" if applies else f" (does not apply: {disk:.2f} ms)"),
                round(found, 1),
                not math.isnan(found) and (found <= limit or not applies),
                "ms",
                (round(min(by_slice), 1), round(max(by_slice), 1)),
            )
        )
    return targets


def _tables(result: Result, run: Run) -> None:
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
