"""What daemons of one group tell each other through the broker, so that one can take over.

Outcomes (answered, in doubt, final), stops and reports that found no message go to `topics.state`,
messages that wait long to `topics.parked` (contract section 6.1, 6.3).  The topics keep the last
record of each key, so keys are: the message's id; of stops and reports what makes them one.

Records are MessagePack arrays that begin with their kind.  Fields may be added at the end, with a
default, and never taken away: daemons of two versions run side by side during an upgrade.  What is
told of messages is written by `teller`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from . import jobs
from .ledger.rows import LAST_INDEX
from .model import INDEX_BITS, Job, Message, State, unpack_life

MSGPACK = "application/msgpack"
"""The content type of these records."""

OWNER_OF_NONE = 0
"""In the place of a ledger's number: written by no daemon."""


What = Literal["job", "tenant", "account"]
"""What a stop names."""


class Taken(Struct, array_like=True, gc=False, kw_only=True):
    """A message as the daemon that has it knows it; times in seconds since 1970.

    `teller.told` has these fields once more, in the same order.
    """

    by: int
    """The number of the ledger that says so (`Ledger.identity`)."""
    id: str
    """Of the job."""
    digest: bytes
    topic: str
    partition: int
    offset: int
    """Of the job's record: the message belongs to who has this partition."""
    produced: float
    received: float
    body: bytes
    """The job as `jobs.pack` makes it, each recipient empty; an outcome's has no text either."""
    index: Annotated[int, Meta(ge=0, le=LAST_INDEX)]
    to: str
    route: str
    lane: int
    account: str | None
    state: int
    final: bool
    wake: float | None
    life: bytes
    """See `model.pack_life`."""


class Outcome(Taken, tag="outcome", gc=False, kw_only=True):
    """It was answered, came into doubt, or is final."""


class Parked(Taken, tag="parked", gc=False, kw_only=True):
    """It waits, and depends on its daemon no more."""


class Orphan(Struct, array_like=True, tag="report", gc=False, kw_only=True):
    """A report that is not about any message of the daemon that got it; see `events.Reported`."""

    by: int
    account: str
    keys: tuple[bytes, ...]
    exact: int
    fate: str
    code: str
    to: str
    at: float


class Stop(Struct, array_like=True, tag="stop", gc=False, kw_only=True, frozen=True):
    """What was produced until `at` and is not written yet is not wanted any more."""

    what: What
    name: str
    at: float
    by: int = OWNER_OF_NONE


Fact = Outcome | Parked | Orphan | Stop

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Fact).decode


def unpack(value: bytes) -> Fact:
    """Raises msgspec.DecodeError: written by something else, or by a later version."""
    fact: Fact = _decode(value)
    return fact


def pack_stop(stop: Stop) -> tuple[bytes, bytes]:
    """Key and value for `topics.state`."""
    return f"\0stop\0{stop.what}\0{stop.name}".encode(), _encode(stop)


def pack_orphan(orphan: Orphan) -> tuple[bytes, bytes]:
    """Key and value for `topics.state`."""
    name = orphan.account.encode() + b"\0" + (orphan.keys[0] if orphan.keys else b"")
    return b"\0report\0" + name + b"\0" + orphan.fate.encode(), _encode(orphan)


def message_of(taken: Taken, seq: int) -> Message:
    """The message, under this ledger's number of its job.

    Claims are of the ledger that wrote them, and mean nothing in another.
    """
    source = (taken.topic, taken.partition, taken.offset)
    fields = jobs.unpack(taken.body)
    job = Job(seq, fields, taken.produced, taken.received, source, 0, taken.digest)
    m = Message(job, taken.index, taken.to, None, taken.lane)
    assert m.mid == seq << INDEX_BITS | taken.index
    m.route = taken.route
    m.account = taken.account
    m.state = State(taken.state)
    m.final = taken.final
    m.wake = taken.wake
    unpack_life(m, taken.life)
    m.claim = m.released = 0
    return m
