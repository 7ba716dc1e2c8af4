"""The message centre's side of SMPP 3.4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import Any, Literal

from ..errors import DecodeError, EncodeError, StateError
from ..events import Fate, LoginAsked, Submitted, Taken
from ..gateway import GatewaySession, Report
from ..part import Part
from ..session import Clock, Limits, State
from ..text import header
from ..wire import Tlv
from . import inbound, pdus, receipts, status, tlvs
from .frames import VERSIONS, SmppFrames, version_of
from .strict import Rules, submit_fault

MODES = {
    pdus.BIND_TRANSCEIVER: "trx",
    pdus.BIND_TRANSMITTER: "tx",
    pdus.BIND_RECEIVER: "rx",
}
# What a message centre that keeps nothing answers to questions about kept messages.
UNKEPT = {
    pdus.QUERY_SM: status.RQUERYFAIL,
    pdus.CANCEL_SM: status.RCANCELFAIL,
    pdus.REPLACE_SM: status.RREPLACEFAIL,
}
SUBMITS = frozenset({pdus.SUBMIT_SM, pdus.SUBMIT_MULTI, pdus.DATA_SM})
_AHEAD = b"\0\0\0"
"""In front of source_addr, without a service type."""
_PARAMETERS = pdus.OptionalParameters()
MOST_DIGITS, LONGEST_TEXT = 20, 254
TAKEN = frozenset({pdus.DELIVER_SM_RESP, pdus.DATA_SM_RESP})


class SmppGateway(SmppFrames, GatewaySession):
    """`rules` is what submits are checked against, the rest is how message centres differ.

    `receipt` says where receipts carry their news, `text_id` how their text writes the id
    (hexadecimal ids turned decimal, or the other way round), `dates` how many digits their dates
    have; `error_bodies` puts a NUL behind an error status; `says_version` is whether the answer to
    a bind has sc_interface_version.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        secrets: Callable[[str], str | None],
        *,
        first_sequence: int = 1,
        rules: Rules | None = None,
        system_id: str = "SMSC",
        version: str = "3.4",
        receipt: Literal["both", "text", "tlv"] = "both",
        text_id: Literal["same", "hex", "decimal"] = "same",
        dates: Literal[10, 12, 14] = 10,
        error_bodies: bool = False,
        says_version: bool = True,
    ) -> None:
        GatewaySession.__init__(self, limits, clock, secrets, first_sequence=first_sequence)
        self.rules = rules or Rules()
        self.system_id = system_id
        self.mode = "trx"
        self._interface_version = VERSIONS[version]
        self._receipt = receipt
        self._text_id = text_id
        self._dates = dates
        self._error_bodies = error_bodies
        self._says_version = says_version
        self._asked = False
        self._parameters_allowed = True
        self._about: tuple[str, int] | None = None
        """Addressee and class of the last receipt."""
        self._behind = b""
        """What such a deliver_sm has between source_addr and sm_length."""

    @property
    def room(self) -> int:
        return 0 if self.mode == "tx" else super().room

    def admit(self, ticket: Any, now: float) -> None:
        if self.state is not State.BINDING:
            return
        command, sequence, login, version = ticket
        self.mode = MODES[command]
        self._parameters_allowed = version >= 0x34
        says = self._says_version and self._parameters_allowed
        ours = bytes((self._interface_version,))
        answer = pdus.BindResp(
            system_id=self.system_id, tlv=((tlvs.SC_INTERFACE_VERSION, ours),) if says else ()
        )
        self._send(command | pdus.RESP, 0, sequence, answer.encode())
        self._bound(version_of(min(version, self._interface_version)), now, login)

    def refuse(self, ticket: Any, status: int) -> None:
        if self.state is State.BINDING:
            command, sequence, login, _ = ticket
            body = b"\0" if self._error_bodies else b""
            self._send(command | pdus.RESP, status, sequence, body)
            self._end(f"login of {login!r} refused with {status:#x}", error=False)

    def answer(self, ticket: Any, status: int, carrier_id: bytes = b"") -> None:
        if self.state not in (State.BOUND, State.CLOSING):
            return
        command, sequence = ticket
        body = carrier_id + b"\0"
        if command == pdus.SUBMIT_MULTI:
            body += b"\0"
        if status:
            body = b"\0" if self._error_bodies else b""
        self._send(command | pdus.RESP, status, sequence, body)

    def answer_partly(
        self, ticket: Any, carrier_id: bytes, refused: Sequence[tuple[str, int]]
    ) -> None:
        """Answer a submit_multi with yes but for these recipients, each with its status."""
        if self.state not in (State.BOUND, State.CLOSING):
            return
        command, sequence = ticket
        failures = tuple([pdus.Failure(0, 0, to, fault) for to, fault in refused])
        body = pdus.SubmitMultiResp(
            message_id=carrier_id.decode("latin-1"), unsuccess_sme=failures
        ).encode()
        self._send(command | pdus.RESP, status.ROK, sequence, body)

    def report(
        self, tag: Any, report: Report, now: float, *, identity: bytes | None = None
    ) -> None:
        """`report.code` is the status word.  `identity` is not used: receipts have none here."""
        word = report.code
        state = receipts.WORDS.index(word) if word in receipts.WORDS else _STATES[report.fate]
        text = b""
        if self._receipt != "tlv":
            text = receipts.spell(
                id=self._said(report.carrier_id),
                submitted=receipts.date(int(report.submitted_at), self.clock.zone, self._dates),
                done=receipts.date(int(report.done_at), self.clock.zone, self._dates),
                stat=word,
                err="000",
            )
        parameters: tuple[Tlv, ...] = ()
        if self._receipt != "text" and self._parameters_allowed:
            parameters = (
                (tlvs.RECEIPTED_MESSAGE_ID, report.carrier_id + b"\0"),
                (tlvs.MESSAGE_STATE, bytes((state,))),
            )
        final = report.fate is not Fate.INTERMEDIATE
        esm_class = inbound.RECEIPT if final else inbound.INTERMEDIATE
        plain = report.to.isdecimal() and report.to.isascii() and len(report.to) <= MOST_DIGITS
        if plain and len(text) <= LONGEST_TEXT:
            # Receipts are many, and differ in nothing else.
            about = (report.sender, esm_class)
            if about != self._about:
                whole = pdus.SubmitSm(destination_addr=report.sender, esm_class=esm_class).encode()
                self._about, self._behind = about, whole[len(_AHEAD) : -1]
            number, tail = report.to.encode(), _PARAMETERS.put(parameters)
            raw = b"%b%b%b%c%b%b" % (_AHEAD, number, self._behind, len(text), text, tail)
            self._put(tag, now, raw)
            return
        deliver = pdus.SubmitSm(
            source_addr=report.to,
            destination_addr=report.sender,
            esm_class=esm_class,
            short_message=text,
            tlv=parameters,
        )
        self._put(tag, now, deliver.encode())

    def deliver(self, tag: Any, part: Part, now: float, *, identity: bytes | None = None) -> None:
        """`identity` is not used: SMPP has nothing to say that a message is the same again."""
        parameters: tuple[Tlv, ...] = ()
        if part.payload:
            parameters = ((tlvs.MESSAGE_PAYLOAD, part.content),)
        elif part.total > 1 and not part.udh:
            parameters = tlvs.sar(part.reference, part.total, part.number)
        deliver = pdus.SubmitSm(
            source_addr=part.sender,
            destination_addr=part.to,
            esm_class=inbound.UDHI if part.udh else 0,
            data_coding=part.coding,
            short_message=b"" if part.payload else part.content,
            tlv=parameters,
        )
        self._put(tag, now, deliver.encode())

    def _put(self, tag: Any, now: float, raw: bytes) -> None:
        """A deliver_sm with this body."""
        if self.room < 1:
            raise StateError(f"no room in {self.state.value} session")
        sequence = self._next_sequence()
        self._expect(sequence, tag, now)
        self._send(pdus.DELIVER_SM, 0, sequence, raw)

    def _said(self, carrier_id: bytes) -> str:
        said = carrier_id.decode("latin-1")
        if self._text_id == "same":
            return said
        try:
            if self._text_id == "decimal":
                return f"{int(said, 16):010}"
            return f"{int(said):x}"
        except ValueError as exc:
            raise EncodeError(f"id {said!r} is no number to be written otherwise") from exc

    def _acknowledge(self, receipts: Sequence[bytes]) -> None:
        raise StateError("a message centre gets no receipts")

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        _, command, result, sequence = head
        live = self.state is State.BOUND or self.state is State.CLOSING
        if command in SUBMITS and live:
            self._on_submit(command, sequence, pdu)
        elif command in TAKEN or command == pdus.GENERIC_NACK:
            tag = self._answered(sequence, now) if live else None
            if tag is not None:
                self._emit(Taken(tag, result))
            elif command == pdus.GENERIC_NACK:
                raise DecodeError(
                    f"generic_nack {status.meaning(result)} answers nothing", offset=12
                )
        elif command in MODES:
            self._on_bind(command, sequence, pdu, again=live or self._asked)
        elif command in UNKEPT and live:
            pdus.decode_body("3.4", command, pdu)
            self._send(command | pdus.RESP, UNKEPT[command], sequence)
        else:
            self._on_any(head, now)

    def _on_bind(self, command: int, sequence: int, pdu: bytes, *, again: bool) -> None:
        if again:
            raise DecodeError(
                f"{pdus.PDUS['3.4'][command][0]}: bound already", offset=4, status=status.RALYBND
            )
        bind = pdus.Bind.decode(pdu, 16)
        secret = self.secrets(bind.system_id)
        right = compare_digest((secret or "").encode(), bind.password.encode())
        too_long = pdus.oversized(bind)
        result = status.ROK
        if too_long is not None:
            result, _ = too_long
        elif secret is None:
            result = status.RINVSYSID
        elif not right:
            result = status.RINVPASWD
        version = bind.interface_version
        self._asked = True
        ticket = (command, sequence, bind.system_id, version)
        asked = LoginAsked(ticket, bind.system_id, version_of(version), result, MODES[command])
        self._emit(asked)

    def _on_submit(self, command: int, sequence: int, pdu: bytes) -> None:
        if self.mode == "rx":
            raise DecodeError("submit on a receiver", offset=4, status=status.RINVBNDSTS)
        _, body = pdus.decode_body("3.4", command, pdu)
        assert isinstance(body, pdus.SubmitSm | pdus.SubmitMulti | pdus.DataSm)
        parameters = dict(reversed(body.tlv))
        short = b"" if isinstance(body, pdus.DataSm) else body.short_message
        content = short or parameters.get(tlvs.MESSAGE_PAYLOAD, b"")
        udh = body.esm_class & inbound.UDHI != 0
        head = header.read(content) if udh else None
        sar = inbound.sar(parameters)
        number, total = 1, 1
        if head is not None:
            number, total = head.number, head.total
        elif sar is not None:
            _, total, number = sar
        fault, why = submit_fault(
            body, parameters, short, head, self._interface_version, self.rules
        )
        if isinstance(body, pdus.SubmitMulti):
            dests = [d for d in body.dest_address if isinstance(d, pdus.Destination)]
            to = tuple([_national(d.destination_addr) for d in dests])
        else:
            to = (_national(body.destination_addr),)
        self._emit(
            Submitted(
                ticket=(command, sequence),
                to=to,
                sender=body.source_addr,
                content=content,
                coding=body.data_coding,
                udh=udh,
                number=number,
                total=total,
                wants_report=body.registered_delivery & 3 != 0,
                fault=fault,
                why=why,
                fields=body,
            )
        )


_STATES = {Fate.DELIVERED: 2, Fate.FAILED: 5, Fate.INTERMEDIATE: 1}


def _national(number: str) -> str:
    return number[2:] if len(number) == 13 and number.startswith("86") else number
