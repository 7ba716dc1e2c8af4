"""What an answer, a silence or a report means for a message.

Every change of a message's state begins here, or in `lapse` by the passing of time.  Nothing here
waits: a call changes messages in memory and notes in `Changes` what has to be written and told; the
caller commits.

A part counts as delivered when a report of any attempt says so, and as failed when every attempt
that may have reached the gateway has failed.  What that means for the message is `verdict`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from protocols.events import Fate

from .changes import Changes
from .lapse import Lapse
from .model import (
    ANSWERED,
    ELSEWHERE,
    FAILED,
    IN_DOUBT,
    PART_DELIVERED,
    UNSENT,
    WRITTEN,
    Message,
    Part,
    PartState,
    State,
    Write,
)
from .steps import Step
from .verdict import followed, said_yes

FATE_DELIVERED, INTERMEDIATE = Fate.DELIVERED, Fate.INTERMEDIATE
REFUSALS = frozenset({PartState.REFUSED, PartState.FAILED})
_KNOWN = {
    PartState.ANSWERED: 1,
    PartState.REFUSED: 2,
    PartState.FAILED: 2,
    PartState.DELIVERED: 3,
}
"""How much is known of a part; the others may or may not have left."""
COMMON = frozenset({"content", "signature"})
"""Causes of a refusal that all recipients of a list share: alone they would be refused as well."""
MOST_TRIES = 3
"""Answers that ask for another try, throttling not counted (contract section 5)."""


class Settle(Lapse):
    """Policy for messages in flight."""

    # What the gateway does

    def written(self, writes: Sequence[Write], node: str, wall: float) -> list[Message]:
        """These went out together; returns the messages of which nothing had before."""
        fresh: list[Message] = []
        moment = cast("float | None", wall)  # one object for all, where compiled
        number = tries = 0  # of the step
        step = Step(wall, "written", number, tries, node)
        before: tuple[Step, ...] | None = None
        after: tuple[Step, ...] = ()
        for write in writes:
            part, m, attempt = write.part, write.message, write.attempt
            part.state = WRITTEN
            if attempt > part.attempt > 0:
                self.tally.resent(m.account)  # not again when this attempt is throttled
            part.attempt = attempt
            part.flying += 1
            if attempt > m.attempts:
                m.attempts = attempt
            m.node = node
            if m.submitted is None:
                m.submitted = moment
                fresh.append(m)
            if number != part.number or tries != attempt:
                number, tries = part.number, attempt
                step = Step(wall, "written", number, tries, node)
                before = None
            steps = m.steps
            if steps is not before:
                before, after = steps, followed(steps, step)
            m.steps = after
        return fresh

    def accepted(self, write: Write, carrier_id: bytes, wall: float, c: Changes) -> None:
        part, m = write.part, write.message
        self._close_write(write)
        c.touch(m)
        protocol = self._protocol(m)
        if write.attempt < part.attempt:
            part.carrier_ids = (carrier_id, *part.carrier_ids)  # late: records show the last's
        else:
            part.carrier_ids = (*part.carrier_ids, carrier_id)
        if write.place is not None:
            if carrier_id:
                if carrier_id != write.carrier_id:
                    m.lists += ((write.place, carrier_id),)
                c.member_keys(m, write.keys)
        elif carrier_id:
            c.carrier_id(m, part.number, protocol, carrier_id)
        self._step(
            m, Step(wall, "answered", part.number, write.attempt, write.node, said_yes(protocol))
        )
        if m.final:
            return
        if part.state in (WRITTEN, IN_DOUBT, UNSENT):
            if part.state is IN_DOUBT:
                self.doubt(m, part, False)
            part.state = ANSWERED
        self._progress(m, wall, c)

    def rejected(
        self,
        write: Write,
        code: str,
        throttled: bool,
        wall: float,
        c: Changes,
        *,
        listed: bool = False,
    ) -> None:
        """With `listed` the answer is to a whole list: any other recipient may be the reason."""
        part, m = write.part, write.message
        in_time = write.open
        self._close_write(write)
        c.touch(m)
        outcome = "throttled" if throttled else "refused"
        self._step(m, Step(wall, outcome, part.number, write.attempt, write.node, code))
        if m.final:
            return
        if not self.mine(m.job):
            # Nobody has it for this attempt; should it be ours again, `adopt` looks at it.
            if in_time and part.state is PartState.WRITTEN and not part.doubts:
                part.state, m.wake = PartState.UNSENT, ELSEWHERE
            return
        if in_time:
            if part.state is not PartState.WRITTEN:
                return
        elif part.doubts or part.flying or part.state not in (PartState.IN_DOUBT, PartState.UNSENT):
            return  # a late no says nothing of the other attempt
        waits = part.state is PartState.UNSENT
        if part.state is PartState.IN_DOUBT:
            self.doubt(m, part, False)
        meaning = self.codes.look(m.carrier or "", self._protocol(m), "submit", code)
        alone = listed and meaning.cause not in COMMON
        if throttled or (meaning.retryable and part.tries < MOST_TRIES) or alone:
            part.state = PartState.UNSENT
            if m.state is State.WAITING:
                m.wake = self.waiting_until(m)
            if throttled:
                m.throttles += 1
                delay = min(5.0, 0.1 * 2 ** min(m.throttles - 1, 6))
            else:
                part.tries += 1
                delay = 0.5 * 2 ** (part.tries - 1) if meaning.retryable else 0.0
            if not waits:
                self.again(m, delay)
            return
        part.code = code
        part.state = PartState.REFUSED
        m.answered = wall
        self._finish(m, State.REJECTED, code, meaning, "submit", wall, c)

    def unanswered(self, write: Write, wall: float, c: Changes) -> None:
        if not write.open:
            return
        part, m = write.part, write.message
        self._close_write(write)
        part.doubts += 1
        c.touch(m)
        self._step(m, Step(wall, "unanswered", part.number, write.attempt, write.node))
        if write.carrier_id is not None:
            c.carrier_id(m, part.number, self._protocol(m), write.carrier_id)
        if m.final or part.state is not PartState.WRITTEN:
            return
        part.state = PartState.IN_DOUBT
        if not self.mine(m.job):
            # Whoever has it says so; should it be ours again, `adopt` does.
            m.state, m.wake = State.UNCERTAIN, ELSEWHERE
            return
        self.doubt(m, part, True)
        if m.state is not State.UNCERTAIN or m.doubted < m.attempts:
            self.uncertain(m, wall, c)
        elif m.wake is None or m.wake >= self._last(m, wall):
            self.hold_from(m, wall)  # the hold of its event is over

    # What the carrier reports

    def reported(
        self,
        m: Message,
        part: Part,
        fate: Fate,
        code: str,
        wall: float,
        c: Changes,
        key: bytes = b"",
        matched: str | None = None,
    ) -> None:
        """`key` is what the report quoted, empty where that was nothing we know."""
        c.touch(m)
        if m.final:
            self._noted(m, part, fate, code, wall, matched)
            self.tally.late(m.account)
        elif self._mark(m, part, fate, code, wall, key, matched):
            if self.outcome is not None:
                c.tells[m] = self.outcome  # the carrier says it once
            self._progress(m, wall, c)

    def overheard(
        self, m: Message, part: Part, fate: Fate, code: str, wall: float, c: Changes, key: bytes
    ) -> None:
        """A report about another daemon's message: kept, in case that is gone and we take over."""
        self._mark(m, part, fate, code, wall, key, None)
        m.wake = ELSEWHERE
        c.touch(m)

    def learn(self, m: Message, told: Message, wall: float, c: Changes) -> None:
        """Another daemon has written the message, too, and tells what became of that."""
        c.touch(m)
        for part, theirs in zip(m.parts, told.parts, strict=False):
            again = part.attempt > theirs.attempt or part.flying
            if (again and theirs.state in REFUSALS) or not _better(theirs, part):
                continue
            if part.state is PartState.IN_DOUBT:
                self.doubt(m, part, False)
            part.state, part.code, part.failed_ids = theirs.state, theirs.code, theirs.failed_ids
            mine = [key for key in part.carrier_ids if key not in theirs.carrier_ids]
            part.carrier_ids = (*theirs.carrier_ids, *mine)
        m.lists += tuple([each for each in told.lists if each not in m.lists])
        if told.final:
            # Its event is out: none may follow.
            m.state, m.code, m.cause, m.stage = told.state, told.code, told.cause, told.stage
            m.answered, m.reported = told.answered, told.reported
            self._close(m, c)
        elif self.mine(m.job):
            self.taken_up(m, wall, c)

    def taken_up(self, m: Message, wall: float, c: Changes) -> None:
        """The message is ours from now on: what was overheard counts."""
        if m.parts:  # else nothing was ever dealt out
            self._progress(m, wall, c)

    def _noted(
        self, m: Message, part: Part, fate: Fate, code: str, wall: float, matched: str | None
    ) -> None:
        word = "intermediate" if fate is INTERMEDIATE else "reported"
        self._step(m, Step(wall, word, part.number, part.attempt, m.node, code, matched))

    def _mark(
        self,
        m: Message,
        part: Part,
        fate: Fate,
        code: str,
        wall: float,
        key: bytes,
        matched: str | None,
    ) -> bool:
        """What the report says of the part; whether that is news."""
        self._noted(m, part, fate, code, wall, matched)
        if fate is INTERMEDIATE:
            return False
        m.reported = wall
        if fate is FATE_DELIVERED:
            if part.state is IN_DOUBT:
                self.doubt(m, part, False)
            part.state = PART_DELIVERED
            part.code = code
            return True
        if key in part.failed_ids:
            return False  # the same report once more
        part.failed_ids = (*part.failed_ids, key)
        attempts = len(part.carrier_ids) + part.doubts + part.flying
        if len(part.failed_ids) >= attempts and part.state is not PART_DELIVERED:
            if part.state is IN_DOUBT:
                self.doubt(m, part, False)
            part.state = FAILED
            part.code = code
        return True

    # How it is done

    def _close_write(self, write: Write) -> None:
        """The answer, or the end of waiting for it; a late answer takes its doubt back."""
        if write.open:
            write.open = False
            write.part.flying -= 1
            write.message.out -= 1
        else:
            write.part.doubts = max(0, write.part.doubts - 1)


def _better(told: Part, known: Part) -> bool:
    return _KNOWN.get(told.state, 0) > _KNOWN.get(known.state, 0)
