"""Numbers in every spelling folded to the eleven national digits.

The same function serves the recipients of jobs and the numbers that carriers return, which come
with and without 86.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final


class Refusal(Enum):
    """Why a number is none; the values are codes of the report."""

    BAD_NUMBER = "LOCAL:BAD_NUMBER"
    IOT_NUMBER = "LOCAL:IOT_NUMBER"


DIGITS: Final = 11
"""Of a national number."""
_NATIONAL: Final = re.compile(r"1[3-9][0-9]{9}")
# Machines have thirteen digits: Mobile 1440 1441 148, Unicom 140 146, Telecom 1410, and the 1064
# forms of all three. They take no texts meant for people.
_IOT = re.compile(r"(?:14(?:0|10|4[01]|6|8)|1064)[0-9]+")
_IOT_DIGITS = 13

# U+3000 is the last one that Unicode calls a space.
_SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))
_HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2015\N{MINUS SIGN}\N{SMALL HYPHEN-MINUS}－"
_DOTS = ".．·。｡"
_BRACKETS = "()[]{}<>（）［］｛｝＜＞【】〔〕「」〈〉《》"
_FOLD: dict[int, str | None] = {
    **dict.fromkeys(map(ord, _SPACES + _HYPHENS + _DOTS + _BRACKETS)),
    **{ord("０") + digit: str(digit) for digit in range(10)},
    ord("＋"): "+",
}


def normalise(raw: str) -> str | Refusal:
    """The eleven digits of `raw`, or why there are none.

    Dropped are spaces, hyphens, dots and brackets, half and full width, and +86, 0086 or 86 in
    front. Every number 1[3-9]xxxxxxxxx is accepted; whether its prefix was given out is for the
    plan to say.
    """
    if _NATIONAL.fullmatch(raw):
        return raw
    digits = raw.translate(_FOLD)
    if digits.startswith("+86"):
        digits = digits[3:]
    elif digits.startswith("0086"):
        digits = digits[4:]
    elif digits.startswith("861") and len(digits) in (13, 2 + _IOT_DIGITS):
        digits = digits[2:]
    if _NATIONAL.fullmatch(digits):
        return digits
    if len(digits) == _IOT_DIGITS and _IOT.fullmatch(digits):
        return Refusal.IOT_NUMBER
    return Refusal.BAD_NUMBER


def is_national(prefix: str) -> bool:
    """Whether a number of eleven digits that begins with these three is a national one."""
    return _NATIONAL.fullmatch(prefix.ljust(DIGITS, "0")) is not None


def is_number(folded: str) -> bool:
    """Whether this is one that a message may have gone to: gateways hide some in their reports."""
    return _NATIONAL.fullmatch(folded) is not None


def bare(raw: str) -> str:
    """A number from a carrier without the 86 that may stand in front, not looked at any closer: for
    finding it among those that messages went to.
    """
    return raw[2:] if len(raw) == DIGITS + 2 and raw.startswith("86") else raw


def folded(raw: str) -> str:
    """A number from a carrier in its one form; what is no mobile number stays as it came."""
    # Asked of every report: nearly all are spelled so, and a pattern takes five times as long.
    usual = bare(raw)
    if (
        len(usual) == DIGITS
        and usual[0] == "1"
        and usual[1] in "3456789"
        and usual.isdigit()
        and usual.isascii()
    ):
        return usual
    number = normalise(raw)
    return raw if isinstance(number, Refusal) else number
