"""A connection of an account: how much may be claimed for it, and writing what is.

Parts come to a link already claimed in the ledger; it writes them as its session's window and the
account's pace allow, urgent ones first.  Nothing here is made per part but its tag.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol, cast

from protocols.errors import EncodeError
from protocols.events import Closed, Event
from protocols.session import Session, State

from .connection import Connection
from .jobs import URGENT
from .lists import Claimed, ListWrite, Member, wire
from .model import WRITTEN, Message, Write
from .pacing import Pacer
from .queues import Lanes
from .tally import Histogram
from .wanted import Wanted
from .window import Window

SHORTEST_PAUSE = 0.05
"""Seconds without new parts after a throttle answer; doubles while they go on, to 1.6."""
ENOUGH = 8
"""So many parts taken between two throttle answers: the gateway is at its limit, not in trouble."""
RAMP = 10.0
"""Seconds in which the share of a connection that came back grows to full."""
KEPT = 16
"""Of so many places in the window, one is kept from bulk messages; half as many are enough."""


class Owner(Protocol):
    """Who a link tells what happened; called inside the loop's turn, must not block."""

    wanted: Wanted

    def heard(self, link: Link, events: Sequence[Event], now: float) -> None:
        """What one read brought, or a deadline, or the end of the connection."""

    def wrote(self, link: Link, writes: Sequence[Write], now: float) -> None:
        """These parts go out with this turn."""


class Places(Protocol):
    """What of an account's window is kept for what others were not told of."""

    def places(self) -> int:
        """How many more submits may be written."""


class Link(Connection):
    """`label` is the node's name.  `writes` is False for a connection that only receives."""

    def __init__(
        self,
        label: str,
        session: Session,
        owner: Owner,
        pacer: Pacer,
        *,
        writes: bool = True,
        on_closed: Callable[[Link], None] | None = None,
    ) -> None:
        super().__init__(session)
        self.label = label
        self.owner = owner
        self.wanted = owner.wanted
        self.pacer = pacer
        self.writes = writes
        self.reason = ""
        """Why it ended."""
        self.window = Window(session.limits.window, session.limits.answer_within, self.loop.time())
        """How many may be unanswered now; the links of a node share one."""
        self.reserved = 0
        """Parts claimed for this link and not written yet."""
        self.spared = 0
        """Places in the window that these need less, because they leave in lists."""
        self.reserved_urgent = 0
        """Those of them that are urgent: nothing else is written before them."""
        self.kept = 0
        """Free places that what waits may not have, for it is bulk; see `keeps`."""
        self.untold: Places | None = None
        """Of its account, where other daemons have to be told of answers."""
        self.again = Lanes()
        """Messages with parts to write that are bound to this link already."""
        self.ready: tuple[deque[Write], ...] = (deque(), deque(), deque())
        """Claimed parts by lane, in order of writing."""
        self._as_of = 0
        """`Wanted.revision` when the first of what is ready was claimed."""
        self.taking = False
        """Whether its account deals to it; what was claimed for it before goes back otherwise."""
        self.bound_at: float | None = None
        self.ramping = False
        self.answered_since_bound = False
        self.failed = False
        """Whether it ended with an error, or by its gateway's goodbye."""
        self.pauses = 0
        """How often it was told "slower" with little taken in between."""
        self.slower_at = -math.inf
        """When it was told so last; the answers to what it had written before are no news."""
        self.taken = 0
        """Parts taken of what was written since."""
        self.paused_until = 0.0
        """On the loop's clock; nothing new is dealt to it before."""
        self.doubtful = False
        """Whether a part became uncertain here and nothing was answered since."""
        self.answers: Histogram | None = None
        """Seconds from write to answer, on the account and node that the link belongs to."""
        self._on_closed = on_closed

    # What the owner asks

    def limit(self, now: float) -> int:
        """How many parts may be unanswered now: the agreed window, or less after backing off."""
        if now < self.paused_until or self.session.state is not State.BOUND:
            return 0
        return self.window.limit(now)

    def free(self, now: float) -> int:
        """How many more parts may be written."""
        session = self.session
        room = session.room
        limit = self.window.limit(now)
        return room if limit >= session.limits.window else min(room, limit - session.unanswered)

    def why(self, now: float) -> str | None:
        """What keeps parts from being claimed: "throttled" or "window"; None when nothing does."""
        if self.room(now) > self.kept:
            return None
        backs_off = self.limit(now) < self.session.limits.window
        return "throttled" if backs_off and self.session.room > self.places else "window"

    def takes(self, now: float) -> bool:
        """Whether anything new may be dealt to it, as far as there is room."""
        return self.writes and self._writable and now >= self.paused_until

    def room(self, now: float) -> int:
        """How many more parts may be claimed for this link."""
        if not self.takes(now):
            return 0
        room = self.free(now)
        if self.doubtful:
            room = min(room, 1 - self.session.unanswered)
        if room and self.ramping and self.bound_at is not None:
            full = self.session.limits.window
            share = (now - self.bound_at) / RAMP
            if share >= 1.0:
                self.ramping = False
            else:
                allowed = max(1, int(full * share)) if self.answered_since_bound else 1
                room = min(room, allowed - self.session.unanswered)
        return room - self.reserved + self.spared

    def keeps(self, room: int) -> int:
        """How many places of the window, of which `room` are left, are kept from bulk messages.

        Windows are filled in one go and answered in one go: without them, what is urgent waits for
        that.  A window of few places has none to spare, nor one that is just trying what it may.
        """
        return (room + self.session.unanswered + self.places + KEPT // 2) // KEPT

    @property
    def places(self) -> int:
        """Places in the window that are claimed and not taken yet."""
        return self.reserved - self.spared

    @property
    def yields(self) -> int:
        """Claimed parts that give way to urgent messages, at most."""
        return sum(len(lane) for number, lane in enumerate(self.ready) if number != URGENT)

    @property
    def has_ready(self) -> bool:
        return any(self.ready)

    @property
    def next_size(self) -> int:
        """How many parts the next write needs to be allowed: those of a list go together."""
        for lane in self.ready:
            if lane:
                listed = lane[0].message.listed
                return 1 if listed is None else int(listed.size)
        return 1

    # What the owner does

    def returns(self, now: float, *, ramping: bool) -> None:
        """It may be dealt to from now on; `ramping` when its share is to grow slowly to full."""
        self.bound_at = now
        self.ramping = ramping
        self.answered_since_bound = False

    def throttled(self, wrote_at: float, now: float) -> bool:
        """The gateway said slower: others take over for a while.  Returns whether it is news."""
        if wrote_at < self.slower_at or now < self.paused_until:
            return False
        self.pauses = 1 if self.taken >= ENOUGH else min(self.pauses + 1, 6)
        self.paused_until = now + SHORTEST_PAUSE * 2 ** (self.pauses - 1)
        self.slower_at, self.taken = now, 0
        return True

    def answered(self) -> None:
        """An answer came."""
        self.answered_since_bound = True
        self.doubtful = False

    def took(self, wrote_at: Sequence[float]) -> None:
        """The gateway accepted what was written then."""
        self.answered()
        since = self.slower_at
        self.taken += len([at for at in wrote_at if at >= since])

    def reserve(self, message: Message, parts: int) -> None:
        """So many parts are claimed for this link; less than none when they are given up."""
        self.reserved += parts
        listed = message.listed
        if listed is not None and listed.first is not message:
            self.spared += parts
        if message.lane == URGENT:
            self.reserved_urgent += parts

    def reserve_along(self, lane: int, count: int) -> None:
        """So many further members of a list are claimed for this link, or are no more."""
        self.reserved += count
        self.spared += count
        if lane == URGENT:
            self.reserved_urgent += count

    def load(self, lane: int, writes: Sequence[Write], revision: int) -> None:
        """Claimed parts of a lane, in order, for which room was reserved before; `revision` is the
        one of when they were claimed.
        """
        if not self.has_ready:
            self._as_of = revision
        self.ready[lane].extend(writes)

    def may_exceed(self, message: Message, now: float) -> bool:
        """Whether the message may be claimed though it has more parts than there is room for now.

        It may when it would be alone, and after all that was unanswered before it has been
        answered or given up: then urgent messages alone are what leaves it no room.
        """
        if self.session.unanswered + self.reserved == 0:
            return True
        if message.short_since is None:
            message.short_since = now
        waited = now - message.short_since >= self.session.limits.answer_within
        return waited and self.reserved == self.reserved_urgent

    def unload(self, keep: int | None = None) -> list[Write]:
        """Take back what was not written, but for that of a lane to `keep`."""
        lanes = [lane for number, lane in enumerate(self.ready) if number != keep]
        writes = [write for lane in lanes for write in lane]
        for lane in lanes:
            lane.clear()
        for write in writes:
            self.reserve(write.message, -1)
        return writes

    def flush(self, now: float) -> None:
        """Write what is ready, as window and pace allow."""
        session, wanted = self.session, self.wanted
        most = self._allowed(now) if self._writable else 0
        if most < 1:
            return
        unrevised = self._as_of == wanted.revision
        written: list[Write] = []
        paced = 0  # how many of them the pacer knows of
        for number, lane in enumerate(self.ready):
            while lane and len(written) < most:
                write = lane.popleft()
                message, part = write.message, write.part
                if message.listed is not None:
                    lane.appendleft(write)
                    most = self._flush_list(lane, message.listed, written, paced, now)
                    paced = len(written)
                    continue
                self.reserved -= 1
                if number == URGENT:
                    self.reserved_urgent -= 1
                wire = part.wire
                stands = part.state is WRITTEN and not message.final and unrevised
                # What another attempt has settled meanwhile has no wire form any more.
                lasts = wire is not None and wire.expires_at is None
                if not (stands and lasts) and not wanted.may_write(message, part):
                    continue
                assert wire is not None, "a claimed part has been prepared"
                write.attempt = part.doubts + 1
                write.at = now
                try:
                    write.carrier_id = session.submit(write, wire, now)
                except EncodeError as exc:
                    wanted.unspelled(message, part, str(exc))
                    continue
                written.append(write)
        if written:
            if len(written) > paced:
                self.pacer.take(len(written) - paced, now)
            self.window.peak = max(self.window.peak, session.unanswered)
            self.owner.wrote(self, written, now)
            self.touch()

    def _allowed(self, now: float) -> int:
        """How many parts may be written now."""
        allowed = min(self.free(now), self.pacer.ready(now))
        return allowed if self.untold is None else min(allowed, self.untold.places())

    def _flush_list(
        self, lane: deque[Write], listed: Claimed, written: list[Write], paced: int, now: float
    ) -> int:
        """Write the list that comes next in a lane, if its time has come; `paced` of what is
        written is what the pacer knows of, and all of it afterwards.

        Returns how many may be written in all.
        """
        if len(written) > paced:
            self.pacer.take(len(written) - paced, now)
        if listed.size > self.pacer.largest_ever:
            self._break_up(lane, listed)
        elif self.pacer.fits(listed.size, now):
            self._write_list(lane, listed, written, now)
        else:
            return len(written)  # nothing that is less urgent goes before it
        return len(written) + self._allowed(now)

    def _break_up(self, lane: deque[Write], listed: Claimed) -> None:
        """The rate was changed to less than the list has: its members go one by one."""
        for write in islice(lane, listed.size):
            message, part = write.message, write.part
            self.reserve(message, -1)
            message.listed = None
            self.reserve(message, 1)
            part.wire = wire(listed.form, [message])

    def _write_list(
        self, lane: deque[Write], listed: Claimed, written: list[Write], now: float
    ) -> None:
        """The list that comes next in a lane, less what may not be written any more."""
        claimed = cast(list[Member], [lane.popleft() for _ in range(listed.size)])
        self.reserve(listed.first, -1)
        self.reserve_along(listed.first.lane, 1 - listed.size)
        for write in claimed:
            write.message.listed = None
        writes = self.wanted.may_write_all(claimed)
        if not writes:
            return
        tag = ListWrite(writes, now, self.label)
        form = wire(listed.form, [write.message for write in writes])
        try:
            carrier_id = self.session.submit(tag, form, now)
        except EncodeError as exc:
            for write in writes:
                self.wanted.unspelled(write.message, write.part, str(exc))
            return
        if carrier_id is not None:
            for member in tag.writes:
                member.carrier_id = carrier_id
        written += tag.writes
        self.pacer.take(len(writes), now)

    # What the connection tells

    def _tell(self, events: Sequence[Event], now: float) -> None:
        last = events[-1]
        if type(last) is Closed and not self.reason:
            self.reason = last.reason
        self.owner.heard(self, events, now)

    def _resumed(self, now: float) -> None:
        self.flush(now)
        self.owner.heard(self, (), now)

    def _ended(self) -> None:
        if self._on_closed is not None:
            self._on_closed(self)
