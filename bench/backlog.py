"""One carrier gone, with more and more messages waiting for it: what the others notice.

Runs come in pairs at the same load on every carrier: in the first all are there, in the second one
dies before anything is sent to it, and comes back when the others have had theirs.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.demo.fates import Fates, quantile
from daemon.demo.settings import CARRIERS, Settings
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .machine import syncs
from .options import BenchError, Options
from .result import Figure, Result, Target, at_most, median, none_of
from .usage import usage

RATE = 200.0
"""Messages a second to each carrier that is there."""
ACCOUNT_RATE = 5000.0
WINDOW, BINDS = 64, 2
DELAY, REPORT_DELAY = 0.005, 0.05
REPORT_WITHIN, PARK_AFTER = 8640.0, 2.0
"""Three days, and a minute, ÷ 30."""
MESSAGES, SECONDS, PAIRS = 20_000, 12.0, 1
FULL_MESSAGES, FULL_SECONDS, FULL_PAIRS = 1_000_000, 120.0, 7
"""An hour ÷ 30."""
RATIO, MORE_MS = 1.2, 2.0
MOST_MB = 200
PATIENCE = 60.0
MIB = 1 << 20
GONE, *THERE = CARRIERS


@dataclass(slots=True, frozen=True)
class _Run:
    messages: int
    """For the carrier that goes away in the second run."""
    p99: float
    """Milliseconds from when a message to another carrier was due to its first part written."""
    verdicts: Sequence[Verdict]
    memory: int
    """The most octets that the daemon had resident."""
    after: float
    """Seconds from the carrier's return to its last report."""


Pair = tuple[_Run, _Run]


async def measure(options: Options, probed: list[float]) -> list[Pair]:
    """Raises BenchError when a run does not end; syncs of the disk are added to `probed`."""
    full = options.full
    count = options.most or (FULL_MESSAGES if full else MESSAGES)
    lasts = options.seconds or (FULL_SECONDS if full else SECONDS)
    pairs = options.repeats or (FULL_PAIRS if full else PAIRS)
    runs: list[Pair] = []
    for number in range(1, pairs + 1):
        options.note(f"failover: backlog: {count} messages for a carrier that is gone, {number}")
        deadline = 2 * lasts + count / 250 + 6 * PATIENCE
        try:
            async with asyncio.timeout(deadline):
                well = await _run(count, lasts, options, probed, gone=False)
                runs.append((well, await _run(count, lasts, options, probed, gone=True)))
        except TimeoutError:
            raise BenchError(f"failover: backlog: not done in {deadline:g} s") from None
    return runs


def show(result: Result, runs: Sequence[Pair]) -> None:
    """Adds targets and a table."""
    _targets(result, runs)
    result.tables["backlog"] = [_row(pair) for pair in runs]


async def _run(
    count: int, seconds: float, options: Options, probed: list[float], *, gone: bool
) -> _Run:
    async with own_topics(options.bootstrap) as prefix:
        settings = Settings(
            rate=ACCOUNT_RATE,
            window=WINDOW,
            binds=BINDS,
            delay=DELAY,
            report_delay=REPORT_DELAY,
            report_window=WINDOW,
            bootstrap=options.bootstrap,
            topics=prefix,
            more={
                "daemon": {"park_after": PARK_AFTER},
                **{f"accounts.{name}": {"report_within": REPORT_WITHIN} for name in CARRIERS},
            },
        )
        async with Stage(settings, options.directory) as stage:
            probed += syncs(stage.directory, 100)
            return await _measured(stage, count, seconds, gone)


async def _measured(stage: Stage, count: int, seconds: float, gone: bool) -> _Run:
    run = f"backlog-{uuid.uuid4().hex[:8]}"
    others, waiting = Traffic(f"{run}-others", THERE), Traffic(f"{run}-waiting", [GONE])
    rate = RATE * len(THERE)
    fates, held = Fates(others.run, round(rate * seconds)), Fates(waiting.run, count)
    topic = stage.config.broker.topics.jobs[-1]
    await stage.start_daemon()
    async with Following(stage, fates) as following, Following(stage, held) as freed:
        if gone:
            await stage.fault(GONE, kill=True)
        due, _ = await asyncio.gather(
            offer(others, stage.outlet, topic, fates.count, rate),
            offer(waiting, stage.outlet, topic, count, count / seconds),
        )
        await following.settled(PATIENCE)
        back = time.time()
        if gone:
            await stage.fault(GONE, revive=True)
        await freed.settled(PATIENCE)
    verdicts = [await judge(stage, fates, others), await judge(stage, held, waiting)]
    memory = usage(stage.daemon.pid).most_memory
    if status := await stage.stop_daemon():
        raise BenchError(f"failover: the daemon ended with {status}: {stage.daemon.said()}")
    after = max((at for at in held.times["reported"] if at == at), default=back) - back
    return _Run(count, quantile(fates.took(due, "submitted"), 0.99) * 1e3, verdicts, memory, after)


def _targets(result: Result, runs: Sequence[Pair]) -> None:
    excess = [behind.p99 - max(well.p99 * RATIO, well.p99 + MORE_MS) for well, behind in runs]
    verdicts = [one for pair in runs for run in pair for one in run.verdicts]
    middle = median(excess)
    result.targets += [
        Target(
            "p99 of the others beyond what is allowed",
            f"<= 0: {RATIO:g} times or {MORE_MS:g} ms more, median of {len(runs)}",
            round(middle, 1),
            middle <= 0,
            "ms",
            (round(min(excess), 1), round(max(excess), 1)) if len(runs) > 1 else None,
        ),
        at_most("memory with a backlog", MOST_MB, [run.memory / MIB for _, run in runs], "MB", 1),
        none_of("backlog: lost", [one.lost for one in verdicts]),
        none_of("backlog: sent twice", [one.twice for one in verdicts]),
        none_of("backlog: not delivered", [one.undelivered for one in verdicts]),
        none_of("backlog: final events repeated", [one.repeated for one in verdicts]),
    ]


def _row(pair: Pair) -> dict[str, Figure]:
    well, behind = pair
    return {
        "messages waiting": behind.messages,
        "p99 ms all there": round(well.p99, 1),
        "p99 ms one gone": round(behind.p99, 1),
        "memory MB all there": round(well.memory / MIB, 1),
        "memory MB one gone": round(behind.memory / MIB, 1),
        "s until delivered": round(behind.after, 1),
        "messages/s": round(behind.messages / behind.after) if behind.after else None,
    }
