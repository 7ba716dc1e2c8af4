"""The client's side of SMGP 3.0."""

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
from ..text import header
from . import digest, pdus, report, status
from .account import LOGIN_MODES, SmgpAccount
from .pdus import HEADER, Request, Tag
from .template import SubmitTemplate

VERSIONS = {pdus.V3: 0x30}

_ANSWER: Final = struct.Struct("!10sI")
_DELIVER_RESP: Final = struct.Struct("!III10sI")
_CONTENT_AT: Final = 81


class SmgpSession(Session):
    header = HEADER
    longest = pdus.LONGEST

    def __init__(
        self, account: SmgpAccount, limits: Limits, clock: Clock, *, first_sequence: int = 1
    ) -> None:
        """Raises EncodeError when the account's values do not fit their fields."""
        super().__init__(limits, clock, first_sequence=first_sequence)
        if account.version not in VERSIONS:
            raise EncodeError(f"version {account.version!r}: SMGP has {', '.join(VERSIONS)}")
        pdus.Login(client_id=account.client_id).encode()
        self.account = account
        self._template = SubmitTemplate(account, clock.zone)
        self._throttle_codes = account.throttle_codes
        self._login = b""

    def _bind(self, now: float) -> None:
        account = self.account
        text = stamp.login(self.clock.at(now))
        self._login = digest.client(account.client_id, account.secret, text, pad=account.md5_pad)
        login = pdus.Login(
            client_id=account.client_id,
            authenticator_client=self._login,
            login_mode=LOGIN_MODES[account.mode],
            timestamp=int(text),
            client_version=VERSIONS[account.version],
        )
        self._send(Request.LOGIN, self._next_sequence(), login.encode())

    def _probe(self, now: float) -> None:
        self._send(Request.ACTIVE_TEST, self._next_sequence())

    def _farewell(self, now: float) -> None:
        self._send(Request.EXIT, self._next_sequence())

    def _submit(self, tag: Any, part: Part, now: float) -> None:
        sequence = self._next_sequence()
        pdu = self._template.encode(part, sequence)
        self._expect(sequence, tag, now)
        self._out.append(pdu)

    def _refuse(self, head: tuple[int, ...], pdu: bytes, error: DecodeError) -> None:
        # Nothing is owed to a peer that talks before the login.
        if head[1] == Request.DELIVER and self.state in TALKING:
            result = error.status or status.Status.BAD_STRUCTURE
            answer = _DELIVER_RESP.pack(26, Request.DELIVER_RESP, head[2], pdu[12:22], result)
            self._out.append(answer)

    def _send(self, request: int, sequence: int, body: bytes = b"") -> None:
        self._out.append(HEADER.pack(HEADER.size + len(body), request, sequence) + body)

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        _, request, sequence = head
        # Most frequent first.
        if request == 0x80000002:  # SUBMIT_RESP
            self._on_answer(pdu, sequence, now)
        elif request == 0x00000003:  # DELIVER
            self._on_deliver(pdu)
        elif request == Request.ACTIVE_TEST:
            self._send(Request.ACTIVE_TEST_RESP, sequence)
        elif request == Request.ACTIVE_TEST_RESP:
            if self.state is State.BOUND:
                self._probed(now)
        elif request == Request.LOGIN_RESP:
            self._on_login(pdu, now)
        elif request == Request.EXIT:
            self._send(Request.EXIT_RESP, sequence)
            self._end("the gateway said goodbye", error=self.state is State.BINDING)
        elif request == Request.EXIT_RESP and self.state is State.CLOSING:
            self._end("closed by us", error=False)
        else:
            raise self._out_of_turn(request)

    def _out_of_turn(self, request: int) -> DecodeError:
        name = pdus.PDUS[pdus.V3].get(request, (f"request {request:#010x}",))[0]
        return DecodeError(
            f"{name} from a gateway while {self.state.value}",
            offset=4,
            status=status.Status.BAD_COMMAND,
        )

    def _on_answer(self, pdu: bytes, sequence: int, now: float) -> None:
        if len(pdu) < 26:
            pdus.SubmitResp.decode(pdu, HEADER.size)
        if self.state not in TALKING:
            raise self._out_of_turn(Request.SUBMIT_RESP)
        msg_id, result = _ANSWER.unpack_from(pdu, 12)
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
            raise self._out_of_turn(Request.DELIVER)
        if len(pdu) >= _CONTENT_AT and pdu[22] == 1:
            content = pdu[_CONTENT_AT : _CONTENT_AT + pdu[80]]
            if len(content) == pdu[80]:
                self._on_report(pdu, content)
                return
        deliver = pdus.Deliver.decode(pdu, HEADER.size)
        content = deliver.msg_content
        udh = any(raw.strip(b"\0") for tag, raw in deliver.tlv if tag == Tag.TP_UDHI)
        # Some gateways say nothing of the header that is there.
        udh = udh or header.guess(content) is not None
        # The time of receipt may change when the gateway delivers again; the rest does not. The
        # parts of one message come with one MsgID at some gateways, so it alone is no identity.
        same = blake2b(pdu[38:80] + content, digest_size=8).digest()
        self._events.append(
            Received(
                deliver.src_term_id,
                deliver.dest_term_id,
                content,
                deliver.msg_format,
                udh,
                _receipt(pdu),
                deliver.msg_id + same,
            )
        )

    def _on_report(self, pdu: bytes, content: bytes) -> None:
        to = pdu[38:59].partition(b"\0")[0].decode("latin-1").rstrip(" ")
        receipt = _receipt(pdu)
        delivered = report.delivered(content)
        if delivered is not None:
            self._events.append(Reported((delivered,), 1, Fate.DELIVERED, "DELIVRD", to, receipt))
            return
        said = report.parse(content)
        if said is None:
            raise DecodeError(
                "a report without an id, or without both stat and err", offset=_CONTENT_AT
            )
        self._events.append(Reported((said.id,), 1, said.fate, said.code, to, receipt))

    def _on_login(self, pdu: bytes, now: float) -> None:
        if self.state is not State.BINDING:
            raise self._out_of_turn(Request.LOGIN_RESP)
        answer = pdus.LoginResp.decode(pdu, HEADER.size)
        if answer.status != 0:
            reason = status.reason(answer.status)
            if answer.status == status.Status.VERSION_TOO_HIGH:
                theirs = f"{answer.server_version >> 4}.{answer.server_version & 15}"
                reason += f": we said {self.account.version}, the gateway speaks {theirs}"
            self._refused(answer.status, reason, retry=status.worth_retrying(answer.status))
            return
        self._bound(self.account.version, now)
        # Gateways make this digest in many ways, so one that is wrong must not cost the bind.
        proof = digest.server(answer.status, self._login, self.account.secret)
        if not compare_digest(answer.authenticator_server, proof):
            self._events.append(
                Malformed(
                    "login_resp: AuthenticatorServer does not verify; bound all the same", pdu
                )
            )


def _receipt(pdu: bytes) -> bytes:
    """The answer to a Deliver, with its SequenceID and MsgID, that says yes."""
    return b"\0\0\0\x1a\x80\0\0\3" + pdu[8:22] + b"\0\0\0\0"
