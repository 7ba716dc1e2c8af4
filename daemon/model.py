"""What the daemon knows about a job while it is on its way.

A job has a message per recipient, a message has a part per submit.  Messages are kept whole in the
ledger as `life`, so that a restart, a trace and a late report all see the same thing.

A message is known by its `mid`: the job's sequence number shifted by ten bits, plus the recipient's
place in the job.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from protocols.part import Part as WirePart

from .jobs import Job as JobFields
from .jobs import Lane
from .steps import Step

INDEX_BITS: Final = 10
LAST_INDEX: Final = 1023

LANES = len(Lane)


class State(IntEnum):
    """Of a message.  The ledger keeps the numbers; those below 4 wait in a queue."""

    WAITING = 0
    HELD = 1
    """Waiting for its `not_before`."""
    PARKED = 2
    """Waiting for a usable account, outside memory (`parking`)."""
    UNCERTAIN = 4
    ACCEPTED = 5
    """Final where no report was asked for."""
    DELIVERED = 6
    UNDELIVERED = 7
    REJECTED = 8
    EXPIRED = 9

    __hash__ = int.__hash__  # an enumeration's own is a function in Python

    @property
    def word(self) -> str:
        """As records and metrics say it."""
        return WORDS[self]


WORDS: Final = {state: state.name.lower() for state in State}
NUMBERS: Final = {state: int(state) for state in State}
"""As the ledger keeps them: sqlite3 takes long over a member of an enumeration, and so does `int`.
"""
WAITS: Final = frozenset({State.WAITING, State.HELD, State.PARKED})
UNSAFE = frozenset({*WAITS, State.UNCERTAIN})
"""States that depend on this machine (contract section 6.1), unless the message is parked."""
ELSEWHERE = 1e12
"""The wake time of a message that another daemon has, or that is to be looked at when its
partition comes: nobody waits that long.
"""
FINAL: Final = frozenset({State.DELIVERED, State.UNDELIVERED, State.REJECTED, State.EXPIRED})


class PartState(IntEnum):
    UNSENT = 0
    WRITTEN = 1
    """Or named in a claim and about to be."""
    ANSWERED = 2
    IN_DOUBT = 3
    """Written, and no answer came: the gateway may have it."""
    DELIVERED = 4
    FAILED = 5
    REFUSED = 6


# Python 3.11 looks up a member of an enumeration at fifteen times the cost of a global, and there
# are forty on a message's way: those have names of their own.
WAITING: Final = State.WAITING
UNCERTAIN: Final = State.UNCERTAIN
ACCEPTED: Final = State.ACCEPTED
DELIVERED: Final = State.DELIVERED
REJECTED: Final = State.REJECTED
EXPIRED: Final = State.EXPIRED
UNSENT: Final = PartState.UNSENT
WRITTEN: Final = PartState.WRITTEN
ANSWERED: Final = PartState.ANSWERED
IN_DOUBT: Final = PartState.IN_DOUBT
PART_DELIVERED: Final = PartState.DELIVERED
FAILED: Final = PartState.FAILED
REFUSED: Final = PartState.REFUSED
TAKEN: Final = frozenset({ANSWERED, PART_DELIVERED, FAILED})
"""Of a part: the gateway has said yes to it."""


class Part:
    """One submit of a message; `wire` is its prepared form while it may still be written.

    It does not know its message: a cycle would keep every finished message until the collector
    comes.  `carrier_ids` are those of all answered attempts, first attempt first; records show the
    last.
    """

    __slots__ = (
        "attempt",
        "carrier_ids",
        "code",
        "doubts",
        "failed_ids",
        "flying",
        "number",
        "state",
        "tries",
        "wire",
        "written_id",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = UNSENT
        self.attempt = 0
        self.carrier_ids: tuple[bytes, ...] = ()
        self.written_id: bytes | None = None
        """What reports of the last attempt quote, where that is known at the write (SGIP)."""
        self.code: str | None = None
        self.doubts = 0
        """How many attempts were written and not answered: each may have reached the gateway."""
        self.flying = 0
        """How many attempts are written and neither answered nor given up."""
        self.failed_ids: tuple[bytes, ...] = ()
        """What the reports of failed attempts quoted: one attempt is one failure."""
        self.tries = 0
        """Answers that asked for another try, throttling not counted."""
        self.wire: WirePart | None = None

    @property
    def carrier_id(self) -> bytes | None:
        """The carrier's id of the last attempt, where it is known."""
        if self.written_id is not None:
            return self.written_id
        return self.carrier_ids[-1] if self.carrier_ids else None


class Write:
    """One part that is written once, or is to be; what a session gets as its tag."""

    __slots__ = ("at", "attempt", "carrier_id", "message", "node", "open", "part")
    place: int | None = None
    """In the list that it left in; `keys` are what a report quotes of it then (`lists.Member`)."""
    keys: tuple[bytes, ...] = ()

    def __init__(self, message: Message, part: Part, node: str) -> None:
        self.message = message
        self.part = part
        self.node = node
        self.attempt = 0
        """Known when it is written."""
        self.at = 0.0
        """When that was, on the loop's clock."""
        self.carrier_id: bytes | None = None
        """What a report will quote, where that is known before the answer."""
        self.open = True
        """Neither answered nor given up."""


Place = tuple["Message", Part]
"""A part where it belongs."""


class Home:
    """The partition that jobs came from; `mine`: whether what becomes of them is ours to decide."""

    __slots__ = ("mine",)

    def __init__(self, mine: bool) -> None:
        self.mine = mine


class Job:
    """A job that was taken; nothing of it changes any more."""

    __slots__ = (
        "bill_units",
        "digest",
        "fields",
        "home",
        "produced",
        "received",
        "seq",
        "source",
    )

    def __init__(
        self,
        seq: int,
        fields: JobFields,
        produced: float,
        received: float,
        source: tuple[str, int, int],
        bill_units: int,
        digest: bytes = b"",
    ) -> None:
        self.seq = seq
        self.fields = fields
        self.produced = produced
        self.received = received
        self.source = source
        """Topic, partition and offset of the record."""
        self.bill_units = bill_units
        self.digest = digest
        """Of the content: `jobs.digest`."""
        self.home: Home | None = None
        """Known once `Homes` was asked."""

    @property
    def whole(self) -> bool:
        """False for a job that is known from what another daemon told of it."""
        return bool(self.fields.text)


class Message:
    """One job for one recipient."""

    __slots__ = (
        "account",
        "answered",
        "attempts",
        "carrier",
        "cause",
        "claim",
        "code",
        "doubted",
        "final",
        "job",
        "lane",
        "later",
        "let_go",
        "link",
        "listed",
        "lists",
        "mid",
        "node",
        "out",
        "parked",
        "parts",
        "queued",
        "reference",
        "released",
        "reported",
        "route",
        "short_since",
        "stage",
        "state",
        "steps",
        "submitted",
        "throttles",
        "to",
        "wake",
    )

    def __init__(self, job: Job, index: int, to: str, carrier: str | None, lane: int) -> None:
        self.job = job
        # One object for all the dicts and rows that it is in: compiled, an `int` is made into one
        # for each of them.
        self.mid: Any = job.seq << INDEX_BITS | index
        self.to = to
        self.carrier = carrier
        self.lane = int(lane)  # sqlite3 takes long over a member of an enumeration
        self.route = ""
        self.state = WAITING
        self.final = False
        self.account: str | None = None
        self.node: str | None = None
        self.link: Any = None
        """The connection that its parts go to, while that lives."""
        self.listed: Any = None
        """The list that it is claimed for (`lists.Claimed`)."""
        self.lists: tuple[tuple[int, bytes], ...] = ()
        """Of each list that it left in: its place there, and the carrier's id of the list."""
        self.reference = 0
        self.attempts = 0
        self.parts: tuple[Part, ...] = ()
        self.claim = 0
        """The claim in the ledger that names this message, while it may be written."""
        self.later = False
        """Told to come again after a while."""
        self.queued: Any = None
        """The lanes that it stands in."""
        self.let_go = 0
        """How often memory had let go of any when it did so of this one last."""
        self.short_since: float | None = None
        """On the loop's clock: when there was first less room than it has parts."""
        self.parked = False
        """Whether it depends on this machine no more, though it waits (contract section 6.3)."""
        self.out = 0
        """Parts that are claimed or written and neither answered nor given up."""
        self.released = 0
        """Claims up to this one say nothing about the message any more."""
        self.doubted = 0
        """The attempt of the last `uncertain` event."""
        self.throttles = 0
        self.wake: float | None = None
        """Wall time at which something must happen by itself."""
        self.submitted: float | None = None
        self.answered: float | None = None
        self.reported: float | None = None
        self.code: str | None = None
        self.cause: str | None = None
        self.stage: str | None = None
        self.steps: tuple[Step, ...] = ()

    @property
    def index(self) -> int:
        mid: int = self.mid
        return mid & LAST_INDEX

    @property
    def id(self) -> str:
        return f"{self.job.fields.id}/{self.mid & LAST_INDEX}"

    @property
    def written(self) -> bool:
        """Whether any part ever went out: from then on it stays with its account."""
        return self.submitted is not None

    @property
    def standing(self) -> bool:
        """Whether it waits somewhere in memory, or is on its way to the wire."""
        return self.queued is not None or self.later or self.out > 0

    def take_back(self, part: Part) -> None:
        """A claimed part was not written; what became of it by another attempt stands."""
        self.out -= 1
        self.listed = None
        if part.state is PartState.WRITTEN:
            part.state = PartState.UNSENT

    @property
    def unsent(self) -> list[Part]:
        return [p for p in self.parts if p.state is UNSENT]


PARKED_AT = 16
"""Where `Message.parked` stands in a life."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


@lru_cache(maxsize=1024)
def untouched(carrier: str | None, bill_units: int) -> bytes:
    """The life of a message to which nothing has happened."""
    nothing = (None, 0, 0, 0, 0, None, None, None, None, None, None, 0, (), ())
    return _encode((carrier, *nothing, bill_units, False))


def pack_life(m: Message) -> bytes:
    """Everything of a message that is not a column of its ledger row; `lives` spells it, too."""
    if m.state is WAITING and not (
        m.parts or m.steps or m.released or m.claim or m.reference or m.parked or m.lists
    ):
        return untouched(m.carrier, m.job.bill_units)
    fields = (
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
        [
            (
                p.state,
                p.attempt,
                p.carrier_ids,
                p.written_id,
                p.code,
                p.doubts,
                p.tries,
                p.failed_ids,
            )
            for p in m.parts
        ],
        m.steps,
        m.job.bill_units,
        m.parked,
    )
    return _encode(fields if not m.lists else (*fields, m.lists))


def is_parked(life: bytes) -> bool:
    """`Message.parked` of what `pack_life` made."""
    fields = _decode(life)
    return len(fields) > PARKED_AT and bool(fields[PARKED_AT])


def unpack_life(m: Message, life: bytes) -> None:
    """Fills `m` from what `pack_life` made."""
    (
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
        parts,
        steps,
        m.job.bill_units,
        *later,
    ) = _decode(life)
    m.parked = bool(later and later[0])
    m.lists = tuple([(place, carrier_id) for place, carrier_id in later[1]]) if later[1:] else ()
    found: list[Part] = []
    for number, (state, attempt, carrier_ids, written_id, code, *counts) in enumerate(parts, 1):
        part = Part(number)
        part.state, part.attempt, part.carrier_ids = PartState(state), attempt, tuple(carrier_ids)
        part.written_id, part.code = written_id, code
        part.doubts, part.tries, part.failed_ids = counts[0], counts[1], tuple(counts[2])
        found.append(part)
    m.parts = tuple(found)
    m.steps = tuple([Step(*step) for step in steps])
