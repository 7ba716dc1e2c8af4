"""What one turn of the loop changed, on its way to the ledger.

Everything that came of one read from a socket, or of one batch of jobs, is one `Changes`: messages
are written once however often they were touched, and what has to wait for the disk (records to
publish, reports to acknowledge, offsets to move) goes along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from protocols import ids

from . import lists
from .course import Course, course_of
from .ledger import Entries, Event
from .lives import Lives
from .model import NUMBERS, Message
from .records import Records

WITH_RECIPIENT = 0
"""In place of the part's number: the id is that of a list, and names its one part only together
with the recipient.
"""

_lives: Final = Lives()

Receipts = dict[Any, list[Any]]
"""Of every report and inbound message to acknowledge, by connection."""
Tell = Callable[[Message, bytes], Event]
"""The record that tells other daemons of a message and its life."""


class Changes:
    """`then` are called once all of it would survive a power cut."""

    __slots__ = (
        "answered",
        "entries",
        "receipts",
        "safe",
        "tells",
        "then",
        "touched",
        "untold",
    )

    def __init__(self) -> None:
        self.entries = Entries()
        self.touched: dict[Message, Records | None] = {}
        """Each with who spells what is to be published of it as it is when this ends: of one that
        was answered and reported in one turn only the last is said (contract section 5).
        """
        self.safe: list[Message] = []
        """Messages that depend on this machine no more, once written and told."""
        self.tells: dict[Message, Tell] = {}
        """What other daemons are to be told of messages touched, as they are when this ends."""
        self.answered: list[Message] = []
        """Messages of which every part was answered now, or which ended before that, if there are
        others to tell of it.
        """
        self.untold: dict[Any, int] = {}
        """How many submits these were, by account."""
        self.receipts: Receipts = {}
        self.then: list[Callable[[], None]] = []

    def touch(self, message: Message) -> None:
        self.touched.setdefault(message)

    def report(self, messages: Iterable[Message], records: Records) -> None:
        """Publish of these what they are when this ends."""
        reported: dict[Message, Records | None] = dict.fromkeys(messages, records)
        if self.touched:
            self.touched.update(reported)
        else:
            self.touched = reported

    def carrier_id(self, message: Message, part: int, protocol: str, carrier_id: bytes) -> None:
        """A report may name this part so from now on."""
        if message.account is None:
            return
        if message.lists:
            for key, exact in lists.keys(message, protocol, carrier_id):
                number = part if exact else WITH_RECIPIENT
                self.entries.carrier_ids.append((message.account, key, message.mid, number))
            return
        key = ids.key(protocol, carrier_id)
        self.entries.carrier_ids.append((message.account, key, message.mid, part))

    def member_keys(self, message: Message, keys: Iterable[bytes]) -> None:
        """A report may name the one part of a message so from now on, with its recipient."""
        rows, account, mid = self.entries.carrier_ids, message.account, message.mid
        if account is not None:
            rows += [(account, key, mid, WITH_RECIPIENT) for key in keys]

    def acknowledge(self, link: Any, receipts: Iterable[Any]) -> None:
        """What has these came over this connection."""
        if link in self.receipts:
            self.receipts[link] += receipts
        else:
            self.receipts[link] = [*receipts]

    def event(self, topic: str, record: tuple[bytes | None, bytes]) -> None:
        self.entries.events.append((topic, record[0], record[1]))

    def __bool__(self) -> bool:
        e = self.entries
        return bool(
            self.touched
            or self.receipts
            or self.safe
            or self.then
            or e.jobs
            or e.messages
            or e.carrier_ids
            or e.claims
            or e.unclaims
            or e.events
            or e.keeps
            or e.drops
        )

    def finish(self) -> Entries:
        """The entries for the ledger, with a row for every message touched."""
        rows, events = self.entries.messages, self.entries.events
        touched, tells, lives = self.touched, self.tells, _lives
        told: list[Event] = []
        last: Course | None = None
        for m, records in touched.items():
            course: Course | None = None
            if m.lists:
                if last is None or not last.shared(m):
                    last = course_of(m)
                course = last
            life = lives.pack(m) if course is None else course.life(m)
            if records is not None:
                key, value = records.report(m, course)
                events.append((records.topic, key, value))
            if tells and (tell := tells.get(m)) is not None:
                told.append(tell(m, life))
            rows.append(
                (
                    m.mid,
                    m.to,
                    m.route,
                    m.lane,
                    m.account,
                    NUMBERS[m.state],
                    1 if m.final else 0,
                    m.wake,
                    life,
                )
            )
        events += told
        touched.clear()
        tells.clear()
        return self.entries
