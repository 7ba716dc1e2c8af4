"""What the published reports say became of every message, and the time that it took."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import compress
from typing import Any

import orjson

from daemon.broker.base import Record

TIMES = ("produced", "received", "submitted", "answered", "reported")


class Fates:
    """Messages of one run by number; `read` takes records of the reports topic."""

    def __init__(self, run: str, count: int, recipients: int = 1) -> None:
        """`recipients` as in `Traffic`."""
        self._prefix = f"{run}-"
        self._mark = self._prefix.encode()
        self._recipients = recipients
        self.count = count
        self.final = bytearray(count)
        """How many final events each message has; 255 stands for more too."""
        self.delivered = bytearray(count)
        self.doubted = bytearray(count)
        """Of the latest event that said the message is uncertain: its attempts; 0 without one."""
        self.parts = array("H", bytes(2 * count))
        self.attempts = bytearray(count)
        """Of the final event; 0 where there is none."""
        self._first = array("q", bytes(8 * count))
        self.times = {name: array("d", [math.nan]) * count for name in TIMES}
        """Seconds since 1970, of the final event; NaN where it has none."""
        self.states: Counter[str] = Counter()
        """Final events by state."""
        self.settled = 0
        """Messages with a final event."""
        self.again = 0
        """Final events beyond a message's first."""
        self.contradicted = 0
        """Of these, those that say something else than the first."""
        self.followed = 0
        """Events that are not final and came after the final one of their message."""
        self.strangers = 0
        """Events of messages that were not sent."""

    def read(self, records: Iterable[Record]) -> int:
        """Returns how many messages became final."""
        before = self.settled
        for record in records:
            if self._mark not in record.value:
                self.strangers += 1
            elif b'"final":true' in record.value:
                self._final(orjson.loads(record.value))
            else:
                self._passing(orjson.loads(record.value))
        return self.settled - before

    def _passing(self, event: dict[str, Any]) -> None:
        index = self._index(event)
        if index is None:
            return
        self.followed += self.final[index] > 0
        if event["state"] == "uncertain":
            self.doubted[index] = event["attempts"]

    def _final(self, event: dict[str, Any]) -> None:
        index = self._index(event)
        if index is None:
            return
        says = hash((event["state"], event["code"], event["attempts"]))
        if self.final[index]:
            self.again += 1
            self.contradicted += says != self._first[index]
            self.final[index] = min(255, self.final[index] + 1)
            return
        self.final[index] = 1
        self.settled += 1
        state = event["state"]
        self.states[state] += 1
        self.delivered[index] = state == "delivered"
        self.parts[index] = event["parts"]
        self.attempts[index] = event["attempts"]
        self._first[index] = says
        for name, stamp in event["times"].items():
            if stamp is not None:
                self.times[name][index] = datetime.fromisoformat(stamp).timestamp()

    def _index(self, event: dict[str, Any]) -> int | None:
        number = event["job"].removeprefix(self._prefix)
        index = int(number) if number.isdecimal() else self.count
        if self._recipients > 1:
            index = index * self._recipients + int(event["message"].rpartition("/")[2])
        if index < self.count:
            return index
        self.strangers += 1
        return None

    @property
    def open_doubts(self) -> int:
        """Messages that are uncertain and have no final event."""
        return self._open(1)

    @property
    def spent_doubts(self) -> int:
        """Of these, those of which the second attempt is in doubt too: the last there is."""
        return self._open(2)

    def _open(self, least: int) -> int:
        pairs = zip(self.doubted, self.final, strict=True)
        return sum(1 for attempts, final in pairs if attempts >= least and not final)

    def cut(self, count: int) -> None:
        """No more than the first `count` messages were sent after all."""
        for each in (
            *(self.final, self.delivered, self.doubted),
            *(self.parts, self.attempts, self._first),
        ):
            del each[count:]
        for times in self.times.values():
            del times[count:]
        self.count = count

    def delivered_parts(self, which: slice = slice(None)) -> int:
        """What must have reached a gateway, if the reports are true."""
        return sum(compress(self.parts[which], self.delivered[which]))

    def took(
        self, start: str | Sequence[float], end: str, which: slice = slice(None)
    ) -> list[float]:
        """Seconds from `start` to `end` of the messages that have both, in rising order.

        Both are names of times; `start` may also be when each message was due.
        """
        begun = self.times[start] if isinstance(start, str) else start
        pairs = zip(begun[which], self.times[end][which], strict=True)
        return sorted(late - early for early, late in pairs if late - early == late - early)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of all is not above (nearest rank); NaN of none."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def share_within(ordered: Sequence[float], limit: float, count: int) -> float:
    """How many of `count` are at or below `limit`; what is missing is not."""
    return sum(1 for value in ordered if value <= limit) / count if count else math.nan
