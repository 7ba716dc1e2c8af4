"""Lost, sent twice, not delivered: by the gateways' counts and by what was published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon.demo.fates import Fates
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic

AT_ONCE = 5_000
SETTLE_WITHIN = 10.0
LOOK_EVERY = 0.1


@dataclass(slots=True, frozen=True)
class Verdict:
    """Counts of what must not be; `parts` is what reached the gateways."""

    lost: int
    """Messages without a final event, and parts said to be delivered that no gateway has seen."""
    twice: int
    """Parts that reached gateways as two submits, throttled and refused ones not counted."""
    undelivered: int
    """Final events other than `delivered`."""
    repeated: int
    """Final events beyond a message's first."""
    faults: int
    """Submits that a gateway found fault with."""
    parts: int


async def judge(stage: Stage, fates: Fates, traffic: Traffic) -> Verdict:
    """When nothing is on its way any more."""
    counts = await _settled(stage)
    accounts: Mapping[str, Any] = counts["accounts"]
    missing = fates.count - fates.settled
    for place, name in enumerate(traffic.carriers):
        told = fates.delivered_parts(slice(place, None, len(traffic.carriers)))
        missing += max(0, told - accounts[name]["distinct"])
    totals = counts["totals"]
    return Verdict(
        lost=missing,
        twice=totals["twice"],
        undelivered=fates.settled - fates.states["delivered"],
        repeated=fates.again,
        faults=sum(totals["faults"].values()) + totals["malformed"],
        parts=totals["parts"],
    )


async def _settled(stage: Stage) -> dict[str, Any]:
    """The gateways' counts once the daemon has taken every report, or takes no more."""
    give_up = time.monotonic() + SETTLE_WITHIN
    while True:
        counts = await stage.counts()
        totals = counts["totals"]
        if totals["reports_taken"] >= totals["reports"] and not totals["waiting"]:
            return counts
        if time.monotonic() >= give_up:
            return counts
        await asyncio.sleep(LOOK_EVERY)


async def read_back(stage: Stage, traffic: Traffic, count: int) -> Fates:
    """What the reports topic has of the whole run, read when it is over."""
    fates = Fates(traffic.run, count)
    tail = stage.broker.tail(stage.config.broker.topics.reports)
    try:
        await tail.start()
        while not await tail.finished():
            fates.read(await tail.take(AT_ONCE, 1.0))
    finally:
        await tail.close()
    return fates
