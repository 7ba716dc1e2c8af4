"""What a strict gateway refuses a Submit for, and with which status (SMGP 3.0.3, 6.2.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import stamp
from ..strict import content_fault
from ..text import header
from .pdus import MOST_NUMBERS, Submit, Tag
from .status import Status

NUMBER = re.compile(r"(?:\+?86)?(?:1[0-9]{10,12}|0[0-9]{9,11})")
"""Mobile numbers, and fixed lines by area code."""
CODINGS = frozenset({0, 3, 4, 8, 15, 246})
LONGEST = 140


@dataclass(slots=True, frozen=True)
class Rules:
    """What the gateway knows of the account; "" is not checked."""

    access_number: str = ""
    service_id: str = ""
    msg_src: str = ""


def fault(submit: Submit, rules: Rules) -> tuple[int, str]:
    """The status and what is wrong; (0, "") for a flawless one."""
    return (
        _structure(submit)
        or _fees(submit)
        or _addresses(submit, rules)
        or _content(submit)
        or (0, "")
    )


def octet(submit: Submit, tag: int, default: int) -> int:
    """The value of a parameter of one octet."""
    for found, raw in submit.tlv:
        if found == tag and raw:
            return raw[0]
    return default


def place(submit: Submit) -> tuple[int, int]:
    """Which part this is, and of how many.

    SMSGate's client writes PkTotal into PkNumber, whichever part it is; gateways let it pass and
    go by the user data header.
    """
    number, total = octet(submit, Tag.PK_NUMBER, 1), octet(submit, Tag.PK_TOTAL, 1)
    if number == total > 1 and octet(submit, Tag.TP_UDHI, 0):
        head = header.read(submit.msg_content)
        if head is not None and head.total == total:
            return head.number, total
    return number, total


def _structure(submit: Submit) -> tuple[int, str] | None:
    if submit.msg_type != 6:
        return Status.BAD_MSG_TYPE, f"msg_type {submit.msg_type}: 6 is allowed"
    if submit.need_report > 1:
        why = f"need_report {submit.need_report}: 0 and 1 are allowed"
        return Status.BAD_STRUCTURE, why
    if submit.priority > 3:
        return Status.BAD_PRIORITY, f"priority {submit.priority}: 0 to 3 are allowed"
    if submit.msg_format not in CODINGS:
        return Status.BAD_MSG_FORMAT, f"msg_format {submit.msg_format} is not known"
    if submit.valid_time and not stamp.is_absolute(submit.valid_time):
        why = f"valid_time {submit.valid_time!r} is not YYMMDDhhmmsstnnp"
        return Status.BAD_VALID_TIME, why
    if submit.at_time and not stamp.is_absolute(submit.at_time):
        return Status.BAD_AT_TIME, f"at_time {submit.at_time!r} is not YYMMDDhhmmsstnnp"
    return None


def _fees(submit: Submit) -> tuple[int, str] | None:
    if submit.fee_type not in ("00", "01", "02", "03"):
        return Status.BAD_FEE_TYPE, f"fee_type {submit.fee_type!r}: 00 to 03 are allowed"
    for value, name, status in (
        (submit.fee_code, "fee_code", Status.BAD_FEE_CODE),
        (submit.fixed_fee, "fixed_fee", Status.BAD_FIXED_FEE),
    ):
        if not (value.isdecimal() and value.isascii()):
            return status, f"{name} {value!r} is not a price in fen"
    if submit.charge_term_id and NUMBER.fullmatch(submit.charge_term_id) is None:
        return Status.BAD_CHARGE_TERM_ID, f"charge_term_id {submit.charge_term_id!r}"
    return None


def _addresses(submit: Submit, rules: Rules) -> tuple[int, str] | None:
    if rules.service_id and submit.service_id != rules.service_id:
        return Status.BAD_SERVICE_ID, f"service_id {submit.service_id!r}"
    for tag, raw in submit.tlv:
        said = raw.rstrip(b"\0").decode("latin-1")
        if tag == Tag.MSG_SRC and rules.msg_src and said != rules.msg_src:
            return Status.BAD_SP_CODE, f"MsgSrc {said!r}"
    source = submit.src_term_id
    if not (source.isdecimal() and source.isascii() and source.startswith(rules.access_number)):
        why = f"src_term_id {source!r} is no number that begins with {rules.access_number!r}"
        return Status.BAD_SRC_TERM_ID, why
    numbers = submit.dest_term_id
    if not 1 <= len(numbers) <= MOST_NUMBERS:
        why = f"{len(numbers)} numbers: 1 to {MOST_NUMBERS} are allowed"
        return Status.BAD_DEST_TERM_ID, why
    for number in numbers:
        if NUMBER.fullmatch(number) is None:
            return Status.BAD_DEST_TERM_ID, f"dest_term_id {number!r}"
    return None


def _content(submit: Submit) -> tuple[int, str] | None:
    content = submit.msg_content
    if not 1 <= len(content) <= LONGEST:
        return Status.BAD_LENGTH, f"{len(content)} octets: 1 to {LONGEST} are allowed"
    number, total = place(submit)
    why = content_fault(
        content,
        submit.msg_format,
        udh=octet(submit, Tag.TP_UDHI, 0) != 0,
        number=number,
        total=total,
    )
    return (Status.BAD_STRUCTURE, why) if why else None
