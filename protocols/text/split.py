"""A long text as parts that each fit one submit, cut only between characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from protocols.errors import EncodeError
from protocols.text import gsm7
from protocols.text.coding import Alphabet, encode
from protocols.text.header import spell

MOST_PARTS = 255
ANY: Final = 1 << 62
"""No text has so many octets."""
BILLED: Final = 70  # UTF-16 units that are charged as one message


class Limits(NamedTuple):
    """Octets of text in a submit: alone, and beside a header of six octets.

    `characters` and `part_characters` are the same in UTF-16 units, where the octets do not say
    it: a GBK text becomes UCS-2 on the air.
    """

    single: int
    part: int
    characters: int = 1 << 31
    part_characters: int = 1 << 31


_UCS2 = Limits(140, 134)  # 70 and 67 units
_GBK = Limits(140, 134, 70, 67)

# CMPP 3.0 wants Msg_Length below 160 for ASCII; SMGP 3.0.3 has MsgLength up to 140 for every
# format and SGIP gateways do the same; 160 and 153 septets are those of GSM 03.40 / SMPP 3.4.
LIMITS: dict[tuple[str, Alphabet], Limits] = {
    ("cmpp", Alphabet.ASCII): Limits(159, 153),
    ("sgip", Alphabet.ASCII): Limits(140, 134),
    ("smgp", Alphabet.ASCII): Limits(140, 134),
    ("smpp", Alphabet.ASCII): Limits(160, 153),
    ("smpp", Alphabet.GSM7): Limits(160, 153),
    **{(name, Alphabet.UCS2): _UCS2 for name in ("cmpp", "sgip", "smgp", "smpp")},
    **{(name, Alphabet.GB18030): _GBK for name in ("cmpp", "sgip", "smgp", "smpp")},
}


@dataclass(slots=True)
class Segment:
    """The text of one submit: `content` starts with its header when `udh` is set.

    `reference` is 0 for the only segment of a text.
    """

    content: bytes
    udh: bool = False
    number: int = 1
    total: int = 1
    reference: int = 0


def uncut(protocol: str, header: str) -> dict[Alphabet, int]:
    """Octets up to which a text is one piece, whatever its characters; see `pieces`."""
    most = ANY if header == "payload" else 0
    return {
        alphabet: max(most, limits.single if limits.characters > limits.single else 0)
        for (name, alphabet), limits in LIMITS.items()
        if name == protocol
    }


def with_signature(text: str, signature: str | None) -> str:
    """The signature in front as 【…】, unless the text begins with it."""
    if not signature:
        return text
    mark = f"【{signature}】"
    return text if text.startswith(mark) else mark + text


def units(text: str) -> int:
    """UTF-16 units: an emoji counts two."""
    # With a byte order mark, but Python finds this codec five times as fast as "utf-16-be".
    return len(text.encode("utf-16", "surrogatepass")) // 2 - 1


def bill_units(text: str, signature: str | None = None) -> int:
    """What is charged for a text with its signature: ceil(units / 70)."""
    return -(-units(with_signature(text, signature) if signature else text) // BILLED)


def split(
    text: str,
    alphabet: Alphabet,
    protocol: str,
    reference: int = 0,
    header: str = "udh8",
    ahead: str = "",
) -> list[Segment]:
    """`pieces` and `segments` in one call, for a caller who has a reference anyway."""
    return segments(pieces(text, alphabet, protocol, header, ahead), reference, header)


def pieces(
    text: str, alphabet: Alphabet, protocol: str, header: str = "udh8", ahead: str = ""
) -> list[bytes]:
    """The octets of each part, without headers; their number says whether a reference is needed.

    `header` is the account's `long`: `udh8` `udh16` `sar` `payload`. SAR parts are as long as
    those with a header, because the SMSC makes one of the TLVs on the air. `ahead` is what the
    gateway puts in front by itself (the signature of `signature_by = "gateway"`): it takes room
    and is not sent. Raises EncodeError when a character is not in `alphabet`, when `ahead`
    leaves no room, or for more than 255 parts.
    """
    content = encode(text, alphabet)
    if header == "payload":
        return [content]
    limits = LIMITS[protocol, alphabet]
    before = encode(ahead, alphabet) if ahead else b""
    if len(content) + len(before) <= limits.single and (
        limits.characters > limits.single or units(text) + units(ahead) <= limits.characters
    ):
        return [content]
    room = limits.part - (header == "udh16")
    if alphabet is Alphabet.GB18030:
        characters = limits.part_characters - (header == "udh16")
        cut = _cut_characters(text, room, characters, len(before), units(ahead))
    else:
        cut = _cut_octets(content, alphabet, room, len(before))
    if len(cut) > MOST_PARTS:
        raise EncodeError(f"text: {len(cut)} parts, at most {MOST_PARTS} are allowed")
    return cut


def segments(contents: list[bytes], reference: int, header: str = "udh8") -> list[Segment]:
    """What `pieces` made, with a header each where `header` and their number ask for one."""
    total = len(contents)
    if total == 1:
        return [Segment(contents[0])]
    if header == "sar":
        return [
            Segment(content, False, number, total, reference & 0xFFFF)
            for number, content in enumerate(contents, 1)
        ]
    wide = header == "udh16"
    reference &= 0xFFFF if wide else 0xFF
    return [
        Segment(
            spell(reference, total, number, wide=wide) + content, True, number, total, reference
        )
        for number, content in enumerate(contents, 1)
    ]


def _cut_octets(content: bytes, alphabet: Alphabet, room: int, taken: int) -> list[bytes]:
    """Only the octets before a cut say whether it would go through a character."""
    if alphabet is Alphabet.UCS2:
        room -= room % 2
    _check_ahead(room - taken)
    cut: list[bytes] = []
    at, end = 0, room - taken
    while end < len(content):
        if alphabet is Alphabet.UCS2:
            if content[end - 2] & 0xFC == 0xD8:  # a high surrogate: its low one comes next
                end -= 2
        elif alphabet is Alphabet.GSM7 and content[end - 1] == gsm7.ESCAPE:
            end -= 1
        cut.append(content[at:end])
        at, end = end, end + room
    cut.append(content[at:])
    return cut


def _cut_characters(
    text: str, room: int, characters: int, taken: int, taken_characters: int
) -> list[bytes]:
    """GB 18030: an octet alone does not say whether it begins or ends a character."""
    _check_ahead(min(room - taken, characters - taken_characters))
    cut: list[bytes] = []
    part = bytearray()
    octets, count = taken, taken_characters
    for char in text:
        coded = char.encode("gb18030")
        width = 1 + (char > "\uffff")
        if octets + len(coded) > room or count + width > characters:
            cut.append(bytes(part))
            part.clear()
            octets = count = 0
        part += coded
        octets += len(coded)
        count += width
    cut.append(bytes(part))
    return cut


def _check_ahead(room: int) -> None:
    if room < 4:  # the longest character of any alphabet
        raise EncodeError("signature: leaves no room for text in the first part")
