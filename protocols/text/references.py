"""Reference numbers of long messages that do not meet at one recipient.

A phone joins parts by sender and reference, so two messages to one number may not carry the same
reference close together. Each recipient therefore has a counter of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from zlib import crc32

MOST_RECIPIENTS = 100_000


class References:
    """A counter per recipient, bounded: the recipient unused for longest is forgotten first.

    For a recipient that is remembered, a reference comes again only after all others were used.
    A new or forgotten one starts at a place that depends on the number, on `seed` and on how
    many started before, so that a return, or a restart with another `seed`, meets the
    references in use with a chance of about one in `width`.
    """

    __slots__ = ("_last", "_most", "_seed", "_started", "width")

    def __init__(self, seed: int, *, width: int = 256, most: int = MOST_RECIPIENTS) -> None:
        """`width` is 256 for the six-octet header, 65536 for seven octets and for SAR."""
        self.width = width
        self._seed = seed
        self._most = most
        self._started = 0
        self._last: OrderedDict[str, int] = OrderedDict()

    def take(self, recipient: str) -> int:
        """The next reference for `recipient`, 0 to `width` - 1."""
        last = self._last.get(recipient)
        if last is None:
            if len(self._last) >= self._most:
                self._last.popitem(last=False)
            reference = (crc32(recipient.encode()) + self._seed + self._started) % self.width
            self._started += 1
        else:
            reference = (last + 1) % self.width
            self._last.move_to_end(recipient)
        self._last[recipient] = reference
        return reference

    def note(self, used: Iterable[tuple[str, int]]) -> None:
        """After a restart: the (recipient, reference) pairs still in use, oldest first."""
        for recipient, reference in used:
            if recipient not in self._last and len(self._last) >= self._most:
                self._last.popitem(last=False)
            self._last[recipient] = reference % self.width
            self._last.move_to_end(recipient)

    def __len__(self) -> int:
        return len(self._last)
