"""Times as they stand on the wire."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from .errors import EncodeError

QUARTER = timedelta(minutes=15)


@lru_cache(maxsize=256)
def _absolute(at: int, zone: tzinfo) -> str:
    try:
        moment = datetime.fromtimestamp(at, zone)
    except (OverflowError, ValueError, OSError) as exc:
        raise EncodeError(f"a time of {at} s since 1970 cannot be written: {exc}") from exc
    offset = moment.utcoffset() or timedelta()
    return (
        f"{moment:%y%m%d%H%M%S}0{abs(offset) // QUARTER:02}{'-' if offset < timedelta() else '+'}"
    )


def absolute(at: float, zone: tzinfo) -> str:
    """The 16 characters YYMMDDhhmmsstnnp of SMPP 3.4 section 7.1.1, which all four protocols use.

    `at` is in seconds since 1970 and loses its fraction; nn is `zone`'s distance from UTC in
    quarters of an hour. Raises EncodeError for a year that a calendar does not have.
    """
    return _absolute(int(at), zone)


def is_absolute(text: str) -> bool:
    """Whether `text` is one: digits, a sign, and a date that exists."""
    return len(text) == 16 and _is_absolute(text)


@lru_cache(maxsize=256)
def _is_absolute(text: str) -> bool:
    if not text[:15].isdecimal() or not text.isascii() or text[15] not in "+-":
        return False
    try:
        datetime.strptime(text[:12], "%y%m%d%H%M%S")
    except ValueError:
        return False
    return int(text[13:15]) <= 48


def login(moment: datetime) -> str:
    """MMDDhhmmss, always ten digits: what login digests are made over."""
    return f"{moment:%m%d%H%M%S}"


def is_login(text: str) -> bool:
    """Whether `text` is one: a date and time that exist in some year."""
    try:
        datetime.strptime("2000" + text, "%Y%m%d%H%M%S")  # a leap year
    except ValueError:
        return False
    return len(text) == 10


@lru_cache(maxsize=256)
def _minutes(minute: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(minute * 60, zone):%y%m%d%H%M}"


def minutes(at: float, zone: tzinfo) -> str:
    """YYMMDDhhmm, as reports give their times; `at` is in seconds since 1970."""
    return _minutes(int(at // 60), zone)
