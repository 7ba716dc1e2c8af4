"""Messages of one job that leave in one submit: a list.

An account with `max_destinations` above 1 takes messages of one part that stand behind each other
in a lane.  In the ledger, in claims and in events each of them is a message like any other; what
they share is one place in the window, one write and one answer.  A list that was refused or is in
doubt is no list any more: its members go again one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocols import ids
from protocols.part import Part as WirePart

from .model import WRITTEN, Message, Part, PartState, Write
from .queues import Lanes


class Claimed:
    """A list from its claim to its write; `first` has the place in the window for all."""

    __slots__ = ("first", "form", "size")

    def __init__(self, first: Message, size: int, form: WirePart) -> None:
        self.first = first
        self.size = size
        self.form = form
        """What all have in common, with the first one's recipient."""


class Member(Write):
    """One recipient's part of a list, which has its `place` there when that is written."""

    __slots__ = ("before", "keys", "place")

    def __init__(self, message: Message, part: Part, node: str) -> None:
        # As `Write` does, without the call.
        self.message = message
        self.part = part
        self.node = node
        self.attempt = 0
        self.at = 0.0
        self.carrier_id = None
        self.open = True
        self.place: int | None = None
        self.keys: tuple[bytes, ...] = ()
        """What a report may quote of it, together with its recipient, once that is known."""
        self.before: Member | None = None
        """The one that its recipient had before, of another list, where a report is waited for."""


class ListWrite:
    """A list written once; what a session gets as its tag."""

    __slots__ = ("at", "node", "writes")

    def __init__(self, writes: list[Member], at: float, node: str) -> None:
        self.at = at
        """On the loop's clock."""
        self.node = node
        self.writes = writes
        for place, write in enumerate(writes):
            write.attempt = write.part.doubts + 1
            write.at = at
            write.place = place

    def goes_by(self, protocol: str, carrier_id: bytes) -> None:
        """This is the carrier's id of the list."""
        keys = ids.list_keys(protocol, carrier_id, range(len(self.writes)))
        for write, own in zip(self.writes, keys, strict=True):
            write.keys = own


def size(tag: Write | ListWrite) -> int:
    """How many recipients a submit has."""
    return len(tag.writes) if isinstance(tag, ListWrite) else 1


def together(writes: Sequence[Write], first: int) -> int:
    """How many of these left in the list that begins with the one at `first`."""
    size = 1
    while first + size < len(writes) and writes[first + size].place == size:
        size += 1
    return size


def answered_in(message: Message) -> bytes | None:
    """The carrier's id of the list that the message was answered in last, if it was in one."""
    ids_of_part = message.parts[0].carrier_ids if message.lists else ()
    if ids_of_part and any(carrier_id == ids_of_part[-1] for _, carrier_id in message.lists):
        return ids_of_part[-1]
    return None


def wire(form: WirePart, messages: Sequence[Message]) -> WirePart:
    """`form`, that of the first of a list, for those of it that are to be written."""
    return form.to_these(tuple([message.to for message in messages]))


def may_join(message: Message) -> bool:
    """Whether the message may leave in a list.

    One that was in doubt, or that an answer asked to try again, goes alone: the list may be why.
    """
    if not message.written:
        return True
    if len(message.parts) != 1:
        return False
    part = message.parts[0]
    fresh = part.state is PartState.UNSENT and not (part.doubts or part.tries or part.flying)
    return fresh and not part.carrier_ids


def followers(first: Message, source: Lanes, most: int) -> list[Message]:
    """The messages of the same job that come next in the lane of `first`, at most so many, each
    taken out.  What stands in a lane is open, and as wanted as the rest of its job.
    """
    lane, seq = source.lanes[first.lane], first.job.seq
    found: list[Message] = []
    while lane and len(found) < most:
        message = lane[0]
        if message.queued is not source:
            source.pop(first.lane)  # it became final where it stood
            continue
        if message.job.seq != seq or (message.written and not may_join(message)):
            break
        lane.popleft()
        message.queued = None
        found.append(message)
    source.took(first.lane, len(found))
    return found


def bind(first: Message, followers: Sequence[Message], link: object) -> None:
    """Make these one list, before room is reserved for them; `first` has the wire form of all, and
    the others go where it will go.
    """
    form = first.parts[0].wire
    assert form is not None, "what is dealt out has been prepared"
    listed = first.listed = Claimed(first, 1 + len(followers), form)
    account = first.account
    for message in followers:
        if message.submitted is None:
            message.reference = 0
            message.parts = (Part(1),)
        message.account = account
        message.listed = listed
        message.link = link
        message.out += 1
        message.parts[0].state = WRITTEN


def known_by(message: Message, protocol: str) -> list[tuple[bytes, ...]]:
    """What reports may quote of the message, of each list that it left in; with its recipient."""
    return [ids.list_keys(protocol, carrier_id, (place,))[0] for place, carrier_id in message.lists]


def keys(message: Message, protocol: str, carrier_id: bytes) -> list[tuple[bytes, bool]]:
    """What a report may quote of one attempt; False where it needs the recipient, too."""
    for place, of_list in message.lists:
        if of_list == carrier_id:
            return [(key, False) for key in ids.list_keys(protocol, carrier_id, (place,))[0]]
    return [(ids.key(protocol, carrier_id), True)]
