"""Which partition a key belongs to: the same as the Java client's default partitioner."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Final

from ..base import Place

if TYPE_CHECKING:
    from mypy_extensions import i64  # a machine word, where this is compiled

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF
_WORDS: Final = [Struct(f"<{count}I") for count in range(72)]
"""By how many; the longest job id has 64 characters."""

Sent = tuple[str, bytes | None, bytes | None]
"""Topic, key and value of a record."""


def murmur2(data: bytes) -> int:
    """32-bit MurmurHash2 as in `org.apache.kafka.common.utils.Utils.murmur2`.

    aiokafka has one that reads byte by byte; by words it takes half the time, and every
    published record is hashed.
    """
    length = len(data)
    count = length >> 2
    words = _WORDS[count] if count < len(_WORDS) else Struct(f"<{count}I")
    h: i64 = _SEED ^ length
    k: i64
    for word in words.unpack_from(data):
        k = word
        k = k * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    rest = length & 3
    if rest:
        k = int.from_bytes(data[length - rest :], "little")
        h = (h ^ k) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition(key: bytes, partitions: int) -> int:
    """0 ≤ result < `partitions`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def shared_out(records: Sequence[Sent], partitions: Mapping[str, int]) -> dict[Place, list[int]]:
    """Where in `records` those of each partition stand, in order; what has no key goes anywhere.

    `partitions` says how many each topic has.
    """
    shares: dict[Place, list[int]] = {}
    for index, (topic, key, _) in enumerate(records):
        count = partitions[topic]
        if count == 1:
            number = 0
        elif key is None:
            number = random.randrange(count)
        else:
            number = partition(key, count)
        place = (topic, number)
        share = shares.get(place)
        if share is None:
            shares[place] = [index]
        else:
            share.append(index)
    return shares
