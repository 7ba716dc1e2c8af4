"""What waits at an account, dealt to its links.

Each link that has room is dealt to in turn, urgent messages first, from what stands at the link
itself, at the account, and on the routes that it serves.  What was dealt is claimed in one piece.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from typing import Protocol

from protocols.text.references import References

from . import lists
from .config import Account as Settings
from .jobs import URGENT
from .link import Link
from .model import LANES, UNSENT, WRITTEN, Message, Part
from .pacing import Pacer
from .prepare import Refusal, prepare
from .queues import Lanes, RouteQueue, Turns
from .untold import Untold

CLAIM_AHEAD = 0.02
"""Seconds: a claim needs about one commit until it may be written."""

Claimed = list[tuple[Link, Message, list[Part]]]


class Desk(Protocol):
    """What an account needs of the engine."""

    @property
    def paused(self) -> bool:
        """Whether nothing may be dealt out now."""

    @property
    def tells(self) -> bool:
        """Whether other daemons have to be told of what was answered."""

    def unfit(self, message: Message, code: str, reason: str) -> None:
        """The message cannot go to this account at all."""

    def still_wanted(self, message: Message) -> bool:
        """False when the message expired or was settled; the engine took note."""

    def claim(self, claimed: Claimed) -> None:
        """Write ahead that these may go out; the links are loaded once that is durable."""

    def release(self, message: Message) -> None:
        """Nothing of the message is on its way: its claim says nothing any more."""

    def give_back(self, messages: Sequence[Message]) -> None:
        """What of these was claimed, in this order, is not to be written now: they wait again."""

    def refill(self, queue: RouteQueue, lane: int) -> None:
        """Read spilled messages back from the ledger."""


class Dealing:
    """Of an account, whose `links` are those that may submit; `queues` those of the routes that it
    serves now.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        desk: Desk,
        pacer: Pacer,
        links: Sequence[Link],
        untold: Untold | None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.desk = desk
        self.pacer = pacer
        self.links = links
        self.untold = untold
        self.queues: list[RouteQueue] = []
        self.bound = Lanes()
        """Messages that were written here before and have parts to write again."""
        self.draining = False
        """Nothing new is dealt out any more."""
        width = 0x10000 if settings.long in ("udh16", "sar") else 0x100
        self.references = References(random.getrandbits(32), width=width)
        self._begun_only = False
        """Whether parts of what was begun have all places, so that nothing else may begin."""
        self._turn = 0
        self._turns = Turns()

    def has_waiting(self) -> bool:
        return bool(
            len(self.bound)
            or any(len(queue.lanes) for queue in self.queues)
            or any(len(link.again) for link in self.links)
        )

    def deal(self, links: Sequence[Link], now: float) -> None:
        """Claim what may be written soon for these of the links."""
        if self.draining:
            return
        if self.has_waiting() and (slots := self._slots(links, now)) > 0:
            soon = self.pacer.soon(CLAIM_AHEAD, now)
            most = slots * self.settings.max_destinations
            budget = min(most, soon - sum(link.reserved for link in self.links))
            claimed: Claimed = []
            if budget > 0:
                self._deal_out(links, budget, slots, now, claimed)
            else:
                # Urgent ones go before what is claimed and not written.
                budget = min(most, soon - sum(link.reserved_urgent for link in self.links))
                self._deal_out(links, budget, slots, now, claimed, urgent_only=True)
            if claimed:
                self.desk.claim(claimed)
        self._refill()

    def _slots(self, links: Sequence[Link], now: float) -> int:
        """How many submits may be dealt out, for what the loss of this machine may cost."""
        if self.untold is None:
            return sys.maxsize
        places, self._begun_only = self.untold.left()
        slots = places - sum(link.places for link in self.links)
        if slots < 1:
            most = slots + sum(link.yields for link in links)
            if most > 0 and any(self._has_way(link, most, now) for link in links):
                slots += sum(self._give_way(link) for link in links)
        return slots

    def _has_way(self, link: Link, slots: int, now: float) -> bool:
        """Whether an urgent message could be dealt to the link if all else gave way.

        What gave way for none would be dealt again at once, and give way again.
        """
        room = link.room(now) + link.yields if link.takes(now) else 0
        if room < 1 or not self._has_urgent(link):
            return False
        if self._urgent_anywhere():
            return True  # and all that take see it first
        sizes = [len(message.unsent) for message in link.again.oldest(URGENT, 1)]
        return any(size <= min(room, slots) for size in sizes)

    def _has_urgent(self, link: Link) -> bool:
        """Whether anything urgent waits that the link could take."""
        return bool(link.again.count(URGENT)) or self._urgent_anywhere()

    def _urgent_anywhere(self) -> bool:
        """Whether anything urgent waits that every link could take."""
        if self.bound.count(URGENT):
            return True
        return not self._begun_only and any(queue.lanes.count(URGENT) for queue in self.queues)

    def _give_way(self, link: Link) -> int:
        """What is claimed for the link, waits for the pace and is not urgent waits again: an urgent
        message waits for what is written alone.  Returns how many places that made free.
        """
        places = link.places
        back: dict[int, Message] = {}
        parts = [0] * LANES
        for message, part in link.unload(keep=URGENT):
            message.take_back(part)
            back.setdefault(message.mid, message)
            parts[message.lane] += 1
        if back:
            self.desk.give_back(list(back.values()))
            waiting = [link.again, self.bound, *[queue.lanes for queue in self.queues]]
            for lane, count in enumerate(parts):
                self._turns.back(lane, count, waiting)
        return places - link.places

    def _deal_out(
        self,
        links: Sequence[Link],
        budget: int,
        slots: int,
        now: float,
        claimed: Claimed,
        *,
        urgent_only: bool = False,
    ) -> None:
        """Deal to the links in turn: at most `budget` parts in `slots` submits, but for the last
        message or list, which may have more.
        """
        places = len(links)
        lists_allowed = self.settings.max_destinations > 1
        share = -(-budget // places)
        self._turn += 1
        for place in range(places):
            link = links[(self._turn + place) % places]
            room = link.room(now)
            if room < 1 and link.takes(now) and self._has_urgent(link):
                room += self._give_way(link)
            allowed = min(share, budget)
            every = self._sources(link)
            sources = [lanes for lanes in every if any(lanes.lanes)]
            while room > 0 and allowed > 0 and slots > 0:
                found = self._turns.next(sources, urgent_only=urgent_only)
                if found is None:
                    break
                message, source = found
                parts = self._parts(message)
                if not parts:
                    continue
                size = len(parts)
                if size > min(room, slots) and message.lane == URGENT:
                    freed = self._give_way(link)
                    room += freed
                    slots += freed
                    sources = every  # what gave way may stand where nothing stood
                if size > min(room, slots) and not link.may_exceed(message, now):
                    source.put_back(message)
                    self._turns.undo()
                    break
                if size > 1:
                    self._turns.more(message.lane, size - 1, sources)
                    if self.untold is not None:
                        self.untold.begin(message)
                along = self._along(message, source, link, sources) if lists_allowed else ()
                link.reserve(message, size)
                message.link = link
                message.out += size
                for part in parts:
                    part.state = WRITTEN
                claimed.append((link, message, parts))
                room -= size
                slots -= size
                allowed -= size
                budget -= size
                if along:
                    link.reserve_along(message.lane, len(along))
                    claimed += [(link, each, each.parts) for each in along]
                    allowed -= len(along)
                    budget -= len(along)

    def _along(
        self, first: Message, source: Lanes, link: Link, sources: Sequence[Lanes]
    ) -> Sequence[Message]:
        """What makes one list with a message that is about to be claimed."""
        most = min(self.settings.max_destinations, self.pacer.largest)
        if most < 2 or len(first.parts) != 1 or not lists.may_join(first):
            return ()
        found = lists.followers(first, source, most - 1)
        if found:
            lists.bind(first, found, link)
            self._turns.more(first.lane, len(found), sources)
        return found

    def _sources(self, link: Link) -> list[Lanes]:
        """Where messages for a link come from; routes take turns."""
        queues = self.queues
        if len(queues) > 1:
            queues.append(queues.pop(0))
        if self._begun_only:
            return [link.again, self.bound]
        return [link.again, self.bound, *[queue.lanes for queue in queues]]

    def _parts(self, message: Message) -> list[Part]:
        """What of the message is to be written now; empty when it was dealt with otherwise."""
        if not self.desk.still_wanted(message):
            return []
        fresh = message.submitted is None
        if fresh or any(p.wire is None and p.state is UNSENT for p in message.parts):
            try:
                prepare(message, self.name, self.settings, self.references)
            except Refusal as exc:
                self.desk.unfit(message, exc.code, str(exc))
                return []
        return message.parts if fresh else message.unsent

    def _refill(self) -> None:
        for queue in self.queues:
            for lane in range(LANES):
                if queue.wants_refill(lane):
                    self.desk.refill(queue, lane)
