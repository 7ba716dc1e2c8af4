"""How one record lies in a segment file.

    length  u32   of all that follows the CRC
    crc     u32   CRC-32 of the same
    time    f64   seconds since 1970
    key     i32   length of the key, -1 when there is none
    type    u8    length of the content type
    ...           key, content type, value

All little-endian.  The offset is not written: it is the name of the file plus the number of
frames in front.  A frame that is cut short or does not agree with its CRC is the end of what
was written whole.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from typing import Final
from zlib import crc32

from ..record import Record

HEAD: Final = struct.Struct("<II")
BODY: Final = struct.Struct("<diB")
CHUNK: Final = 256 * 1024
_crc32: Final = crc32


class Frames:
    """Frames of one topic, in the pieces that they are made of: put together once, for the disk."""

    __slots__ = ("count", "pieces")

    def __init__(self) -> None:
        self.count = 0
        self.pieces: list[bytes] = []


def gather(
    records: Sequence[tuple[str, bytes | None, bytes | None]],
    types: Mapping[str, bytes],
    timestamp: float,
    into: dict[str, Frames],
) -> None:
    """Frame these records (topic, key, value), each `into` the frames of its topic.

    What stands ahead of a value is spelled once for those that follow one another with one key, as
    the reports of a job do.
    """
    front, crc = b"", 0
    of_topic = ""
    of_key: bytes | None = None
    frames: Frames | None = None
    for topic, key, value in records:
        if frames is None or key != of_key or topic != of_topic:
            of_topic, of_key = topic, key
            frames = into.get(topic) or into.setdefault(topic, Frames())
            front = _front(key, types[topic], timestamp)
            crc = _crc32(front)
        content = value or b""
        head: bytes = HEAD.pack(len(front) + len(content), _crc32(content, crc))
        frames.pieces += (head, front, content)
        frames.count += 1


def encode(key: bytes | None, value: bytes, content_type: bytes, timestamp: float) -> bytes:
    frames: dict[str, Frames] = {}
    gather([("", key, value)], {"": content_type}, timestamp, frames)
    return b"".join(frames[""].pieces)


def _front(key: bytes | None, content_type: bytes, timestamp: float) -> bytes:
    if key is None:
        fields: bytes = BODY.pack(timestamp, -1, len(content_type))
        return fields + content_type
    fields = BODY.pack(timestamp, len(key), len(content_type))
    return b"%b%b%b" % (fields, key, content_type)


def decode(
    data: bytes, at: int, most: int, topic: str, offset: int, into: list[Record]
) -> tuple[int, int]:
    """Add up to `most` records that begin at byte `at`, the first being number `offset`.

    Returns how many, and the place of the first byte after them.
    """
    size = len(data)
    head, fields, skip = HEAD.unpack_from, BODY.unpack_from, BODY.size
    count = 0
    while count < most and size - at >= 8:
        length, crc = head(data, at)
        stop = at + 8 + length
        body = data[at + 8 : stop]
        if length < skip or stop > size or _crc32(body) != crc:
            break
        timestamp, key_length, type_length = fields(body)
        if key_length < 0:
            key, middle = None, skip
        else:
            middle = skip + key_length
            key = body[skip:middle]
        value_at = middle + type_length
        content_type = body[middle:value_at].decode("latin-1") if type_length else None
        into.append(Record(topic, 0, offset + count, key, body[value_at:], content_type, timestamp))
        count += 1
        at = stop
    return count, at


def begins_whole(data: bytes) -> bool:
    """Whether the first frame is there and agrees with its CRC."""
    if len(data) < HEAD.size:
        return False
    length: int
    length, crc = HEAD.unpack_from(data)
    stop = HEAD.size + length
    return length >= BODY.size and stop <= len(data) and _crc32(data[HEAD.size : stop]) == crc


def read_cached(fd: int, at: int, size: int) -> bytes:
    """`size` bytes from byte `at` on if they are in memory, fewer or none where it would take the
    disk: for a loop that must not wait.
    """
    data = bytearray(size)
    try:
        got = os.preadv(fd, [data], at, os.RWF_NOWAIT)
    except OSError:  # also where a file system cannot say
        return b""
    return bytes(data[:got])


def read(fd: int, at: int, size: int) -> bytes:
    """At least the whole frame at byte `at` of a file of `size` bytes, if it is there whole."""
    data = os.pread(fd, CHUNK, at)
    if len(data) == CHUNK:
        need = 8 + HEAD.unpack_from(data)[0]
        if CHUNK < need <= size - at:
            data = os.pread(fd, need, at)
    return data


def scan(fd: int, at: int, size: int) -> tuple[int, int]:
    """The place after the last whole frame from byte `at` on, and how many there are."""
    total = 0
    head, skip = HEAD.unpack_from, BODY.size
    while at < size:
        data = read(fd, at, size)
        here, end = 0, len(data)
        while end - here >= 8:
            length, crc = head(data, here)
            stop = here + 8 + length
            if length < skip or stop > end or _crc32(data[here + 8 : stop]) != crc:
                break
            total += 1
            here = stop
        if not here:
            break
        at += here
    return at, total


def skip(fd: int, count: int) -> int:
    """The place after the first `count` frames; they are known to be whole."""
    at = 0
    while count:
        data = os.pread(fd, CHUNK, at)
        here, end = 0, len(data)
        while count and end - here >= 8:
            here += 8 + HEAD.unpack_from(data, here)[0]
            count -= 1
        if not here:
            break
        at += here
    return at
