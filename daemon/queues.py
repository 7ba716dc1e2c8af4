"""Where messages wait: three lanes in front of each route.

A message waits on its route, not at an account, so it follows the route until its first part is
claimed.  A lane keeps a bounded number in memory; what comes on top stays in the ledger alone and
is read back, in order, when there is room again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from .jobs import Lane
from .model import LANES, Message

MOST_IN_MEMORY = 10_000
"""Messages of one lane of one route."""
BULK_SHARE = 10
"""Of so many messages that are not urgent, one is bulk while any waits (contract section 6.6)."""


class Lanes:
    """Urgent, normal and bulk, first in first out each."""

    __slots__ = ("lanes",)

    def __init__(self) -> None:
        self.lanes: tuple[deque[Message], ...] = tuple(deque() for _ in range(LANES))

    def __len__(self) -> int:
        return sum(map(len, self.lanes))

    def __iter__(self) -> Iterator[Message]:
        for lane in self.lanes:
            yield from lane

    def has(self, lane: int) -> bool:
        return bool(self.lanes[lane])

    def count(self, lane: int) -> int:
        return len(self.lanes[lane])

    def append(self, message: Message) -> None:
        self.lanes[message.lane].append(message)

    def put_back(self, message: Message) -> None:
        """To the front of its lane."""
        self.lanes[message.lane].appendleft(message)

    def pop(self, lane: int) -> Message:
        return self.lanes[lane].popleft()

    def clear(self) -> list[Message]:
        found = list(self)
        for lane in self.lanes:
            lane.clear()
        return found


class RouteQueue:
    """What waits for one route: `accounts` in the order of preference."""

    __slots__ = ("accounts", "lanes", "name", "newest", "refilling", "spilled")

    def __init__(self, name: str, accounts: tuple[str, ...]) -> None:
        self.name = name
        self.accounts = accounts
        self.lanes = Lanes()
        self.spilled = [0] * LANES
        """Messages that only the ledger knows, by lane."""
        self.newest = [0] * LANES
        """The newest message that was ever in memory, by lane: what was spilled is newer."""
        self.refilling = [False] * LANES

    def __len__(self) -> int:
        return len(self.lanes) + sum(self.spilled)

    def offer(self, message: Message) -> bool:
        """Queue a new message; False when it stays in the ledger only."""
        lane = message.lane
        if self.spilled[lane] or self.lanes.count(lane) >= MOST_IN_MEMORY:
            self.spilled[lane] += 1
            return False
        self.newest[lane] = max(self.newest[lane], message.mid)
        self.lanes.append(message)
        return True

    def wants_refill(self, lane: int) -> int:
        """How many messages should be read back now."""
        room = MOST_IN_MEMORY - self.lanes.count(lane)
        if not self.spilled[lane] or self.refilling[lane] or room < MOST_IN_MEMORY // 2:
            return 0
        return room


class Turns:
    """Which message is next: urgent first, then normal before bulk, but bulk gets its share."""

    __slots__ = ("_since_bulk",)

    def __init__(self) -> None:
        self._since_bulk = 0

    def next(self, sources: Sequence[Lanes]) -> tuple[Message, Lanes] | None:
        """The next message and where it came from; earlier sources go first within a lane."""
        normal = bulk = None
        for lanes in sources:
            urgent_lane, normal_lane, bulk_lane = lanes.lanes
            if urgent_lane:
                return urgent_lane.popleft(), lanes
            if normal is None and normal_lane:
                normal = lanes
            if bulk is None and bulk_lane:
                bulk = lanes
        if bulk is not None and (normal is None or self._since_bulk >= BULK_SHARE - 1):
            self._since_bulk = 0
            return bulk.pop(Lane.BULK), bulk
        if normal is not None:
            self._since_bulk += 1
            return normal.pop(Lane.NORMAL), normal
        return None
