"""How much goes through one daemon, from broker to broker, with reports and the ledger.

Two ways of offering, because they answer two questions.

*sustained*: so many messages are kept on their way that the daemon is never without work and never
buries itself in a backlog: `LEAD` between the jobs topic and the final events.  What is counted
are messages that became final in the measured time, after a warm-up and before the last one
was offered, so that taking, sending, reporting and publishing all go on at once.

*backlog*: all jobs are on their topic before the daemon starts.  Memory has to stay bounded by
something other than the number that waits; CPU per message shows what the backlog itself costs.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.broker.base import Tail
from daemon.demo.settings import CARRIERS, LINES, Settings, Value
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic

from .judge import Verdict, judge, read_back
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .options import BenchError, Options
from .result import Figure, Result, at_least, at_most, none_of
from .usage import Usage, disk, usage

SECONDS = 10.0
"""Measured; the warm-up comes before."""
WARM_UP = 3.0
REPEATS = 3
LEAD = 8_000
AT_ONCE = 500
READ_AT_ONCE = 5_000
LOOK_EVERY = 0.05
PATIENCE = 30.0
"""Seconds without a final event after which a run is given up."""

WINDOW, BINDS = 64, 16
"""Binds in all, dealt evenly to the accounts: one account alone has as many as four together."""
ACCOUNT_RATE = 100_000.0
REPORT_WINDOW = 1_000

LEAST_PER_SECOND = 10_000
IDLE_MB, MOST_MB = 120, 200
BACKLOGS = (10_000, 100_000, 1_000_000)
MOST = 100_000
MIB = 1 << 20


@dataclass(slots=True, frozen=True)
class Sustained:
    """One run that was never without work."""

    per_second: float
    cpu: float
    """Seconds of all threads per message."""
    busy: float
    """Cores that the daemon used."""
    gateways_busy: float
    """Cores that the gateways used: near 1 they are the limit, not the daemon."""
    bench_busy: float
    starved: float
    """Cores that the daemon could have used and did not get: another's load on the machine."""
    idle_memory: int
    memory: int
    messages: int
    verdict: Verdict


@dataclass(slots=True, frozen=True)
class Backlog:
    """One run with everything waiting at the start."""

    messages: int
    per_second: float
    cpu: float
    memory: int
    """The most that was resident."""
    disk: int
    """Octets of the ledger when all was done."""
    verdict: Verdict


async def measure(options: Options) -> Result:
    """Raises BenchError when a run does not end in time."""
    load = os.getloadavg()[0]
    seconds = options.seconds or SECONDS
    repeats = options.repeats or REPEATS
    most = options.most or (BACKLOGS[-1] if options.full else MOST)
    sizes = sorted({size for size in BACKLOGS if size < most} | {most})
    probed: list[float] = []
    runs: dict[str, list[Sustained]] = {}
    for name, carriers in _choices(options.protocols).items():
        for number in range(repeats):
            options.note(f"throughput: {name}, run {number + 1} of {repeats}")
            runs.setdefault(name, []).append(await _sustained(carriers, seconds, options, probed))
    backlogs = []
    for size in sizes:
        options.note(f"throughput: a backlog of {size} messages")
        backlogs.append(await _backlog(size, options))
    settings = _settings(CARRIERS, options.bootstrap, "")
    parameters: dict[str, Value] = {
        "seconds": seconds,
        "warm-up": min(WARM_UP, seconds),
        "repeats": repeats,
        "messages on their way": LEAD,
        "parts per message": 1,
        "backlogs": [str(size) for size in sizes],
    }
    facts = machine(load) | shown_syncs(probed)
    result = Result("throughput", parameters | settings.parameters(), facts)
    _targets(result, runs, backlogs)
    _tables(result, runs, backlogs)
    return result


def _choices(protocols: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Carriers by the name of a run: all together, and each protocol alone."""
    choices = {"mixed": CARRIERS} | {line.protocol: (name,) for name, line in LINES.items()}
    return {name: choices[name] for name in protocols} if protocols else choices


def _settings(carriers: Sequence[str], bootstrap: str | None, prefix: str) -> Settings:
    return Settings(
        carriers=carriers,
        rate=ACCOUNT_RATE,
        window=WINDOW,
        binds=BINDS // len(carriers),
        report_window=REPORT_WINDOW,
        bootstrap=bootstrap,
        topics=prefix,
    )


# Sustained


async def _sustained(
    carriers: Sequence[str], seconds: float, options: Options, probed: list[float]
) -> Sustained:
    deadline = 4 * seconds + 120.0
    async with own_topics(options.bootstrap) as prefix:
        settings = _settings(carriers, options.bootstrap, prefix)
        traffic = Traffic(f"sustained-{uuid.uuid4().hex[:8]}", carriers)
        try:
            async with (
                asyncio.timeout(deadline),
                Stage(settings, options.directory) as stage,
            ):
                probed += syncs(stage.directory, 100)
                return await _keep_busy(stage, traffic, seconds)
        except TimeoutError:
            raise BenchError(f"throughput: not done after {deadline:g} s") from None


class _Flow:
    """Keeps `LEAD` messages on their way, and counts what became final."""

    def __init__(self, stage: Stage, traffic: Traffic, reports: Tail) -> None:
        self.stage, self.traffic, self.reports = stage, traffic, reports
        self.topic = stage.config.broker.topics.jobs[-1]
        self.sent = 0
        self.final = 0
        self._heard = time.monotonic()

    async def run_until(self, at: float) -> None:
        """Offer and count until this monotonic time."""
        while time.monotonic() < at:
            if self.sent - self.final <= LEAD - AT_ONCE:
                stop = self.sent + AT_ONCE
                records = self.traffic.records(self.topic, self.sent, stop)
                self.sent = stop
                await self.stage.outlet.publish(records)
                await self._count(0.0)
            else:
                await self._count(LOOK_EVERY)
            if self._quiet > PATIENCE:
                raise BenchError(
                    f"throughput: nothing for {PATIENCE:g} s, {self.sent - self.final} of"
                    f" {self.sent} messages without a final event"
                )

    async def drain(self) -> None:
        """Until all are final, or nothing more comes: the verdict will say what is lost."""
        while self.final < self.sent and self._quiet <= PATIENCE:
            await self._count(LOOK_EVERY)

    @property
    def _quiet(self) -> float:
        return time.monotonic() - self._heard

    async def _count(self, wait: float) -> None:
        records = await self.reports.take(READ_AT_ONCE, wait)
        if records:
            # Cheap on purpose: whoever measures takes time from who is measured.
            self.final += sum(b'"final":true' in record.value for record in records)
            self._heard = time.monotonic()
        else:
            self.stage.watch()


async def _keep_busy(stage: Stage, traffic: Traffic, seconds: float) -> Sustained:
    await stage.start_daemon()
    pid = stage.daemon.pid
    idle = usage(pid)
    reports = stage.broker.tail(stage.config.broker.topics.reports)
    try:
        await reports.start()
        flow = _Flow(stage, traffic, reports)
        await flow.run_until(time.monotonic() + min(WARM_UP, seconds))
        watched = (pid, stage.gateways.pid, os.getpid())
        begin, done, before = time.monotonic(), flow.final, [usage(each) for each in watched]
        await flow.run_until(begin + seconds)
        took, done, after = (
            time.monotonic() - begin,
            flow.final - done,
            [usage(each) for each in watched],
        )
        await flow.drain()
    finally:
        await reports.close()
    fates = await read_back(stage, traffic, flow.sent)
    verdict = await judge(stage, fates, traffic)
    await _stop(stage)
    cpu, gateways_cpu, bench_cpu = (
        late.cpu - early.cpu for early, late in zip(before, after, strict=True)
    )
    return Sustained(
        per_second=done / took,
        cpu=cpu / max(1, done),
        busy=cpu / took,
        gateways_busy=gateways_cpu / took,
        bench_busy=bench_cpu / took,
        starved=(after[0].starved - before[0].starved) / took,
        idle_memory=idle.memory,
        memory=after[0].most_memory,
        messages=flow.sent,
        verdict=verdict,
    )


# Backlog


async def _backlog(size: int, options: Options) -> Backlog:
    deadline = 120.0 + size / 1_000
    async with own_topics(options.bootstrap) as prefix:
        settings = _settings(CARRIERS, options.bootstrap, prefix)
        traffic = Traffic(f"backlog-{uuid.uuid4().hex[:8]}", CARRIERS)
        try:
            async with (
                asyncio.timeout(deadline),
                Stage(settings, options.directory) as stage,
            ):
                return await _work_off(stage, traffic, size)
        except TimeoutError:
            raise BenchError(
                f"throughput: a backlog of {size} is not done after {deadline:g} s"
            ) from None


async def _work_off(stage: Stage, traffic: Traffic, size: int) -> Backlog:
    topics = stage.config.broker.topics
    for start in range(0, size, READ_AT_ONCE):
        stop = min(size, start + READ_AT_ONCE)
        await stage.outlet.publish(traffic.records(topics.jobs[-1], start, stop))
    reports = stage.broker.tail(topics.reports)
    try:
        await reports.start()
        await stage.start_daemon()
        flow = _Flow(stage, traffic, reports)
        flow.sent = size
        await flow.drain()
        used: Usage = usage(stage.daemon.pid)
    finally:
        await reports.close()
    fates = await read_back(stage, traffic, size)
    verdict = await judge(stage, fates, traffic)
    on_disk = disk(stage.state_dir) - disk(stage.state_dir / "broker")
    await _stop(stage)
    first, last = min(fates.times["received"]), max(fates.times["reported"])
    return Backlog(size, size / (last - first), used.cpu / size, used.most_memory, on_disk, verdict)


async def _stop(stage: Stage) -> None:
    if status := await stage.stop_daemon():
        raise BenchError(f"throughput: the daemon ended with {status}: {stage.daemon.said()}")


# What is said of it


def _targets(result: Result, runs: dict[str, list[Sustained]], backlogs: Sequence[Backlog]) -> None:
    if mixed := runs.get("mixed"):
        rates = [run.per_second for run in mixed]
        result.targets.append(at_least("sustained, mixed", LEAST_PER_SECOND, rates, "messages/s"))
    verdicts = [run.verdict for each in runs.values() for run in each]
    verdicts += [one.verdict for one in backlogs]
    idle = [run.idle_memory / MIB for each in runs.values() for run in each]
    most = [run.memory / MIB for each in runs.values() for run in each]
    most += [one.memory / MIB for one in backlogs]
    result.targets += [
        at_most("memory, idle", IDLE_MB, idle, "MB", 1),
        at_most("memory, any load or backlog", MOST_MB, most, "MB", 1),
        none_of("lost", [one.lost for one in verdicts]),
        none_of("sent twice", [one.twice for one in verdicts]),
        none_of("not delivered", [one.undelivered for one in verdicts]),
        none_of("final events repeated", [one.repeated for one in verdicts]),
        none_of("refused as malformed", [one.faults for one in verdicts]),
    ]


def _tables(result: Result, runs: dict[str, list[Sustained]], backlogs: Sequence[Backlog]) -> None:
    rows: list[dict[str, Figure]] = []
    for name, each in runs.items():
        for number, run in enumerate(each, 1):
            rows.append(
                {
                    "": name,
                    "run": number,
                    "messages/s": round(run.per_second),
                    "µs CPU/message": round(run.cpu * 1e6, 1),
                    "daemon cores": round(run.busy, 2),
                    "starved": round(run.starved, 2),
                    "gateway cores": round(run.gateways_busy, 2),
                    "bench cores": round(run.bench_busy, 2),
                    "messages": run.messages,
                    "memory MB": round(run.memory / MIB, 1),
                }
            )
    result.tables["sustained"] = rows
    idle = min(run.idle_memory for each in runs.values() for run in each)
    result.tables["backlog, mixed"] = [
        {
            "messages": one.messages,
            "messages/s": round(one.per_second),
            "µs CPU/message": round(one.cpu * 1e6, 1),
            "memory MB": round(one.memory / MIB, 1),
            "memory B/message": round((one.memory - idle) / one.messages, 1),
            "ledger B/message": round(one.disk / one.messages),
        }
        for one in backlogs
    ]
