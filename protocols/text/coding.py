"""Which alphabet a text needs, and texts as octets and back."""

from __future__ import annotations

import re
from codecs import utf_16_be_encode
from collections.abc import Sequence
from enum import Enum
from typing import Final

from protocols.errors import EncodeError
from protocols.part import Coding
from protocols.text import gsm7

BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"

# A gateway may read coding 0 as ASCII or as the GSM alphabet. Only these octets mean the same in
# both; $ @ [ \ ] ^ _ ` { | } ~ do not.
_NOT_SAFE: Final = re.compile(r"[^\n\r -#%-?A-Za-z]")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_encode_utf_16_be: Final = utf_16_be_encode


class Alphabet(Enum):
    """How characters become octets; `coding` is what the submit says about them."""

    ASCII = "ASCII"
    GSM7 = "GSM 03.38"
    UCS2 = "UCS-2"
    GB18030 = "GB 18030"

    __hash__ = object.__hash__  # an enumeration's own is a function in Python

    @property
    def coding(self) -> Coding:
        return CODINGS[self]


CODINGS: Final = {
    Alphabet.ASCII: Coding.ASCII,
    Alphabet.GSM7: Coding.ASCII,
    Alphabet.UCS2: Coding.UCS2,
    Alphabet.GB18030: Coding.GB18030,
}


def choose(text: str, encoding: str, protocol: str) -> Alphabet:
    """The alphabet for `text` under an account's `encoding`.

    `auto`   one octet per character if every character survives that, else UCS-2
    `ascii`  one octet per character; EncodeError when a character has none
    `gbk`    GBK; UCS-2 for texts with characters outside it, because the four-octet sequences
             of GB 18030 are not understood everywhere
    `ucs2`   UCS-2

    One octet per character is the GSM alphabet in SMPP (data_coding 0 is the SMSC's default
    alphabet, 5.2.19) and ASCII in the others.
    """
    if encoding == "auto":
        if protocol == "smpp":
            return Alphabet.GSM7 if gsm7.foreign(text) is None else Alphabet.UCS2
        return Alphabet.UCS2 if _NOT_SAFE.search(text) else Alphabet.ASCII
    if encoding == "ucs2":
        return Alphabet.UCS2
    if encoding == "gbk":
        try:
            text.encode("gbk")
        except UnicodeEncodeError:
            return Alphabet.UCS2
        return Alphabet.GB18030
    if encoding == "ascii":
        alphabet = Alphabet.GSM7 if protocol == "smpp" else Alphabet.ASCII
        _check(text, alphabet)
        return alphabet
    raise EncodeError(f"encoding: {encoding!r} is not one of auto, ucs2, gbk, ascii")


def encode(text: str, alphabet: Alphabet) -> bytes:
    """Octets without byte order mark; EncodeError names the character and its place."""
    if alphabet is Alphabet.UCS2:
        try:
            return _encode_utf_16_be(text.lstrip(BYTE_ORDER_MARK))[0]
        except UnicodeEncodeError as exc:
            raise _unencodable(text.lstrip(BYTE_ORDER_MARK), exc.start, alphabet) from None
    if alphabet is Alphabet.GB18030:
        try:
            return text.encode("gb18030")
        except UnicodeEncodeError as exc:
            raise _unencodable(text, exc.start, alphabet) from None
    _check(text, alphabet)
    return gsm7.encode(text) if alphabet is Alphabet.GSM7 else text.encode("ascii")


def decode(content: bytes, coding: int, protocol: str) -> str:
    """What a peer sent, whatever it is: never raises, and the text has no lone surrogates.

    `coding` is the whole octet of Msg_Fmt, MessageCoding, MsgFormat or data_coding, message
    classes of GSM 03.38 (section 4) included. Codings nobody described are read as Latin-1.
    """
    kind = _alphabet_of(coding & 0xFF, protocol)
    if kind is Alphabet.UCS2:
        return content.decode("utf-16-be", "replace").lstrip(BYTE_ORDER_MARK)
    if kind is Alphabet.GB18030:
        return content.decode("gb18030", "replace")
    if kind is Alphabet.GSM7 and content.isascii():
        return gsm7.decode(content)
    if kind is Alphabet.ASCII:
        return _plain(content)
    return content.decode("latin-1")


def decode_parts(parts: Sequence[tuple[int, bytes] | None], protocol: str) -> str:
    """One text from the (coding, octets) of its parts in order, None for a missing one.

    Neighbours of one coding are read together, so a character that a careless sender cut in two
    is whole again.
    """
    text: list[str] = []
    run: list[bytes] = []
    run_coding = -1
    for part in [*parts, None]:
        if run and (part is None or part[0] != run_coding):
            content = b"".join(run)
            # An odd octet in a UCS-2 part is padding, not half a character, unless the rest of
            # it follows: then the whole is even.
            if len(content) % 2 and run_coding == Coding.UCS2:
                text += [decode(piece, run_coding, protocol) for piece in run]
            else:
                text.append(decode(content, run_coding, protocol))
            run = []
        if part is not None:
            run_coding = part[0]
            run.append(part[1])
    return "".join(text)


def _check(text: str, alphabet: Alphabet) -> None:
    if alphabet is Alphabet.GSM7:
        place = gsm7.foreign(text)
    else:
        found = _NOT_ASCII.search(text)
        place = found.start() if found else None
    if place is not None:
        raise _unencodable(text, place, alphabet)


def _unencodable(text: str, place: int, alphabet: Alphabet) -> EncodeError:
    char = text[place]
    return EncodeError(
        f"text: {char!a} (U+{ord(char):04X}) at character {place + 1} is not in {alphabet.value}"
    )


def _alphabet_of(coding: int, protocol: str) -> Alphabet | None:
    """GSM 03.38 section 4, with 15 as the Chinese carriers use it; None is read as Latin-1."""
    if coding == Coding.UCS2:
        return Alphabet.UCS2
    if coding == Coding.ASCII:
        return Alphabet.GSM7 if protocol == "smpp" else Alphabet.ASCII
    if coding == Coding.GB18030:
        return Alphabet.GB18030
    if coding == 1 and protocol == "smpp":
        return Alphabet.ASCII
    group = coding & 0xF0
    if group == 0x10:  # a message class with the alphabet in bits 3 and 2
        return (Alphabet.GSM7, None, Alphabet.UCS2, None)[coding >> 2 & 3]
    if group == 0xE0:  # message waiting, UCS-2
        return Alphabet.UCS2
    if group in (0xC0, 0xD0) or (group == 0xF0 and not coding & 4):
        return Alphabet.GSM7
    return None


def _plain(content: bytes) -> str:
    """ASCII; some gateways leave GBK under format 0, others pad with NULs."""
    content = content.rstrip(b"\0")
    if content.isascii():
        return content.decode("ascii")
    try:
        return content.decode("gb18030")
    except UnicodeDecodeError:
        return content.decode("latin-1")
