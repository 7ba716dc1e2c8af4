"""What is usual, in groups: answers that say yes, and reports that say delivered.

Nearly every message has one part, which is answered once and reported delivered once, alone or in a
list.  One look tells those apart, and all of a read are settled in one loop.  The rules are in
`settle` and `verdict`, which get everything else: this does what they would do, in a fifth of the
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from protocols import ids
from protocols.events import Fate, Reported

from .changes import WITH_RECIPIENT, Changes
from .correlate import Correlate
from .homes import Homes
from .link import Link
from .lists import Member
from .model import (
    ACCEPTED,
    ANSWERED,
    DELIVERED,
    PART_DELIVERED,
    WAITING,
    WRITTEN,
    Job,
    Message,
    Write,
)
from .numbers.normalise import bare, folded
from .settle import Settle
from .steps import Step
from .verdict import MOST_STEPS, followed, said_yes

SAYS_DELIVERED: Final = Fate.DELIVERED
Answered = tuple[Write, bytes]
"""And the carrier's id."""


class Usual:
    """`held` are the messages in memory, by mid."""

    def __init__(
        self, settle: Settle, correlate: Correlate, homes: Homes, held: dict[int, Message]
    ) -> None:
        self.settle = settle
        self.correlate = correlate
        self.homes = homes
        self.held = held

    def answered(
        self,
        account: str,
        writes: Sequence[Write],
        carrier_ids: list[bytes],
        at: float,
        c: Changes,
    ) -> Sequence[Answered]:
        """Settle what is usual of the answers of one read; returns the others."""
        terms = self.settle.accounts.get(account)
        keys = ids.keys(terms.protocol if terms is not None else "", carrier_ids)
        return self._answered(account, writes, carrier_ids, keys, at, c)

    def listed(
        self, account: str, writes: Sequence[Write], carrier_id: bytes, at: float, c: Changes
    ) -> Sequence[Answered]:
        """As `answered`, of these of a list that was answered so."""
        same = [carrier_id] * len(writes)
        return self._answered(account, writes, same, same, at, c)

    def _answered(
        self,
        account: str,
        writes: Sequence[Write],
        carrier_ids: Sequence[bytes],
        keys: Sequence[bytes],
        at: float,
        c: Changes,
    ) -> Sequence[Answered]:
        """The keys of members of a list are with them."""
        settle, correlate = self.settle, self.correlate
        terms = settle.accounts.get(account)
        if terms is None:
            return list(zip(writes, carrier_ids, strict=True))
        code, wake = said_yes(terms.protocol), at + terms.report_within
        every, mine = self.homes.every, self.homes.mine
        places, members = correlate.of(account), correlate.members_of(account)
        early = correlate.has_early
        rows = c.entries.carrier_ids
        others: list[Answered] = []
        taken: list[Message] = []
        moment = cast("float | None", at)  # one object for all, where compiled
        same: bytes | None = None
        alone: tuple[bytes, ...] = ()  # of that
        attempt, node = 1, ""  # of the step
        step = Step(at, "answered", 1, attempt, node, code)
        before: tuple[Step, ...] | None = None
        after: tuple[Step, ...] = ()
        shared: bytes | None = None
        """What members of a list have in common, from the message `first` to `last`."""
        first = last = 0
        job: Job | None = None
        wants_report = False
        for write, carrier_id, key in zip(writes, carrier_ids, keys, strict=True):
            m, part, place = write.message, write.part, write.place
            over = m.final
            if m.job is not job:
                job = m.job
                wants_report = job.fields.report
            if not (
                # Written once, or refused so that it went again; not in doubt, nor over.
                m.state is WAITING
                and part.state is WRITTEN
                and write.open
                and len(m.parts) == 1
                and carrier_id
                and (place is not None or not m.lists)
                and wants_report
                and (every or mine(m.job))
                and not (early and correlate.expects(account, (key, *write.keys)))
            ) and not (
                # Of a list, and reported delivered before the answer to that came.
                over
                and place is not None
                and m.state is DELIVERED
                and write.open
                and len(m.parts) == 1
                and carrier_id
                and write.attempt == part.attempt == 1
                and len(m.steps) < MOST_STEPS
                and not (early and correlate.expects(account, (key, *write.keys)))
            ):
                others.append((write, carrier_id))
                continue
            write.open = False
            part.flying -= 1
            m.out -= 1
            if carrier_id is not same:
                same, alone = carrier_id, (carrier_id,)
            part.carrier_ids = (*part.carrier_ids, carrier_id) if part.carrier_ids else alone
            if not over:
                part.state = ANSWERED
                part.wire = None
                m.state = ACCEPTED
                m.answered = moment
                m.stage = "submit"
                m.code = code
                m.wake = wake
            if node is not write.node or attempt != write.attempt:
                attempt, node = write.attempt, write.node
                step = Step(at, "answered", 1, attempt, node, code)
                before = None
            steps = m.steps
            if steps is not before:
                before, after = steps, followed(steps, step)
            m.steps = after
            if place is None:
                rows.append((account, key, m.mid, 1))
                places[key] = write
            else:
                if carrier_id != write.carrier_id:
                    m.lists += ((place, carrier_id),)
                own = write.keys
                count = len(own) - 1
                for at_key in range(count):
                    rows.append((account, own[at_key], m.mid, WITH_RECIPIENT))
                if own[count] == shared and m.mid == last + 1:
                    last += 1
                else:
                    if shared is not None:
                        rows.append((account, shared, first, first - last))
                    shared = own[count]
                    first = last = m.mid
                if over:
                    c.touch(m)
                    continue
                assert isinstance(write, Member), "only these have a place"
                if m.to in members:
                    correlate.register_member(account, write)
                else:
                    write.before = None
                    members[m.to] = write
            taken.append(m)
        if shared is not None:
            rows.append((account, shared, first, first - last))
        if taken:
            correlate.trim(len(taken))
            c.safe += taken
            if settle.outcome is not None:
                c.answered += taken
            settle.tell(taken, c)
        return others

    def reported(
        self, account: str, link: Link, events: Sequence[Reported], at: float, c: Changes
    ) -> Sequence[Reported]:
        """Settle what is usual of the reports of one read; returns the others, in order."""
        places, members = self.correlate.of(account), self.correlate.members_of(account)
        held = self.held
        every, mine = self.homes.every, self.homes.mine
        others: list[Reported] = []
        ended: list[Message] = []
        receipts: list[Any] = []
        left: set[int] = set()  # what the others are about: the rest of that goes with them
        node: str | None = ""
        code = ""  # both of the step
        moment = cast("float | None", at)  # one object for all, where compiled
        step = Step(at, "reported", 1, 1, node, code)
        before: tuple[Step, ...] | None = None
        after: tuple[Step, ...] = ()
        for event in events:
            to, keys = event.to, event.keys
            member: Member | None = None
            place: Write | None = None
            if keys:
                if members:
                    to = bare(to)
                    member = members.get(to)
                    if member is None:
                        to = folded(event.to)
                        member = members.get(to)
                if member is None:
                    place = places.get(keys[0])
                elif keys[0] in member.keys and member.before is None:
                    place = member
            if place is None:
                others.append(event)
                continue
            m, part = place.message, place.part
            if not (
                event.fate is SAYS_DELIVERED
                and not (left and m.mid in left)
                and (m.to == to or m.to == folded(to))
                # Written once: it goes by nothing else.  A report before the answer is no doubt.
                and part.attempt == 1
                and not part.tries
                and not m.throttles
                and (part.state is ANSWERED or part.state is WRITTEN)
                and not m.final
                and len(m.parts) == 1
                and (member is not None or not m.lists)
                and m.queued is None
                and (every or mine(m.job))
            ):
                left.add(m.mid)
                others.append(event)
                continue
            if member is None:
                del places[keys[0]]
            else:
                del members[to]
            if m.mid in held:
                del held[m.mid]
            part.state = PART_DELIVERED
            part.wire = None
            m.state = DELIVERED
            m.final = True
            m.reported = moment
            m.stage = "report"
            m.cause = "delivered"
            m.wake = None
            if node is not m.node or code != event.code:
                node, code = m.node, event.code
                step = Step(at, "reported", 1, 1, node, code)
                before = None
            part.code = m.code = code
            steps = m.steps
            if steps is not before:
                before, after = steps, followed(steps, step)
            m.steps = after
            ended.append(m)
            receipts.append(event.receipt)
        if ended:
            c.acknowledge(link, receipts)
            c.safe += ended
            self.settle.tell(ended, c)
            self.settle.tally.finished(account, ended, at)
        return others
