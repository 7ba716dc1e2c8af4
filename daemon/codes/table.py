"""The status code table as rows.

A row says what one code, or every code that a pattern matches, means at one stage of one protocol:

    carrier    one of the four, or `any`
    protocol   `cmpp` `sgip` `smgp` `smpp`, several joined by `|`, or `any`; `platform` for codes of
               aggregators, `local` for the daemon's own
    stage      `submit` (answers), `report`, `bind` (login answers), `local`
    code       as `keys` spells it; `re:` begins a regular expression for the whole of it
    cause      one of CAUSES
    retryable  `y` or `n`: whether a submit that was answered so may go again
    fault      `subscriber` `sender` `carrier`, or `-`
    zh, en     the meaning
    source, confidence   where the row comes from, for people

A file of the operator's own has the same columns in any order under a header line; only `code`
and `cause` are required.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

CAUSES = (
    "delivered",
    "absent",
    "unknown_number",
    "suspended",
    "blacklist",
    "content",
    "flow",
    "signature",
    "route",
    "memory",
    "handset",
    "sender",
    "unknown",
)

_ALLOWED: dict[str, tuple[str, ...]] = {
    "carrier": ("any", "mobile", "unicom", "telecom", "broadnet"),
    "protocol": ("any", "cmpp", "sgip", "smgp", "smpp", "platform", "local"),
    "stage": ("report", "submit", "bind", "local"),
    "cause": CAUSES,
    "retryable": ("n", "y"),
    "fault": ("-", "subscriber", "sender", "carrier"),
}
_FREE = ("code", "zh", "en", "source", "confidence")
_REQUIRED = ("code", "cause")
_PATTERN = "re:"


class CodesError(ValueError):
    """A row cannot be read; the message has file, line, column, and what is allowed."""


class Meaning(NamedTuple):
    """What a code says. `retryable` matters for answers to a submit only."""

    cause: str
    retryable: bool
    fault: str
    zh: str
    en: str


@dataclass(slots=True)
class Row:
    carrier: str
    protocols: frozenset[str]
    stage: str
    code: str
    pattern: re.Pattern[str] | None
    meaning: Meaning
    override: bool

    def matches(self, key: str) -> bool:
        if self.pattern is None:
            return self.code == key
        return self.pattern.fullmatch(key) is not None


def rows(path: Path, *, override: bool = False) -> Iterator[Row]:
    """Raises CodesError and OSError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as exc:
        raise CodesError(f"{path}: not UTF-8: {exc}") from exc
    columns: list[str] | None = None
    for at, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if columns is None:
            columns = _header(fields, f"{path}:{at}")
            continue
        if len(fields) > len(columns):
            raise CodesError(
                f"{path}:{at}: {len(fields)} fields, the header names {len(columns)} columns"
            )
        yield _row(dict(zip(columns, fields, strict=False)), f"{path}:{at}", override)


def _header(fields: list[str], where: str) -> list[str]:
    known = (*_ALLOWED, *_FREE)
    for name in fields:
        if name not in known:
            raise CodesError(f"{where}: {name!r} is no column, allowed are {', '.join(known)}")
    for name in _REQUIRED:
        if name not in fields:
            raise CodesError(f"{where}: the header lacks the column {name}")
    return fields


def _row(fields: dict[str, str], where: str, override: bool) -> Row:
    for name, allowed in _ALLOWED.items():
        value = fields.setdefault(name, "" if name in _REQUIRED else allowed[0])
        for one in value.split("|") if name == "protocol" else [value]:
            if one not in allowed:
                raise CodesError(f"{where}: {name}: {one!r} is not one of {', '.join(allowed)}")
    code = fields.get("code", "")
    pattern = None
    if code.startswith(_PATTERN):
        try:
            pattern = re.compile(code.removeprefix(_PATTERN))
        except re.error as exc:
            raise CodesError(f"{where}: code: {code!r} is no regular expression: {exc}") from exc
    elif not code:
        raise CodesError(f"{where}: code: is empty, a code or re: and an expression is wanted")
    return Row(
        carrier=fields["carrier"],
        protocols=frozenset(fields["protocol"].split("|")),
        stage=fields["stage"],
        code=code,
        pattern=pattern,
        meaning=Meaning(
            cause=fields["cause"],
            retryable=fields["retryable"] == "y",
            fault=fields["fault"],
            zh=fields.get("zh", ""),
            en=fields.get("en", ""),
        ),
        override=override,
    )
