"""The user data header in front of a part (3GPP TS 23.040, section 9.2.3.24)."""

from __future__ import annotations

from dataclasses import dataclass

CONCATENATED_8 = 0x00
CONCATENATED_16 = 0x08


@dataclass(slots=True)
class Header:
    """What a header says, and what follows it.

    `total` is 1 and `number` 1 where it says nothing usable about concatenation. `width` is that
    of the reference in bits, 0 without one. `others` are the elements of another meaning.
    """

    rest: bytes
    reference: int = 0
    total: int = 1
    number: int = 1
    width: int = 0
    others: tuple[tuple[int, bytes], ...] = ()


def spell(reference: int, total: int, number: int, *, wide: bool = False) -> bytes:
    """Six octets, or seven with a `wide` reference; higher bits of `reference` are dropped."""
    if wide:
        reference &= 0xFFFF
        return bytes((6, CONCATENATED_16, 4, reference >> 8, reference & 0xFF, total, number))
    return bytes((5, CONCATENATED_8, 3, reference & 0xFF, total, number))


def read(content: bytes) -> Header | None:
    """The header that `content` begins with; None when its lengths do not add up."""
    if not content:
        return None
    end = content[0] + 1
    if end > len(content) or end == 1:
        return None
    header = Header(rest=content[end:])
    others: list[tuple[int, bytes]] = []
    at = 1
    while at < end:
        if at + 2 > end or at + 2 + content[at + 1] > end:
            return None
        kind, value = content[at], content[at + 2 : at + 2 + content[at + 1]]
        at += 2 + len(value)
        # The length decides, not the identifier: one stack writes 00 in its seven-octet form.
        if kind in (CONCATENATED_8, CONCATENATED_16) and len(value) in (3, 4):
            total, number = value[-2], value[-1]
            # 9.2.3.24.1: zero, or more than the total, makes the element void.
            if 1 <= number <= total:
                header.reference = int.from_bytes(value[:-2], "big")
                header.total, header.number = total, number
                header.width = 8 * (len(value) - 2)
        else:
            others.append((kind, value))
    header.others = tuple(others)
    return header


def guess(content: bytes) -> Header | None:
    """A concatenation header where nothing announces one (SMGP Deliver without TP_udhi)."""
    if content[:3] not in (b"\x05\x00\x03", b"\x06\x08\x04"):
        return None
    header = read(content)
    return header if header is not None and header.total > 1 else None
