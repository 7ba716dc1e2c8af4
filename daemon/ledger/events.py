"""Events as they wait in the outbox: all of a commit in a few octets.

The records of a commit differ from each other by a number, an id and a few digits of a time: of 610
octets LZ4 leaves 15 to 30, in 0.2 µs.  Whole, they are half of what a message makes the
log carry, and each octet is copied, summed up and written there only to be deleted a moment later.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from cramjam import lz4

from daemon.ledger.rows import Event

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Event]).decode

_PACKED = b"\xc1"
"""Begins what is compressed: MessagePack never uses it, so never what schema 4 and before kept."""


def pack(events: Sequence[Event]) -> bytes:
    return _PACKED + bytes(lz4.compress_block(_encode(events)))


def unpack(octets: bytes) -> list[Event]:
    """Also of what an older version kept."""
    if octets.startswith(_PACKED):
        octets = bytes(lz4.decompress_block(octets[1:]))
    return _decode(octets)
