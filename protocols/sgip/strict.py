"""What a strict gateway of Unicom's finds wrong with a Submit (SGIP 1.2 section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

from .. import stamp
from ..part import Coding
from ..strict import text_fault
from ..text import header
from . import pdus, status

CODINGS = frozenset({0, 3, 4, 8, 15})


@dataclass(slots=True, frozen=True)
class Rules:
    """What the gateway knows of the account; "" is not checked.

    `udhi` is the value that it wants in TP_udhi before a user data header.
    """

    access_number: str = ""
    service_id: str = ""
    corp_id: str = ""
    udhi: int = 1


def submit_fault(submit: pdus.Submit, head: header.Header | None, rules: Rules) -> tuple[int, str]:
    """Result and reason, 0 when nothing is wrong; `head` is the content's user data header."""
    found = _foreign(submit, rules) or _wrong_field(submit)
    if found is not None:
        return found
    if submit.tp_udhi not in (0, rules.udhi):
        return status.BAD_UDHI, f"tp_udhi {submit.tp_udhi}, 0 or {rules.udhi} is allowed"
    content, coding = submit.message_content, submit.message_coding
    # 160 characters of seven bits fill the 140 octets on the air; a header of six takes seven.
    seven_bits = 159 if submit.tp_udhi else 160
    most = seven_bits if coding == Coding.ASCII else 140
    if not 1 <= len(content) <= most:
        return status.BAD_LENGTH, f"message_length {len(content)}, 1 to {most} is allowed"
    if submit.tp_udhi and head is None:
        return status.BAD_UDHI, f"the user data header {content[:7].hex()} does not add up"
    why = text_fault(content if head is None else head.rest, coding)
    return (status.BAD_PARAMETER, why) if why else (0, "")


def _foreign(submit: pdus.Submit, rules: Rules) -> tuple[int, str] | None:
    """What is not the account's own."""
    if not submit.sp_number.startswith(rules.access_number):
        return status.SP_NUMBER, f"sp_number {submit.sp_number!r}, {rules.access_number}… allowed"
    if rules.corp_id and submit.corp_id != rules.corp_id:
        return status.CORP_ID, f"corp_id {submit.corp_id!r}, {rules.corp_id!r} is allowed"
    if rules.service_id and submit.service_type != rules.service_id:
        wrong = submit.service_type
        return status.SERVICE_CODE, f"service_type {wrong!r}, {rules.service_id!r} is allowed"
    return None


def _wrong_field(submit: pdus.Submit) -> tuple[int, str] | None:
    """Result and reason for the first field that section 5.2 does not allow."""
    if not submit.sp_number.isdecimal():
        return status.BAD_PARAMETER, f"sp_number {submit.sp_number!r}, digits are allowed"
    charge = submit.charge_number
    if charge and set(charge) != {"0"} and not _is_number(charge):
        return status.CHARGE_NUMBER, f"charge_number {charge!r}, 21 zeros or 86 and the number"
    count = len(submit.user_number)
    if not 1 <= count <= 100:
        return status.BAD_PARAMETER, f"user_count {count}, 1 to 100 is allowed"
    for number in submit.user_number:
        if not _is_number(number):
            return status.ILLEGAL_NUMBER, f"user_number {number!r}, 86 and 11 digits are allowed"
    if not submit.corp_id.isdecimal():
        return status.BAD_PARAMETER, f"corp_id {submit.corp_id!r}, digits are allowed"
    for name, most in (
        ("fee_type", 4),
        ("agent_flag", 1),
        ("morelate_to_mt_flag", 3),
        ("priority", 9),
        ("report_flag", 3),
        ("message_type", 0),
    ):
        value = getattr(submit, name)
        if value > most:
            return status.BAD_PARAMETER, f"{name} {value}, 0 to {most} is allowed"
    for name in ("fee_value", "given_value"):
        value = getattr(submit, name)
        if value and not (value.isdecimal() and int(value) <= 99999):
            return status.BAD_PARAMETER, f"{name} {value!r}, 0 to 99999 is allowed"
    for name in ("expire_time", "schedule_time"):
        value = getattr(submit, name)
        if value and not stamp.is_absolute(value):
            return status.BAD_PARAMETER, f"{name} {value!r}, yymmddhhmmsstnnp is allowed"
    if submit.message_coding not in CODINGS:
        allowed = ", ".join(map(str, sorted(CODINGS)))
        return status.BAD_PARAMETER, f"message_coding {submit.message_coding}, {allowed} allowed"
    return None


def _is_number(number: str) -> bool:
    return len(number) == 13 and number.startswith("861") and number.isdecimal()
