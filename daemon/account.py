"""One account while the daemon runs: its links, its pace, and what it is given to write.

Links pull.  Whenever there may be room (an answer came, a token is due, a message was queued) the
account deals what waits to its links in turn, so that fair shares and failover need no deciding:
a link that is gone, frozen or slow simply takes nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import sys
from collections.abc import Callable, Sequence
from itertools import count
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
from .window import Window

CLAIM_AHEAD = 0.02
"""Seconds: a claim needs about one commit until it may be written."""

ONE_ANSWER = 0.01
"""Seconds within which what comes of one answer is done."""

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


class Account:
    """`queues` are those of the routes that this account serves now."""

    def __init__(self, name: str, settings: Settings, desk: Desk, now: float) -> None:
        self.name = name
        self._set(settings)
        self.desk = desk
        self.pacer = Pacer(settings.rate, settings.lowest_rate, now)
        width = 0x10000 if settings.long in ("udh16", "sar") else 0x100
        self.references = References(random.getrandbits(32), width=width)
        self.links: list[Link] = []
        """Those that are bound and may submit."""
        self.windows: dict[str, Window] = {}
        """By node: its binds lead to one gateway, whose latency says the same of all of them."""
        self.resting: int | None = None
        """The best priority of a bind that its gateway closed idle (SGIP) and that counts as usable
        all the same; None when there is none.
        """
        self.wake: Callable[[], None] = lambda: None
        """Connects such a bind, of that priority, again."""
        self.priorities: dict[str, int] = {node.name: node.priority for node in settings.nodes}
        self.queues: list[RouteQueue] = []
        self.untold = Untold(name, self.links) if desk.tells else None
        self._begun_only = False
        """Whether parts of what was begun have all places, so that nothing else may begin."""
        self.draining = False
        """Nothing new is dealt out any more."""
        self.bound = Lanes()
        """Messages that were written here before and have parts to write again."""
        self._later: list[tuple[float, int, Message]] = []
        self._spread: tuple[int, float, float] = (0, 0.0, 0.0)
        """The last job that had to wait, when that was, and until when: a list comes back whole."""
        self._order = count()
        self._turn = 0
        self._turns = Turns()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._nudged = False

    def change(self, settings: Settings) -> None:
        """Other settings, from the next message on; binds are the pool's to change."""
        if (settings.rate, settings.lowest_rate) != (
            self.settings.rate,
            self.settings.lowest_rate,
        ):
            self.pacer.change(settings.rate, settings.lowest_rate)
        self._set(settings)
        self.priorities = {node.name: node.priority for node in settings.nodes}
        self.windows = {name: w for name, w in self.windows.items() if name in self.priorities}
        for window in self.windows.values():
            window.change(asyncio.get_running_loop().time(), adapts=settings.adapt)
        self._regroup()

    def _set(self, settings: Settings) -> None:
        self.settings = settings
        # Asked for several times on every message's way.
        self.protocol: str = settings.protocol
        self.report_within: float = settings.report_within

    @property
    def own_waiting(self) -> int:
        """Messages that were written here before and wait to be again."""
        again = sum(len(link.again) for link in self.links)
        return len(self.bound) + len(self._later) + again

    def takers(self) -> list[Link]:
        """Links of the best priority that has any; none while a better one has a bind resting."""
        links = self.links
        if len(links) < 2 and self.resting is None:
            return links
        best = min((self.priorities.get(link.label, 0) for link in links), default=None)
        if best is None or (self.resting is not None and self.resting < best):
            return []
        return [link for link in links if self.priorities.get(link.label, 0) == best]

    def _wake_resting(self) -> None:
        """What waits gets the share of a bind that was closed idle, unless better ones are up."""
        best = min((self.priorities.get(link.label, 0) for link in self.links), default=None)
        if self.resting is not None and (best is None or self.resting <= best):
            self.wake()

    # Work

    def again(self, message: Message, delay: float, now: float) -> None:
        """Parts of a message that was written here may be written once more, after `delay`."""
        if message.later or message.queued is not None:
            return  # what waits takes all its parts along
        if delay > 0:
            message.later = True
            seq, at, due = self._spread
            if seq != message.job.seq or now > at + ONE_ANSWER:
                due = now + delay * random.uniform(0.8, 1.2)
                self._spread = (message.job.seq, now, due)
            heapq.heappush(self._later, (due, next(self._order), message))
            self._arm(due)
        else:
            self._ready_again(message)
            # Not at once: what is known of it is put into the ledger first, its claim then.
            self.nudge()

    def _ready_again(self, message: Message) -> None:
        link = message.link
        # All parts go over one bind: what has some there stays.  The others go where there is room,
        # or those that a node throttled would wait for that node while the next one has nothing.
        stays = any(part.state is not UNSENT for part in message.parts)
        if stays and link is not None and link.bound and link in self.takers():
            link.again.put_back(message)
        else:
            self.bound.put_back(message)

    def pull(self, now: float) -> None:
        """Deal what waits to the links that have room, and write what is ready."""
        if self.desk.paused:
            return
        while self._later and self._later[0][0] <= now:
            message = heapq.heappop(self._later)[2]
            message.later = False
            self._ready_again(message)
        if self.resting is not None and self.has_waiting():
            self._wake_resting()
        if self.links:
            # Also those that are dealt nothing any more: what they were dealt was claimed.  Before
            # dealing: what may not be written any more makes room.
            for link in self.links:
                if link.has_ready:
                    link.flush(now)
            links = self.takers()
            if links:
                self._deal(links, now)
            self._schedule(links, now)
        if self._later:
            self._arm(self._later[0][0])

    def nudge(self) -> None:
        """Something was queued in the middle of other work: look at the end of this turn."""
        if not self._nudged:
            self._nudged = True
            asyncio.get_running_loop().call_soon(self._on_nudge)

    def _on_nudge(self) -> None:
        self._nudged = False
        self.pull(asyncio.get_running_loop().time())

    def has_waiting(self) -> bool:
        return bool(
            len(self.bound)
            or any(len(queue.lanes) for queue in self.queues)
            or any(len(link.again) for link in self.links)
        )

    @property
    def pace(self) -> float:
        """Parts per second that it may write now: its rate, or less after backing off."""
        return self.pacer.pace_at(asyncio.get_running_loop().time())

    def at_its_pace(self, now: float) -> bool:
        """Whether it writes as much as it may: what waits here waits for the account alone."""
        return not self.pacer.idle(now)

    def _deal(self, links: Sequence[Link], now: float) -> None:
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
        self._begun_only = self.untold.full
        slots = self.untold.places() - sum(link.places for link in self.links)
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

    # Time

    def _schedule(self, links: Sequence[Link], now: float) -> None:
        """Look again when the pace allows, if only the pace is in the way."""
        writable = any(link.has_ready and link.free(now) > 0 for link in self.links)
        waiting = self.has_waiting()
        takable = waiting and any(link.room(now) > 0 for link in links)
        if writable or takable:
            at = self.pacer.next_at(now, self._next_size())
            if at > now:
                self._arm(at)
        elif waiting and any(link.ramping for link in links):
            self._arm(now + 0.1)
        if waiting:
            # Also beside links with room: what waits may be bound to one that pauses.
            for link in links:
                if now < link.paused_until:
                    self._arm(link.paused_until)

    def _next_size(self) -> int:
        """Parts that have to be allowed at once for anything more to be written."""
        if self.settings.max_destinations == 1:
            return 1
        sizes = [link.next_size for link in self.links if link.has_ready]
        return min(sizes, default=1)

    def _arm(self, at: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer_at <= at and self._timer_at > loop.time():
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.pull(max(asyncio.get_running_loop().time(), self._timer_at))

    def stop(self) -> None:
        """No more timers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Links

    def joined(self, link: Link) -> None:
        """The link is bound."""
        if link.writes and link not in self.links:
            self.links.append(link)
            link.taking = True
            limits = link.session.limits
            window = self.windows.get(link.label)
            if window is None or not window.fits(limits.window, limits.answer_within):
                window = Window(
                    limits.window,
                    limits.answer_within,
                    link.loop.time(),
                    adapts=self.settings.adapt,
                )
                self.windows[link.label] = window
            link.window = window
            link.untold = self.untold
        self._regroup()

    def _regroup(self) -> None:
        """What stands at links that are dealt nothing any more goes to those that are."""
        takers = self.takers()
        for link in self.links:
            if link not in takers:
                for message in link.again.clear():
                    self.bound.append(message)
        self._share_out()

    def _share_out(self) -> None:
        """Tell the windows how many links there are, and what pace each has to be able to keep."""
        now = asyncio.get_running_loop().time()
        share = self.pacer.lowest / max(1, len(self.takers()))
        for name, window in self.windows.items():
            window.serve(sum(link.label == name for link in self.links), share, now)

    def slowed(self, now: float) -> bool:
        """Answers stay slow at a node though its window was cut.  When they do at all nodes, the
        pace is cut to what goes through; returns whether it was.
        """
        takers = self.takers()
        windows = [self.windows[name] for name in {link.label for link in takers}]
        if not windows or not all(now < window.slow_until for window in windows):
            return False
        pace = sum(window.pace for window in windows)
        if self.settings.max_destinations > 1:
            # Windows count submits, the pace counts recipients.
            tags = [tag for link in takers for tag in link.session.tags()]
            pace *= sum(map(lists.size, tags)) / len(tags) if tags else 1.0
        return self.pacer.slowed(pace, now)

    def left(self, link: Link) -> list[Message]:
        """The link is gone, or to be dealt nothing; what it was to write goes back to wait.

        Returns messages that were never written: they follow their route again.
        """
        link.taking = False
        if link in self.links:
            self.links.remove(link)
            self._share_out()
        free: dict[int, Message] = {}
        for message, part in link.unload():
            message.take_back(part)
            if message.out == 0:
                self.desk.release(message)
            free.setdefault(message.mid, message)
        for message in link.again.clear():
            free.setdefault(message.mid, message)
        routed = []
        for message in reversed(list(free.values())):
            message.link = None
            if message.final:
                continue
            if message.written:
                self.bound.put_back(message)
            else:
                routed.append(message)
        return routed
