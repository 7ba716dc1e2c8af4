"""What became of a message that left in a list, as far as others of the list have it in common.

Members of a list are mostly written, answered and reported together.  What is kept and told of them
then differs in their places and recipients alone: the rest is spelled once.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .model import LAST_INDEX, Message, pack_life

_encode: Final = msgspec.msgpack.Encoder().encode
_PLACES: Final[list[bytes]] = [_encode(place) for place in range(LAST_INDEX + 1)]


class Course:
    """Of a message of one part that left in one list, as it is when this is made: all that is kept
    and told of it but its number, its recipient, and its place in the list.
    """

    __slots__ = (
        "_ahead",
        "_behind",
        "account",
        "answered",
        "attempt",
        "attempts",
        "carrier",
        "carrier_ids",
        "cause",
        "claim",
        "code",
        "doubted",
        "doubts",
        "failed_ids",
        "final",
        "job",
        "list_id",
        "node",
        "parked",
        "part_code",
        "part_state",
        "reference",
        "released",
        "reported",
        "stage",
        "state",
        "steps",
        "submitted",
        "tries",
        "written_id",
    )

    def __init__(self, m: Message) -> None:
        [part] = m.parts
        [(place, list_id)] = m.lists
        life = pack_life(m)
        # The list stands last in a life, and the place in front of its id.
        self._behind: bytes = _encode(list_id)
        self._ahead = life[: -len(_PLACES[place]) - len(self._behind)]
        self.list_id = list_id
        self.job = m.job
        self.state = m.state
        self.final = m.final
        self.carrier = m.carrier
        self.account = m.account
        self.node = m.node
        self.submitted = m.submitted
        self.answered = m.answered
        self.reported = m.reported
        self.code = m.code
        self.cause = m.cause
        self.stage = m.stage
        self.steps = m.steps
        self.reference = m.reference
        self.attempts = m.attempts
        self.released = m.released
        self.claim = m.claim
        self.doubted = m.doubted
        self.parked = m.parked
        self.part_state = part.state
        self.attempt = part.attempt
        self.carrier_ids = part.carrier_ids
        self.written_id = part.written_id
        self.part_code = part.code
        self.doubts = part.doubts
        self.tries = part.tries
        self.failed_ids = part.failed_ids

    def life(self, m: Message) -> bytes:
        """As `pack_life`, of a message that shares it."""
        place: bytes = _PLACES[m.lists[0][0]]
        return b"%b%b%b" % (self._ahead, place, self._behind)

    def shared(self, m: Message) -> bool:
        """Whether the message went the same way.

        What happened to several at once is one object, so identity tells; of one that is equal and
        another object it is said that it did not.
        """
        if len(m.lists) != 1 or len(m.parts) != 1:
            return False
        part = m.parts[0]
        return (
            m.steps is self.steps
            and m.job is self.job
            and m.lists[0][1] is self.list_id
            and m.state is self.state
            and m.final == self.final
            and m.carrier is self.carrier
            and m.account is self.account
            and m.node is self.node
            and m.submitted is self.submitted
            and m.answered is self.answered
            and m.reported is self.reported
            and m.code is self.code
            and m.cause is self.cause
            and m.stage is self.stage
            and m.reference == self.reference
            and m.attempts == self.attempts
            and m.released == self.released
            and m.claim == self.claim
            and m.doubted == self.doubted
            and m.parked == self.parked
            and part.state is self.part_state
            and part.attempt == self.attempt
            and part.carrier_ids is self.carrier_ids
            and part.written_id is self.written_id
            and part.code is self.part_code
            and part.doubts == self.doubts
            and part.tries == self.tries
            and part.failed_ids is self.failed_ids
        )


def course_of(m: Message) -> Course | None:
    """That of a message which has one: with several parts or lists it goes its own way."""
    return Course(m) if len(m.lists) == 1 and len(m.parts) == 1 else None
