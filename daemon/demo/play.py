"""One demonstration: traffic both ways, and a verdict from both ends.

What was lost is judged by the published reports and by what the gateways say reached them, what was
duplicated by the gateways' counts; the daemon is not asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from daemon.broker.base import Tail

from .fates import Fates, quantile
from .settings import LINES
from .stage import Stage
from .traffic import Traffic, offer

PATIENCE = 20.0
"""Seconds without any progress after which the rest counts as lost."""
AT_ONCE = 500
WAIT = 0.1

SHORT = "收到，谢谢"
LONG = (
    "我想咨询一下贵公司的套餐：每月流量多少，通话时长多少，合约期满之后资费如何计算，"
    "能否保留原来的号码，以及办理时需要携带哪些证件。方便的话请在工作日下午回电，谢谢！"
)
INBOUND = (SHORT, LONG)
"""What subscribers write to each carrier."""


class Demo:
    """`count` messages at `rate` a second through the stage's daemon, and answers to them."""

    def __init__(
        self,
        stage: Stage,
        count: int,
        rate: float,
        traffic: Traffic,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self.stage = stage
        self.count = count
        self.rate = rate
        self.traffic = traffic
        self.patience = patience
        self.fates = Fates(traffic.run, count)
        self.delivered = dict.fromkeys(traffic.carriers, 0)
        self.inbound: dict[str, str] = {}
        """Texts of inbound messages that came whole, by their id."""
        self._moved = 0.0

    @property
    def owed_inbound(self) -> int:
        return len(self.traffic.carriers) * len(INBOUND)

    @property
    def complete(self) -> bool:
        return self.fates.settled == self.count and len(self.inbound) >= self.owed_inbound

    async def run(self) -> None:
        """Returns when everything has come, or nothing more does."""
        topics = self.stage.config.broker.topics
        reports = self.stage.broker.tail(topics.reports)
        inbound = self.stage.broker.tail(topics.inbound)
        try:
            await reports.start()
            await inbound.start()
            self._moved = time.monotonic()
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(
                    offer(self.traffic, self.stage.outlet, topics.jobs[-1], self.count, self.rate)
                )
                group.create_task(self._write_in())
                group.create_task(self._follow(reports, inbound, sending))
        finally:
            await reports.close()
            await inbound.close()

    async def _write_in(self) -> None:
        """Subscribers write while messages go the other way."""
        pause = self.count / self.rate / self.owed_inbound
        for text in INBOUND:
            for name in self.traffic.carriers:
                await asyncio.sleep(pause)
                await self.stage.write_in(name, f"{LINES[name].prefix}99990000", text)

    async def _follow(self, reports: Tail, inbound: Tail, sending: asyncio.Task[Any]) -> None:
        while not self.complete:
            records = await reports.take(AT_ONCE, WAIT)
            answers = await inbound.take(AT_ONCE, 0.0)
            now = time.monotonic()
            if records or answers or not sending.done():
                self._moved = now
            elif now - self._moved > self.patience:
                return
            self.stage.watch()
            if self.fates.read(records):
                self._count()
            for record in answers:
                event = orjson.loads(record.value)
                if event["complete"]:
                    self.inbound[event["id"]] = event["text"]

    def _count(self) -> None:
        carriers = self.traffic.carriers
        for place, name in enumerate(carriers):
            self.delivered[name] = sum(self.fates.delivered[place :: len(carriers)])

    async def result(self) -> dict[str, Any]:
        """What `carrierd demo --json` prints."""
        counts = await self.stage.counts()
        carriers = {
            name: self._carrier(place, name, counts["accounts"][name])
            for place, name in enumerate(self.traffic.carriers)
        }
        expected = sorted(text for text in INBOUND for _ in carriers)
        came = sorted(self.inbound.values())
        return {
            "messages": self.count,
            "delivered": sum(row["delivered"] for row in carriers.values()),
            "lost": sum(row["lost"] for row in carriers.values()),
            "duplicated": sum(row["duplicated"] for row in carriers.values()),
            "carriers": carriers,
            "inbound": {
                "sent": self.owed_inbound,
                "received": len(came),
                "as_sent": came == expected,
            },
            "metrics": f"{self.stage.url}/metrics",
        }

    def _carrier(self, place: int, name: str, account: Mapping[str, Any]) -> dict[str, Any]:
        fates = self.fates
        mine = slice(place, None, len(self.traffic.carriers))
        messages = len(fates.final[mine])
        # A report that says delivered of what no gateway has seen is a loss too.
        unseen = max(0, fates.delivered_parts(mine) - account["distinct"])
        lost = fates.final[mine].count(0) + unseen
        again = sum(count - 1 for count in fates.final[mine] if count)
        return {
            "protocol": LINES[name].words,
            "messages": messages,
            "parts": sum(fates.parts[mine]),
            "delivered": sum(fates.delivered[mine]),
            "lost": lost,
            "duplicated": account["twice"] + again,
            "submit_ms": _milliseconds(fates.took("received", "submitted", mine)),
            "delivery_ms": _milliseconds(fates.took("produced", "reported", mine)),
        }


def well(result: Mapping[str, Any]) -> bool:
    """Nothing was lost or sent twice, in either direction."""
    inbound = result["inbound"]
    nothing = not result["lost"] and not result["duplicated"]
    return nothing and result["delivered"] == result["messages"] and bool(inbound["as_sent"])


def _milliseconds(ordered: Sequence[float]) -> list[float | None]:
    """Median and 99th percentile; None of nothing."""
    if not ordered:
        return [None, None]
    return [round(quantile(ordered, share) * 1000, 1) for share in (0.5, 0.99)]
