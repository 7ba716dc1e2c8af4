"""Lost, sent twice, not delivered: by the gateways' counts and by what was published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon.demo.fates import Fates
from daemon.demo.stage import Stage
from daemon.demo.traffic import INDEX_DIGITS, Traffic

AT_ONCE = 5_000
SETTLE_WITHIN = 20.0
QUIET = 2.0
"""Seconds without anything new at the gateways after which nothing more is expected."""
LOOK_EVERY = 0.1


@dataclass(slots=True, frozen=True)
class Verdict:
    """Counts of what must not be; `parts` is what reached the gateways."""

    lost: int
    """Messages without a final event, and parts said to be delivered that no gateway has seen."""
    twice: int
    """Parts that reached gateways as two submits, throttled and refused ones not counted."""
    twice_answered: int
    """Of these, those whose first submit the gateway had answered before the second came."""
    twice_unsaid: int
    """Of the thousand latest per account, those whose message's record speaks of one attempt."""
    undelivered: int
    """Final events other than `delivered`."""
    repeated: int
    """Final events beyond a message's first."""
    contradicted: int
    """Of these, those that say something else than the first."""
    faults: int
    """What a gateway found fault with; that a connection was lost is none."""
    parts: int


async def judge(stage: Stage, fates: Fates, traffic: Traffic, quiet: float = QUIET) -> Verdict:
    """When nothing is on its way any more; a hold in doubt is longer than the usual `quiet`."""
    counts = await _settled(stage, quiet)
    accounts: Mapping[str, Any] = counts["accounts"]
    missing = fates.count - fates.settled
    for place, name in enumerate(traffic.carriers):
        told = sum(map(fates.delivered_parts, traffic.messages(place)))
        missing += max(0, told - accounts[name]["distinct"])
    totals = counts["totals"]
    return Verdict(
        lost=missing,
        twice=totals["twice"],
        twice_answered=totals["twice_answered"],
        twice_unsaid=sum(
            fates.attempts[int(copy["to"][-INDEX_DIGITS:])] < 2
            for name in traffic.carriers
            for copy in accounts[name]["copies"]
        ),
        undelivered=fates.settled - fates.states["delivered"],
        repeated=fates.again,
        contradicted=fates.contradicted,
        faults=sum(count for why, count in totals["faults"].items() if not torn(why)),
        parts=totals["parts"],
    )


def torn(why: str) -> bool:
    """Whether a gateway's complaint is only that a connection ended without a goodbye."""
    return why.startswith(("closed: connection lost", "closed: [Errno "))


async def _settled(stage: Stage, quiet: float) -> dict[str, Any]:
    """The gateways' counts once the daemon has taken every report, or takes no more.

    A report that was on a connection when that broke is sent again, so that fewer are taken than
    were sent: there it is silence that tells.
    """
    now = time.monotonic()
    give_up, silent_from = now + SETTLE_WITHIN + quiet, now
    before = (-1, -1, -1)
    while True:
        counts = await stage.counts()
        totals = counts["totals"]
        told = totals["reports_taken"] >= totals["reports"] and not totals["waiting"]
        if told and quiet <= QUIET:
            return counts
        now = time.monotonic()
        seen = (totals["submits"], totals["reports"], totals["reports_taken"])
        if seen != before:
            before, silent_from = seen, now
        if now >= give_up or (now - silent_from >= quiet and not totals["waiting"]):
            return counts
        await asyncio.sleep(LOOK_EVERY)


async def read_back(stage: Stage, traffic: Traffic, count: int) -> Fates:
    """What the reports topic has of the whole run, read when it is over."""
    fates = Fates(traffic.run, count, traffic.recipients)
    tail = stage.broker.tail(stage.config.broker.topics.reports)
    try:
        await tail.start()
        while not await tail.finished():
            fates.read(await tail.take(AT_ONCE, 1.0))
    finally:
        await tail.close()
    return fates
