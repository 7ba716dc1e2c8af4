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
from dataclasses import dataclass
from random import Random

from daemon.demo.fates import Fates
from daemon.demo.settings import CARRIERS, Settings, Value
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from .agree import Agreement, compare
from .faults import SOAK
from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .memory import FILL, FILL_RATE, MIB, Memory, by_process, ended, fill
from .options import BenchError, Options
from .result import Result, Target, at_most, none_of
from .slope import Slope, slope

RATE = 220.0
ACCOUNT_RATE = 500.0
"""Room for the filling before, which is faster."""
WINDOW, BINDS, NODES = 16, 1, 2
HOURS, COMPRESS = 8.0, 16.0

# Seconds of the soak's own time, which are divided.
DELAY, REPORT_DELAY = 0.05, 1.0
ANSWER_WITHIN, HOLD, KEEPALIVE, REPORT_WITHIN = 5.0, 10.0, 30.0, 1800.0
FAULT_EVERY, FAULT_FOR = 60.0, 25.0

LEAST_REPORT_WITHIN = 30.0
"""Real seconds: the daemon's pauses between attempts to connect are not divided."""
RESTARTS = (0.7, 0.85)
"""When the daemon is stopped by SIGTERM and started again, as shares of the whole: the first
process has most of it, and is the one whose memory is judged.
"""
CARRIER_TURN = 2
"""A carrier is gone only in every second turn of the faults: it is the rarest of them."""

LEAST_SECONDS = 600.0
"""A shorter run does not say how memory goes, and is spared the filling before it."""
MOST_SLOPE = 10.0
"""MB an hour: a dozen octets for every message would be more."""
ARENA = MIB
"""What Python takes from the system and gives back at once: memory is not finer than that."""
MOST_MB = 200
SEED = 20261122


@dataclass(slots=True)
class _Run:
    verdict: Verdict
    fates: Fates
    rate: float
    faults: Counter[str]
    unclean: int
    memory: Memory
    agreement: Agreement

    filled: float | None
    """When the load of the soak began, on the monotonic clock; None: nothing was filled."""

    @property
    def slope(self) -> Slope:
        """Of the first process; NaN where the run was too short to tell."""
        if self.filled is None:
            return slope([])
        return slope([[sample for sample in self.memory.runs[0] if sample[0] >= self.filled]])

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
        deadline = seconds + 2 * report_within + 240.0 + 2 * FILL / FILL_RATE
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
    before = FILL if seconds >= LEAST_SECONDS else 0
    count = round(seconds * RATE)
    fates = Fates(traffic.run, before + count)
    async with Stage(settings, options.directory) as stage:
        probed += syncs(stage.directory, 100)
        await stage.start_daemon()
        memory = Memory(stage)
        topic = stage.config.broker.topics.jobs[-1]
        async with Following(stage, fates) as following:
            if before:
                options.note(f"soak: {before} messages to fill what is kept")
                await fill(stage, traffic, following)
            begun = time.monotonic()
            offering = asyncio.create_task(
                offer(traffic, stage.outlet, topic, count, RATE, first=before)
            )
            ailing = asyncio.create_task(_ail(stage, settings, seconds, compress))
            restarting = asyncio.create_task(_restart(stage, memory, seconds))
            sampling = asyncio.create_task(memory.watch())
            await ended([offering, ailing, restarting], sampling)
            took = time.monotonic() - begun
            await following.settled(report_within + 10.0)
        verdict = await judge(stage, fates, traffic, HOLD / compress + 1.0)
        if status := await stage.stop_daemon():
            raise BenchError(f"soak: the daemon ended with {status}: {stage.daemon.said()}")
        agreement = await compare(stage)
    return _Run(
        verdict,
        fates,
        count / took,
        ailing.result(),
        restarting.result(),
        memory,
        agreement,
        begun if before else None,
    )


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


async def _restart(stage: Stage, memory: Memory, seconds: float) -> int:
    """How many of the drains were not clean."""
    begun = time.monotonic()
    unclean = 0
    for share in RESTARTS:
        await asyncio.sleep(max(0.0, begun + share * seconds - time.monotonic()))
        memory.paused = True
        unclean += await stage.stop_daemon() != 0
        await stage.daemon.start()
        await stage.daemon_alive()
        memory.next_process()
    return unclean


def _targets(result: Result, run: _Run) -> None:
    verdict, grown, fates = run.verdict, run.slope, run.fates
    per_hour = 3600 / MIB
    result.targets += [
        Target(
            "memory slope",
            f"0 with 95 % or < {ARENA / MIB:g} MB in all, and surely <= {MOST_SLOPE:g}",
            round(grown.value * per_hour, 2),
            grown.flat(MOST_SLOPE / per_hour, ARENA),
            "MB/h",
            (round(grown.low * per_hour, 2), round(grown.high * per_hour, 2)),
        ),
        at_most("memory", MOST_MB, [run.memory.most / MIB], "MB", 1),
        none_of("lost", [verdict.lost]),
        none_of("not final", [fates.count - fates.settled]),
        none_of("parts that ledger and gateways differ about", [len(run.agreement.wrong)]),
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
            "rate": round(run.rate, 1),
            **{state: fates.states[state] for state in ("delivered", "expired", "rejected")},
            "resent": sum(1 for attempts in fates.attempts if attempts > 1),
            "parts": verdict.parts,
            "in doubt": len(run.agreement.doubtful),
            "twice": verdict.twice,
            "after answer": verdict.twice_answered,
        }
    ]
    result.tables["faults"] = [
        {"fault": fault.name, "what": fault.words, "times": run.faults[fault.name]}
        for fault in SOAK
        if run.faults[fault.name]
    ]
    for title, found in (
        ("parts in doubt", run.agreement.doubtful),
        ("parts that ledger and gateways differ about", run.agreement.wrong),
    ):
        if found:
            result.tables[title] = [one._asdict() for one in found]
    result.tables["memory by process"] = by_process(run.memory.runs)
