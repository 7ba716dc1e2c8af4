"""Events that a start or a silence left unpublished, and what was made of them elsewhere since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .ledger import Ledger
from .ledger.rows import Event, MessageRow
from .model import INDEX_BITS, State


class Leftovers:
    """`topic` is that of the reports."""

    def __init__(self, ledger: Ledger, topic: str) -> None:
        self.ledger = ledger
        self.topic = topic

    async def still_meant(self, events: Sequence[Event]) -> Sequence[Event]:
        """Without those that say less of a message than has been said since, or another end.

        Another daemon that took over may have published an answer or a message's end.
        """
        reports = {
            place: orjson.loads(value)
            for place, (topic, _, value) in enumerate(events)
            if topic == self.topic
        }
        if not reports:
            return events
        known = await self.ledger.known(list({report["job"] for report in reports.values()}))
        mids = {
            place: seq << INDEX_BITS | int(report["message"].rpartition("/")[2])
            for place, report in reports.items()
            if report["job"] in known and (seq := known[report["job"]].seq) is not None
        }
        rows = {row.mid: row for _, row in await self.ledger.load(list(mids.values()))}
        overtaken = {
            place
            for place, mid in mids.items()
            if mid in rows and _overtaken(reports[place], rows[mid])
        }
        return [event for place, event in enumerate(events) if place not in overtaken]


def _overtaken(report: Mapping[str, Any], row: MessageRow) -> bool:
    state = State(row.state)
    if report["final"]:
        return bool(row.final) and report["state"] != state.word
    return bool(row.final) or (report["state"] == "uncertain" and state is State.ACCEPTED)
