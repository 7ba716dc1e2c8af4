"""Submit, with all that never changes packed beforehand.

The declared body is what counts: `spell` makes it, and `encode` gives the same octets in a fifth
of the time. Lists, and anything that does not fit, are left to the body, which says what and why.
"""

from __future__ import annotations

import struct
from datetime import tzinfo
from typing import Final

from .. import stamp
from ..errors import EncodeError
from ..part import Part
from ..wire import Tlv
from . import pdus
from .account import SmgpAccount
from .pdus import Tag

SUBMIT: Final = int(pdus.Request.SUBMIT)
_FIXED: Final = struct.Struct("!IIIBB25sB17s17x21s21xB21sB")
_JOINED: Final = struct.Struct("!HHBHHBHHB")
_RESERVE: Final = bytes(8)
MOST_NUMBERS: Final = 100
"""DestTermIDCount (section 6.2.19)."""


class SubmitTemplate:
    """Raises EncodeError when the account's own fields do not fit."""

    __slots__ = ("account", "middle", "tail", "udhi", "zone")

    def __init__(self, account: SmgpAccount, zone: tzinfo) -> None:
        self.account, self.zone, self.udhi = account, zone, account.udhi
        raw = self.spell(Part(to="", sender="", content=b"")).encode()
        # From Priority to FixedFee, and the parameters that every part has.
        self.middle = raw[2:27]
        self.tail = raw[135:]

    def spell(self, part: Part) -> pdus.Submit:
        account = self.account
        if part.payload or (part.total > 1 and not part.udh):
            raise EncodeError("SMGP joins parts by a user data header and in no other way")
        if len(part.also) >= MOST_NUMBERS:
            raise EncodeError(f"{1 + len(part.also)} numbers, SMGP has at most {MOST_NUMBERS}")
        tlv: list[Tlv] = []
        if part.udh:
            tlv.append((Tag.TP_UDHI, _octet("udhi", account.udhi)))
            tlv.append((Tag.PK_TOTAL, _octet("PkTotal", part.total)))
            tlv.append((Tag.PK_NUMBER, _octet("PkNumber", part.number)))
        if account.msg_src:
            tlv.append((Tag.MSG_SRC, _text("msg_src", account.msg_src, 8)))
        if account.m_service_id:
            tlv.append((Tag.M_SERVICE_ID, _text("m_service_id", account.m_service_id, 21)))
        return pdus.Submit(
            need_report=int(part.wants_report),
            priority=account.priority,
            service_id=account.service_id,
            fee_type=account.fee_type,
            fee_code=account.fee_code,
            fixed_fee=account.fixed_fee,
            msg_format=part.coding,
            valid_time=self._valid_time(part),
            src_term_id=part.sender,
            dest_term_id=(part.to, *part.also),
            msg_content=part.content,
            tlv=tuple(tlv),
        )

    def encode(self, part: Part, sequence: int) -> bytes:
        """The whole PDU.  Raises EncodeError naming the field."""
        content, udh = part.content, part.udh
        if part.also:
            body = self.spell(part).encode()
            size = pdus.HEADER.size + len(body)
            return pdus.HEADER.pack(size, pdus.Request.SUBMIT, sequence) + body
        try:
            to, sender = part.to.encode("latin-1"), part.sender.encode("latin-1")
            if len(to) > 21 or len(sender) > 21 or part.payload or (part.total > 1 and not udh):
                raise ValueError
            tail = self.tail
            if udh:
                tail = _JOINED.pack(2, 1, self.udhi, 9, 1, part.total, 10, 1, part.number) + tail
            size = len(content)
            valid = b"" if part.expires_at is None else self._valid_time(part).encode()
            return (
                _FIXED.pack(
                    _FIXED.size + size + 8 + len(tail),
                    SUBMIT,
                    sequence,
                    6,
                    part.wants_report,
                    self.middle,
                    part.coding,
                    valid,
                    sender,
                    1,
                    to,
                    size,
                )
                + content
                + _RESERVE
                + tail
            )
        except (ValueError, struct.error) as exc:
            self.spell(part).encode()
            raise EncodeError(f"a part that does not fit an SMGP Submit: {exc}") from exc

    def _valid_time(self, part: Part) -> str:
        return "" if part.expires_at is None else stamp.absolute(part.expires_at, self.zone)


def _octet(name: str, value: int) -> bytes:
    if not 0 <= value <= 255:
        raise EncodeError(f"{name} {value}: 0 to 255 is allowed")
    return bytes((value,))


def _text(name: str, value: str, size: int) -> bytes:
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise EncodeError(f"{name} {value!r}: {exc}") from exc
    if len(raw) > size:
        raise EncodeError(f"{name} {value!r} is longer than {size} octets")
    return raw.ljust(size, b"\0")
