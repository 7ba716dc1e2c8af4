"""What the passing of time means for a message: when it is looked at, and what becomes of it then.

As `settle`, whose other half this is: nothing here waits, and what changed is noted in `Changes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .changes import Changes, Tell
from .codes.lookup import Codes
from .model import WAITS, Job, Message, Part, PartState, State
from .records import Records
from .tally import Tally
from .verdict import AccountTerms, Verdict


class Lapse(Verdict):
    """`again(message, delay)` queues what may be written once more with its account, after `delay`
    seconds, or at once when that is 0.
    """

    def __init__(
        self,
        *,
        accounts: Mapping[str, AccountTerms],
        codes: Codes,
        records: Records,
        hold: float,
        resend: bool,
        tally: Tally,
        again: Callable[[Message, float], None],
        closed: Callable[[Message], None],
        doubt: Callable[[Message, Part, bool], None],
        unheld: Callable[[Message], None],
        patience: Callable[[Message], float],
        left: Callable[[Message], None],
        mine: Callable[[Job], bool],
        outcome: Tell | None = None,
    ) -> None:
        super().__init__(
            accounts=accounts,
            codes=codes,
            records=records,
            tally=tally,
            closed=closed,
            doubt=doubt,
            patience=patience,
            mine=mine,
            outcome=outcome,
        )
        self.hold = hold
        self.resend = resend
        self.again = again
        self.unheld = unheld
        """Told of every message whose `not_before` has come."""
        self.left = left
        """Told of every message that waited in the ledger alone and will not come back from it."""

    # In doubt

    def uncertain(self, m: Message, wall: float, c: Changes) -> None:
        """Says that the message may or may not have left, and starts the hold."""
        m.state = State.UNCERTAIN
        m.doubted = m.attempts
        m.stage, m.code = "submit", None
        self.hold_from(m, wall)
        c.touch(m)
        self.tell((m,), c)

    def hold_from(self, m: Message, wall: float) -> None:
        """Wait for a report from now on (also after a restart)."""
        last = self._last(m, wall)
        m.wake = last
        if self._may_resend(m):
            hold = self.hold if m.job.fields.report else 0.0
            m.wake = min(last, wall + hold)

    # What happens by itself

    def refused(self, m: Message, code: str, wall: float, c: Changes) -> None:
        """Refused before the wire; `code` is a LOCAL one."""
        meaning = self.codes.look(m.carrier or "", "local", "gate", code)
        self._finish(m, State.REJECTED, code, meaning, "gate", wall, c)

    def expired(self, m: Message, code: str, wall: float, c: Changes) -> None:
        meaning = self.codes.look(m.carrier or "", "local", "gate", code)
        stage = {"LOCAL:NO_REPORT": "report", "LOCAL:NO_RESP": "submit"}.get(code, "gate")
        self._finish(m, State.EXPIRED, code, meaning, stage, wall, c)

    def gone(self, m: Message, wall: float) -> bool:
        """Whether nothing of the message may be written any more."""
        expires = m.job.fields.expires_at
        return expires is not None and wall >= expires

    def waiting_until(self, m: Message, within: float | None = None) -> float:
        """Wall time at which a message that waits expires; `within` is the patience of its route,
        where the caller knows it.
        """
        if within is None:
            within = self.patience(m)
        job = m.job
        last = job.received + within
        not_before, expires = job.fields.not_before, job.fields.expires_at
        if not_before is not None:
            last = max(last, not_before + within)
        return last if expires is None else min(last, expires)

    def due(self, m: Message) -> float | None:
        """When the message has to be looked at, by its state."""
        if m.final:
            return None
        if m.state is State.HELD:
            fields = m.job.fields
            times = (fields.not_before, fields.expires_at)
            return min((time for time in times if time is not None), default=None)
        if m.state in WAITS:
            return self.waiting_until(m)
        if m.state is State.ACCEPTED and m.answered is not None:
            return m.answered + self._report_within(m)
        return m.wake

    def woken(self, m: Message, wall: float, c: Changes) -> None:
        """The message's wake time has come, or it was said so too early."""
        if m.final or m.wake is None or wall < m.wake:
            return
        if m.state is State.HELD:
            if self.gone(m, wall):
                self.left(m)
                self.expired(m, "LOCAL:QUEUE_EXPIRED", wall, c)
                return
            m.state = State.WAITING
            m.wake = self.waiting_until(m)
            c.touch(m)
            self.unheld(m)
        elif m.state in WAITS:
            if m.out == 0:
                self.left(m)
                self.expired(m, "LOCAL:QUEUE_EXPIRED", wall, c)
            else:
                # Claimed or on the wire: look again once that is over.
                m.wake = wall + 1.0
                c.touch(m)
        elif m.state is State.ACCEPTED:
            self.expired(m, "LOCAL:NO_REPORT", wall, c)
        elif m.state is State.UNCERTAIN:
            last = self._last(m, wall)
            if wall >= last:
                self.expired(m, "LOCAL:NO_RESP", wall, c)
                return
            m.wake = last
            c.touch(m)
            if self._may_resend(m) and not self.gone(m, wall):
                for part in m.parts:
                    if part.state is PartState.IN_DOUBT and part.doubts < 2:
                        self.doubt(m, part, False)
                        part.state = PartState.UNSENT
                self.again(m, 0.0)

    def stays_in_doubt(self, m: Message) -> None:
        """What was to be written once more may not be any more: wait for its report."""
        for part in m.parts:
            if part.state is PartState.UNSENT and part.doubts:
                part.state = PartState.IN_DOUBT
                self.doubt(m, part, True)

    # How it is done

    def _may_resend(self, m: Message) -> bool:
        wish = m.job.fields.on_uncertain
        resend = self.resend if wish is None else wish == "resend"
        if not resend or not m.job.whole:
            return False
        return any(
            (p.state is PartState.IN_DOUBT and p.doubts < 2) or p.state is PartState.UNSENT
            for p in m.parts
        )

    def _last(self, m: Message, wall: float) -> float:
        """When a message in doubt is given up."""
        written = m.submitted if m.submitted is not None else wall
        return written + self._report_within(m)
