"""Delivery receipts: parameters, or text in one of its many spellings.

SMPP 3.4 appendix B shows a text and calls it vendor specific:

    id:IIIIIIIIII sub:SSS dlvrd:DDD submit date:YYMMDDhhmm done date:YYMMDDhhmm stat:DDDDDDD
    err:EEE Text:....................

Message centres reorder the keys, leave some out, write them in capitals or with an underscore,
give dates 10, 12, 14 or 18 digits and ids any length, and end with a NUL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache

from ..events import Fate

WORDS = (
    "SCHEDULED",
    "ENROUTE",
    "DELIVRD",
    "EXPIRED",
    "DELETED",
    "UNDELIV",
    "ACCEPTD",
    "UNKNOWN",
    "REJECTD",
    "SKIPPED",
)
"""By message_state (section 5.2.28; 0 and 9 are of SMPP 5.0)."""

DELIVERED = frozenset({"DELIVRD", "DELIVERED"})
INTERMEDIATE = frozenset({"ACCEPTD", "ACCEPTED", "ENROUTE", "SCHEDULED"})

_USUAL = re.compile(
    rb"id:([0-9A-Za-z-]{1,64}) sub:\d+ dlvrd:\d+ submit date:\d+ done date:(\d+)"
    rb" stat:([A-Za-z]+) err:"
)
_PAIR = re.compile(
    rb"(?:^|(?<=[\s,;]))(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|te?xt):"
    rb"[ ]?((?!(?:id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|te?xt):)[^\s,;]*)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Receipt:
    """What a receipt's text says; empty where it says nothing."""

    id: bytes = b""
    stat: str = ""
    done: str = ""


def parse(text: bytes) -> Receipt:
    """Never raises: what is not there stays empty."""
    usual = _USUAL.match(text)
    if usual is not None:
        found, done, stat = usual.groups()
        return Receipt(found, stat.decode("ascii").upper(), done.decode("ascii"))
    receipt = Receipt()
    # NULs are padding, or the upper halves of a text in UCS-2.
    for pair in _PAIR.finditer(text.replace(b"\0", b"")):
        key, value = pair.group(1).lower(), pair.group(2)
        if key in (b"text", b"txt"):
            # The message's own words come last; a subscriber's "id:" is none of ours.
            if receipt.id:
                break
        elif key == b"id":
            # No message_id is longer (section 5.2.23).
            receipt.id = receipt.id or value[:64]
        elif key == b"stat":
            receipt.stat = receipt.stat or value.decode("latin-1").upper()
        elif key.startswith(b"done"):
            receipt.done = receipt.done or value.decode("latin-1")
    return receipt


def fate(word: str, *, final: bool = True) -> Fate:
    """What a status word means; `final` is False for an intermediate notification."""
    if word in DELIVERED:
        return Fate.DELIVERED
    if not final or word in INTERMEDIATE:
        return Fate.INTERMEDIATE
    return Fate.FAILED


@lru_cache(maxsize=256)
def date(at: int, zone: tzinfo, digits: int) -> str:
    """A receipt's date: 10 digits end with minutes, 12 with seconds, 14 have the century."""
    form = {10: "%y%m%d%H%M", 12: "%y%m%d%H%M%S", 14: "%Y%m%d%H%M%S"}[digits]
    return datetime.fromtimestamp(at, zone).strftime(form)


def spell(*, id: str, submitted: str, done: str, stat: str, err: str) -> bytes:
    """A text as message centres write it, without the message's own words."""
    delivered = "001" if stat in DELIVERED else "000"
    return (
        f"id:{id} sub:001 dlvrd:{delivered} submit date:{submitted}"
        f" done date:{done} stat:{stat} err:{err} text:"
    ).encode("latin-1")
