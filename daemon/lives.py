"""Lives of messages that follow one another, as octets (`model.pack_life`).

What one read brings says the same of every message but for the carrier's ids.  So what stands in
front of them and behind them is spelled once, and used again while nothing in it differs.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .model import Message, pack_life

LONGEST_ID: Final = 255
"""Octets; longer ones have another head in msgpack."""

_encode: Final = msgspec.msgpack.Encoder().encode
_ID: Final = [b"\xc4%c" % size for size in range(LONGEST_ID + 1)]
"""The head of an id of so many octets."""
_NO_ID: Final = b"\xc0"
_ONE: Final = [b"\x91" + head for head in _ID]
"""The head of an array that has only such an id."""
_NONE: Final = b"\x90"
_FIELDS: Final = b"\xdc\x00\x11"
"""The head of a life."""
_WITH_LISTS: Final = b"\xdc\x00\x12"
_PART: Final = b"\x91\x98"
"""The head of an array of one part, and its own."""


class Lives:
    """Used by one thread."""

    __slots__ = ("_behind", "_course", "_front")

    def __init__(self) -> None:
        self._course: tuple[object, ...] = ()
        """What the last life said in its order, but for ids and lists: 13 fields of the message, 2
        of the part ahead of its ids and 4 behind them, 3 of the message, and whether there are no
        lists.
        """
        self._front = self._behind = b""

    def pack(self, m: Message) -> bytes:
        """As `pack_life`."""
        parts = m.parts
        if len(parts) != 1:
            return pack_life(m)
        part = parts[0]
        carrier_ids, written_id, lists = part.carrier_ids, part.written_id, m.lists
        id_head, carrier_id = _NONE, b""
        if carrier_ids:
            carrier_id = carrier_ids[0]
            size = len(carrier_id)
            if size > LONGEST_ID or carrier_ids[1:]:
                return pack_life(m)
            id_head = _ONE[size]
        written_head, written = _NO_ID, b""
        if written_id is not None:
            written = written_id
            size = len(written)
            if size > LONGEST_ID:
                return pack_life(m)
            written_head = _ID[size]
        course = (
            m.carrier,
            m.node,
            m.reference,
            m.attempts,
            m.released,
            m.claim,
            m.submitted,
            m.answered,
            m.reported,
            m.code,
            m.cause,
            m.stage,
            m.doubted,
            part.state,
            part.attempt,
            part.code,
            part.doubts,
            part.tries,
            part.failed_ids,
            m.steps,
            m.job.bill_units,
            m.parked,
            not lists,
        )
        if course != self._course:
            self._of_course(course)
        # Compiled, this is one allocation and a copy of each.
        life = b"%b%b%b%b%b%b" % (
            self._front,
            id_head,
            carrier_id,
            written_head,
            written,
            self._behind,
        )
        return life + _encode(lists) if lists else life

    def _of_course(self, course: tuple[object, ...]) -> None:
        # An array of less than 16 has one octet in front.
        head = _FIELDS if course[-1] else _WITH_LISTS
        self._front = head + _encode(course[:13])[1:] + _PART + _encode(course[13:15])[1:]
        self._behind = _encode(course[15:19])[1:] + _encode(course[19:22])[1:]
        self._course = course
