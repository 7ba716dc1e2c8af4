"""The SP's own SGIP connection: we dial, log in with type 1 and submit.

Reports and inbound messages come on a connection of the carrier's (`listener.py`); a carrier that
sends them on this one is understood as well.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from .. import stamp
from ..errors import EncodeError
from ..events import Accepted, Event, Rejected
from ..part import Part, width
from ..session import TALKING, Clock, Limits, State
from . import inbound, pdus, status
from .account import SgipAccount
from .frames import Counter, SgipFrames, result_of

LONGEST_CONTENT: Final = 160
"""Octets; MessageLength could say more, a short message cannot."""
LONGEST_SUBMIT: Final = 2048
"""Octets of a packet (section 3.1)."""

# One subscriber's Submit, header included, up to its content: the fields of pdus.Submit.
SUBMIT: Final = struct.Struct("!II12s21s21sB21s5s10sB6s6sBBB16s16sBBBBBI")
NUMBERS_END: Final = 84
"""Where further numbers of a list follow the first."""
LONGEST_NUMBER: Final = 19
"""Digits behind 86."""


class SgipSession(SgipFrames):
    """All sessions of an account take their sequence numbers from one `counter`.

    Raises EncodeError when something of the account does not fit its field.
    """

    def __init__(
        self, account: SgipAccount, limits: Limits, clock: Clock, *, counter: Counter
    ) -> None:
        super().__init__(limits, clock, node=account.node_id, counter=counter)
        self.account = account
        self._throttled = account.throttle_codes
        self._login = pdus.Bind(
            login_type=1, login_name=account.login, login_password=account.secret
        ).encode()
        # Every field is checked by its declaration here, so that a submit need not.
        self._constants(account)

    def _constants(self, account: SgipAccount) -> None:
        body = pdus.Submit(
            charge_number=account.charge_number,
            user_number=("86",),
            corp_id=account.corp_id,
            service_type=account.service_id,
            fee_type=account.fee_type,
            fee_value=account.fee_value,
            given_value=account.given_value,
            morelate_to_mt_flag=account.mt_flag,
            tp_udhi=account.udhi,
        ).encode()
        fields = SUBMIT.unpack_from(bytes(20) + body)
        self._charge = fields[4]
        self._fees: tuple[Any, ...] = fields[7:15]

    def lost(self, reason: str) -> list[Event]:
        """A gateway may hang up on an idle connection, with Unbind or without (section 3.1)."""
        if self.state is State.BOUND and not self._window:
            self._end(reason, error=False)
        return super().lost(reason)

    def _bind(self, now: float) -> None:
        self._send(pdus.BIND, self._sequences.take(now), self._login)

    def _probe(self, now: float) -> None:
        raise AssertionError("SGIP has no keepalive, and the limit for it is never set")

    def _submit(self, tag: Any, part: Part, now: float) -> bytes:
        content = part.content
        if len(content) > LONGEST_CONTENT:
            raise EncodeError(
                f"Submit.message_content: {len(content)} octets, at most {LONGEST_CONTENT} allowed"
            )
        if part.total > 1 and not part.udh:
            raise EncodeError(
                "Submit.message_content: one of several parts needs a user data header"
            )
        expire = b""
        if part.expires_at is not None:
            expire = stamp.absolute(part.expires_at, self.clock.zone).encode()
        sender = _digits("sp_number", part.sender)
        to = b"86" + _digits("user_number", part.to, most=LONGEST_NUMBER)
        others = _numbers(part.also) if part.also else b""
        size = SUBMIT.size + len(others) + len(content) + 8
        if size > LONGEST_SUBMIT:
            raise EncodeError(
                f"Submit.user_number: {1 + len(part.also)} numbers make {size} octets, at most"
                f" {LONGEST_SUBMIT} are allowed"
            )
        sequence = self._sequences.take(now)
        pdu = SUBMIT.pack(
            size,
            pdus.SUBMIT,
            sequence,
            sender,
            self._charge,
            1 + len(part.also),
            to,
            *self._fees,
            expire,
            b"",
            1 if part.wants_report else 2,
            0,
            self.account.udhi if part.udh else 0,
            part.coding,
            0,
            len(content),
        )
        self._expect(sequence, tag, now)
        if others:
            pdu = pdu[:NUMBERS_END] + others + pdu[NUMBERS_END:]
        self._out.append(pdu + content + bytes(8))
        return sequence

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        command = head[1]
        live = self.state in TALKING
        # Most frequent first.
        if command == pdus.SUBMIT_RESP and live:
            result = result_of(pdu)
            sequence = pdu[8:20]
            tag = self._answered(sequence, now)
            if tag is None:
                return
            if result == 0:
                self._emit(Accepted(tag, sequence))
            else:
                self._emit(Rejected(tag, result, str(result), result in self._throttled))
        elif live and command in inbound.COMMANDS:
            event = inbound.read(command, pdu)
            if command == pdus.USERRPT:
                self._result(command, pdu[8:20], 0)
            self._emit(event)
        elif command == pdus.BIND_RESP and self.state is State.BINDING:
            result = pdu[20] if len(pdu) > 20 else status.BAD_LENGTH
            if result == 0:
                self._bound("1.2", now, self.account.login)
            else:
                retry = result not in status.HOPELESS_LOGINS
                self._refused(result, status.meaning(result), retry=retry)
        else:
            self._on_parting(command, pdu[8:20])


def _numbers(also: tuple[str, ...]) -> bytes:
    """The further numbers of a list, each in the room of one."""
    length, all_ = width(also), "".join(also)
    if 0 < length <= LONGEST_NUMBER and all_.isascii() and all_.isdigit():
        rest = "\0" * (LONGEST_NUMBER - length)
        return f"86{f'{rest}86'.join(also)}{rest}".encode()
    numbers = [b"86" + _digits("user_number", number, most=LONGEST_NUMBER) for number in also]
    return b"".join([number.ljust(2 + LONGEST_NUMBER, b"\0") for number in numbers])


def _digits(name: str, value: str, most: int = 21) -> bytes:
    raw = value.encode("ascii", "replace")
    if not raw.isdigit() or len(raw) > most:
        raise EncodeError(f"Submit.{name}: {value!r}, 1 to {most} digits are allowed")
    return raw
