"""One run in which the daemon is never without work and never buries itself in a backlog.

`LEAD` messages are kept on their way between the jobs topic and the final events.  What is counted
are messages that became final in the measured time, after a warm-up and before the last one was
offered, so that taking, sending, reporting and publishing all go on at once.

Jobs may have several recipients: then accounts take as many in one list as their protocol allows,
and every recipient is a message.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.broker.base import Tail
from daemon.config.rules import LIMITS
from daemon.demo.settings import LINES, Settings
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic

from .cores import apart, on
from .judge import Verdict, judge, read_back
from .kafka import own_topics
from .machine import syncs
from .options import BenchError, Options
from .touched import touched
from .usage import usage

WARM_UP = 3.0
START = 3.0
"""About so many seconds until the first message."""
SLOW_PAGE = 2.0
"""Microseconds: where a page takes more, a host gives it."""
LEAD = 8_000
LEAD_IN_LISTS = 12_000
"""Each bind has to have some lists of its own."""
AT_ONCE = 500
"""Messages, in whole jobs."""
READ_AT_ONCE = 5_000
LOOK_EVERY = 0.05
PATIENCE = 30.0
"""Seconds without a final event after which a run is given up."""

WINDOW, BINDS = 64, 16
"""Binds in all, dealt evenly to the accounts: one account alone has as many as four together."""
ACCOUNT_RATE = 100_000.0
REPORT_WINDOW = 1_000


@dataclass(slots=True, frozen=True)
class Sustained:
    """What one run came to."""

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
    start_cpu: float
    """Seconds of all threads until it was ready."""
    idle_memory: int
    memory: int
    messages: int
    verdict: Verdict


def settings(
    carriers: Sequence[str], bootstrap: str | None, prefix: str, recipients: int = 1
) -> Settings:
    """Gateways without delay, and rates and windows that are not what limits.

    Lists are of `recipients`, or of as many as the protocol allows.
    """
    lists = {name: min(recipients, LIMITS[LINES[name].protocol].destinations) for name in carriers}
    return Settings(
        carriers=carriers,
        rate=ACCOUNT_RATE,
        window=WINDOW,
        binds=BINDS // len(carriers),
        report_window=REPORT_WINDOW,
        bootstrap=bootstrap,
        topics=prefix,
        more={f"accounts.{name}": {"max_destinations": most} for name, most in lists.items()},
    )


def lead(recipients: int) -> int:
    """How many messages are kept on their way with so many recipients in a job."""
    return LEAD if recipients == 1 else LEAD_IN_LISTS


async def sustained(
    carriers: Sequence[str],
    seconds: float,
    options: Options,
    probed: list[float],
    recipients: int = 1,
) -> Sustained:
    """Raises BenchError when it does not end in time; syncs of the disk are added to `probed`."""
    deadline = 4 * seconds + 120.0
    async with own_topics(options.bootstrap) as prefix:
        run = f"sustained-{uuid.uuid4().hex[:8]}"
        traffic = Traffic(run, carriers, recipients=recipients)
        chosen = settings(carriers, options.bootstrap, prefix, recipients)
        try:
            with apart() as measured:
                async with (
                    asyncio.timeout(deadline),
                    touched(seconds + WARM_UP + START) as page,
                    Stage(chosen, options.directory) as stage,
                ):
                    if page > SLOW_PAGE:
                        options.note(f"memory that is new takes {page:.1f} µs a page: taken before")
                    probed += syncs(stage.directory, 100)
                    with on(measured):
                        await stage.start_daemon()
                    return await _keep_busy(stage, traffic, seconds)
        except TimeoutError:
            raise BenchError(f"sustained: not done after {deadline:g} s") from None


class Flow:
    """Keeps `lead` messages on their way, and counts what became final."""

    def __init__(self, stage: Stage, traffic: Traffic, reports: Tail) -> None:
        self.stage, self.traffic, self.reports = stage, traffic, reports
        self.topic = stage.config.broker.topics.jobs[-1]
        self.sent = 0
        """Messages, as all that is counted here."""
        self.final = 0
        self._heard = time.monotonic()

    async def run_until(self, at: float) -> None:
        """Offer and count until this monotonic time."""
        recipients = self.traffic.recipients
        jobs = max(1, AT_ONCE // recipients)
        most = lead(recipients) - jobs * recipients
        while time.monotonic() < at:
            if self.sent - self.final <= most:
                first = self.sent // recipients
                records = self.traffic.records(self.topic, first, first + jobs)
                self.sent += jobs * recipients
                await self.stage.outlet.publish(records)
                await self._count(0.0)
            else:
                await self._count(LOOK_EVERY)
            if self._quiet > PATIENCE:
                raise BenchError(
                    f"nothing for {PATIENCE:g} s, {self.sent - self.final} of"
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
    pid = stage.daemon.pid
    idle = usage(pid)
    reports = stage.broker.tail(stage.config.broker.topics.reports)
    try:
        await reports.start()
        flow = Flow(stage, traffic, reports)
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
    await stopped(stage)
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
        start_cpu=idle.cpu,
        idle_memory=idle.memory,
        memory=after[0].most_memory,
        messages=flow.sent,
        verdict=verdict,
    )


async def stopped(stage: Stage) -> None:
    """Drain the daemon.  Raises BenchError unless it ended well."""
    if status := await stage.stop_daemon():
        raise BenchError(f"the daemon ended with {status}: {stage.daemon.said()}")
