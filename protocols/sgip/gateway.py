"""Unicom's gateway (SMG): it takes an SP's submits, and dials the SP to report and deliver.

`SgipGateway` is its end of the SP's connection, `SgipReporter` the connection that it makes
itself.  Both can report and deliver, because some resellers run everything on one connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import Any

from ..errors import DecodeError, EncodeError, StateError
from ..events import Fate, LoginAsked, Malformed, Submitted, Taken
from ..gateway import GatewaySession, Report
from ..part import Part
from ..session import Clock, Limits, State
from ..text import header
from . import pdus, status
from .frames import Counter, SgipFrames, result_of
from .listener import SMG_TO_SP
from .strict import Rules, submit_fault

SP_TO_SMG = 1
STATES = {Fate.DELIVERED: 0, Fate.INTERMEDIATE: 1, Fate.FAILED: 2}
REMEMBERED = 4096
"""Sequences of submits that a connection knows again."""


class SgipTeller(SgipFrames, GatewaySession):
    """What both connections of a gateway can do: tell the SP something and hear that it took it.

    `bare_numbers` leaves the 86 away, `reserve` fills that field (a LinkID), and `short_answers`
    leaves it out of answers, as some stacks do.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        secrets: Callable[[str], str | None],
        *,
        node: int,
        counter: Counter | None,
        bare_numbers: bool,
        short_answers: bool,
        reserve: str,
    ) -> None:
        super().__init__(limits, clock, node=node, counter=counter)
        self.secrets = secrets
        self.bare_numbers = bare_numbers
        self.reserve = reserve
        self._resp_reserve = not short_answers

    def report(
        self, tag: Any, report: Report, now: float, *, identity: bytes | None = None
    ) -> None:
        """`report.code` is the error code in decimal; `identity` a sequence to use once more."""
        if not report.code.isdecimal() or int(report.code) > 255:
            raise EncodeError(f"Report.error_code: {report.code!r}, 0 to 255 is allowed")
        body = pdus.Report(
            submit_sequence=report.carrier_id,
            user_number=self._number(report.to),
            state=STATES[report.fate],
            error_code=int(report.code),
            reserve=self.reserve,
        )
        self._tell(pdus.REPORT, body, tag, now, identity)

    def deliver(self, tag: Any, part: Part, now: float, *, identity: bytes | None = None) -> None:
        """`identity` is a sequence to use once more, for what the SP did not answer."""
        body = pdus.Deliver(
            user_number=self._number(part.sender),
            sp_number=part.to,
            tp_udhi=1 if part.udh else 0,
            message_coding=part.coding,
            message_content=part.content,
            reserve=self.reserve,
        )
        self._tell(pdus.DELIVER, body, tag, now, identity)

    def user_changed(self, tag: Any, number: str, to: str, condition: int, now: float) -> None:
        """Tell of a subscriber: 0 cancelled, 1 suspended, 2 restored the access number `to`."""
        body = pdus.Userrpt(
            sp_number=to,
            user_number=self._number(number),
            user_condition=condition,
            reserve=self.reserve,
        )
        self._tell(pdus.USERRPT, body, tag, now, None)

    def _number(self, national: str) -> str:
        return national if self.bare_numbers or len(national) != 11 else "86" + national

    def _tell(
        self,
        command: int,
        body: pdus.Report | pdus.Deliver | pdus.Userrpt,
        tag: Any,
        now: float,
        identity: bytes | None,
    ) -> None:
        if self.room < 1:
            raise StateError(f"no room in {self.state.value} session")
        raw = body.encode()
        sequence = self._sequences.take(now) if identity is None else identity
        if sequence in self._window:
            raise StateError(f"sequence {sequence.hex()} is still waiting for its answer")
        self._late.pop(sequence, None)
        self._expect(sequence, tag, now)
        self._send(command, sequence, raw)

    def _on_taken(self, pdu: bytes, now: float) -> None:
        result = result_of(pdu)
        tag = self._answered(pdu[8:20], now)
        if tag is not None:
            self._emit(Taken(tag, result))

    def _acknowledge(self, receipts: Sequence[bytes]) -> None:
        raise StateError("a gateway gets no reports")

    def _probe(self, now: float) -> None:
        raise AssertionError("SGIP has no keepalive, and the limit for it is never set")


TAKEN = frozenset({pdus.REPORT_RESP, pdus.DELIVER_RESP, pdus.USERRPT_RESP})


class SgipGateway(SgipTeller):
    """The gateway's end of an SP's connection; `rules` is what submits are checked against."""

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        secrets: Callable[[str], str | None],
        *,
        node: int = 10210,
        counter: Counter | None = None,
        rules: Rules | None = None,
        bare_numbers: bool = False,
        short_answers: bool = False,
        reserve: str = "",
    ) -> None:
        super().__init__(
            limits,
            clock,
            secrets,
            node=node,
            counter=counter,
            bare_numbers=bare_numbers,
            short_answers=short_answers,
            reserve=reserve,
        )
        self.rules = rules or Rules()
        self._asked = False
        self._seen: dict[bytes, None] = {}

    def admit(self, ticket: Any, now: float) -> None:
        if self.state is State.BINDING:
            sequence, login = ticket
            self._result(pdus.BIND, sequence, 0)
            self._bound("1.2", now, login)

    def refuse(self, ticket: Any, status: int) -> None:
        if self.state is State.BINDING:
            sequence, login = ticket
            self._result(pdus.BIND, sequence, status)
            self._end(f"login of {login!r} refused with {status}", error=False)

    def answer(self, ticket: Any, status: int, carrier_id: bytes = b"") -> None:
        """`carrier_id` is not told: in SGIP it is the submit's own sequence."""
        if self.state in (State.BOUND, State.CLOSING):
            self._result(pdus.SUBMIT, ticket, status)

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        command = head[1]
        live = self.state is State.BOUND or self.state is State.CLOSING
        if command == pdus.SUBMIT and live:
            self._on_submit(pdu)
        elif command in TAKEN and live:
            self._on_taken(pdu, now)
        elif command == pdus.BIND:
            self._on_bind(pdu, again=live or self._asked)
        elif command == pdus.TRACE and live:
            pdus.Trace.decode(pdu, 20)
            self._send(pdus.TRACE_RESP, pdu[8:20], pdus.TraceResp().encode())
        else:
            self._on_parting(command, pdu[8:20])

    def _on_bind(self, pdu: bytes, *, again: bool) -> None:
        sequence = pdu[8:20]
        if again:
            self._result(pdus.BIND, sequence, status.REPEATED_LOGIN)
            self._emit(Malformed("Bind: logged in already", pdu))
            return
        try:
            bind = pdus.Bind.decode(pdu, 20)
        except DecodeError as exc:
            self._result(pdus.BIND, sequence, status.BAD_PARAMETER)
            self._end(f"login refused: {exc}", error=True)
            return
        secret = self.secrets(bind.login_name)
        right = compare_digest((secret or "").encode(), bind.login_password.encode())
        result = 0
        if bind.login_type != SP_TO_SMG:
            result = status.WRONG_LOGIN_TYPE
        elif secret is None or not right:
            result = status.ILLEGAL_LOGIN
        self._asked = True
        ticket = (sequence, bind.login_name)
        self._emit(LoginAsked(ticket, bind.login_name, "1.2", result, "tx"))

    def _on_submit(self, pdu: bytes) -> None:
        sequence = pdu[8:20]
        submit = pdus.Submit.decode(pdu, 20)
        udh = submit.tp_udhi != 0
        head = header.read(submit.message_content) if udh else None
        fault, why = self._fault(submit, sequence, head)
        self._emit(
            Submitted(
                ticket=sequence,
                to=tuple([number.removeprefix("86") for number in submit.user_number]),
                sender=submit.sp_number,
                content=submit.message_content,
                coding=submit.message_coding,
                udh=udh,
                number=head.number if head is not None else 1,
                total=head.total if head is not None else 1,
                wants_report=submit.report_flag in (0, 1),
                fault=fault,
                why=why,
                fields=submit,
            )
        )

    def _fault(
        self, submit: pdus.Submit, sequence: bytes, head: header.Header | None
    ) -> tuple[int, str]:
        if sequence in self._seen:
            return status.BAD_SEQUENCE, f"sequence {sequence.hex()} was used before"
        self._seen[sequence] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return submit_fault(submit, head, self.rules)


def _nobody(login: str) -> str | None:
    """Nobody logs in to a connection that the gateway made."""


class SgipReporter(SgipTeller):
    """The connection that a gateway makes to the SP, logged in with type 2."""

    def __init__(
        self,
        login: str,
        secret: str,
        limits: Limits,
        clock: Clock,
        *,
        node: int = 10210,
        counter: Counter | None = None,
        login_type: int = SMG_TO_SP,
        bare_numbers: bool = False,
        reserve: str = "",
    ) -> None:
        super().__init__(
            limits,
            clock,
            _nobody,
            node=node,
            counter=counter,
            bare_numbers=bare_numbers,
            short_answers=False,
            reserve=reserve,
        )
        self.login = login
        self._login = pdus.Bind(
            login_type=login_type, login_name=login, login_password=secret
        ).encode()

    def _bind(self, now: float) -> None:
        self._send(pdus.BIND, self._sequences.take(now), self._login)

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        command = head[1]
        if command in TAKEN and self.state in (State.BOUND, State.CLOSING):
            self._on_taken(pdu, now)
        elif command == pdus.BIND_RESP and self.state is State.BINDING:
            result = pdu[20] if len(pdu) > 20 else status.BAD_LENGTH
            if result == 0:
                self._bound("1.2", now, self.login)
            else:
                retry = result not in status.HOPELESS_LOGINS
                self._refused(result, status.meaning(result), retry=retry)
        else:
            self._on_parting(command, pdu[8:20])

    def _refuse(self, head: tuple[int, ...], pdu: bytes, error: DecodeError) -> None:
        """Only answers come here, and an answer gets none."""
