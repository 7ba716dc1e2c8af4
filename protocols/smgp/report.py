"""Status reports as SMGP has them: binary ids inside text (SMGP 3.0.3, section 6.2.3.2).

    id:<10 octets> sub:001 dlvrd:001 submit date:2611221015 done date:2611221016
    stat:DELIVRD err:000 text:026Hello, your code

is one line of 122 octets. Gateways write `Submit date` and `Text`, or `submit_date`, `done_date`
and `txt` with no space after the id, leave the end out, or write the id as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..events import Fate

Spelling = Literal["plain", "capital", "underscore"]

_KEY = re.compile(rb"[ \0]*(sub|dlvrd|submit[ _]date|done[ _]date|stat|err|te?xt):", re.IGNORECASE)
# The usual form, whole, so that one match does.
_USUAL: Final = re.compile(
    rb"id:(.{10}) ?sub:([^ ]*) dlvrd:([^ ]*) submit[ _]date:([^ ]*) done[ _]date:([^ ]*)"
    rb" stat:([^ ]{1,7}) *err:([^ ]*) te?xt:(.*)",
    re.IGNORECASE | re.DOTALL,
)
# The same of what was delivered, as most write it: nothing but the id is news.
_DELIVERED: Final = re.compile(
    rb"id:(.{10}) ?sub:[^ ]* dlvrd:[^ ]* [Ss]ubmit[ _]date:[^ ]* done[ _]date:[^ ]*"
    rb" stat:DELIVRD *err:[^ ]* [Tt]e?xt:",
    re.DOTALL,
)
_HEX_ID = re.compile(rb"[0-9a-fA-F]{20}")

ERR_STAT = {
    "000": "DELIVRD",
    "001": "EXPIRED",
    "002": "EXPIRED",
    "003": "UNDELIV",
    "004": "UNDELIV",
    "005": "UNDELIV",
    "006": "UNDELIV",
    "007": "EXPIRED",
    "008": "UNDELIV",
    "009": "UNDELIV",
    "010": "UNDELIV",
    "999": "UNKNOWN",
}
"""What an `err` means for a report without `stat` (the specification's table)."""

FATES: dict[str, Fate] = {
    "DELIVRD": Fate.DELIVERED,
    "ACCEPTD": Fate.INTERMEDIATE,
    "ENROUTE": Fate.INTERMEDIATE,
}
"""Stat words; every other one is a failure."""


@dataclass(slots=True)
class SmgpReport:
    """What a report says; "" for what it does not say."""

    id: bytes
    sub: str = ""
    dlvrd: str = ""
    submit_date: str = ""
    done_date: str = ""
    stat: str = ""
    err: str = ""
    text: bytes = b""

    @property
    def word(self) -> str:
        return self.stat or ERR_STAT.get(self.err, "UNKNOWN")

    @property
    def fate(self) -> Fate:
        return FATES.get(self.word, Fate.FAILED)

    @property
    def code(self) -> str:
        """The status word, with its `err` behind a slash when it failed."""
        word = self.word
        if word in FATES or not self.err:
            return word
        return f"{word}/{self.err}"

    def show(self) -> dict[str, Any]:
        return {
            "id_hex": self.id.hex(),
            "sub": self.sub,
            "dlvrd": self.dlvrd,
            "submit_date": self.submit_date,
            "done_date": self.done_date,
            "stat": self.stat,
            "err": self.err,
            "text_hex": self.text.hex(),
        }


class _Last:
    """`behind` is what the last report that said so had behind its id: others say the same."""

    __slots__ = ("behind",)

    def __init__(self) -> None:
        self.behind: bytes | None = None


_LAST: Final = _Last()


def delivered(content: bytes) -> bytes | None:
    """The id of a report that says DELIVRD; None of others, and where `parse` is needed."""
    if content[13:] != _LAST.behind or content[:3] != b"id:":
        if _DELIVERED.match(content) is None:
            return None
        _LAST.behind = content[13:]
    return content[3:13]


def parse(content: bytes) -> SmgpReport | None:
    """None when there is no id or neither `stat` nor `err` behind it."""
    usual = _USUAL.match(content)
    if usual is not None:
        report_id, sub, dlvrd, submit_date, done_date, stat, err, text = usual.groups()
        return SmgpReport(
            report_id,
            _word(sub),
            _word(dlvrd),
            _word(submit_date),
            _word(done_date),
            _word(stat),
            _word(err),
            text.rstrip(b"\0"),
        )
    return _search(content)


def _search(content: bytes) -> SmgpReport | None:
    if content[:3].lower() != b"id:":
        return None
    # The ten octets may be any, so the search starts behind them.
    binary = _KEY.match(content, 13)
    first = binary or _KEY.search(content, 4)
    if first is None:
        return None
    report = SmgpReport(_id(content[3:13] if binary else content[3 : first.start()]))
    said: re.Match[bytes] | None = first
    while said is not None:
        name = said[1].lower().replace(b" ", b"_").decode()
        if name in ("text", "txt"):
            report.text = content[said.end() :].rstrip(b"\0")
            break
        following = _KEY.search(content, said.end())
        end = len(content) if following is None else following.start()
        setattr(report, name, _word(content[said.end() : end]))
        said = following
    return report if report.stat or report.err else None


def _word(raw: bytes) -> str:
    return raw.strip(b" \0").decode("latin-1")


def _id(raw: bytes) -> bytes:
    """Twenty hexadecimal digits are the ten octets; what a peer took for a C string lost NULs."""
    text = raw.strip(b" ")
    if _HEX_ID.fullmatch(text) is not None:
        return bytes.fromhex(text.decode())
    return raw.ljust(10, b"\0")


def spell(
    report_id: bytes,
    *,
    delivered: bool,
    submit_date: str,
    done_date: str,
    stat: str,
    err: str,
    text: bytes = b"",
    spelling: Spelling = "plain",
    text_id: bool = False,
) -> bytes:
    """A report's octets: 122 in the first two spellings, with `text_id` 132, 110 in the third.

    `text` is the three digits of the message's length and its beginning; it is cut to the room
    that it has and padded with NULs.
    """
    shown = report_id.hex().encode() if text_id else report_id
    count = b"001" if delivered else b"000"
    dates = (submit_date.encode(), done_date.encode())
    word, error = stat.encode("latin-1")[:7].ljust(7), err.encode("latin-1")[:3].rjust(3, b"0")
    if spelling == "underscore":
        form = b"id:%bsub:001 dlvrd:%b submit_date:%b done_date:%b stat:%b err:%b txt:%b"
        room = 10
    else:
        form = b"id:%b sub:001 dlvrd:%b submit date:%b done date:%b stat:%b err:%b text:%b"
        if spelling == "capital":
            form = form.replace(b"submit", b"Submit").replace(b"text", b"Text")
        room = 20
    return form % (shown, count, *dates, word, error, text[:room].ljust(room, b"\0"))
