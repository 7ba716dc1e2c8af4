"""Parts of inbound long messages, put together in whatever order they come.

    joined = joiner.add(key, header, coding, now, token)    a part; the whole if it was the last
    for joined in joiner.expire(now): ...                   at `deadline()`: given up, incomplete

A token stands for what its owner has to do once the part is safe (answer it, delete it); every
token comes back in exactly one `Joined`.

Redelivery and reuse look alike: the same number again under the same reference. The octets tell
them apart. Equal ones are the same part delivered again; other ones belong to a new message, and
what came before is given up rather than mixed with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from protocols.text.coding import decode_parts
from protocols.text.header import Header

MOST_PARTS = 20_000

_WholeKey = tuple[Hashable, int, int, int]  # with width, reference and total


@dataclass(slots=True)
class Joined:
    """A message, or what came of it.

    `pieces` has (coding, octets) in the order of the parts, None for each that is missing.
    `again` says that the message was given out whole before and this is one of its parts once
    more: there is a token to settle and nothing to publish.
    """

    key: Hashable
    pieces: list[tuple[int, bytes] | None]
    tokens: list[object]
    complete: bool = True
    again: bool = False

    @property
    def received(self) -> int:
        """How many of the parts came."""
        return sum(piece is not None for piece in self.pieces)

    def text(self, protocol: str) -> str:
        """What can be read; missing parts leave nothing behind."""
        return decode_parts(self.pieces, protocol)


@dataclass(slots=True)
class _Group:
    total: int
    deadline: float
    pieces: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    tokens: list[object] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return len(self.pieces) == self.total

    def in_order(self) -> list[tuple[int, bytes] | None]:
        return [self.pieces.get(number) for number in range(1, self.total + 1)]


class Joiner:
    """Groups of parts, bounded in number and time. Times are seconds and never go back."""

    def __init__(self, within: float, *, most: int = MOST_PARTS) -> None:
        """`within` runs from a group's first part; beyond `most` parts the oldest group goes."""
        self.within = within
        self.most = most
        # In the order of their deadlines. Whole messages stay for `within` without tokens, to
        # recognise parts that the carrier delivers again.
        self._groups: OrderedDict[_WholeKey, _Group] = OrderedDict()
        self._held = 0
        self._given_up: list[Joined] = []

    def add(
        self, key: Hashable, header: Header, coding: int, now: float, token: object
    ) -> Joined | None:
        """One part from its `header`; `key` is (account, sender, recipient).

        Width, reference and total belong to the key too, since references are used again with
        other totals. A header without concatenation is a whole message at once.
        """
        piece = (coding, header.rest)
        if header.total == 1:
            return Joined(key, [piece], [token])
        whole_key = (key, header.width, header.reference, header.total)
        group = self._groups.get(whole_key)
        if group is not None:
            before = group.pieces.get(header.number)
            if now >= group.deadline or before not in (None, piece):
                self._drop(whole_key)
                group = None
            elif before is not None:
                if group.complete:
                    return Joined(key, group.in_order(), [token], again=True)
                group.tokens.append(token)
                return None
        while self._held >= self.most:
            oldest = next(iter(self._groups))
            self._drop(oldest)
            if oldest == whole_key:
                group = None
        if group is None:
            group = self._groups[whole_key] = _Group(header.total, now + self.within)
        group.pieces[header.number] = piece
        group.tokens.append(token)
        self._held += 1
        if not group.complete:
            return None
        joined = Joined(key, group.in_order(), group.tokens)
        group.tokens = []
        group.deadline = now + self.within
        self._groups.move_to_end(whole_key)
        return joined

    def expire(self, now: float) -> list[Joined]:
        """What was given up: out of time, pushed out, or replaced by another message."""
        while self._groups:
            whole_key, group = next(iter(self._groups.items()))
            if group.deadline > now:
                break
            self._drop(whole_key)
        given_up, self._given_up = self._given_up, []
        return given_up

    def deadline(self) -> float | None:
        """When `expire` has something to do; in the past when it has already."""
        if self._given_up:
            return float("-inf")
        if not self._groups:
            return None
        return next(iter(self._groups.values())).deadline

    def __len__(self) -> int:
        """Messages that wait for parts."""
        return sum(not group.complete for group in self._groups.values())

    def _drop(self, whole_key: _WholeKey) -> None:
        group = self._groups.pop(whole_key)
        self._held -= len(group.pieces)
        if not group.complete:
            self._given_up.append(
                Joined(whole_key[0], group.in_order(), group.tokens, complete=False)
            )
