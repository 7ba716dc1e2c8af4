"""One account while the daemon runs: its links, its pace, and when there is something to do.

Links pull.  Whenever there may be room (an answer came, a token is due, a message was queued) what
waits is dealt to the links in turn (`dealing`), so that fair shares and failover need no deciding:
a link that is gone, frozen or slow simply takes nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Sequence
from itertools import count

from . import lists
from .config import Account as Settings
from .dealing import Dealing, Desk
from .link import Link
from .model import UNSENT, Message
from .pacing import Pacer
from .untold import Untold
from .window import Window

ONE_ANSWER = 0.01
"""Seconds within which what comes of one answer is done."""


class Account:
    def __init__(self, name: str, settings: Settings, desk: Desk, now: float) -> None:
        self.name = name
        self._set(settings)
        self.desk = desk
        self.pacer = Pacer(settings.rate, settings.lowest_rate, now)
        self.links: list[Link] = []
        """Those that are bound and may submit."""
        self.windows: dict[str, Window] = {}
        """By node: its binds lead to one gateway, whose latency says the same of all of them."""
        self._resting: int | None = None
        self.wake: Callable[[], None] = lambda: None
        """Connects such a bind, of that priority, again."""
        self.priorities: dict[str, int] = {node.name: node.priority for node in settings.nodes}
        self._takers: list[Link] | None = None
        """What `takers` said last, while nothing changed that it goes by."""
        self.untold = Untold(name, self.links) if desk.tells else None
        self.dealing = Dealing(name, settings, desk, self.pacer, self.links, self.untold)
        self.bound = self.dealing.bound
        """Messages that were written here before and have parts to write again."""
        self._later: list[tuple[float, int, Message]] = []
        self._spread: tuple[int, float, float] = (0, 0.0, 0.0)
        """The last job that had to wait, when that was, and until when: a list comes back whole."""
        self._order = count()
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
        self.dealing.change(settings)
        self.priorities = {node.name: node.priority for node in settings.nodes}
        self._takers = None
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

    @property
    def resting(self) -> int | None:
        """The best priority of a bind that its gateway closed idle (SGIP) and that counts as usable
        all the same; None when there is none.
        """
        return self._resting

    @resting.setter
    def resting(self, priority: int | None) -> None:
        self._resting, self._takers = priority, None

    def takers(self) -> list[Link]:
        """Links of the best priority that has any; none while a better one has a bind resting."""
        if self._takers is None:
            self._takers = self._best()
        return self._takers

    def _best(self) -> list[Link]:
        links = self.links
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
                self.dealing.deal(links, now)
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
        return self.dealing.has_waiting()

    @property
    def pace(self) -> float:
        """Parts per second that it may write now: its rate, or less after backing off."""
        return self.pacer.pace_at(asyncio.get_running_loop().time())

    def at_its_pace(self, now: float) -> bool:
        """Whether it writes as much as it may: what waits here waits for the account alone."""
        return not self.pacer.idle(now)

    # Time

    def _schedule(self, links: Sequence[Link], now: float) -> None:
        """Look again when the pace allows, if only the pace is in the way."""
        writable = any(link.has_ready and link.free(now) > 0 for link in self.links)
        waiting = self.has_waiting()
        takable = waiting and any(link.room(now) > link.kept for link in links)
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
            self._takers = None
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
            self._takers = None
            self._share_out()
        free: dict[int, Message] = {}
        for write in link.unload():
            message = write.message
            message.take_back(write.part)
            if message.out == 0:
                self.desk.memory.release(message)
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
