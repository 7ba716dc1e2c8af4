"""Where messages wait: three lanes in front of each route.

A message waits on its route, not at an account, so it follows the route until its first part is
claimed.  A lane keeps a bounded number in memory; what comes on top stays in the ledger alone and
is read back, in order, when there is room again.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from .jobs import BULK, NORMAL, URGENT
from .model import LANES, Message

MOST_IN_MEMORY = 10_000
"""Messages of one lane of one route."""
BULK_SHARE = 10
"""Of so many parts that are not urgent, one is bulk while any waits (contract section 6.6)."""


class Lanes:
    """Urgent, normal and bulk, first in first out each."""

    __slots__ = ("lanes", "total", "waiting")

    def __init__(self) -> None:
        self.lanes: tuple[deque[Message], ...] = tuple(deque() for _ in range(LANES))
        """Also messages that became final where they stand: those are met when they are dealt."""
        self.waiting = [0] * LANES
        """Messages that still wait, by lane."""
        self.total = 0
        """The sum of that."""

    def __len__(self) -> int:
        """Messages that still wait."""
        return self.total

    def __iter__(self) -> Iterator[Message]:
        for lane in self.lanes:
            yield from lane

    def oldest(self, lane: int, most: int) -> list[Message]:
        """Those of a lane that wait, first come first."""
        waiting = (message for message in self.lanes[lane] if message.queued is self)
        return list(islice(waiting, most))

    def append(self, message: Message) -> None:
        """A message that stands somewhere already stays where it is."""
        if message.queued is None:
            lane = message.lane
            message.queued = self
            self.lanes[lane].append(message)
            self.waiting[lane] += 1
            self.total += 1

    def extend(self, lane: int, messages: Sequence[Message]) -> None:
        """Messages of one lane that stand nowhere yet."""
        for message in messages:
            message.queued = self
        self.lanes[lane].extend(messages)
        self.waiting[lane] += len(messages)
        self.total += len(messages)

    def put_back(self, message: Message) -> None:
        """To the front of its lane; one that stands somewhere already stays where it is."""
        if message.queued is None:
            lane = message.lane
            message.queued = self
            self.lanes[lane].appendleft(message)
            self.waiting[lane] += 1
            self.total += 1

    def pop(self, lane: int) -> Message:
        message = self.lanes[lane].popleft()
        if message.queued is self:
            message.queued = None
            self.waiting[lane] -= 1
            self.total -= 1
        return message

    def take(self, lane: int, most: int) -> list[Message]:
        """Those of a lane that waited longest, taken out."""
        stand = self.lanes[lane]
        found: list[Message] = []
        while stand and len(found) < most:
            message = stand.popleft()
            if message.queued is self:
                message.queued = None
                found.append(message)
        self.took(lane, len(found))
        return found

    def took(self, lane: int, count: int) -> None:
        """So many of a lane that waited do so no more."""
        self.waiting[lane] -= count
        self.total -= count

    def died(self, message: Message) -> None:
        """A message that stands here is final."""
        message.queued = None
        lane = message.lane
        self.waiting[lane] -= 1
        self.total -= 1
        if not self.waiting[lane]:
            self.lanes[lane].clear()

    def clear(self) -> list[Message]:
        """Take everything out; returns what still waits."""
        return [message for lane in range(LANES) for message in self.take(lane, sys.maxsize)]


class RouteQueue:
    """What waits for one route: `accounts` in the order of preference."""

    __slots__ = (
        "accounts",
        "held",
        "lanes",
        "name",
        "newest",
        "newest_parked",
        "parked",
        "refilling",
        "spilled",
    )

    def __init__(self, name: str, accounts: tuple[str, ...]) -> None:
        self.name = name
        self.accounts = accounts
        self.lanes = Lanes()
        self.spilled = [0] * LANES
        """Messages that only the ledger knows, by lane."""
        self.newest = [0] * LANES
        """The newest message that was ever in memory, by lane: what was spilled is newer."""
        self.parked = [0] * LANES
        """Messages that are parked until an account can be used, by lane."""
        self.newest_parked = [0] * LANES
        """The newest of them that was read back, by lane."""
        self.held = 0
        """Messages that wait for their `not_before`, all of them in the ledger alone."""
        self.refilling = [False] * LANES

    def __len__(self) -> int:
        return len(self.lanes) + sum(self.spilled)

    def offer_all(self, lane: int, messages: list[Message]) -> int:
        """Queue new messages of one lane, in the order of their numbers; how many were queued: the
        others stay in the ledger only.
        """
        room = 0 if self.spilled[lane] else max(0, MOST_IN_MEMORY - self.lanes.waiting[lane])
        count = min(room, len(messages))
        if count:
            self.newest[lane] = max(self.newest[lane], messages[count - 1].mid)
            self.lanes.extend(lane, messages if count == len(messages) else messages[:count])
        if count < len(messages):
            self.spilled[lane] += len(messages) - count
            # Of a job that another daemon told of in part they are older than they are new.
            self.newest[lane] = min(self.newest[lane], messages[count].mid - 1)
        return count

    def admit(self, message: Message) -> bool:
        """Queue a message that is older than others that were; False when the ledger keeps it."""
        lane = message.lane
        if self.spilled[lane] or self.lanes.waiting[lane] >= MOST_IN_MEMORY:
            self.spilled[lane] += 1
            self.newest[lane] = min(self.newest[lane], message.mid - 1)
            return False
        self.lanes.append(message)
        return True

    def park(self, message: Message) -> None:
        """The message is the ledger's alone until the route is served again."""
        lane = message.lane
        self.parked[lane] += 1
        self.newest_parked[lane] = min(self.newest_parked[lane], message.mid - 1)

    def wants_refill(self, lane: int) -> int:
        """How many messages should be read back now."""
        room = MOST_IN_MEMORY - self.lanes.waiting[lane]
        if not (self.spilled[lane] or self.parked[lane]):
            return 0
        if self.refilling[lane] or room < MOST_IN_MEMORY // 2:
            return 0
        return room


class Turns:
    """Which messages are next: urgent first, then normal before bulk, but bulk gets its share."""

    __slots__ = ("_others", "_rivals", "_since_bulk")

    def __init__(self) -> None:
        self._others = 0
        """Parts that were not bulk since the last that was."""
        self._since_bulk = 0
        """Parts that were normal since the last bulk one, while any was waiting."""
        self._rivals = False
        """Whether both had anything waiting at the last turn."""

    def whose(
        self, sources: Sequence[Lanes], *, urgent_only: bool = False
    ) -> tuple[Lanes, int, int] | None:
        """Where the next messages come from, their lane, and how many parts of it may follow each
        other; earlier sources go first within a lane.
        """
        normal = bulk = None
        for source in sources:
            waiting = source.waiting
            if waiting[URGENT]:
                return source, URGENT, sys.maxsize
            if normal is None and waiting[NORMAL]:
                normal = source
            if bulk is None and waiting[BULK]:
                bulk = source
        if urgent_only:
            return None
        self._rivals = normal is not None and bulk is not None
        if bulk is not None and (normal is None or self._since_bulk >= BULK_SHARE - 1):
            return bulk, BULK, sys.maxsize if normal is None else 1
        if normal is not None:
            most = sys.maxsize if bulk is None else BULK_SHARE - 1 - self._since_bulk
            return normal, NORMAL, most
        return None

    def most_kept(self, room: int) -> int:
        """How many of the free places may be kept from bulk, whose turn it is: all, but none when
        normal ones would have them next, and all but one when bulk had nothing for long.
        """
        if self._rivals:
            return 0
        return room if self._others < BULK_SHARE - 1 else room - 1

    def count(self, lane: int, parts: int) -> None:
        """So many parts were dealt out of the lane whose turn it was."""
        if lane != BULK:
            self._others += parts
        elif parts:
            self._others = 0
        # What was not there has missed nothing.
        if lane == NORMAL:
            since = self._since_bulk + parts
            self._since_bulk = since if self._rivals else min(since, BULK_SHARE - 1)
        elif lane == BULK:
            since = self._since_bulk - parts * (BULK_SHARE - 1)
            self._since_bulk = since if self._rivals else max(since, 0)

    def back(self, lane: int, parts: int, sources: Sequence[Lanes]) -> None:
        """So many parts of a lane that had its turn wait again: it missed nothing without others,
        as `count` has it.
        """
        if lane == NORMAL and any(source.waiting[BULK] for source in sources):
            self._since_bulk -= parts
        elif lane == BULK and any(source.waiting[NORMAL] for source in sources):
            self._since_bulk += parts * (BULK_SHARE - 1)
