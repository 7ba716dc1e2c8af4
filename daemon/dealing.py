"""What waits at an account, dealt to its links.

Each link that has room is dealt to in turn, urgent messages first, from what stands at the link
itself, at the account, and on the routes that it serves.  What was dealt is claimed in one piece.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol

from . import lists
from .config import Account as Settings
from .jobs import BULK, URGENT
from .link import Link
from .lists import Member
from .memory import Memory
from .model import LANES, UNSENT, WRITTEN, Message, Part, Write
from .pacing import Pacer
from .prepare import Preparing, Refusal
from .queues import Lanes, RouteQueue, Turns
from .untold import Untold
from .wanted import Wanted

CLAIM_AHEAD = 0.02
"""Seconds: a claim needs about one commit until it may be written."""


class Dealt:
    """Messages of one lane that were dealt to one link, and their parts, in order of writing."""

    __slots__ = ("lane", "link", "messages", "writes")

    def __init__(self, link: Link, lane: int) -> None:
        self.link = link
        self.lane = lane
        self.messages: list[Message] = []
        self.writes: list[Write] = []


class Allowance:
    """How much may still be dealt in one round: `slots` submits and `budget` parts to all links,
    and of that `room` submits and `share` parts to the link whose turn it is.
    """

    __slots__ = ("budget", "room", "share", "slots")

    def __init__(self, budget: int, slots: int) -> None:
        self.budget = budget
        self.slots = slots
        self.room = self.share = 0

    def dealt(self, parts: int, submits: int) -> None:
        self.budget -= parts
        self.share -= parts
        self.slots -= submits
        self.room -= submits


class Desk(Protocol):
    """What an account needs of the engine."""

    wanted: Wanted
    memory: Memory

    @property
    def paused(self) -> bool:
        """Whether nothing may be dealt out now."""

    @property
    def tells(self) -> bool:
        """Whether other daemons have to be told of what was answered."""

    def claim(self, account: str, dealt: Sequence[Dealt]) -> None:
        """Write ahead that these may go out; the links are loaded once that is durable."""

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
        self.preparing = Preparing(name, settings)
        self._begun_only = False
        """Whether parts of what was begun have all places, so that nothing else may begin."""
        self._turn = 0
        self._turns = Turns()

    def change(self, settings: Settings) -> None:
        """Other settings, from the next message on."""
        references = self.preparing.references if settings.long == self.settings.long else None
        self.settings = settings
        self.preparing = Preparing(self.name, settings, references)

    def has_waiting(self) -> bool:
        for queue in self.queues:
            if queue.lanes.total:
                return True
        for link in self.links:
            if link.again.total:
                return True
        return self.bound.total > 0

    def deal(self, links: Sequence[Link], now: float) -> None:
        """Claim what may be written soon for these of the links."""
        if self.draining:
            return
        if self.has_waiting() and (slots := self._slots(links, now)) > 0:
            soon = self.pacer.soon(CLAIM_AHEAD, now)
            most = slots * self.settings.max_destinations
            budget = min(most, soon - sum([link.reserved for link in self.links]))
            urgent_only = budget <= 0
            if urgent_only:
                # Urgent ones go before what is claimed and not written.
                budget = min(most, soon - sum([link.reserved_urgent for link in self.links]))
            dealt = self._deal_out(links, Allowance(budget, slots), now, urgent_only=urgent_only)
            if dealt:
                self.desk.claim(self.name, dealt)
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
        return bool(link.again.waiting[URGENT]) or self._urgent_anywhere()

    def _urgent_anywhere(self) -> bool:
        """Whether anything urgent waits that every link could take."""
        if self.bound.waiting[URGENT]:
            return True
        return not self._begun_only and any(queue.lanes.waiting[URGENT] for queue in self.queues)

    def _give_way(self, link: Link) -> int:
        """What is claimed for the link, waits for the pace and is not urgent waits again: an urgent
        message waits for what is written alone.  Returns how many places that made free.
        """
        places = link.places
        back: dict[int, Message] = {}
        parts = [0] * LANES
        for write in link.unload(keep=URGENT):
            message = write.message
            message.take_back(write.part)
            back.setdefault(message.mid, message)
            parts[message.lane] += 1
        if back:
            self.desk.give_back(list(back.values()))
            standing = self._standing(link)
            for lane, count in enumerate(parts):
                self._turns.back(lane, count, standing)
        return places - link.places

    def _deal_out(
        self, links: Sequence[Link], left: Allowance, now: float, *, urgent_only: bool
    ) -> list[Dealt]:
        """Deal to the links in turn, no more than is `left`; but the last message or list may have
        more parts than that.
        """
        dealt: list[Dealt] = []
        places = len(links)
        share = -(-left.budget // places)
        self._turn += 1
        for place in range(places):
            link = links[(self._turn + place) % places]
            sources = self._sources(link)
            if not sources:
                continue
            left.share = min(share, left.budget)
            left.room = link.room(now)
            if left.room < 1 and link.takes(now) and self._has_urgent(link):
                left.room += self._give_way(link)
                sources = self._standing(link)  # what gave way may stand where nothing stood
            self._deal_to(link, sources, left, now, dealt, urgent_only=urgent_only)
        return dealt

    def _deal_to(
        self,
        link: Link,
        sources: Sequence[Lanes],
        left: Allowance,
        now: float,
        dealt: list[Dealt],
        *,
        urgent_only: bool,
    ) -> None:
        lists_allowed = self.settings.max_destinations > 1
        while left.room > 0 and left.share > 0 and left.slots > 0:
            found = self._turns.whose(sources, urgent_only=urgent_only)
            if found is None:
                return
            source, lane, most = found
            room = min(left.room, left.slots)
            link.kept = 0
            if lane == BULK and not self._gives_back(source, left):
                link.kept = min(link.keeps(left.room), self._turns.most_kept(room))
                if room <= link.kept:
                    return
            most = min(most, room - link.kept, left.share)
            taken = source.take(lane, 1 if lists_allowed else most)
            yields = link.yields if lane == URGENT else 0
            run = Dealt(link, lane)
            fits = self._deal_run(run, source, self.desk.wanted.among(taken), most, left, now)
            if run.messages:
                dealt.append(run)
                self._served(source)
            if not fits:
                return
            if link.yields < yields:
                sources = self._standing(link)

    def _gives_back(self, source: Lanes, left: Allowance) -> bool:
        """Whether places are short for what others do not know of, and the rest of what was begun
        stands there, which alone gives back the places of its answered parts.
        """
        begun = all(queue.lanes is not source for queue in self.queues)
        return begun and left.slots < left.room

    def _deal_run(
        self,
        run: Dealt,
        source: Lanes,
        messages: list[Message],
        most: int,
        left: Allowance,
        now: float,
    ) -> bool:
        """Deal what was taken out of a lane, until that has `most` parts; False when there is no
        room for what is next.  What is not dealt stands in front again.
        """
        link, lane = run.link, run.lane
        lists_allowed = self.settings.max_destinations > 1
        dealt, writes, label = run.messages, run.writes, link.label
        parts = submits = 0
        fits = True
        for at, message in enumerate(messages):
            if parts < most:
                ready = self._parts(message)
                size = len(ready)
                if size > 1:
                    fits = self._fits(link, message, size, submits, left, now)
            if parts >= most or not fits:
                for rest in reversed(messages[at:]):
                    source.put_back(rest)
                break
            if not size:
                continue
            along = self._along(message, source, link) if lists_allowed else None
            message.link = link
            message.out += size
            link.reserved += size
            if lane == URGENT:
                link.reserved_urgent += size
            dealt.append(message)
            parts += size
            submits += size
            if along:
                dealt += along
                link.reserve_along(lane, len(along))
                parts += len(along)
                message.parts[0].state = WRITTEN
                writes += [Member(each, each.parts[0], label) for each in (message, *along)]
                continue
            for part in ready:
                part.state = WRITTEN
                writes.append(Write(message, part, label))
        left.dealt(parts, submits)
        self._turns.count(lane, parts)
        return fits

    def _fits(
        self, link: Link, message: Message, size: int, submits: int, left: Allowance, now: float
    ) -> bool:
        """Whether a message of several parts may be dealt to the link, after so many submits."""
        room = min(left.room, left.slots) - link.kept - submits
        if size > room and message.lane == URGENT:
            freed = self._give_way(link)
            left.room += freed
            left.slots += freed
            room += freed
        if size > room and not link.may_exceed(message, now):
            return False
        if self.untold is not None:
            self.untold.begin(message)
        return True

    def _along(self, first: Message, source: Lanes, link: Link) -> list[Message]:
        """What makes one list with a message that is about to be dealt."""
        most = min(self.settings.max_destinations, self.pacer.largest)
        found: list[Message] = []
        if most < 2 or len(first.parts) != 1 or not lists.may_join(first):
            return found
        found = lists.followers(first, source, most - 1)
        if found:
            lists.bind(first, found, link)
        return found

    def _standing(self, link: Link) -> list[Lanes]:
        """Where messages for a link may stand."""
        standing = [link.again, self.bound]
        if not self._begun_only:
            for queue in self.queues:
                standing.append(queue.lanes)
        return standing

    def _served(self, source: Lanes) -> None:
        """Routes take turns: that which was dealt from is the last of them now."""
        queues = self.queues
        if len(queues) > 1:
            for at, queue in enumerate(queues):
                if queue.lanes is source:
                    queues.append(queues.pop(at))
                    return

    def _sources(self, link: Link) -> list[Lanes]:
        """Where messages for a link do stand."""
        return [lanes for lanes in self._standing(link) if lanes.total]

    def _parts(self, message: Message) -> Sequence[Part]:
        """What of the message is to be written now; empty when it cannot go to this account."""
        fresh = message.submitted is None
        if fresh or any(p.wire is None and p.state is UNSENT for p in message.parts):
            try:
                self.preparing.prepare(message)
            except Refusal as exc:
                self.desk.wanted.unfit(message, exc.code, str(exc))
                return ()
        return message.parts if fresh else message.unsent

    def _refill(self) -> None:
        for queue in self.queues:
            if any(queue.spilled) or any(queue.parked):
                for lane in range(LANES):
                    if queue.wants_refill(lane):
                        self.desk.refill(queue, lane)
