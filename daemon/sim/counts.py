"""What reached the simulated gateways: the figures that tests and the bench judge by."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MOST_REASONS = 200
MOST_SECONDS = 100_000
MOST_TWICE = 1000


class Counts:
    """One node's figures since it was made.

    `submits` are PDUs.  `parts` are those that were accepted, swallowed or dropped, by recipient
    and without the copies, which are `twice`.  `answered` counts answers of any kind that were
    handed to the connection, `reports` and `inbound` every sending, and `_taken` what the client
    said yes to.  `window_peak` is the most submits that one connection had unanswered.
    """

    NAMES = (
        "connections_made",
        "logins",
        "logins_refused",
        "submits",
        "parts",
        "answered",
        "accepted",
        "throttled",
        "refused",
        "swallowed",
        "dropped",
        "twice",
        "twice_answered",
        "window_peak",
        "malformed",
        "reports",
        "reports_taken",
        "reports_refused",
        "reports_unanswered",
        "reports_given_up",
        "inbound",
        "inbound_taken",
        "inbound_refused",
        "inbound_unanswered",
        "inbound_given_up",
        "closed_idle",
        "closed_in_error",
    )
    __slots__ = (*NAMES, "faults")

    connections_made: int
    logins: int
    logins_refused: int
    submits: int
    parts: int
    answered: int
    accepted: int
    throttled: int
    refused: int
    swallowed: int
    dropped: int
    twice: int
    twice_answered: int
    """Of `twice`: those whose first copy had been answered, which no fault excuses."""
    window_peak: int
    malformed: int
    reports: int
    reports_taken: int
    reports_refused: int
    reports_unanswered: int
    reports_given_up: int
    inbound: int
    inbound_taken: int
    inbound_refused: int
    inbound_unanswered: int
    inbound_given_up: int
    closed_idle: int
    closed_in_error: int

    def __init__(self) -> None:
        for name in self.NAMES:
            setattr(self, name, 0)
        self.faults: Counter[str] = Counter()
        """What the strict check found, by reason."""

    def fault(self, why: str) -> None:
        if why not in self.faults and len(self.faults) >= MOST_REASONS:
            why = "other reasons"
        self.faults[why] += 1

    def show(self) -> dict[str, Any]:
        shown: dict[str, Any] = {name: getattr(self, name) for name in self.NAMES}
        shown["faults"] = dict(self.faults)
        return shown

    def __iadd__(self, other: Counts) -> Counts:
        for name in self.NAMES:
            mine, its = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, its) if name == "window_peak" else mine + its)
        self.faults.update(other.faults)
        return self


class Meter:
    """Submits by time, as the gateway's own clock saw them; each recipient counts.

    `peak` is the most within any interval of one second, wherever it begins.
    """

    __slots__ = ("_in_second", "_recent", "epoch", "peak", "seconds")

    def __init__(self, epoch: float = 0.0) -> None:
        """`epoch` plus the clock is seconds since 1970."""
        self.epoch = epoch
        self.peak = 0
        self.seconds: dict[int, int] = {}
        """Submits by whole second since 1970; the last hundred thousand seconds."""
        self._recent: deque[tuple[float, int]] = deque()
        self._in_second = 0

    def add(self, now: float, count: int) -> None:
        self._in_second = self.within(now) + count
        self._recent.append((now, count))
        if self._in_second > self.peak:
            self.peak = self._in_second
        second = int(now + self.epoch)
        if second in self.seconds:
            self.seconds[second] += count
            return
        self.seconds[second] = count
        if len(self.seconds) > MOST_SECONDS:
            del self.seconds[next(iter(self.seconds))]

    def within(self, now: float) -> int:
        """How many were counted in the second up to now."""
        recent = self._recent
        # A microsecond in the client's favour: sums of binary fractions are not exact.
        while recent and recent[0][0] <= now - 1.0 + 1e-6:
            self._in_second -= recent.popleft()[1]
        return self._in_second


class Seen:
    """A set of 63-bit hashes at 11 to 23 octets each, for tens of millions of parts.

    256 small open-addressed tables instead of one: the longest pause for growing is a 256th.
    """

    __slots__ = ("_tables", "_used", "count")

    def __init__(self) -> None:
        self._tables = [array("Q", bytes(8 * 16)) for _ in range(256)]
        self._used = [0] * 256
        self.count = 0

    def __contains__(self, value: int) -> bool:
        value = value & 0x7FFF_FFFF_FFFF_FFFF or 1
        table = self._tables[value >> 55]
        return bool(table[_find(table, value)])

    def add(self, value: int) -> bool:
        """Returns whether it was there before; `value` is any integer but is kept as 63 bits."""
        return bool(self.add_all((value,)))

    def add_all(self, values: Sequence[int]) -> list[int]:
        """As `add`; returns the places of those that were there before."""
        tables, used = self._tables, self._used
        again: list[int] = []
        for place, value in enumerate(values):
            value = value & 0x7FFF_FFFF_FFFF_FFFF or 1
            shard = value >> 55
            table = tables[shard]
            mask = len(table) - 1
            at = value & mask
            while (found := table[at]) and found != value:
                at = at + 1 & mask
            if found:
                again.append(place)
                continue
            table[at] = value
            used[shard] += 1
            if used[shard] * 10 > mask * 7:
                grown = array("Q", bytes(16 * len(table)))
                for kept in table:
                    if kept:
                        grown[_find(grown, kept)] = kept
                tables[shard] = grown
        self.count += len(values) - len(again)
        return again


def _find(table: array[int], value: int) -> int:
    """The place of `value`, or the empty one where it belongs."""
    mask = len(table) - 1
    at = value & mask
    while (found := table[at]) and found != value:
        at = at + 1 & mask
    return at


@dataclass(slots=True, frozen=True)
class Copy:
    """A part that had reached the account's gateways before."""

    at: float
    """Seconds since 1970."""
    node: str
    sender: str
    to: str
    number: int
    content: bytes
    answered: bool
    """Whether the first copy had been answered by then."""

    def show(self) -> dict[str, Any]:
        return {
            "at": round(self.at, 3),
            "node": self.node,
            "from": self.sender,
            "to": self.to,
            "number": self.number,
            "content_hex": self.content.hex(),
            "answered": self.answered,
        }


class Reached:
    """Which parts reached an account's gateways, over all its nodes.

    A part is the same when sender, recipient, place in its message and content are: a
    concatenation reference is in the content.  Throttled and refused ones are not put here.
    """

    __slots__ = ("_keep", "_open", "_recipients", "_seen", "copies")

    def __init__(self, keep: bool = True) -> None:
        """`keep` False remembers no parts and so finds none that came twice."""
        self._keep = keep
        self._seen = Seen()
        self._recipients = Seen()
        self._open: set[int] = set()
        self.copies: deque[Copy] = deque(maxlen=MOST_TWICE)
        """The latest of those that came twice."""

    @property
    def distinct(self) -> int:
        return self._seen.count

    def identity(self, sender: str, to: str, number: int, content: bytes) -> int:
        return self.identities(sender, (to,), number, content)[0]

    def identities(
        self, sender: str, to: Sequence[str], number: int, content: bytes
    ) -> tuple[int, ...]:
        """Of the parts of one submit."""
        if not self._keep:
            return (0,) * len(to)
        return tuple([hash((sender, each, number, content)) for each in to])

    def add_all(self, identities: Sequence[int]) -> list[int]:
        """Returns the places of those that had been here before."""
        return self._seen.add_all(identities) if self._keep else []

    def met(self, to: Iterable[str]) -> None:
        """Parts for these recipients are here."""
        if self._keep:
            self._recipients.add_all([hash(each) for each in to])

    def has_met(self, to: str) -> bool:
        return hash(to) in self._recipients

    def opened(self, identities: Iterable[int]) -> None:
        """No answer has been written yet."""
        if self._keep:
            self._open.update(identities)

    def answered(self, identities: Iterable[int]) -> None:
        if self._open:
            self._open.difference_update(identities)

    def is_open(self, identity: int) -> bool:
        return identity in self._open
