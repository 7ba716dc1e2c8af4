"""Where messages wait: three lanes in front of each route.

A message waits on its route, not at an account, so it follows the route until its first part is
claimed.  A lane keeps a bounded number in memory; what comes on top stays in the ledger alone and
is read back, in order, when there is room again.
"""

from __future__ import annotations

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

    __slots__ = ("dead", "lanes")

    def __init__(self) -> None:
        self.lanes: tuple[deque[Message], ...] = tuple(deque() for _ in range(LANES))
        self.dead = [0] * LANES
        """Messages that became final where they stand, and are met when they are dealt."""

    def __len__(self) -> int:
        """Messages that still wait."""
        return sum(map(len, self.lanes)) - sum(self.dead)

    def __iter__(self) -> Iterator[Message]:
        for lane in self.lanes:
            yield from lane

    def count(self, lane: int) -> int:
        """Messages of a lane that still wait."""
        return len(self.lanes[lane]) - self.dead[lane]

    def oldest(self, lane: int, most: int) -> list[Message]:
        """Those of a lane that wait, first come first."""
        waiting = (message for message in self.lanes[lane] if message.queued is self)
        return list(islice(waiting, most))

    def append(self, message: Message) -> None:
        """A message that stands somewhere already stays where it is."""
        if message.queued is None:
            message.queued = self
            self.lanes[message.lane].append(message)

    def extend(self, lane: int, messages: Sequence[Message]) -> None:
        """Messages of one lane that stand nowhere yet."""
        for message in messages:
            message.queued = self
        self.lanes[lane].extend(messages)

    def put_back(self, message: Message) -> None:
        """To the front of its lane; one that stands somewhere already stays where it is."""
        if message.queued is None:
            message.queued = self
            self.lanes[message.lane].appendleft(message)

    def pop(self, lane: int) -> Message:
        message = self.lanes[lane].popleft()
        if message.queued is self:
            message.queued = None
        else:
            self.dead[lane] -= 1
        return message

    def died(self, message: Message) -> None:
        """A message that stands here is final."""
        message.queued = None
        lane = self.lanes[message.lane]
        self.dead[message.lane] += 1
        if self.dead[message.lane] == len(lane):
            lane.clear()
            self.dead[message.lane] = 0

    def clear(self) -> list[Message]:
        """Take everything out; returns what still waits."""
        found = [message for message in self if message.queued is self]
        for message in found:
            message.queued = None
        for lane in self.lanes:
            lane.clear()
        self.dead = [0] * LANES
        return found


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

    def offer(self, message: Message) -> bool:
        """Queue a new message; False when it stays in the ledger only."""
        lane = message.lane
        if self.spilled[lane] or self.lanes.count(lane) >= MOST_IN_MEMORY:
            self.spilled[lane] += 1
            # Of a job that another daemon told of in part it is older than it is new.
            self.newest[lane] = min(self.newest[lane], message.mid - 1)
            return False
        if message.mid > self.newest[lane]:
            self.newest[lane] = message.mid
        self.lanes.append(message)
        return True

    def offer_all(self, lane: int, messages: list[Message]) -> int:
        """As `offer`, of one lane and in the order of their numbers; how many were queued."""
        room = 0 if self.spilled[lane] else max(0, MOST_IN_MEMORY - self.lanes.count(lane))
        count = min(room, len(messages))
        if count:
            self.newest[lane] = max(self.newest[lane], messages[count - 1].mid)
            self.lanes.extend(lane, messages if count == len(messages) else messages[:count])
        if count < len(messages):
            self.spilled[lane] += len(messages) - count
            self.newest[lane] = min(self.newest[lane], messages[count].mid - 1)
        return count

    def admit(self, message: Message) -> bool:
        """Queue a message that is older than others that were; False when the ledger keeps it."""
        lane = message.lane
        if self.spilled[lane] or self.lanes.count(lane) >= MOST_IN_MEMORY:
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
        room = MOST_IN_MEMORY - self.lanes.count(lane)
        if not (self.spilled[lane] or self.parked[lane]):
            return 0
        if self.refilling[lane] or room < MOST_IN_MEMORY // 2:
            return 0
        return room


class Turns:
    """Which message is next: urgent first, then normal before bulk, but bulk gets its share."""

    __slots__ = ("_before", "_since_bulk")

    def __init__(self) -> None:
        self._since_bulk = self._before = 0

    def next(
        self, sources: Sequence[Lanes], *, urgent_only: bool = False
    ) -> tuple[Message, Lanes] | None:
        """The next message and where it came from; earlier sources go first within a lane."""
        normal = bulk = None
        self._before = self._since_bulk
        for source in sources:
            urgent_lane, normal_lane, bulk_lane = source.lanes
            if urgent_lane:
                return source.pop(URGENT), source
            if normal is None and normal_lane:
                normal = source
            if bulk is None and bulk_lane:
                bulk = source
        if urgent_only:
            return None
        if bulk is not None and (normal is None or self._since_bulk >= BULK_SHARE - 1):
            self._since_bulk = max(0, self._since_bulk - BULK_SHARE + 1)
            return bulk.pop(BULK), bulk
        if normal is not None:
            since = self._since_bulk + 1
            # What was not there has missed nothing.
            self._since_bulk = since if bulk is not None or since < BULK_SHARE else BULK_SHARE - 1
            return normal.pop(NORMAL), normal
        return None

    def more(self, lane: int, count: int, sources: Sequence[Lanes]) -> None:
        """So many parts of a lane go along with that of `next`'s last message, and count as well:
        further parts of it, or other messages of its list.
        """
        if lane == NORMAL and any(source.lanes[BULK] for source in sources):
            self._since_bulk += count
        elif lane == BULK and any(source.lanes[NORMAL] for source in sources):
            self._since_bulk -= count * (BULK_SHARE - 1)

    def back(self, lane: int, count: int, sources: Sequence[Lanes]) -> None:
        """So many parts of a lane that had its turn wait again: it missed nothing without others,
        as `more` has it.
        """
        since = self._since_bulk
        self.more(lane, -count, sources)
        self._before += self._since_bulk - since

    def undo(self) -> None:
        """What `next` gave last goes back, and its turn was none."""
        self._since_bulk = self._before
