"""The gateway's side of SMGP 3.0."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import Any, NamedTuple

from .. import stamp
from ..errors import DecodeError, EncodeError, StateError
from ..events import Fate, LoginAsked, Malformed, Submitted, Taken
from ..gateway import GatewaySession, Report
from ..part import Part
from ..session import TALKING, Clock, Limits, State
from ..wire import Tlv
from . import digest, pdus, report, status, strict
from .account import LOGIN_MODES
from .msgid import MsgIds
from .pdus import HEADER, Request, Tag
from .strict import Rules

_SUBMIT_RESP = struct.Struct("!III10sI")
# A Deliver up to its content, and what follows that.
_TOLD = struct.Struct("!III10sBB14s21s21sB")
_RESERVE = bytes(8)
_STRAY = bytes(9) + b"\1"
_MODES = {mode: name for name, mode in LOGIN_MODES.items()}
_VERSION = 0x30


class Ticket(NamedTuple):
    """A login that waits for admit or refuse."""

    sequence: int
    login: str
    mode: str
    proof: bytes


class SmgpGateway(GatewaySession):
    """`rules` is what submits are checked against.

    `ids` makes the Deliver's own ids, and is to be shared by all connections of one gateway. The
    rest is how gateways differ:

    `spelling`   of reports: "plain" and "capital" have 122 octets, "underscore" has 110
    `text_id`    reports hold the id as 20 hexadecimal digits
    `udhi`       TP_udhi of an inbound message with a header; None says nothing of the header
    `prefix`     stands before the subscriber's number in reports and inbound messages ("86")
    `stray_tlv`  a parameter cut short at the end of every Deliver
    """

    header = HEADER
    longest = pdus.LONGEST

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        secrets: Callable[[str], str | None],
        *,
        first_sequence: int = 1,
        rules: Rules | None = None,
        ids: MsgIds | None = None,
        spelling: report.Spelling = "plain",
        text_id: bool = False,
        udhi: int | None = 1,
        prefix: str = "",
        stray_tlv: bool = False,
    ) -> None:
        super().__init__(limits, clock, secrets, first_sequence=first_sequence)
        self.rules = rules or Rules()
        self.ids = ids or MsgIds()
        self.spelling = spelling
        self.text_id = text_id
        self.udhi = udhi
        self.prefix = prefix
        self.stray_tlv = stray_tlv
        self.mode = "trx"
        self.counts = pdus.QueryResp()
        """What reached the gateway here, in Query_Resp's words (section 6.2.10)."""
        self._asked = False
        self._second = -1
        self._recv_time = ""

    # What the owner calls

    def admit(self, ticket: Any, now: float) -> None:
        if self.state is not State.BINDING:
            return
        secret = self.secrets(ticket.login)
        # The owner may admit whom it does not know.
        proof = bytes(16) if secret is None else digest.server(0, ticket.proof, secret)
        self.mode = ticket.mode
        self._answer_login(ticket.sequence, 0, proof)
        self._bound(pdus.V3, now, ticket.login)

    def refuse(self, ticket: Any, status: int) -> None:
        if self.state is State.BINDING:
            self._answer_login(ticket.sequence, status, bytes(16))
            self._end(f"login of {ticket.login!r} refused with {status}", error=False)

    def answer(self, ticket: Any, status: int, carrier_id: bytes = b"") -> None:
        """Raises EncodeError when `status` does not fit four octets."""
        if self.state not in TALKING:
            return
        try:
            self._out.append(_SUBMIT_RESP.pack(26, Request.SUBMIT_RESP, ticket, carrier_id, status))
        except struct.error as exc:
            raise EncodeError(f"status {status} of a submit_resp: {exc}") from exc
        if status:
            self.counts.mt_fl += 1

    def report(
        self, tag: Any, report: Report, now: float, *, identity: bytes | None = None
    ) -> None:
        """`identity` is the Deliver's own MsgID, to send the same report again."""
        if self.room < 1:
            raise StateError(f"no room in {self.state.value} session")
        zone = self.clock.zone
        content = _spell(
            report,
            stamp.minutes(report.submitted_at, zone),
            stamp.minutes(report.done_at, zone),
            self.spelling,
            self.text_id,
        )
        msg_id, recv_time = self._stamps(now, identity)
        tail = _STRAY if self.stray_tlv else _RESERVE
        to = _fits("src_term_id", self.prefix + report.to, 21)
        sender = _fits("dest_term_id", report.sender, 21)
        sequence = self._next_sequence()
        head = _TOLD.pack(
            _TOLD.size + len(content) + len(tail),
            Request.DELIVER,
            sequence,
            msg_id,
            1,
            0,
            recv_time.encode(),
            to,
            sender,
            len(content),
        )
        self._expect(sequence, tag, now)
        self._out.append(head + content + tail)

    def deliver(self, tag: Any, part: Part, now: float, *, identity: bytes | None = None) -> None:
        """`identity` is the Deliver's own MsgID, to send the same message again."""
        tlv: tuple[Tlv, ...] = ()
        if part.udh and self.udhi is not None:
            tlv = ((Tag.TP_UDHI, bytes((self.udhi,))),)
        self._deliver(
            tag,
            now,
            identity,
            msg_format=part.coding,
            src_term_id=self.prefix + part.sender,
            dest_term_id=part.to,
            msg_content=part.content,
            tlv=tlv,
        )

    def _deliver(self, tag: Any, now: float, identity: bytes | None, **fields: Any) -> None:
        if self.room < 1:
            raise StateError(f"no room in {self.state.value} session")
        msg_id, recv_time = self._stamps(now, identity)
        body = pdus.Deliver(msg_id=msg_id, recv_time=recv_time, **fields).encode()
        sequence = self._next_sequence()
        self._expect(sequence, tag, now)
        self._send(Request.DELIVER, sequence, body + b"\0\1" if self.stray_tlv else body)

    def _stamps(self, now: float, identity: bytes | None) -> tuple[bytes, str]:
        """A Deliver's own MsgID and RecvTime."""
        moment = self.clock.at(now)
        second = int(now + self.clock.epoch)
        if second != self._second:
            self._second = second
            self._recv_time = f"{moment:%Y%m%d%H%M%S}"
        msg_id = self.ids.next(moment) if identity is None else identity
        return msg_id, self._recv_time

    # What the session machine calls

    def _probe(self, now: float) -> None:
        self._send(Request.ACTIVE_TEST, self._next_sequence())

    def _farewell(self, now: float) -> None:
        self._send(Request.EXIT, self._next_sequence())

    def _acknowledge(self, receipts: Sequence[bytes]) -> None:
        raise StateError("a gateway answers submits, it acknowledges nothing")

    def _refuse(self, head: tuple[int, ...], pdu: bytes, error: DecodeError) -> None:
        result = error.status or status.Status.BAD_STRUCTURE
        if head[1] == Request.SUBMIT:
            self._out.append(_SUBMIT_RESP.pack(26, Request.SUBMIT_RESP, head[2], b"", result))

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        _, request, sequence = head
        if request == Request.LOGIN and self.state is State.BINDING and not self._asked:
            self._on_login(sequence, pdu)
        elif request == Request.EXIT:
            self._send(Request.EXIT_RESP, sequence)
            self._end("the client said goodbye", error=False)
        elif request == Request.ACTIVE_TEST:
            self._send(Request.ACTIVE_TEST_RESP, sequence)
        elif self.state not in TALKING:
            raise self._out_of_turn(request)
        elif request == Request.SUBMIT and self.mode != "rx":
            self._on_submit(sequence, pdu)
        elif request == Request.DELIVER_RESP:
            self._on_taken(sequence, pdu, now)
        elif request == Request.ACTIVE_TEST_RESP:
            if self.state is State.BOUND:
                self._probed(now)
        elif request == Request.QUERY:
            self._on_query(sequence, pdu)
        elif request == Request.EXIT_RESP and self.state is State.CLOSING:
            self._end("closed by us", error=False)
        else:
            raise self._out_of_turn(request)

    def _out_of_turn(self, request: int) -> DecodeError:
        name = pdus.PDUS[pdus.V3].get(request, (f"request {request:#010x}",))[0]
        return DecodeError(
            f"{name} from a client while {self.state.value} as {self.mode}",
            offset=4,
            status=status.Status.BAD_COMMAND,
        )

    def _on_login(self, sequence: int, pdu: bytes) -> None:
        try:
            login = pdus.Login.decode(pdu, HEADER.size)
        except DecodeError as exc:
            self._events.append(Malformed(str(exc), pdu))
            self._answer_login(sequence, status.Status.BAD_STRUCTURE, bytes(16))
            self._end("the login cannot be read", error=True)
            return
        self._asked = True
        mode = _MODES.get(login.login_mode, "trx")
        asked = Ticket(sequence, login.client_id, mode, login.authenticator_client)
        fault = self._login_fault(login)
        version = f"{login.client_version >> 4}.{login.client_version & 15}"
        self._events.append(LoginAsked(asked, login.client_id, version, fault, mode))

    def _login_fault(self, login: pdus.Login) -> int:
        text = f"{login.timestamp:010}"
        if login.login_mode not in _MODES or not stamp.is_login(text):
            return status.Status.BAD_STRUCTURE
        secret = self.secrets(login.client_id)
        if secret is None:
            return status.Status.WRONG_SECRET
        if not compare_digest(
            digest.client(login.client_id, secret, text), login.authenticator_client
        ):
            return status.Status.WRONG_SECRET
        # 1.3 and 2.0 have a Submit of another layout, which is not spoken here.
        return 0 if login.client_version == _VERSION else status.Status.VERSION_TOO_HIGH

    def _answer_login(self, sequence: int, result: int, proof: bytes) -> None:
        body = pdus.LoginResp(status=result, authenticator_server=proof, server_version=_VERSION)
        self._send(Request.LOGIN_RESP, sequence, body.encode())

    def _on_submit(self, sequence: int, pdu: bytes) -> None:
        submit = pdus.Submit.decode(pdu, HEADER.size)
        result, why = strict.fault(submit, self.rules)
        number, total = strict.place(submit)
        self.counts.mt_tlmsg += 1
        self.counts.mt_tlusr += len(submit.dest_term_id)
        self._events.append(
            Submitted(
                ticket=sequence,
                to=submit.dest_term_id,
                sender=submit.src_term_id,
                content=submit.msg_content,
                coding=submit.msg_format,
                udh=strict.octet(submit, Tag.TP_UDHI, 0) != 0,
                number=number,
                total=total,
                wants_report=submit.need_report == 1,
                fault=result,
                why=why,
                fields=submit,
            )
        )

    def _on_taken(self, sequence: int, pdu: bytes, now: float) -> None:
        answer = pdus.DeliverResp.decode(pdu, HEADER.size)
        tag = self._answered(sequence, now)
        if tag is None:
            return
        if answer.status == 0:
            self.counts.mo_scs += 1
        else:
            self.counts.mo_fl += 1
        self._events.append(Taken(tag, answer.status))

    def _on_query(self, sequence: int, pdu: bytes) -> None:
        query = pdus.Query.decode(pdu, HEADER.size)
        counts = self.counts
        counts.time, counts.query_type = query.time, query.query_type
        counts.query_code = query.query_code
        counts.mt_scs = counts.mt_tlmsg - counts.mt_fl
        counts.mo_wt = self.unanswered
        self._send(Request.QUERY_RESP, sequence, counts.encode())

    def _send(self, request: int, sequence: int, body: bytes = b"") -> None:
        self._out.append(HEADER.pack(HEADER.size + len(body), request, sequence) + body)


def _fits(name: str, text: str, size: int) -> bytes:
    """Struct would cut it without a word."""
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise EncodeError(f"{name} {text!r}: {exc}") from exc
    if len(raw) > size:
        raise EncodeError(f"{name} {text!r} is longer than {size} octets")
    return raw


def _spell(
    told: Report, submit_date: str, done_date: str, spelling: report.Spelling, text_id: bool
) -> bytes:
    word, _, err = told.code.partition("/")
    delivered = told.fate is Fate.DELIVERED
    return report.spell(
        told.carrier_id,
        delivered=delivered,
        submit_date=submit_date,
        done_date=done_date,
        stat=word,
        err=err or ("999" if told.fate is Fate.FAILED else "000"),
        text=b"000",
        spelling=spelling,
        text_id=text_id,
    )
