"""The ESME's side of SMPP 3.4."""

from __future__ import annotations

from typing import Any, Final

from .. import stamp
from ..errors import DecodeError, EncodeError
from ..events import Accepted, Malformed, Refused, Rejected
from ..part import Part, width
from ..session import TALKING, Clock, Limits, State
from . import inbound, pdus, status, tlvs
from .account import SmppAccount
from .frames import VERSIONS, SmppFrames, version_of

MODES = {
    "trx": pdus.BIND_TRANSCEIVER,
    "tx": pdus.BIND_TRANSMITTER,
    "rx": pdus.BIND_RECEIVER,
}
LONGEST_CONTENT: Final = 254
"""Octets of short_message (section 5.2.21)."""
LONGEST_PAYLOAD: Final = 65535
MOST_NUMBERS: Final = 254
"""Destinations of submit_multi (section 4.5.1)."""

_TLVS: Final = pdus.OptionalParameters()


class SmppSession(SmppFrames):
    """Raises EncodeError when something of the account does not fit its field."""

    def __init__(
        self, account: SmppAccount, limits: Limits, clock: Clock, *, first_sequence: int = 1
    ) -> None:
        super().__init__(limits, clock, first_sequence=first_sequence)
        self.account = account
        self._throttled = account.throttle_codes
        if account.version not in VERSIONS:
            raise EncodeError(f"version {account.version!r}, one of {', '.join(VERSIONS)} allowed")
        self._login = pdus.Bind(
            system_id=account.login,
            password=account.secret,
            system_type=account.system_type,
            interface_version=VERSIONS[account.version],
            address_range=account.address_range,
        ).encode()
        # Every constant field is checked by its declaration here, so that a submit need not.
        constant = pdus.SubmitSm(
            service_type=account.service_id,
            source_addr_ton=account.source_ton,
            source_addr_npi=account.source_npi,
            dest_addr_ton=account.dest_ton,
            dest_addr_npi=account.dest_npi,
            destination_addr=account.dest_prefix,
        ).encode()
        end = len(account.service_id) + 3
        self._before_source = constant[:end]
        self._before_dest = constant[end : end + 3] + account.dest_prefix.encode("latin-1")
        self._dest_most = 20 - len(account.dest_prefix)

    @property
    def room(self) -> int:
        return 0 if self.account.mode == "rx" else super().room

    def _bind(self, now: float) -> None:
        self._send(MODES[self.account.mode], 0, self._next_sequence(), self._login)

    def _submit(self, tag: Any, part: Part, now: float) -> None:
        content = part.content
        parameters = b""
        if part.payload:
            if len(content) > LONGEST_PAYLOAD:
                raise EncodeError(
                    f"submit_sm.message_payload: {len(content)} octets, at most {LONGEST_PAYLOAD}"
                )
            parameters = _TLVS.put(((tlvs.MESSAGE_PAYLOAD, content),))
            content = b""
        else:
            if part.total > 1 and not part.udh:
                parameters = _TLVS.put(tlvs.sar(part.reference, part.total, part.number))
            if self.account.nul_terminated:
                content += b"\0"
            if len(content) > LONGEST_CONTENT:
                raise EncodeError(
                    f"submit_sm.short_message: {len(content)} octets, at most {LONGEST_CONTENT}"
                )
        validity = b""
        if part.expires_at is not None:
            validity = stamp.absolute(part.expires_at, self.clock.zone).encode()
        to = self._before_dest + _address("destination_addr", part.to, self._dest_most) + b"\0"
        body = b"".join(
            (
                self._before_source,
                _address("source_addr", part.sender, 20),
                self._list(to, part.also) if part.also else to,
                bytes((inbound.UDHI if part.udh else 0, 0, 0, 0)),
                validity,
                b"\0",
                # Part's codings have the values of data_coding (section 5.2.19).
                bytes((1 if part.wants_report else 0, 0, part.coding, 0, len(content))),
                content,
                parameters,
            )
        )
        sequence = self._next_sequence()
        self._expect(sequence, tag, now)
        self._send(pdus.SUBMIT_MULTI if part.also else pdus.SUBMIT_SM, 0, sequence, body)

    def _list(self, first: bytes, also: tuple[str, ...]) -> bytes:
        """What submit_multi has in place of the one destination `first` (section 4.5.1)."""
        if len(also) >= MOST_NUMBERS:
            raise EncodeError(
                f"submit_multi.number_of_dests: {1 + len(also)}, at most {MOST_NUMBERS} is allowed"
            )
        before = b"\x01" + self._before_dest[1:]
        length, all_ = width(also), "".join(also)
        if 0 < length <= self._dest_most and all_.isascii() and "\0" not in all_:
            between = (b"\0" + before).decode("latin-1")
            rest = b"%b%b\0" % (before, between.join(also).encode("latin-1"))
        else:
            most = self._dest_most
            addresses = [_address("destination_addr", number, most) for number in also]
            rest = b"".join([b"%b%b\0" % (before, address) for address in addresses])
        return b"%b%b\x01%b%b" % (first[:1], bytes((1 + len(also),)), first[1:], rest)

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        _, command, result, sequence = head
        live = self.state in TALKING
        # Most frequent first.
        if command == 0x80000004 and live:  # SUBMIT_SM_RESP
            tag = self._answered(sequence, now)
            if tag is None:
                return
            if result == 0:
                # The message is taken, whatever the id looks like: there is nothing to refuse.
                end = pdu.find(b"\0", 16, 81)
                self._emit(Accepted(tag, pdu[16 : end if end >= 0 else 80]))
            else:
                self._reject(tag, result)
        elif command == 0x80000021 and live:  # SUBMIT_MULTI_RESP
            self._on_list_answer(result, sequence, pdu, now)
        elif (command == 0x00000005 or command == 0x00000103) and live:  # DELIVER_SM, DATA_SM
            self._emit(inbound.read(command, pdu, self.account.report_id))
        elif command == pdus.GENERIC_NACK:
            self._on_nack(head, pdu, now)
        elif command == MODES[self.account.mode] | pdus.RESP and self.state is State.BINDING:
            if result == 0:
                self._on_bound(pdu, now)
            else:
                self._on_refusal(result)
        elif command == pdus.ALERT_NOTIFICATION and live:
            # Nothing was asked to be told of: set_dpf is never sent.
            pdus.AlertNotification.decode(pdu, 16)
        else:
            self._on_any(head, now)

    def _on_bound(self, pdu: bytes, now: float) -> None:
        try:
            answer = pdus.BindResp.decode(pdu, 16) if len(pdu) > 16 else pdus.BindResp()
        except DecodeError:
            # It says yes, and nothing else of it is needed.
            answer = pdus.BindResp()
        theirs = dict(answer.tlv).get(tlvs.SC_INTERFACE_VERSION, b"")
        ours = VERSIONS[self.account.version]
        version = version_of(min(ours, theirs[0])) if theirs else version_of(ours)
        self._bound(version, now, self.account.login)

    def _on_nack(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        _, _, result, sequence = head
        if self.state is State.BINDING:
            self._on_refusal(result)
            return
        tag = self._answered(sequence, now)
        if tag is not None:
            self._reject(tag, result)
        elif self._probe_until is not None:
            # A peer that does not know enquire_link is alive none the less.
            self._probed(now)
        else:
            raise DecodeError(f"generic_nack {status.meaning(result)} answers nothing", offset=12)

    def _on_list_answer(self, result: int, sequence: int, pdu: bytes, now: float) -> None:
        tag = self._answered(sequence, now)
        if tag is None:
            return
        if result != 0:
            self._reject(tag, result)
            return
        try:
            answer = pdus.SubmitMultiResp.decode(pdu, 16)
        except DecodeError as exc:
            # It is taken all the same, and whoever was not will have no report.
            end = pdu.find(b"\0", 16, 81)
            self._emit(Accepted(tag, pdu[16 : end if end >= 0 else 80]))
            self._emit(Malformed(str(exc), pdu))
            return
        prefix = self.account.dest_prefix
        refused = tuple(
            [
                Refused(
                    item.destination_addr.removeprefix(prefix),
                    item.error_status_code,
                    status.code(item.error_status_code),
                    item.error_status_code in self._throttled,
                )
                for item in answer.unsuccess_sme
            ]
        )
        self._emit(Accepted(tag, answer.message_id.encode("latin-1"), refused))

    def _reject(self, tag: Any, result: int) -> None:
        self._emit(Rejected(tag, result, status.code(result), result in self._throttled))

    def _on_refusal(self, result: int) -> None:
        retry = result not in status.HOPELESS_LOGINS
        self._refused(result, status.meaning(result), retry=retry)


def _address(name: str, value: str, most: int) -> bytes:
    if not value or len(value) > most or not value.isascii() or "\0" in value:
        raise EncodeError(f"submit_sm.{name}: {value!r}, 1 to {most} characters are allowed")
    return value.encode("ascii")
