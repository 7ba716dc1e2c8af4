"""Which partition a key belongs to: the same as the Java client's default partitioner."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_extensions import i64  # a machine word, where this is compiled

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32-bit MurmurHash2 as in `org.apache.kafka.common.utils.Utils.murmur2`.

    aiokafka has one that reads byte by byte; by words it takes half the time, and every
    published record is hashed.
    """
    length = len(data)
    h: i64 = _SEED ^ length
    k: i64
    for word in struct.unpack_from(f"<{length >> 2}I", data):
        k = word
        k = k * _M & _MASK
        k ^= k >> 24
        h = (h * _M & _MASK) ^ (k * _M & _MASK)
    rest = length & 3
    if rest:
        k = int.from_bytes(data[length - rest :], "little")
        h = (h ^ k) * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ h >> 15


def partition(key: bytes, partitions: int) -> int:
    """0 ≤ result < `partitions`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
