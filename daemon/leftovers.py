"""Events that were not published before a start, and what another daemon made of them since."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from .ledger import Ledger
from .ledger.rows import Event
from .model import INDEX_BITS


class Leftovers:
    """`topic` is that of the reports."""

    def __init__(self, ledger: Ledger, topic: str) -> None:
        self.ledger = ledger
        self.topic = topic

    async def still_meant(self, events: Sequence[Event]) -> Sequence[Event]:
        """Without those that say less of a message than has been said since.

        Another daemon that took over may have published a message's end, and nothing follows that.
        """
        passing: dict[int, tuple[str, int]] = {}
        for place, (topic, _, value) in enumerate(events):
            if topic == self.topic and not (report := orjson.loads(value))["final"]:
                passing[place] = (report["job"], int(report["message"].rpartition("/")[2]))
        if not passing:
            return events
        known = await self.ledger.known(list({job for job, _ in passing.values()}))
        mids = {
            place: seq << INDEX_BITS | index
            for place, (job, index) in passing.items()
            if job in known and (seq := known[job].seq) is not None
        }
        rows = await self.ledger.load(list(mids.values()))
        ended = {row.mid for _, row in rows if row.final}
        return [event for place, event in enumerate(events) if mids.get(place) not in ended]
