"""One part: what a submit carries, in words that any carrier protocol can spell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Coding(IntEnum):
    """How `Part.content` is to be read; the values are CMPP's Msg_Fmt (section 9)."""

    ASCII = 0
    BINARY = 4
    UCS2 = 8
    GB18030 = 15


@dataclass(slots=True, init=False)
class Part:
    """At most one wire submit.

    `content` is coded already and starts with its user data header when `udh` is set. `to` is the
    national number of 11 digits (the session adds 86 where its protocol wants it), `sender` the
    whole source number. `reference` is that of the concatenation, 0 for a single part; a part of
    several without `udh` is spelled with SAR TLVs (SMPP only). `payload` asks for
    message_payload (SMPP only). `expires_at` is in seconds since 1970. `also` are the further
    recipients of a list, in order; one answer stands for all of it.
    """

    to: str
    sender: str
    content: bytes
    coding: Coding
    udh: bool
    number: int
    total: int
    reference: int
    wants_report: bool
    expires_at: float | None
    payload: bool
    also: tuple[str, ...]

    # Written out: compiled, one that `dataclass` makes stays interpreted.
    def __init__(
        self,
        to: str,
        sender: str,
        content: bytes,
        coding: Coding = Coding.UCS2,
        udh: bool = False,
        number: int = 1,
        total: int = 1,
        reference: int = 0,
        wants_report: bool = True,
        expires_at: float | None = None,
        payload: bool = False,
        also: tuple[str, ...] = (),
    ) -> None:
        self.to = to
        self.sender = sender
        self.content = content
        self.coding = coding
        self.udh = udh
        self.number = number
        self.total = total
        self.reference = reference
        self.wants_report = wants_report
        self.expires_at = expires_at
        self.payload = payload
        self.also = also

    def to_these(self, to: tuple[str, ...]) -> Part:
        """The same for other recipients, of whom there is one at least."""
        return Part(
            to[0],
            self.sender,
            self.content,
            self.coding,
            self.udh,
            self.number,
            self.total,
            self.reference,
            self.wants_report,
            self.expires_at,
            self.payload,
            to[1:],
        )


def width(numbers: tuple[str, ...]) -> int:
    """How long each of these is, as national numbers are; 0 where their lengths differ."""
    width = len(numbers[0]) if numbers else 0
    for number in numbers:
        if len(number) != width:
            return 0
    return width
