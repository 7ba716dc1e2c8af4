"""The contract's rate for hours, one fault after the other, every duration divided by a number.

The rate is not divided: a compressed hour has fewer messages and as many faults.  Memory is judged
by the slope of the daemon's resident size while one process lives, after what it keeps has filled.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from daemon.demo.fates import Fates
from daemon.demo.settings import CARRIERS, Settings, Value
from daemon.demo.stage import Stage, StageError
from daemon.demo.traffic import Traffic, offer

from .faults import SOAK
from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .options import BenchError, Options
from .result import Figure, Result, Target, at_most, none_of
from .slope import Sample, Slope, slope
from .usage import usage

RATE = 220.0
ACCOUNT_RATE = 100.0
WINDOW, BINDS, NODES = 16, 1, 2
HOURS, COMPRESS = 4.0, 16.0

# Seconds of the soak's own time, which are divided.
DELAY, REPORT_DELAY = 0.05, 1.0
ANSWER_WITHIN, HOLD, KEEPALIVE, REPORT_WITHIN = 5.0, 10.0, 30.0, 1800.0
FAULT_EVERY, FAULT_FOR = 60.0, 25.0

LEAST_REPORT_WITHIN = 30.0
"""Real seconds: the daemon's pauses between attempts to connect are not divided."""
RESTARTS = (0.3, 0.7)
"""When the daemon is stopped by SIGTERM and started again, as shares of the whole."""
CARRIER_TURN = 2
"""A carrier is gone only in every second turn of the faults: it is the rarest of them."""

SAMPLE_EVERY = 1.0
FILLED = 30_000
"""Messages of each process that its memory is not judged by: it keeps the latest 25,000 to know
their reports again.  A process that has no more says nothing.
"""
LEAST_SAMPLES = 30
ERRORS = 3.0
MOST_MB = 200
SEED = 20261122
MIB = 1 << 20


@dataclass(slots=True)
class _Run:
    verdict: Verdict
    fates: Fates
    seconds: float
    faults: Counter[str]
    unclean: int
    memory: list[list[Sample]] = field(default_factory=list)
    """Resident octets over real seconds, by process."""
    most_memory: int = 0

    @property
    def slope(self) -> Slope:
        """NaN where no process lived long enough."""
        warm = FILLED / RATE
        runs = [
            [sample for sample in run if sample[0] - run[0][0] >= warm]
            for run in self.memory
            if run
        ]
        return slope([run for run in runs if len(run) >= LEAST_SAMPLES])

    @property
    def hopeless(self) -> int:
        """Messages that were not delivered though only one attempt was made."""
        pairs = zip(self.fates.delivered, self.fates.attempts, strict=True)
        return sum(1 for delivered, attempts in pairs if not delivered and attempts < 2)


async def measure(options: Options) -> Result:
    """Raises BenchError when the run does not end in time."""
    load = os.getloadavg()[0]
    hours, compress = options.hours or HOURS, options.compress or COMPRESS
    seconds = hours * 3600 / compress
    report_within = max(LEAST_REPORT_WITHIN, REPORT_WITHIN / compress)
    probed: list[float] = []
    async with own_topics(options.bootstrap) as prefix:
        settings = Settings(
            rate=ACCOUNT_RATE,
            window=WINDOW,
            binds=BINDS,
            nodes=NODES,
            delay=DELAY / compress,
            report_delay=REPORT_DELAY / compress,
            bootstrap=options.bootstrap,
            topics=prefix,
            more={
                **{
                    f"accounts.{name}": {
                        "answer_within": ANSWER_WITHIN / compress,
                        "keepalive": KEEPALIVE / compress,
                        "report_within": report_within,
                    }
                    for name in CARRIERS
                },
                "uncertain": {"hold": HOLD / compress, "then": "resend"},
            },
        )
        options.note(f"soak: {hours:g} h ÷ {compress:g}: {seconds:g} s at {RATE:g} messages/s")
        deadline = seconds + 2 * report_within + 120.0
        try:
            async with asyncio.timeout(deadline):
                run = await _run(settings, seconds, compress, report_within, options, probed)
        except TimeoutError:
            raise BenchError(f"soak: not done after {deadline:g} s") from None
    parameters: dict[str, Value] = {
        "hours": hours,
        "compress": compress,
        "seconds": seconds,
        "rate": RATE,
        "messages": run.fates.count,
        "answer_within": ANSWER_WITHIN / compress,
        "hold": HOLD / compress,
        "keepalive": KEEPALIVE / compress,
        "report_within": report_within,
        "a fault every": FAULT_EVERY / compress,
        "a fault lasts": FAULT_FOR / compress,
        "seed": SEED,
        "parts per message": 1,
    }
    facts = machine(load) | shown_syncs(probed)
    result = Result("soak", parameters | settings.parameters(), facts)
    _targets(result, run)
    _tables(result, run)
    return result


async def _run(
    settings: Settings,
    seconds: float,
    compress: float,
    report_within: float,
    options: Options,
    probed: list[float],
) -> _Run:
    traffic = Traffic(f"soak-{uuid.uuid4().hex[:8]}", settings.carriers)
    count = round(seconds * RATE)
    fates = Fates(traffic.run, count)
    async with Stage(settings, options.directory) as stage:
        probed += syncs(stage.directory, 100)
        await stage.start_daemon()
        memory = _Memory(stage)
        topic = stage.config.broker.topics.jobs[-1]
        begun = time.monotonic()
        async with Following(stage, fates) as following:
            offering = asyncio.create_task(offer(traffic, stage.outlet, topic, count, RATE))
            ailing = asyncio.create_task(_ail(stage, settings, seconds, compress))
            restarting = asyncio.create_task(_restart(stage, memory, seconds))
            sampling = asyncio.create_task(memory.watch())
            await _ended([offering, ailing, restarting], sampling)
            took = time.monotonic() - begun
            await following.settled(report_within + 10.0)
        verdict = await judge(stage, fates, traffic, HOLD / compress + 1.0)
        if status := await stage.stop_daemon():
            raise BenchError(f"soak: the daemon ended with {status}: {stage.daemon.said()}")
    most = max((int(value) for run in memory.runs for _, value in run), default=0)
    return _Run(verdict, fates, took, ailing.result(), restarting.result(), memory.runs, most)


async def _ended(work: Sequence[asyncio.Task[Any]], watch: asyncio.Task[None]) -> None:
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


class _Memory:
    """Samples of the daemon's resident size, a new run of them for every process."""

    def __init__(self, stage: Stage) -> None:
        self.runs: list[list[Sample]] = [[]]
        self.paused = False
        self._stage = stage

    async def watch(self) -> None:
        while True:
            if not self.paused:
                try:
                    used = usage(self._stage.daemon.pid)
                except OSError as exc:
                    self._stage.watch()
                    raise StageError(f"carrierd run is not there: {exc}") from exc
                self.runs[-1].append((time.monotonic(), float(used.memory)))
            await asyncio.sleep(SAMPLE_EVERY)


async def _ail(stage: Stage, settings: Settings, seconds: float, compress: float) -> Counter[str]:
    """Fault after fault, on nodes and carriers that chance picks; how often each came."""
    chances = Random(SEED)
    made: Counter[str] = Counter()
    every, lasts = FAULT_EVERY / compress, FAULT_FOR / compress
    begun = time.monotonic()
    for number in range(int(seconds / every)):
        turn, place = divmod(number, len(SOAK))
        fault = SOAK[place]
        name = chances.choice(settings.carriers)
        node = chances.choice(settings.node_names(name))
        await asyncio.sleep(max(0.0, begun + number * every - time.monotonic()))
        if fault.carrier and turn % CARRIER_TURN:
            continue
        where = [name if fault.carrier else f"{name}/{node}"]
        await fault.begin(stage, where)
        await asyncio.sleep(lasts)
        await fault.end(stage, where)
        made[fault.name] += 1
    return made


async def _restart(stage: Stage, memory: _Memory, seconds: float) -> int:
    """How many of the drains were not clean."""
    begun = time.monotonic()
    unclean = 0
    for share in RESTARTS:
        await asyncio.sleep(max(0.0, begun + share * seconds - time.monotonic()))
        memory.paused = True
        unclean += await stage.stop_daemon() != 0
        await stage.daemon.start()
        memory.runs.append([])
        memory.paused = False
    return unclean


def _targets(result: Result, run: _Run) -> None:
    verdict, grown = run.verdict, run.slope
    per_hour = 3600 / MIB
    result.targets += [
        Target(
            "memory slope",
            f"0 within {ERRORS:g} errors of {grown.error * per_hour:.3g}",
            round(grown.value * per_hour, 3),
            grown.within(ERRORS),
            "MB/h",
        ),
        at_most("memory", MOST_MB, [run.most_memory / MIB], "MB", 1),
        none_of("lost", [verdict.lost]),
        none_of("sent twice, unsaid", [verdict.twice_unsaid]),
        none_of("not delivered after one attempt", [run.hopeless]),
        none_of("final events contradicted", [verdict.contradicted]),
        none_of("final events repeated", [verdict.repeated]),
        none_of("drains that were not clean", [run.unclean]),
        none_of("refused as malformed", [verdict.faults]),
    ]


def _tables(result: Result, run: _Run) -> None:
    fates, verdict = run.fates, run.verdict
    result.tables["messages"] = [
        {
            "messages": fates.count,
            "rate": round(fates.count / run.seconds, 1),
            **{state: fates.states[state] for state in ("delivered", "expired", "rejected")},
            "resent": sum(1 for attempts in fates.attempts if attempts > 1),
            "parts": verdict.parts,
            "twice": verdict.twice,
            "after answer": verdict.twice_answered,
        }
    ]
    result.tables["faults"] = [
        {"fault": fault.name, "what": fault.words, "times": run.faults[fault.name]}
        for fault in SOAK
        if run.faults[fault.name]
    ]
    result.tables["memory by process"] = _memory(run.memory)


def _memory(runs: Sequence[Sequence[Sample]]) -> list[dict[str, Figure]]:
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
