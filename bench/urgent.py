"""An urgent message behind a hundred thousand bulk ones: how long until it is written.

The bulk jobs are on their topic before the daemon starts.  Gateways answer after 50 ms, so that
windows and not this machine's cores keep them waiting, and the accounts' rates are far above.
Urgent jobs come on the urgent topic meanwhile, one at a time; then the gateways become fast, and
what is left is worked off to be judged.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from daemon.demo.fates import Fates, quantile
from daemon.demo.settings import CARRIERS, Settings
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic

from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .options import BenchError, Options
from .result import Result, at_most, none_of

BULK = 100_000
URGENT = 100
EVERY = 0.05
"""Seconds between two urgent ones."""
LEAD_IN = 1.0
"""Seconds that the daemon has with the bulk ones alone."""
ACCOUNT_RATE = 5000.0
DELAY = 0.05
WINDOW = 16
MOST_MS = 50.0
LEAST_RATE = 500
"""Messages a second that a run is given time for."""
PATIENCE = 30.0
READ_AT_ONCE = 5_000


@dataclass(slots=True, frozen=True)
class Urgent:
    bulk: int
    waiting: int
    """Bulk messages without a final event when the last urgent one had been written."""
    from_due: Sequence[float]
    """Seconds until each urgent one was written, in rising order, from when it was published."""
    queue: Sequence[float]
    """And from when it was received."""
    verdicts: Sequence[Verdict]


class Marked(Traffic):
    """Jobs of one priority."""

    def __init__(self, run: str, carriers: Sequence[str], priority: str) -> None:
        super().__init__(run, carriers, ((f"{priority}: 836251", None),))
        self._priority = priority

    def job(self, index: int) -> tuple[bytes, bytes]:
        key, value = super().job(index)
        return key, orjson.dumps(orjson.loads(value) | {"priority": self._priority})


async def measure(options: Options) -> Urgent:
    """Raises BenchError when it does not end in time."""
    count = options.most or BULK
    options.note(f"contract: urgent messages behind {count} bulk ones")
    deadline = 120.0 + count / LEAST_RATE
    async with own_topics(options.bootstrap) as prefix:
        chosen = Settings(
            rate=ACCOUNT_RATE,
            window=WINDOW,
            delay=DELAY,
            bootstrap=options.bootstrap,
            topics=prefix,
        )
        try:
            async with asyncio.timeout(deadline), Stage(chosen, options.directory) as stage:
                return await _run(stage, count)
        except TimeoutError:
            raise BenchError(
                f"urgent behind {count} bulk messages: not done after {deadline:g} s"
            ) from None


async def _run(stage: Stage, count: int) -> Urgent:
    run = uuid.uuid4().hex[:8]
    bulk = Marked(f"bulk-{run}", CARRIERS, "bulk")
    urgent = Marked(f"urgent-{run}", CARRIERS, "urgent")
    first, *_, later = stage.config.broker.topics.jobs
    for start in range(0, count, READ_AT_ONCE):
        stop = min(count, start + READ_AT_ONCE)
        await stage.outlet.publish(bulk.records(later, start, stop))
    waiting, hurrying = Fates(bulk.run, count), Fates(urgent.run, URGENT)
    await stage.start_daemon()
    async with Following(stage, waiting) as behind, Following(stage, hurrying) as ahead:
        await asyncio.sleep(LEAD_IN)
        due = array("d")
        for index in range(URGENT):
            due.append(time.time())
            await stage.outlet.publish(urgent.records(first, index, index + 1))
            await asyncio.sleep(max(0.0, due[-1] + EVERY - time.time()))
        await ahead.settled(PATIENCE)
        left = count - waiting.settled
        await stage.fault("*", delay=0.0)
        await behind.settled(PATIENCE)
    verdicts = [await judge(stage, waiting, bulk), await judge(stage, hurrying, urgent)]
    if status := await stage.stop_daemon():
        raise BenchError(f"the daemon ended with {status}: {stage.daemon.said()}")
    return Urgent(
        bulk=count,
        waiting=left,
        from_due=hurrying.took(due, "submitted"),
        queue=hurrying.took("received", "submitted"),
        verdicts=verdicts,
    )


def show(result: Result, run: Urgent) -> None:
    """Adds targets and a table."""
    result.targets += [
        at_most(
            f"urgent behind {run.bulk} bulk: p99, published to written",
            MOST_MS,
            [quantile(run.from_due, 0.99) * 1e3],
            "ms",
            1,
        ),
        none_of("urgent: lost", [one.lost for one in run.verdicts]),
        none_of("urgent: sent twice", [one.twice for one in run.verdicts]),
        none_of("urgent: not delivered", [one.undelivered for one in run.verdicts]),
    ]
    result.tables["urgent"] = [
        {
            "ms": name,
            "bulk still waiting": run.waiting,
            **{
                words: round(quantile(took, share) * 1e3, 1)
                for words, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
            },
        }
        for name, took in (
            ("published .. written", run.from_due),
            ("received .. written", run.queue),
        )
    ]
