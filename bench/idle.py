"""What a daemon costs that has little to do: CPU and memory with 32 binds logged in.

First nothing comes, then the contract's rate, and at the end nothing again.  Memory is sampled
every second.  CPU is that of all threads, from `/proc`.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.demo.fates import Fates, quantile
from daemon.demo.settings import Settings
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .memory import MIB, Memory
from .options import BenchError, Options
from .result import Result, Target, at_most, none_of
from .usage import usage

SECONDS = 60.0
BINDS = 32
RATE = 200.0
ACCOUNT_RATE = 100.0
DELAY, REPORT_DELAY = 0.05, 1.0
SETTLES = 5.0
"""Seconds after logging in, which is not what is measured."""
PATIENCE = 20.0

IDLE_PERCENT, IDLE_MB = 1.0, 120
QUEUE_MS, SYNC_MS = 2.0, 1.0
"""The second is of a sync of the disk at p99: where one takes longer, so may the first part."""


@dataclass(slots=True)
class _Span:
    """A stretch of time of the daemon."""

    name: str
    seconds: float
    percent: float
    """Of one core."""
    wakes: float
    """How often a thread of it went to sleep by itself, per second."""
    memory: int
    """The most octets that were resident, sampled."""


@dataclass(slots=True)
class _Run:
    spans: list[_Span] = field(default_factory=list)
    syncs: list[float] = field(default_factory=list)
    queue: list[float] = field(default_factory=list)
    """Seconds from received to written, of each message."""
    verdict: Verdict | None = None


async def measure(options: Options) -> Result:
    """Raises BenchError when the run does not end in time."""
    load = os.getloadavg()[0]
    seconds = options.seconds or SECONDS
    async with own_topics(options.bootstrap) as prefix:
        settings = Settings(
            rate=ACCOUNT_RATE,
            binds=BINDS // len(Settings().carriers),
            delay=DELAY,
            report_delay=REPORT_DELAY,
            bootstrap=options.bootstrap,
            topics=prefix,
        )
        deadline = 3 * seconds + 90.0
        try:
            async with asyncio.timeout(deadline):
                run = await _run(settings, seconds, options)
        except TimeoutError:
            raise BenchError(f"idle: not done after {deadline:g} s") from None
    parameters: dict[str, Any] = {"seconds": seconds, "rate": RATE, "parts per message": 1}
    facts = machine(load) | shown_syncs(run.syncs)
    result = Result("idle", parameters | settings.parameters(), facts)
    _targets(result, run)
    result.tables["daemon"] = [
        {
            "daemon": span.name,
            "s": round(span.seconds),
            "% of a core": round(span.percent, 2),
            "wakes/s": round(span.wakes, 1),
            "memory MB": round(span.memory / MIB, 1),
        }
        for span in run.spans
    ]
    result.tables["queue: received .. written"] = [
        {
            "messages": len(run.queue),
            **{
                name: round(quantile(run.queue, share) * 1e3, 2)
                for name, share in (("p50 ms", 0.5), ("p99 ms", 0.99), ("max ms", 1.0))
            },
        }
    ]
    return result


async def _run(settings: Settings, seconds: float, options: Options) -> _Run:
    run = _Run()
    traffic = Traffic(f"idle-{uuid.uuid4().hex[:8]}", settings.carriers)
    fates = Fates(traffic.run, round(RATE * seconds))
    async with Stage(settings, options.directory) as stage:
        run.syncs += syncs(stage.directory, 100)
        await stage.start_daemon()
        await asyncio.sleep(SETTLES)
        options.note(f"idle: {BINDS} binds and nothing to do for {seconds:g} s")
        run.spans.append(await _span("idle, new", stage, seconds))
        options.note(f"idle: {RATE:g} messages/s for {seconds:g} s")
        topic = stage.config.broker.topics.jobs[-1]
        async with Following(stage, fates) as following:
            offering = asyncio.create_task(offer(traffic, stage.outlet, topic, fates.count, RATE))
            run.spans.append(await _span(f"{RATE:g} messages/s", stage, seconds))
            await offering
            await following.settled(PATIENCE)
        run.verdict = await judge(stage, fates, traffic)
        run.queue = fates.took("received", "submitted")
        options.note(f"idle: nothing again for {seconds:g} s")
        run.spans.append(await _span("idle, afterwards", stage, seconds))
        if status := await stage.stop_daemon():
            raise BenchError(f"idle: the daemon ended with {status}: {stage.daemon.said()}")
        run.syncs += syncs(stage.directory, 100)
    return run


async def _span(name: str, stage: Stage, seconds: float) -> _Span:
    pid = stage.daemon.pid
    memory = Memory(stage)
    watching = asyncio.create_task(memory.watch())
    began, before, slept = time.monotonic(), usage(pid), _sleeps(pid)
    try:
        await asyncio.wait({watching}, timeout=seconds)
        lasted, after = time.monotonic() - began, usage(pid)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    if watching.done() and not watching.cancelled():
        watching.result()
    return _Span(
        name,
        lasted,
        (after.cpu - before.cpu) / lasted * 100,
        (_sleeps(pid) - slept) / lasted,
        memory.most,
    )


def _sleeps(pid: int) -> int:
    """How often its threads have gone to sleep by themselves."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            status = (thread / "status").read_text(encoding="latin-1")
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has ended
        total += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return total


def _targets(result: Result, run: _Run) -> None:
    assert run.verdict is not None, "the run has ended"
    sync = quantile(sorted(run.syncs), 0.99) * 1e3
    applies = sync <= SYNC_MS
    queue = quantile(run.queue, 0.5) * 1e3
    idle = [span for span in run.spans if span.name.startswith("idle")]
    result.targets += [
        at_most(
            f"idle with {BINDS} binds", IDLE_PERCENT, [s.percent for s in idle], "% of a core", 2
        ),
        at_most("memory, idle", IDLE_MB, [span.memory / MIB for span in idle], "MB", 1),
        Target(
            "queue p50",
            f"<= {QUEUE_MS:g} where fdatasync p99 <= {SYNC_MS:g} ms"
            + ("" if applies else f" (does not apply: {sync:.2f} ms)"),
            round(queue, 2),
            queue <= QUEUE_MS or not applies,
            "ms",
        ),
        none_of("lost", [run.verdict.lost]),
        none_of("sent twice", [run.verdict.twice]),
        none_of("not delivered", [run.verdict.undelivered]),
        none_of("final events repeated", [run.verdict.repeated]),
        none_of("refused as malformed", [run.verdict.faults]),
    ]
