"""The gateway's side of CMPP 2.0 and 3.0."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import Any, NamedTuple

from .. import stamp
from ..errors import DecodeError, EncodeError, StateError
from ..events import LoginAsked, Malformed, Submitted, Taken
from ..gateway import GatewaySession, Report
from ..part import Part
from ..session import TALKING, Clock, Limits, State
from . import digest, pdus, status, strict
from .msgid import MsgIds
from .pdus import HEADER, Command
from .strict import Rules

_SUBMIT_RESP_2 = struct.Struct("!III8sB")
_SUBMIT_RESP_3 = struct.Struct("!III8sI")

# A whole Deliver with a report of 60 octets, and in 3.0 of 60 and 71.
_TAKEN_2 = struct.Struct("!12x8xB")
_TAKEN_3 = struct.Struct("!12x8xI")
_TOLD_2 = struct.Struct("!III8s21s10s3x21sBB8s7s10s10s21s4x8x")
_TOLD_3_60 = struct.Struct("!III8s21s10s3x32sxBB8s7s10s10s21s4x20x")
_TOLD_3 = struct.Struct("!III8s21s10s3x32sxBB8s7s10s10s32s4x20x")


class Ticket(NamedTuple):
    """A login that waits for admit or refuse."""

    sequence: int
    login: str
    version: str
    proof: bytes


class CmppGateway(GatewaySession):
    """The version of the conversation is the client's, if it is in `versions`.

    `rules` is what submits are checked against, and may be set until the login is admitted, when
    its empty `msg_src` becomes the login name. `ids`
    makes the Deliver's own ids, and is to be shared by all connections of one gateway. The rest is
    how gateways differ:

    `report_60`      reports of 60 octets in 3.0 too
    `udhi`           TP_udhi of an inbound message with a header (64 is seen as well)
    `prefix`         stands before the subscriber's number in reports and inbound messages ("86")
    `wide_connect_resp`  2.0 answers the login with a status of four octets
    `bare_active_test_resp`  without its reserved octet
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
        versions: tuple[str, ...] = (pdus.V2, pdus.V3),
        rules: Rules | None = None,
        ids: MsgIds | None = None,
        report_60: bool = False,
        udhi: int = 1,
        prefix: str = "",
        wide_connect_resp: bool = False,
        bare_active_test_resp: bool = False,
    ) -> None:
        super().__init__(limits, clock, secrets, first_sequence=first_sequence)
        self.versions = versions
        self.rules = rules or Rules()
        self.ids = ids or MsgIds(gateway=1)
        self.report_60 = report_60
        self.udhi = udhi
        self.prefix = prefix
        self.wide_connect_resp = wide_connect_resp
        self.bare_active_test_resp = bare_active_test_resp
        self.counts = pdus.QueryResp()
        """What reached the gateway here, in Query_Resp's words (section 7.4.6.2)."""
        self._wide = pdus.V3 in versions
        self._asked = False

    # What the owner calls

    def admit(self, ticket: Any, now: float) -> None:
        if self.state is not State.BINDING:
            return
        sequence, login, _, proof = ticket
        if not self.rules.msg_src:
            rules = self.rules
            self.rules = Rules(rules.access_number, rules.service_id, msg_src=login)
        self._answer_login(sequence, 0, self._proof(login, proof))
        # Not the ticket's: the owner may admit a client whose version nobody knows.
        self._bound(pdus.V3 if self._wide else pdus.V2, now, login)

    def refuse(self, ticket: Any, status: int) -> None:
        if self.state is State.BINDING:
            self._answer_login(ticket.sequence, status, bytes(16))
            self._end(f"login of {ticket.login!r} refused with {status}", error=False)

    def answer(self, ticket: Any, status: int, carrier_id: bytes = b"") -> None:
        """Raises EncodeError when `status` does not fit the version's result."""
        if self.state not in TALKING:
            return
        pack, size = (_SUBMIT_RESP_3.pack, 24) if self._wide else (_SUBMIT_RESP_2.pack, 21)
        try:
            self._out.append(pack(size, Command.SUBMIT_RESP, ticket, carrier_id, status))
        except struct.error as exc:
            raise EncodeError(f"result {status} of a {self.version} submit_resp: {exc}") from exc
        if status:
            self.counts.mt_fl += 1

    def report(
        self, tag: Any, report: Report, now: float, *, identity: bytes | None = None
    ) -> None:
        """`identity` is the Deliver's own Msg_Id, to send the same report again."""
        if self.room < 1:
            raise StateError(f"no room in {self.state.value} session")
        told = _TOLD_2 if not self._wide else _TOLD_3_60 if self.report_60 else _TOLD_3
        size = pdus.LONG_REPORT if told is _TOLD_3 else pdus.SHORT_REPORT
        zone = self.clock.zone
        msg_id = self.ids.next(self.clock.at(now)) if identity is None else identity
        to = _fits("dest_terminal_id", self.prefix + report.to, 32 if size == 71 else 21)
        sender = _fits("dest_id", report.sender, 21)
        service_id = _fits("service_id", self.rules.service_id, 10)
        stat = _fits("stat", report.code, 7)
        sequence = self._next_sequence()
        pdu = told.pack(
            told.size,
            Command.DELIVER,
            sequence,
            msg_id,
            sender,
            service_id,
            to,
            1,
            size,
            report.carrier_id,
            stat,
            stamp.minutes(report.submitted_at, zone).encode(),
            stamp.minutes(report.done_at, zone).encode(),
            to,
        )
        self._expect(sequence, tag, now)
        self._out.append(pdu)

    def deliver(self, tag: Any, part: Part, now: float, *, identity: bytes | None = None) -> None:
        """`identity` is the Deliver's own Msg_Id, to send the same message again."""
        self._deliver(
            tag,
            now,
            identity,
            dest_id=part.to,
            src_terminal_id=self.prefix + part.sender,
            tp_udhi=self.udhi if part.udh else 0,
            msg_fmt=part.coding,
            msg_content=part.content,
        )

    def _deliver(self, tag: Any, now: float, identity: bytes | None, **fields: Any) -> None:
        if self.room < 1:
            raise StateError(f"no room in {self.state.value} session")
        kind = pdus.Deliver3 if self._wide else pdus.Deliver2
        msg_id = self.ids.next(self.clock.at(now)) if identity is None else identity
        fields["service_id"] = self.rules.service_id
        body = kind(msg_id=int.from_bytes(msg_id), **fields).encode()
        sequence = self._next_sequence()
        self._expect(sequence, tag, now)
        self._send(Command.DELIVER, sequence, body)

    # What the session machine calls

    def _probe(self, now: float) -> None:
        self._send(Command.ACTIVE_TEST, self._next_sequence())

    def _farewell(self, now: float) -> None:
        self._send(Command.TERMINATE, self._next_sequence())

    def _acknowledge(self, receipts: Sequence[bytes]) -> None:
        raise StateError("a gateway answers submits, it acknowledges nothing")

    def _refuse(self, head: tuple[int, ...], pdu: bytes, error: DecodeError) -> None:
        result = error.status or status.Result.BAD_STRUCTURE
        if head[1] == Command.SUBMIT:
            pack, size = (_SUBMIT_RESP_3.pack, 24) if self._wide else (_SUBMIT_RESP_2.pack, 21)
            self._out.append(pack(size, Command.SUBMIT_RESP, head[2], b"", result))

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        _, command, sequence = head
        if command == Command.CONNECT and self.state is State.BINDING and not self._asked:
            self._on_connect(sequence, pdu)
        elif command == Command.TERMINATE:
            self._send(Command.TERMINATE_RESP, sequence)
            self._end("the client said goodbye", error=False)
        elif command == Command.ACTIVE_TEST:
            body = b"" if self.bare_active_test_resp else b"\0"
            self._send(Command.ACTIVE_TEST_RESP, sequence, body)
        elif self.state not in TALKING:
            raise self._out_of_turn(command)
        elif command == Command.SUBMIT:
            self._on_submit(sequence, pdu)
        elif command == Command.DELIVER_RESP:
            self._on_taken(sequence, pdu, now)
        elif command == Command.ACTIVE_TEST_RESP:
            if self.state is State.BOUND:
                self._probed(now)
        elif command == Command.QUERY:
            self._on_query(sequence, pdu)
        elif command == Command.CANCEL:
            pdus.Cancel.decode(pdu, HEADER.size)
            # What was submitted here is on its way already.
            kind = pdus.CancelResp3 if self._wide else pdus.CancelResp2
            self._send(Command.CANCEL_RESP, sequence, kind(success_id=1).encode())
        elif command == Command.TERMINATE_RESP and self.state is State.CLOSING:
            self._end("closed by us", error=False)
        else:
            raise self._out_of_turn(command)

    def _out_of_turn(self, command: int) -> DecodeError:
        name = pdus.PDUS[pdus.V3].get(command, (f"command {command:#010x}",))[0]
        return DecodeError(
            f"{name} from a client while {self.state.value}",
            offset=4,
            status=status.Result.BAD_COMMAND,
        )

    def _on_connect(self, sequence: int, pdu: bytes) -> None:
        try:
            connect = pdus.Connect.decode(pdu, HEADER.size)
        except DecodeError as exc:
            self._events.append(Malformed(str(exc), pdu))
            self._answer_login(sequence, status.Connect.BAD_STRUCTURE, bytes(16))
            self._end("the login cannot be read", error=True)
            return
        version = {0x20: pdus.V2, 0x21: pdus.V2, 0x30: pdus.V3}.get(connect.version, "")
        if version in self.versions:
            self._wide = version == pdus.V3
        self._asked = True
        login, proof = connect.source_addr, connect.authenticator_source
        asked = Ticket(sequence, login, version, proof)
        self._events.append(LoginAsked(asked, login, version, self._login_fault(connect, version)))

    def _login_fault(self, connect: pdus.Connect, version: str) -> int:
        text = f"{connect.timestamp:010}"
        if not stamp.is_login(text):
            return status.Connect.BAD_STRUCTURE
        secret = self.secrets(connect.source_addr)
        if secret is None:
            return status.Connect.BAD_SOURCE_ADDRESS
        proof = digest.source(connect.source_addr, secret, text)
        if not compare_digest(proof, connect.authenticator_source):
            return status.Connect.WRONG_SECRET
        if version not in self.versions:
            too_high = connect.version > _byte(max(self.versions))
            return status.Connect.VERSION_TOO_HIGH if too_high else status.Connect.OTHER
        return 0

    def _proof(self, login: str, source: bytes) -> bytes:
        secret = self.secrets(login)
        if secret is None:  # the owner admits whom it does not know
            return bytes(16)
        width = 4 if self._wide or self.wide_connect_resp else 1
        return digest.ismg(0, source, secret, width=width)

    def _answer_login(self, sequence: int, result: int, proof: bytes) -> None:
        kind = pdus.ConnectResp3 if self._wide or self.wide_connect_resp else pdus.ConnectResp2
        body = kind(
            status=result, authenticator_ismg=proof, version=_byte(max(self.versions))
        ).encode()
        self._send(Command.CONNECT_RESP, sequence, body)

    def _on_submit(self, sequence: int, pdu: bytes) -> None:
        kind = pdus.Submit3 if self._wide else pdus.Submit2
        submit = kind.decode(pdu, HEADER.size)
        result, why = strict.fault(submit, self.rules, self.version)
        self.counts.mt_tlmsg += 1
        self.counts.mt_tlusr += len(submit.dest_terminal_id)
        self._events.append(
            Submitted(
                ticket=sequence,
                to=submit.dest_terminal_id,
                sender=submit.src_id,
                content=submit.msg_content,
                coding=submit.msg_fmt,
                udh=submit.tp_udhi != 0,
                number=submit.pk_number,
                total=submit.pk_total,
                wants_report=submit.registered_delivery == 1,
                fault=result,
                why=why,
                fields=submit,
            )
        )

    def _on_taken(self, sequence: int, pdu: bytes, now: float) -> None:
        told = _TAKEN_3 if self._wide else _TAKEN_2
        if len(pdu) == told.size:
            result: int = told.unpack(pdu)[0]
        else:
            _, answer = pdus.decode_body(self.version, Command.DELIVER_RESP, pdu)
            assert isinstance(answer, pdus.DeliverResp2 | pdus.DeliverResp3)
            result = answer.result
        tag = self._answered(sequence, now)
        if tag is None:
            return
        if result == 0:
            self.counts.mo_scs += 1
        else:
            self.counts.mo_fl += 1
        self._events.append(Taken(tag, result))

    def _on_query(self, sequence: int, pdu: bytes) -> None:
        query = pdus.Query.decode(pdu, HEADER.size)
        counts = self.counts
        counts.time, counts.query_type = query.time, query.query_type
        counts.query_code = query.query_code
        counts.mt_scs = counts.mt_tlmsg - counts.mt_fl
        counts.mo_wt = self.unanswered
        self._send(Command.QUERY_RESP, sequence, counts.encode())

    def _send(self, command: int, sequence: int, body: bytes = b"") -> None:
        self._out.append(HEADER.pack(HEADER.size + len(body), command, sequence) + body)


def _fits(name: str, text: str, size: int) -> bytes:
    """Struct would cut it without a word."""
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise EncodeError(f"{name} {text!r}: {exc}") from exc
    if len(raw) > size:
        raise EncodeError(f"{name} {text!r} is longer than {size} octets")
    return raw


def _byte(version: str) -> int:
    major, minor = version.split(".")
    return int(major) << 4 | int(minor)
