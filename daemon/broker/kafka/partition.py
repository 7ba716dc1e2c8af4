"""Which partition a key belongs to: the same as the Java client's default partitioner."""

from __future__ import annotations

import struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32-bit MurmurHash2 as in `org.apache.kafka.common.utils.Utils.murmur2`.

    aiokafka has one that reads byte by byte; by words it takes half the time, and every
    published record is hashed.
    """
    length = len(data)
    h = _SEED ^ length
    for k in struct.unpack_from(f"<{length >> 2}I", data):
        k = k * _M & _MASK
        k ^= k >> 24
        h = (h * _M & _MASK) ^ (k * _M & _MASK)
    rest = length & 3
    if rest:
        h = (h ^ int.from_bytes(data[length - rest :], "little")) * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ h >> 15


def partition(key: bytes, partitions: int) -> int:
    """0 ≤ result < `partitions`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
