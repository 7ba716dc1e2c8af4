"""The broker taken away under load: once for long, then restarted again and again.

It is a Kafka that whoever measures has started and knows how to stop and to start: the commands
come from the command line.  The load never pauses; what cannot be published waits in the generator.
"""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
import time
import uuid
from asyncio.subprocess import DEVNULL
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from daemon.demo.fates import Fates
from daemon.demo.settings import Settings, Value
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .memory import FILL, FILL_RATE, MIB, Memory, by_process, ended, fill
from .options import BenchError, Options
from .result import Figure, Result, Target, at_most, none_of
from .slope import Slope, sen
from .usage import usage

RATE = 500.0
ACCOUNT_RATE = 500.0
"""Four of them have to catch up with what was offered while there was no broker."""
WINDOW, BINDS = 16, 2
DELAY, REPORT_DELAY = 0.02, 1.0
SECONDS, RESTARTS = 10.0, 2
FULL_SECONDS, FULL_RESTARTS = 60.0, 10
WARM = 5.0
UP = (5.0, 12.0)
"""Seconds from having caught up to the next stop."""
LEVEL = 5.0
"""Memory before each stop is the median of so many seconds."""
CATCH_UP_WITHIN = 120.0
COMMAND_WITHIN = 120.0
STILL = 2.0
"""Seconds after which nothing is read any more from a broker that was stopped."""
LOOK_EVERY = 0.5
PATIENCE = 30.0
MOST_CORES = 0.5
"""Of the daemon, in the long stop: it sends what it has, and asks for the broker now and then."""
MOST_MB = 200
MOST_GROWN = 0.5
"""MB for each time the broker goes."""
SEED = 20261122


@dataclass(slots=True)
class _Away:
    """One time without a broker."""

    seconds: float
    """From the stop command's end to the start command's."""
    caught_up: float = math.nan
    """Seconds from there until all that was due by then had its final event."""
    outbox: int = 0
    """The most records that waited to be published, as the daemon tells."""
    level: float = math.nan
    """Octets resident before it, everything caught up."""
    cores: float = 0.0
    """That the daemon used meanwhile."""


@dataclass(slots=True)
class _Run:
    verdict: Verdict
    messages: int
    seconds: float
    times: Sequence[_Away]
    memory: Memory
    resent: int
    last: float
    """Octets resident at the end, everything caught up."""

    @property
    def grown(self) -> Slope:
        """Octets for each restart; the long stop before them fills what waits for the broker."""
        levels = [one.level for one in self.times[1:]] + [self.last]
        return sen([[(float(number), level) for number, level in enumerate(levels)]])


@dataclass(slots=True)
class _Plan:
    bootstrap: str
    stop: str
    start: str
    rate: float
    seconds: float
    restarts: int
    full: bool
    """What is kept is filled before, and memory is judged."""


async def measure(options: Options) -> Result:
    """Raises BenchError without a Kafka and its commands, or when a command or the run fails."""
    load = os.getloadavg()[0]
    plan = _planned(options)
    probed: list[float] = []
    deadline = (
        WARM
        + plan.seconds
        + (2 * FILL / FILL_RATE if plan.full else 0.0)
        + (plan.restarts + 1) * (CATCH_UP_WITHIN + UP[1] + 2 * COMMAND_WITHIN)
        + 2 * PATIENCE
    )
    async with own_topics(plan.bootstrap) as prefix:
        settings = Settings(
            rate=ACCOUNT_RATE,
            window=WINDOW,
            binds=BINDS,
            delay=DELAY,
            report_delay=REPORT_DELAY,
            bootstrap=plan.bootstrap,
            topics=prefix,
        )
        try:
            async with asyncio.timeout(deadline):
                run = await _run(settings, plan, options, probed)
        except TimeoutError:
            raise BenchError(f"broker: not done after {deadline:g} s") from None
    parameters: dict[str, Value] = {
        "rate": plan.rate,
        "messages": run.messages,
        "seconds without a broker": plan.seconds,
        "restarts": plan.restarts,
        "stop": plan.stop,
        "start": plan.start,
        "seed": SEED,
        "parts per message": 1,
    }
    facts = machine(load) | shown_syncs(probed)
    result = Result("broker", parameters | settings.parameters(), facts)
    _targets(result, run, plan.full)
    result.tables["without a broker"] = [_row(number, one) for number, one in enumerate(run.times)]
    result.tables["messages"] = [_messages(run)]
    result.tables["memory by process"] = by_process(run.memory.runs)
    return result


def _planned(options: Options) -> _Plan:
    if not (options.bootstrap and options.stop and options.start):
        raise BenchError("broker: needs --bootstrap, --stop and --start: a Kafka and its commands")
    full = options.full
    return _Plan(
        options.bootstrap,
        options.stop,
        options.start,
        options.rate or RATE,
        options.seconds or (FULL_SECONDS if full else SECONDS),
        options.restarts or (FULL_RESTARTS if full else RESTARTS),
        full,
    )


async def _run(settings: Settings, plan: _Plan, options: Options, probed: list[float]) -> _Run:
    traffic = Traffic(f"broker-{uuid.uuid4().hex[:8]}", settings.carriers)
    rounds = plan.restarts + 1
    before = FILL if plan.full else 0
    most = round(plan.rate * (WARM + plan.seconds + rounds * (CATCH_UP_WITHIN + UP[1] + 60.0)))
    fates = Fates(traffic.run, before + most)
    stop = asyncio.Event()
    async with Stage(settings, options.directory) as stage:
        probed += syncs(stage.directory, 100)
        await stage.start_daemon()
        topic = stage.config.broker.topics.jobs[-1]
        memory = Memory(stage)
        async with Following(stage, fates) as following:
            if before:
                options.note(f"broker: {before} messages to fill what is kept")
                await fill(stage, traffic, following)
            begun = time.monotonic()
            offering = asyncio.create_task(
                offer(traffic, stage.outlet, topic, most, plan.rate, stop, before), name="load"
            )
            play = _Play(plan, stage, following, memory, before, begun, options)
            acting = asyncio.create_task(play.act(), name="broker")
            acting.add_done_callback(lambda _: stop.set())
            async with play.broker:
                await ended([acting, offering], asyncio.create_task(memory.watch()))
            took = time.monotonic() - begun
            fates.cut(before + len(offering.result()))
            await following.settled(PATIENCE)
        verdict = await judge(stage, fates, traffic)
        if status := await stage.stop_daemon():
            raise BenchError(f"broker: the daemon ended with {status}: {stage.daemon.said()}")
    resent = sum(1 for attempts in fates.attempts if attempts > 1)
    return _Run(verdict, fates.count - before, took, play.times, memory, resent, play.last)


class _Broker:
    """The commands; `async with` starts it again when a run fails while it is stopped."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._stopped = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stopped:
            await self.start()

    async def stop(self) -> None:
        self._stopped = True
        await _command(self._plan.stop)

    async def start(self) -> None:
        await _command(self._plan.start)
        self._stopped = False


async def _command(text: str) -> None:
    """What it says goes to a file: a server that it leaves behind would hold a pipe open."""
    with tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_shell(
            text, stdin=DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            async with asyncio.timeout(COMMAND_WITHIN):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise BenchError(f"broker: {text}: not done after {COMMAND_WITHIN:g} s") from None
        if status:
            said.seek(0)
            words = said.read().decode("utf-8", "replace").strip()
            raise BenchError(f"broker: {text}: exit status {status}: {words or 'no word'}")


class _Play:
    """What happens to the broker while the load goes on."""

    def __init__(
        self,
        plan: _Plan,
        stage: Stage,
        following: Following,
        memory: Memory,
        before: int,
        begun: float,
        options: Options,
    ) -> None:
        """The load began at `begun` on the monotonic clock, and `before` messages are older."""
        self.times: list[_Away] = []
        self.last = math.nan
        self.broker = _Broker(plan)
        self._plan = plan
        self._stage = stage
        self._following = following
        self._memory = memory
        self._before = before
        self._begun = begun
        self._note = options.note

    async def act(self) -> None:
        plan, chances = self._plan, Random(SEED)
        await asyncio.sleep(WARM)
        for number in range(plan.restarts + 1):
            seconds = 0.0 if number else plan.seconds
            self._note(f"broker: {f'restart {number}' if number else f'away for {seconds:g} s'}")
            self.times.append(await self._away(seconds))
            await asyncio.sleep(chances.uniform(*UP))
        self.last = self._level()

    async def _away(self, seconds: float) -> _Away:
        level = self._level()
        await self.broker.stop()
        stopped, used = time.monotonic(), usage(self._stage.daemon.pid).cpu
        outbox = 0
        read: int | None = None
        while (away := time.monotonic() - stopped) < seconds:
            if away > STILL:
                read = self._following.records if read is None else read
                if self._following.records > read:
                    raise BenchError(
                        f"broker: records are read {away:.1f} s after {self._plan.stop!r}:"
                        " it does not stop the broker that --bootstrap names"
                    )
            # Asked also to see that the daemon answers while it has no broker.
            outbox = max(outbox, _outbox(await self._stage.metrics()))
            await asyncio.sleep(min(LOOK_EVERY, max(0.0, seconds - away)))
        await self.broker.start()
        back = time.monotonic()
        seconds = back - stopped
        cores = (usage(self._stage.daemon.pid).cpu - used) / seconds
        one = _Away(seconds, outbox=outbox, level=level, cores=cores)
        one.caught_up = await self._caught_up(back)
        return one

    async def _caught_up(self, back: float) -> float:
        """Seconds since `back`."""
        due = self._before + int((back - self._begun) * self._plan.rate)
        fates = self._following.fates
        while fates.settled < due:
            waited = time.monotonic() - back
            if waited > CATCH_UP_WITHIN:
                raise BenchError(
                    f"broker: {due - fates.settled} messages of {due} have no final event"
                    f" {waited:.0f} s after the broker was started again"
                )
            await asyncio.sleep(LOOK_EVERY / 5)
        return time.monotonic() - back

    def _level(self) -> float:
        run = self._memory.runs[-1]
        return median(value for at, value in run if at >= run[-1][0] - LEVEL)


def _outbox(page: str) -> int:
    for family in text_string_to_metric_families(page):
        if family.name == "carrierd_outbox_waiting":
            return int(sum(sample.value for sample in family.samples))
    raise BenchError("broker: /metrics has no carrierd_outbox_waiting")


def _targets(result: Result, run: _Run, full: bool) -> None:
    verdict, grown = run.verdict, run.grown
    result.targets += [
        none_of("lost", [verdict.lost]),
        none_of("sent twice", [verdict.twice]),
        none_of("not delivered", [verdict.undelivered]),
        none_of("final events contradicted", [verdict.contradicted]),
        at_most("cores without a broker", MOST_CORES, [run.times[0].cores], "", 2),
        at_most("memory", MOST_MB, [run.memory.most / MIB], "MB", 1),
        none_of("refused as malformed", [verdict.faults]),
    ]
    if full:
        result.targets.append(
            Target(
                "memory for each restart",
                f"0 with 95 %, and surely <= {MOST_GROWN:g}",
                round(grown.value / MIB, 3),
                grown.flat(MOST_GROWN * MIB),
                "MB",
                (round(grown.low / MIB, 3), round(grown.high / MIB, 3)),
            )
        )


def _row(number: int, one: _Away) -> dict[str, Figure]:
    return {
        "": f"restart {number}" if number else "stopped",
        "seconds": round(one.seconds, 1),
        "caught up s": round(one.caught_up, 1),
        "outbox records": one.outbox,
        "daemon cores": round(one.cores, 2),
        "memory MB before": round(one.level / MIB, 1),
    }


def _messages(run: _Run) -> dict[str, Figure]:
    verdict = run.verdict
    return {
        "messages": run.messages,
        "rate": round(run.messages / run.seconds),
        "lost": verdict.lost,
        "sent twice": verdict.twice,
        "resent": run.resent,
        "told again": verdict.repeated,
        "memory MB at the end": round(run.last / MIB, 1),
    }
