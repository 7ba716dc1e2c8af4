"""The rows of the ledger, as they are put and as they come back.

A message's number (`mid`) is its job's `seq << 10 | index`; an index is at most 999, so that
1023 is free to stand for the job itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

INDEX_BITS = 10
LAST_INDEX = 999
JOB_INDEX = (1 << INDEX_BITS) - 1
WAITING_STATES = 4
"""States below this are of messages that wait in a queue: `Ledger.queued` finds only them."""

# Not column by column: compiled, who only hands a row on would take it apart and make another.
JobValues: TypeAlias = tuple[Any, ...]
"""The columns of a `JobRow`; a plain tuple is made in a third of the time."""
MessageValues: TypeAlias = tuple[Any, ...]
"""The columns of a `MessageRow`."""
Event: TypeAlias = tuple[str, bytes | None, bytes]
"""What is to be published: which topic, the record's key, its value."""


class JobRow(NamedTuple):
    """A job as it was taken; `digest` is of its content, `body` its fields, opaque here."""

    seq: int
    id: str
    digest: bytes
    topic: str
    partition: int
    offset: int
    produced: float
    received: float
    body: bytes


class MessageRow(NamedTuple):
    """A message as it is now; `wake` is when to look at it again, `life` is opaque here."""

    mid: int
    to: str
    route: str
    lane: int
    account: str | None
    state: int
    final: int
    wake: float | None
    life: bytes


class Known(NamedTuple):
    """A job id that was used: `seq` is None where only the id is remembered."""

    seq: int | None
    digest: bytes
    finished: bool
    partial: bool = False
    """Whether only some of its messages may be known: its row has an offset below 0."""


class Waiting(NamedTuple):
    """How many unfinished messages a route has in a lane and state, and the first of them."""

    route: str
    lane: int
    state: int
    size: int
    oldest: int


class Queued(NamedTuple):
    """How many messages wait on a route, by lane and state and the partition they came from."""

    route: str
    lane: int
    state: int
    topic: str
    partition: int
    size: int


@dataclass(slots=True)
class Entries:
    """One unit of change: all of it is kept, or nothing.

    A message's first row comes together with its job's.  Jobs and messages are inserted or
    overwritten whole; the number of a message never changes.  Of claims and keeps, what an
    `Entries` takes away goes before what it adds.
    """

    jobs: list[JobValues] = field(default_factory=list)
    messages: list[MessageValues] = field(default_factory=list)
    carrier_ids: list[tuple[str, bytes, int, int]] = field(default_factory=list)
    """account, key, mid, part; a part below 0 stands for 0 of that message and of so many behind"""
    claims: list[tuple[int, float, bytes]] = field(default_factory=list)
    """id, when, mids"""
    unclaims: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    keeps: list[tuple[str, bytes, float, bytes]] = field(default_factory=list)
    """kind, key, when, value"""
    drops: list[tuple[str, bytes]] = field(default_factory=list)


_crc32: Final = crc32


# The second argument keeps the three apart: the same bytes as job id and as number differ.
def hash_job(job_id: str) -> int:
    return _crc32(job_id.encode(), 1)


def hash_to(number: str) -> int:
    return _crc32(number.encode(), 2)


def hash_carrier_id(key: bytes) -> int:
    """Without the account: `trace` may not know it."""
    return _crc32(key, 3)


def job_ref(seq: int) -> int:
    return seq << INDEX_BITS | JOB_INDEX


def is_job(ref: int) -> bool:
    return ref & JOB_INDEX == JOB_INDEX
