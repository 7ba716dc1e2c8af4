"""The client's side of CMPP 2.0 and 3.0."""

from __future__ import annotations

import struct
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Final

from .. import stamp
from ..errors import DecodeError, EncodeError
from ..events import Accepted, Fate, Malformed, Received, Rejected, Reported
from ..part import Part
from ..session import TALKING, Clock, Limits, Session, State
from . import digest, pdus, status
from .account import CmppAccount
from .pdus import HEADER, Command
from .template import SubmitTemplate

VERSIONS = {pdus.V2: 0x20, pdus.V3: 0x30}

DELIVER_RESP: Final = int(Command.DELIVER_RESP)
_ANSWER_2: Final = struct.Struct("!8sB")
_ANSWER_3: Final = struct.Struct("!8sI")
_DELIVER_RESP_2: Final = struct.Struct("!III8sB")
_DELIVER_RESP_3: Final = struct.Struct("!III8sI")
_REPORT_2: Final = struct.Struct("!8s7s20x21s4x")
_REPORT_3: Final = struct.Struct("!8s7s20x32s4x")


class CmppSession(Session):
    header = HEADER
    longest = pdus.LONGEST

    def __init__(
        self, account: CmppAccount, limits: Limits, clock: Clock, *, first_sequence: int = 1
    ) -> None:
        """Raises EncodeError when the account's values do not fit their fields."""
        super().__init__(limits, clock, first_sequence=first_sequence)
        if account.version not in VERSIONS:
            raise EncodeError(f"version {account.version!r}: CMPP has {', '.join(VERSIONS)}")
        pdus.Connect(source_addr=account.source_addr).encode()
        self.account = account
        self._template = SubmitTemplate(account, clock.zone)
        self._wide = account.version != pdus.V2
        self._content_at = 89 if self._wide else 77
        self._throttle_codes = account.throttle_codes
        self._login = b""

    def _bind(self, now: float) -> None:
        account = self.account
        text = stamp.login(self.clock.at(now))
        self._login = digest.source(account.source_addr, account.secret, text, pad=account.md5_pad)
        connect = pdus.Connect(
            source_addr=account.source_addr,
            authenticator_source=self._login,
            version=VERSIONS[account.version],
            timestamp=int(text),
        )
        self._send(Command.CONNECT, self._next_sequence(), connect.encode())

    def _probe(self, now: float) -> None:
        self._send(Command.ACTIVE_TEST, self._next_sequence())

    def _farewell(self, now: float) -> None:
        self._send(Command.TERMINATE, self._next_sequence())

    def _submit(self, tag: Any, part: Part, now: float) -> None:
        sequence = self._next_sequence()
        pdu = self._template.encode(part, sequence)
        self._expect(sequence, tag, now)
        self._out.append(pdu)

    def _refuse(self, head: tuple[int, ...], pdu: bytes, error: DecodeError) -> None:
        # Nothing is owed to a peer that talks before the login.
        if head[1] == Command.DELIVER and self.state in TALKING:
            result = error.status or status.Result.BAD_STRUCTURE
            pack, size = (_DELIVER_RESP_3.pack, 24) if self._wide else (_DELIVER_RESP_2.pack, 21)
            self._out.append(pack(size, DELIVER_RESP, head[2], pdu[12:20], result))

    def _receipt(self, pdu: bytes) -> bytes:
        """The answer to a Deliver, with its Sequence_Id and Msg_Id, that says yes."""
        if self._wide:
            return b"\0\0\0\x18\x80\0\0\5" + pdu[8:20] + b"\0\0\0\0"
        return b"\0\0\0\x15\x80\0\0\5" + pdu[8:20] + b"\0"

    def _send(self, command: int, sequence: int, body: bytes = b"") -> None:
        self._out.append(HEADER.pack(HEADER.size + len(body), command, sequence) + body)

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        _, command, sequence = head
        # Most frequent first.
        if command == 0x80000004:  # SUBMIT_RESP
            self._on_answer(pdu, sequence, now)
        elif command == 0x00000005:  # DELIVER
            self._on_deliver(pdu)
        elif command == Command.ACTIVE_TEST:
            self._send(Command.ACTIVE_TEST_RESP, sequence, b"\0")
        elif command == Command.ACTIVE_TEST_RESP:
            if self.state is State.BOUND:
                self._probed(now)
        elif command == Command.CONNECT_RESP:
            self._on_login(pdu, now)
        elif command == Command.TERMINATE:
            self._send(Command.TERMINATE_RESP, sequence)
            self._end("the gateway said goodbye", error=self.state is State.BINDING)
        elif command == Command.TERMINATE_RESP and self.state is State.CLOSING:
            self._end("closed by us", error=False)
        else:
            raise self._out_of_turn(command)

    def _out_of_turn(self, command: int) -> DecodeError:
        name = pdus.PDUS[pdus.V3].get(command, (f"command {command:#010x}",))[0]
        return DecodeError(
            f"{name} from a gateway while {self.state.value}",
            offset=4,
            status=status.Result.BAD_COMMAND,
        )

    def _on_answer(self, pdu: bytes, sequence: int, now: float) -> None:
        # Some gateways answer in the other version's width.
        if len(pdu) == 24:
            msg_id, result = _ANSWER_3.unpack_from(pdu, 12)
        elif len(pdu) == 21:
            msg_id, result = _ANSWER_2.unpack_from(pdu, 12)
        else:
            kind = pdus.SubmitResp3 if self._wide else pdus.SubmitResp2
            body = kind.decode(pdu, HEADER.size)
            msg_id, result = body.msg_id.to_bytes(8), body.result
        if self.state not in TALKING:
            raise self._out_of_turn(Command.SUBMIT_RESP)
        tag = self._answered(sequence, now)
        if tag is None:
            return
        if result == 0:
            self._events.append(Accepted(tag, msg_id))
        else:
            throttled = result in self._throttle_codes
            self._events.append(Rejected(tag, result, str(result), throttled))

    def _on_deliver(self, pdu: bytes) -> None:
        if self.state not in TALKING:
            raise self._out_of_turn(Command.DELIVER)
        at = self._content_at
        if len(pdu) > at and pdu[at - 2] == 1:
            size = pdu[at - 1]
            # One stack writes 71 octets and says 60.
            if size == 60 and self._wide and len(pdu) == 180:
                size = 71
            if at + size <= len(pdu) and size >= 60:
                self._on_report(pdu, at, size)
                return
        kind = pdus.Deliver3 if self._wide else pdus.Deliver2
        deliver = kind.decode(pdu, HEADER.size)
        if deliver.registered_delivery == 1:
            raise DecodeError(
                f"a report of {len(deliver.msg_content)} octets, 60 or 71 expected",
                offset=at,
                status=status.Result.BAD_LENGTH,
            )
        sender, to, content = deliver.src_terminal_id, deliver.dest_id, deliver.msg_content
        msg_id = pdu[12:20]
        # Some gateways give all parts of a message one Msg_Id: it alone is no identity.
        same = blake2b(pdu[20:at] + content, digest_size=8).digest()
        self._events.append(
            Received(
                sender,
                to,
                content,
                deliver.msg_fmt,
                bool(deliver.tp_udhi),
                self._receipt(pdu),
                msg_id + same,
            )
        )

    def _on_report(self, pdu: bytes, at: int, size: int) -> None:
        fields = _REPORT_3 if size >= 71 else _REPORT_2
        msg_id: bytes
        stat: bytes
        number: bytes
        msg_id, stat, number = fields.unpack_from(pdu, at)
        to = number.partition(b"\0")[0].decode("latin-1").rstrip(" ")
        receipt = self._receipt(pdu)
        if stat == b"DELIVRD":
            self._events.append(Reported((msg_id,), 1, Fate.DELIVERED, "DELIVRD", to, receipt))
            return
        word = stat.partition(b"\0")[0].decode("latin-1").rstrip(" ")
        fate = status.FATES.get(word, Fate.FAILED)
        self._events.append(Reported((msg_id,), 1, fate, word, to, receipt))

    def _on_login(self, pdu: bytes, now: float) -> None:
        if self.state is not State.BINDING:
            raise self._out_of_turn(Command.CONNECT_RESP)
        account = self.account
        _, answer = pdus.decode_body(account.version, Command.CONNECT_RESP, pdu)
        assert isinstance(answer, pdus.ConnectResp2 | pdus.ConnectResp3)
        if answer.status != 0:
            reason = status.connect_reason(answer.status)
            if answer.status == status.Connect.VERSION_TOO_HIGH:
                theirs = f"{answer.version >> 4}.{answer.version & 15}"
                reason += f": we said {account.version}, the gateway speaks {theirs}"
            self._refused(answer.status, reason, retry=status.worth_retrying(answer.status))
            return
        self._bound(account.version, now)
        # Gateways make this digest in many ways, so one that is wrong must not cost the bind.
        proofs = [
            digest.ismg(answer.status, self._login, account.secret, width=width) for width in (1, 4)
        ]
        if not any(compare_digest(answer.authenticator_ismg, proof) for proof in proofs):
            self._events.append(
                Malformed(
                    "connect_resp: AuthenticatorISMG does not verify; bound all the same", pdu
                )
            )
