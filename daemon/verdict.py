"""What becomes of a message when what is known of its parts allows to say it, and saying it.

A message is delivered with its last part, and undelivered, rejected or expired at the first that
cannot be delivered any more.  Nothing here waits: see `settle`, which says what parts are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from .changes import Changes, Tell
from .codes.lookup import Codes
from .codes.table import Meaning
from .model import (
    ACCEPTED,
    ANSWERED,
    DELIVERED,
    ELSEWHERE,
    EXPIRED,
    FAILED,
    FINAL,
    IN_DOUBT,
    PART_DELIVERED,
    REJECTED,
    Job,
    Message,
    Part,
    State,
)
from .records import Records
from .steps import Step
from .tally import Tally

MOST_STEPS: Final = 64
"""Of one message: a gateway that throttles for days does not grow it."""


def followed(steps: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    """With one more, unless there are too many.  What happened to several messages alike is one
    tuple for all of them: made once, kept once.
    """
    return (*steps, step) if len(steps) < MOST_STEPS else steps


class AccountTerms(Protocol):
    """What settling needs to know of an account."""

    @property
    def protocol(self) -> str: ...
    @property
    def report_within(self) -> float: ...


class Verdict:
    """`closed(message)` is told of every message that became final."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, AccountTerms],
        codes: Codes,
        records: Records,
        tally: Tally,
        closed: Callable[[Message], None],
        doubt: Callable[[Message, Part, bool], None],
        patience: Callable[[Message], float],
        mine: Callable[[Job], bool],
        outcome: Tell | None,
    ) -> None:
        self.accounts = accounts
        self.codes = codes
        self.records = records
        self.tally = tally
        self.closed = closed
        self.doubt = doubt
        """Told of every part that comes into doubt (True) or leaves it (False)."""
        self.patience = patience
        """Seconds that a message may wait on its route: `report_within` of its account."""
        self.mine = mine
        """Whether this daemon judges the messages of a job.  Another may have it since a part was
        written: to that one the answer is told.
        """
        self.outcome = outcome
        """Tells other daemons of a message whose state they must know to take over."""

    def _progress(self, m: Message, wall: float, c: Changes) -> None:
        """The verdict, if the parts allow one."""
        if m.final:
            return
        if not self.mine(m.job):
            m.wake = ELSEWHERE
            if self.outcome is not None:
                c.tells[m] = self.outcome
            return
        answered = delivered = True
        for part in m.parts:
            state = part.state
            if state is FAILED:
                code = part.code or ""
                meaning = self.codes.look(m.carrier or "", self._protocol(m), "report", code)
                if meaning.cause == "delivered":  # SGIP's State 2 with ErrorCode 0
                    meaning = self.codes.unlisted
                self._finish(m, State.UNDELIVERED, code, meaning, "report", wall, c)
                return
            if state is not PART_DELIVERED:
                delivered = False
                if state is not ANSWERED:
                    answered = False
        if delivered:
            last = m.parts[-1].code
            self._finish(m, DELIVERED, last, None, "report", wall, c)
        elif answered and m.state is not ACCEPTED:
            self._accept(m, wall, c)

    def _accept(self, m: Message, wall: float, c: Changes) -> None:
        m.answered = wall
        m.stage = "submit"
        m.code = said_yes(self._protocol(m)) if m.account is not None else None
        m.state = ACCEPTED
        c.touch(m)
        c.safe.append(m)
        if self.outcome is not None:
            c.answered.append(m)
        for part in m.parts:
            part.wire = None
        if m.job.fields.report:
            m.wake = wall + self._report_within(m)
        else:
            m.final, m.wake = True, None
            self.closed(m)
        self.tell((m,), c)

    def _finish(
        self,
        m: Message,
        state: State,
        code: str | None,
        meaning: Meaning | None,
        stage: str,
        wall: float,
        c: Changes,
    ) -> None:
        """`meaning` is that of the code; None where it was delivered."""
        if m.final:
            return
        if self.outcome is not None and len(m.parts) > 1 and m.state is not ACCEPTED:
            c.answered.append(m)  # in part, perhaps: the others do not know
        m.state, m.code, m.stage = state, code, stage
        m.cause = "delivered" if meaning is None else meaning.cause
        if state in (REJECTED, EXPIRED):
            self._step(m, Step(wall, state.word, None, None, None, code))
            self._shown(m, c)
        self._close(m, c)
        self.tell((m,), c)
        if m.account is not None and stage == "report" and state is not EXPIRED:
            self.tally.finished(m.account, (m,), wall)
        if meaning is not None:
            self.tally.failed(m, meaning.fault, wall)

    def _shown(self, m: Message, c: Changes) -> None:
        """The event shows ids that no answer brought (SGIP): they, too, lead to the message."""
        protocol = self._protocol(m)
        for part in m.parts:
            if part.written_id is not None and protocol:
                c.carrier_id(m, part.number, protocol, part.written_id)

    def _close(self, m: Message, c: Changes) -> None:
        for part in m.parts:
            part.wire = None
            if part.state is IN_DOUBT:
                self.doubt(m, part, False)
        m.final, m.wake = True, None
        c.touch(m)
        c.safe.append(m)
        self.closed(m)

    def tell(self, messages: Sequence[Message], c: Changes) -> None:
        """Say of these messages in which states they are now."""
        c.report(messages, self.records)
        if self.outcome is not None:
            c.tells.update(dict.fromkeys(messages, self.outcome))
        self.tally.entered(messages)

    def _step(self, m: Message, step: Step) -> None:
        if len(m.steps) < MOST_STEPS or m.state in FINAL:
            m.steps = (*m.steps, step)

    def _protocol(self, m: Message) -> str:
        """Empty for an account that is not configured any more: its messages still end."""
        account = self.accounts.get(m.account) if m.account is not None else None
        return account.protocol if account is not None else ""

    def _report_within(self, m: Message) -> float:
        account = self.accounts.get(m.account) if m.account is not None else None
        return account.report_within if account is not None else self.patience(m)


def said_yes(protocol: str) -> str:
    """The result of an answer that says yes, in the contract's spelling."""
    return "0x00000000" if protocol == "smpp" else "0"
