"""Why a record is no job: the field, and what is wrong and what is allowed.

`jobs` decodes sound records with a compiled decoder whose messages are for programmers.
What that refuses is read here again, field by field and in no hurry.  The texts never repeat
what the record says: it may be a number or somebody's message.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NoReturn

import msgpack

LONGEST_ID = 64
MOST_RECIPIENTS = 1000
LONGEST_TEXT = 2000
SIGNATURE = (2, 20)
LONGEST_META = 4096
"""Octets of `meta` as compact JSON in UTF-8, which is how it comes back."""
DEEPEST_META = 100
"""Brackets within brackets: more than anyone writes, less than any reader of JSON gives up at."""
FARTHEST = 7 * 86400.0
"""`not_before` is at most this many seconds ahead."""
PRIORITIES = ("urgent", "normal", "bulk")
POLICIES = ("resend", "wait")
RECORD = "record"
"""`JobError.field` when the fault is in no field."""

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII
)
_SURROGATE = re.compile("[\ud800-\udfff]")


class JobError(Exception):
    """A record that is no job; what the dead topic says of it."""

    def __init__(self, field: str, error: str) -> None:
        super().__init__(f"{field}: {error}")
        self.field = field
        self.error = error


def moment(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time with an offset.  Raises ValueError.

    A leap second, which section 5.6 admits at the end of a UTC day, is the second after it.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError("not RFC 3339")
    day, minute, second, fraction, offset = found.groups()
    leap = second == "60"
    at = datetime.fromisoformat(
        f"{day}T{minute}:{'59' if leap else second}{fraction or ''}{offset.upper()}"
    )
    if not leap:
        return at.timestamp()
    end = datetime.fromtimestamp(at.timestamp(), tz=at.tzinfo) - (at.utcoffset() or timedelta())
    if (end.hour, end.minute) != (23, 59):
        raise ValueError("no leap second is due then")
    return at.timestamp() + 1.0


def explain(value: bytes, packed: bool) -> JobError:
    """Names what is wrong with a record that was refused; `packed` says that it is msgpack."""
    try:
        record = _unpacked(value) if packed else _parsed(value)
    except RecursionError:
        return JobError(RECORD, "is nested too deeply, allowed is one flat object")
    except (ValueError, TypeError) as exc:
        kind = "msgpack" if packed else "JSON"
        return JobError(RECORD, f"is not {kind} ({_why(exc)}), allowed is one {kind} object")
    if not isinstance(record, dict):
        return JobError(RECORD, f"is {_kind(record)}, allowed is an object")
    for field, check in FIELDS.items():
        if field not in record:
            if field in ("id", "to", "text"):
                return JobError(field, "is missing, allowed is a " + _ALLOWED[field])
            continue
        wrong = check(record[field])
        if wrong is not None:
            return JobError(field, wrong)
    for key in record:
        if not isinstance(key, str):
            return JobError(RECORD, f"has {_kind(key)} as a field name, allowed are strings")
        if key not in FIELDS:
            return JobError(_printable(key), f"is unknown, allowed are {', '.join(FIELDS)}")
    return JobError(RECORD, "is not a job record, allowed are the fields " + ", ".join(FIELDS))


def _parsed(value: bytes) -> Any:
    # Octets that are not UTF-8 become surrogates, so that the field they are in can be named.
    return json.loads(value.decode("utf-8", "surrogateescape"), parse_constant=_no_constant)


def _unpacked(value: bytes) -> Any:
    try:
        return msgpack.unpackb(
            value, raw=False, strict_map_key=False, unicode_errors="surrogateescape"
        )
    except msgpack.exceptions.UnpackException as exc:
        raise ValueError(str(exc)) from exc


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _why(exc: Exception) -> str:
    """The parser's own words and place, without what it may quote of the record."""
    if isinstance(exc, json.JSONDecodeError):
        return f"{exc.msg} at character {exc.pos}"
    return _printable(str(exc)) if type(exc) is ValueError else "unreadable"


def _kind(value: object) -> str:
    for kind, name in (
        (bool, "a boolean"),
        (int | float, "a number"),
        (str, "a string"),
        (dict, "an object"),
        (list, "an array"),
        (bytes, "octets"),
    ):
        if isinstance(value, kind):
            return name
    return "null" if value is None else "an extension of msgpack"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:64])


Check = Callable[[Any], str | None]

_ALLOWED = {
    "id": f"string of 1 to {LONGEST_ID} characters",
    "to": f"string, or an array of 1 to {MOST_RECIPIENTS} strings",
    "text": f"string of 1 to {LONGEST_TEXT} characters",
}


def _string(least: int = 0, most: int | None = None) -> Check:
    allowed = "a string" if most is None else f"a string of {least} to {most} characters"

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return f"is {_kind(value)}, allowed is {allowed}"
        if _SURROGATE.search(value):
            return "has a lone surrogate or is not UTF-8, allowed is Unicode"
        if len(value) < least or (most is not None and len(value) > most):
            return f"has {len(value)} characters, allowed is {allowed}"
        return None

    return check


def _to(value: Any) -> str | None:
    allowed = f"allowed is a {_ALLOWED['to']}"
    if isinstance(value, str):
        return _string()(value) or (None if value else f"is empty, {allowed}")
    if not isinstance(value, list):
        return f"is {_kind(value)}, {allowed}"
    if not 1 <= len(value) <= MOST_RECIPIENTS:
        return f"has {len(value)} elements, {allowed}"
    for at, one in enumerate(value):
        wrong = _string()(one)
        if wrong is not None:
            return f"element {at} {wrong}"
    return None


def _ext(value: Any) -> str | None:
    wrong = _string()(value)
    if wrong is None and not is_digits(value):
        return "has characters that are no digits, allowed are the digits 0 to 9"
    return wrong


def is_digits(text: str) -> bool:
    """Whether these are ASCII digits; none at all will do."""
    return not text or (text.isascii() and text.isdigit())


def _one_of(choices: Iterable[str]) -> Check:
    allowed = " or ".join(f'"{choice}"' for choice in choices)

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return f"is {_kind(value)}, allowed is {allowed}"
        return None if value in choices else f"is something else, allowed is {allowed}"

    return check


def _time(value: Any) -> str | None:
    wrong = _string()(value)
    if wrong is not None:
        return wrong
    try:
        moment(value)
    except ValueError:
        return NO_MOMENT
    return None


NO_MOMENT = (
    "is no time with an offset, allowed is RFC 3339 such as 2026-11-22T08:00:00+08:00 or ...00Z"
)
TOO_FAR = f"is more than 7 days ahead, allowed is at most {FARTHEST:.0f} seconds from now"


def _bool(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"is {_kind(value)}, allowed is true or false"


def meta_fault(value: Any) -> str | None:
    """What keeps a decoded `meta` from coming back as JSON, or None."""
    if not isinstance(value, dict):
        return f"is {_kind(value)}, allowed is an object"
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if depth > DEEPEST_META:
            return f"is nested too deeply, allowed are {DEEPEST_META} levels"
        inside: Iterable[Any] = ()
        if isinstance(one, dict):
            if not all(isinstance(key, str) for key in one):
                return "has a key that is no string, allowed is what JSON can say"
            if any(_SURROGATE.search(key) for key in one):
                return "has a lone surrogate or is not UTF-8, allowed is Unicode"
            inside = one.values()
        elif isinstance(one, list):
            inside = one
        elif isinstance(one, str):
            if _SURROGATE.search(one):
                return "has a lone surrogate or is not UTF-8, allowed is Unicode"
        elif isinstance(one, float):
            if not math.isfinite(one):
                return "has a number beyond range, allowed is what JSON can say"
        elif one is not None and not isinstance(one, int):
            return f"has {_kind(one)} in it, allowed is what JSON can say"
        waiting.extend((deeper, depth + 1) for deeper in inside)
    return None


FIELDS: dict[str, Check] = {
    "id": _string(1, LONGEST_ID),
    "to": _to,
    "text": _string(1, LONGEST_TEXT),
    "signature": _string(*SIGNATURE),
    "tenant": _string(),
    "ext": _ext,
    "priority": _one_of(PRIORITIES),
    "not_before": _time,
    "expires_at": _time,
    "report": _bool,
    "account": _string(),
    "on_uncertain": _one_of(POLICIES),
    "meta": meta_fault,
}
"""Every field of a job, in the contract's order, and what is wrong with a value of it."""
