"""Jobs for a system on loopback, and how they are offered."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Sequence

import orjson

from daemon.broker.base import Outlet

from .settings import LINES

AT_ONCE = 500
"""Jobs per publish."""

INDEX_DIGITS = 8
"""The end of a recipient's number is that of the message."""

SIGNATURE = "示例"
ONE_PART = (("您的验证码是 836251，五分钟内有效。如非本人操作，请忽略本短信。", SIGNATURE),)
"""Texts and their signatures."""
MIXED = (
    *ONE_PART,
    (
        "Your parcel 20261122-77 is at the front desk. Please bring code 4417 to collect it.",
        None,
    ),
    (
        "尊敬的用户，您预约的体检安排在下周一上午八点三十分，地点在人民医院门诊楼三层体检中心。"
        "请携带身份证，前一天晚上十点以后不要进食，早晨保持空腹。如需改期，请提前一天联系我们。祝您健康！",
        SIGNATURE,
    ),
)
"""Chinese in one part, ASCII in one, Chinese in two."""

Text = tuple[str, str | None]


class Traffic:
    """Numbered jobs; the carriers take turns.

    Messages are numbered as well, job by job: with one recipient each, both numbers are the same.
    """

    def __init__(
        self,
        run: str,
        carriers: Sequence[str],
        texts: Sequence[Text] = ONE_PART,
        recipients: int = 1,
    ) -> None:
        """`run` goes in front of every job's id and tells one run's jobs from another's."""
        self.run = run
        self.carriers = tuple(carriers)
        self.texts = tuple(texts)
        self.recipients = recipients
        """Of every job."""
        self._prefixes = [LINES[name].prefix for name in carriers]

    def carrier(self, index: int) -> str:
        """Of a job."""
        return self.carriers[index % len(self.carriers)]

    def to(self, index: int) -> str:
        """The number that message goes to; `index` is below a hundred million."""
        prefix = self._prefixes[index // self.recipients % len(self.carriers)]
        return f"{prefix}{index:0{INDEX_DIGITS}d}"

    def messages(self, place: int) -> list[slice]:
        """Those of a carrier, by its place: the first of each of its jobs, the second and so on."""
        start, step = place * self.recipients, len(self.carriers) * self.recipients
        return [slice(start + one, None, step) for one in range(self.recipients)]

    def job(self, index: int) -> tuple[bytes, bytes]:
        """Key and value; its messages are numbered as for `to`."""
        name = f"{self.run}-{index}"
        first = index * self.recipients
        to = [self.to(number) for number in range(first, first + self.recipients)]
        text, signature = self.texts[index // len(self.carriers) % len(self.texts)]
        value = {
            "id": name,
            "to": to if len(to) > 1 else to[0],
            "text": text,
        }
        if signature is not None:
            value["signature"] = signature
        return name.encode(), orjson.dumps(value)

    def records(self, topic: str, start: int, stop: int) -> list[tuple[str, bytes | None, bytes]]:
        return [(topic, *self.job(index)) for index in range(start, stop)]


async def offer(
    traffic: Traffic,
    outlet: Outlet,
    topic: str,
    count: int,
    rate: float,
    stop: asyncio.Event | None = None,
    first: int = 0,
) -> array[float]:
    """Publish `count` jobs at `rate` per second, whatever becomes of them; fewer when `stop` is
    set before.  The number of the first is `first`.

    Returns when each should have gone, in seconds since 1970.  A publish that is slow makes the
    next one larger and nothing later: what waits is measured, not hidden.
    """
    start = time.time()
    due = array("d", (start + index / rate for index in range(count)))
    sent = 0
    while sent < count and not (stop is not None and stop.is_set()):
        now = time.time()
        ready = min(count, sent + AT_ONCE, int((now - start) * rate) + 1)
        if ready > sent:
            await outlet.publish(traffic.records(topic, first + sent, first + ready))
            sent = ready
        else:
            await asyncio.sleep(max(0.0, due[sent] - now))
    return due[:sent]
