"""What the same gateways take of prebuilt submits, with answers and reports: `bench.wire` runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass

from daemon.demo.settings import FILE
from daemon.demo.stage import Stage

from .cores import apart
from .judge import torn
from .options import BenchError, Options
from .sustained import settings
from .usage import usage
from .worker import worker

WARM_UP = 1.0


@dataclass(slots=True, frozen=True)
class Bare:
    """One run; counts are the gateways'."""

    per_second: float
    """Messages whose report was replied to, over the measured time."""
    cpu: float
    """Seconds of the client per message."""
    busy: float
    gateways_busy: float
    """Near 1 the gateways are the limit: then the wire has room for more than this."""
    messages: int
    twice: int
    faults: int
    missing: int
    """Submits that were not answered or not reported on, and reports not replied to."""


async def bare(carriers: Sequence[str], seconds: float, options: Options) -> Bare:
    """Raises BenchError when it does not end in time, or a gateway refuses."""
    deadline = seconds + 90.0
    try:
        with apart() as measured:
            async with (
                asyncio.timeout(deadline),
                Stage(settings(carriers, None, ""), options.directory) as stage,
            ):
                return await _run(stage, seconds, measured)
    except TimeoutError:
        raise BenchError(f"the bare wire: not done after {deadline:g} s") from None


async def _run(stage: Stage, seconds: float, cores: Set[int]) -> Bare:
    task = {"config": str(stage.directory / FILE)}
    async with worker("bench.wire", task, stage.directory, cores=cores) as client:
        await client.work(min(WARM_UP, seconds))
        watched = (client.pid, stage.gateways.pid)
        early, begin = (await stage.counts())["totals"], time.monotonic()
        before = [usage(pid) for pid in watched]
        await client.work(seconds)
        late, took = (await stage.counts())["totals"], time.monotonic() - begin
        after = [usage(pid) for pid in watched]
        told = await client.end()
    totals = (await stage.counts())["totals"]
    done = late["reports_taken"] - early["reports_taken"]
    cpu, gateways_cpu = (b.cpu - a.cpu for a, b in zip(before, after, strict=True))
    seen = [totals[name] for name in ("submits", "accepted", "answered", "reports_taken")]
    said = [told[name] for name in ("submits", "answers", "reports")]
    return Bare(
        per_second=done / took,
        cpu=cpu / max(1, done),
        busy=cpu / took,
        gateways_busy=gateways_cpu / took,
        messages=told["submits"],
        twice=totals["twice"],
        faults=totals["malformed"]
        + sum(count for why, count in totals["faults"].items() if not torn(why)),
        missing=max(*seen, *said) - min(*seen, *said),
    )
