"""What a strict gateway refuses a Submit for, and with which result (CMPP 3.0.0, 7.4.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import stamp
from ..strict import content_fault
from .pdus import V2, Submit2, Submit3
from .status import Result

NUMBER = re.compile(r"(?:\+?86)?1[0-9]{10,12}")
CODINGS = frozenset({0, 3, 4, 8, 15, 24, 25, *range(0x10, 0x18), *range(0xF0, 0x100)})
"""Msg_Fmt: those of the specification, UCS-2 with a class, and GSM 03.38's class groups."""

LONGEST_ASCII = 159
LONGEST = 140
MOST_NUMBERS = 99


@dataclass(slots=True, frozen=True)
class Rules:
    """What the gateway knows of the account; "" is not checked."""

    access_number: str = ""
    service_id: str = ""
    msg_src: str = ""


def fault(submit: Submit2 | Submit3, rules: Rules, version: str) -> tuple[int, str]:
    """The result and what is wrong; (0, "") for a flawless one."""
    return (
        _structure(submit, version)
        or _fees(submit, version)
        or _addresses(submit, rules)
        or _content(submit)
        or (0, "")
    )


def _structure(submit: Submit2 | Submit3, version: str) -> tuple[int, str] | None:
    reports = (0, 1, 2) if version == V2 else (0, 1)
    why = ""
    if submit.registered_delivery not in reports:
        why = f"registered_delivery {submit.registered_delivery}: {reports} are allowed"
    elif submit.msg_level > 9:
        why = f"msg_level {submit.msg_level}: 0 to 9 are allowed"
    elif submit.tp_udhi not in (0, 1, 64):
        why = f"tp_udhi {submit.tp_udhi}: 0, 1 and 64 are allowed"
    elif submit.msg_fmt not in CODINGS:
        why = f"msg_fmt {submit.msg_fmt} is not known"
    elif submit.valid_time and not stamp.is_absolute(submit.valid_time):
        why = f"valid_time {submit.valid_time!r} is not YYMMDDhhmmsstnnp"
    elif submit.at_time and not stamp.is_absolute(submit.at_time):
        why = f"at_time {submit.at_time!r} is not YYMMDDhhmmsstnnp"
    elif isinstance(submit, Submit3) and submit.fee_terminal_type > 1:
        why = f"fee_terminal_type {submit.fee_terminal_type}: 0 and 1 are allowed"
    elif isinstance(submit, Submit3) and submit.dest_terminal_type > 1:
        why = f"dest_terminal_type {submit.dest_terminal_type}: 0 and 1 are allowed"
    return (Result.BAD_STRUCTURE, why) if why else None


def _fees(submit: Submit2 | Submit3, version: str) -> tuple[int, str] | None:
    last = "05" if version == V2 else "03"
    if len(submit.fee_type) != 2 or not "01" <= submit.fee_type <= last:
        why = f"fee_type {submit.fee_type!r}: 01 to {last} are allowed"
        return Result.BAD_FEE_CODE, why
    if not (submit.fee_code.isdecimal() and submit.fee_code.isascii()):
        return Result.BAD_FEE_CODE, f"fee_code {submit.fee_code!r} is not a price in fen"
    if submit.fee_user_type > 3:
        why = f"fee_user_type {submit.fee_user_type}: 0 to 3 are allowed"
        return Result.BAD_STRUCTURE, why
    if submit.fee_user_type == 3:
        if not submit.fee_terminal_id:
            return Result.BAD_FEE_TERMINAL_ID, "fee_user_type 3 without a fee_terminal_id"
    elif submit.fee_terminal_id:
        why = f"a fee_terminal_id with fee_user_type {submit.fee_user_type}"
        return Result.BAD_FEE_TERMINAL_ID, why
    return None


def _addresses(submit: Submit2 | Submit3, rules: Rules) -> tuple[int, str] | None:
    if rules.service_id and submit.service_id != rules.service_id:
        return Result.BAD_SERVICE_ID, f"service_id {submit.service_id!r}"
    if rules.msg_src and submit.msg_src != rules.msg_src:
        return Result.BAD_MSG_SRC, f"msg_src {submit.msg_src!r}, logged in is {rules.msg_src!r}"
    source = submit.src_id
    if not (source.isdecimal() and source.isascii() and source.startswith(rules.access_number)):
        why = f"src_id {source!r} is no number that begins with {rules.access_number!r}"
        return Result.BAD_SRC_ID, why
    numbers = submit.dest_terminal_id
    if not 1 <= len(numbers) <= MOST_NUMBERS:
        why = f"{len(numbers)} numbers: 1 to {MOST_NUMBERS} are allowed"
        return Result.BAD_DEST_TERMINAL_ID, why
    for number in numbers:
        if NUMBER.fullmatch(number) is None:
            return Result.BAD_DEST_TERMINAL_ID, f"dest_terminal_id {number!r}"
    return None


def _content(submit: Submit2 | Submit3) -> tuple[int, str] | None:
    content = submit.msg_content
    longest = LONGEST_ASCII if submit.msg_fmt == 0 else LONGEST
    if not content:
        return Result.BAD_LENGTH, "no content"
    if len(content) > longest:
        return Result.TOO_LONG, f"{len(content)} octets of msg_fmt {submit.msg_fmt}"
    why = content_fault(
        content,
        submit.msg_fmt,
        udh=submit.tp_udhi != 0,
        number=submit.pk_number,
        total=submit.pk_total,
    )
    return (Result.BAD_STRUCTURE, why) if why else None
