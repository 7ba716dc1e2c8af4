"""How a report's id finds the part it is about.

Every protocol has one way to turn the id of an answer into a matching key, one way to show it to
people, and its own variety of ways in which a report, or a person, may spell it again.  Keys are
compared within one account only.

* CMPP: the 8 octets; shown as 0x and 16 hex digits.
* SMGP: the 10 octets; shown as 0x and 20 hex digits.
* SGIP: time and counter of our own sequence, 8 octets; shown as node:time:counter.  The node
  word is ours, the same for all of an account's submits, and some gateways alter it in reports.
* SMPP: text without regard to case and leading zeros.  The answer may hold it in hexadecimal
  where the report's text has it in decimal, or the other way round.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import Final, Literal

Form = Literal["auto", "text", "hex", "decimal"]
"""How SMPP reports write an id: as in the answer, in hexadecimal, in decimal, or any of them."""

_WORDS: Final = struct.Struct("!III")
_OCTETS: Final = [bytes((octet,)) for octet in range(256)]
_TWO_DIGITS: Final = [bytes.fromhex(f"{digits:02}") for digits in range(100)]
"""In binary coded decimal."""
_DECIMAL: Final = re.compile(rb"[0-9]{1,20}")
_HEX: Final = re.compile(rb"[0-9a-f]{1,16}")


def key(protocol: str, carrier_id: bytes) -> bytes:
    """The matching key of an id as the session gave it."""
    return keys(protocol, [carrier_id])[0]


def keys(protocol: str, carrier_ids: list[bytes]) -> list[bytes]:
    """The matching key of each."""
    if protocol == "sgip":
        return [carrier_id[4:12] for carrier_id in carrier_ids]
    if protocol == "smpp":
        return [carrier_id.lower().lstrip(b"0") or b"0" for carrier_id in carrier_ids]
    return carrier_ids


def list_keys(protocol: str, carrier_id: bytes, places: Iterable[int]) -> list[tuple[bytes, ...]]:
    """What reports on recipients of a list may quote, each only together with its recipient.

    `carrier_id` is that of the answer, `places` are those in the list, from 0.  CMPP and SMGP count
    on from the answer's id, recipient by recipient and round the end of the sequence in it; some
    of their gateways do as SGIP and SMPP do and repeat it for all.
    """
    same = key(protocol, carrier_id)
    alone = (same,)
    found: list[tuple[bytes, ...]] = []
    if protocol == "cmpp" and len(carrier_id) == 8:
        stem, first = carrier_id[:6], int.from_bytes(carrier_id[6:])
        for place in places:
            number = first + place & 0xFFFF
            own = b"%b%b%b" % (stem, _OCTETS[number >> 8], _OCTETS[number & 0xFF])
            found.append((own, same) if place else alone)
        return found
    if protocol == "smgp" and _DECIMAL.fullmatch(digits := carrier_id[7:].hex().encode()):
        stem, first = carrier_id[:7], int(digits)
        for place in places:
            number = (first + place) % 1_000_000
            high, middle = _TWO_DIGITS[number // 10_000], _TWO_DIGITS[number // 100 % 100]
            own = b"%b%b%b%b" % (stem, high, middle, _TWO_DIGITS[number % 100])
            found.append((own, same) if place else alone)
        return found
    return [alone for _ in places]


def show(protocol: str, carrier_id: bytes) -> str:
    """An id as records and people see it (contract section 5).

    One of before the account spoke SGIP is no sequence: it is shown as its octets.
    """
    if protocol == "sgip" and len(carrier_id) == _WORDS.size:
        node, time, counter = _WORDS.unpack(carrier_id)
        return f"{node}:{time}:{counter}"
    if protocol == "smpp":
        return carrier_id.decode("latin-1")
    return "0x" + carrier_id.hex()


def smpp_keys(reported: bytes, form: Form) -> tuple[tuple[bytes, ...], int]:
    """Keys for the id of an SMPP report's text, best first, and how many of them are exact.

    `form` is how the report writes the id that the answer gave: "decimal" when the answer has it in
    hexadecimal, "hex" when the answer has it in decimal.  A gateway that does otherwise now and
    then is still understood.

    The conversions need the recipient as a second witness: a short decimal id may well be some
    other part's hexadecimal one.
    """
    same = reported.lower().lstrip(b"0") or b"0"
    if form == "text":
        return (same,), 1
    as_decimal = b"%x" % int(same) if same.isdigit() and len(same) <= 20 else None
    as_hex = b"%d" % int(same, 16) if _HEX.fullmatch(same) else None
    first = same
    if form == "decimal" and as_decimal is not None:
        first = as_decimal
    elif form == "hex" and as_hex is not None:
        first = as_hex
    found: tuple[bytes, ...] = (first,) if first == same else (first, same)
    if as_decimal is not None and as_decimal not in found:
        found += (as_decimal,)
    if as_hex is not None and as_hex not in found:
        found += (as_hex,)
    return found, 1


def spoken(text: str) -> list[bytes]:
    """Every key that an id typed by a person may stand for, whatever the protocol.

    Takes 0x and hex digits, bare hex digits, decimal, CMPP's 22 digits (time, gateway, sequence),
    SGIP's node:time:counter or 30 digits, and SMPP's text.
    """
    raw = text.strip()
    keys: list[bytes] = []

    def add(found: bytes) -> None:
        if found and found not in keys:
            keys.append(found)

    bare = raw[2:] if raw[:2].lower() == "0x" else raw
    if re.fullmatch(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{20}", bare):
        add(bytes.fromhex(bare))
    if re.fullmatch(r"[0-9]{1,20}", raw) and int(raw) < 2**64:
        add(int(raw).to_bytes(8))
    if re.fullmatch(r"[0-9]{22}", raw):
        month, day, hour, minute, second = (int(raw[i : i + 2]) for i in range(0, 10, 2))
        gateway, sequence = int(raw[10:17]), int(raw[17:])
        if month < 16 and day < 32 and hour < 32 and gateway < 2**22 and sequence < 2**16:
            packed = month << 60 | day << 55 | hour << 50 | minute << 44 | second << 38
            add((packed | gateway << 16 | sequence).to_bytes(8))
    words = raw.split(":")
    if re.fullmatch(r"[0-9]{30}", raw):
        words = [raw[:10], raw[10:20], raw[20:]]
    if len(words) == 3 and all(w.isascii() and w.isdigit() and int(w) < 2**32 for w in words):
        add(b"".join(int(w).to_bytes(4) for w in words[1:]))
    if re.fullmatch(r"[0-9a-fA-F]{24}", bare):
        add(bytes.fromhex(bare)[4:])
    if raw.isascii():
        for found in smpp_keys(raw.encode(), "auto")[0]:
            add(found)
    return keys
