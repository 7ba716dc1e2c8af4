"""The GSM 7 bit default alphabet (3GPP TS 23.038, section 6.2.1), one septet per octet.

SMPP carries it unpacked under data_coding 0. The tables are aiosmpplib's; its codec class is not
used to encode and decode because it walks the text character by character, raises on half an
escape, and shows an unknown escaped character as a space where the specification wants the one
of the default table.
"""

from __future__ import annotations

import re
from typing import Final

from aiosmpplib.codec import (
    GSM_BASIC_DECODE_MAP,
    GSM_BASIC_ENCODE_MAP,
    GSM_EXTENDED_DECODE_MAP,
    GSM_EXTENDED_ENCODE_MAP,
)

ESCAPE = 0x1B

_FOREIGN: Final = re.compile(
    f"[^{re.escape(''.join([*GSM_BASIC_ENCODE_MAP, *GSM_EXTENDED_ENCODE_MAP]))}]"
)
_TO_SEPTETS: Final[dict[int, str]] = {
    **{ord(char): chr(septet) for char, septet in GSM_BASIC_ENCODE_MAP.items()},
    **{ord(char): chr(ESCAPE) + chr(septet) for char, septet in GSM_EXTENDED_ENCODE_MAP.items()},
}
_FROM_OCTETS: dict[int, str] = {
    octet: GSM_BASIC_DECODE_MAP.get(octet, "\N{REPLACEMENT CHARACTER}") for octet in range(256)
}


def foreign(text: str) -> int | None:
    """Place of the first character that the alphabet and its extension table lack."""
    found = _FOREIGN.search(text)
    return found.start() if found else None


def encode(text: str) -> bytes:
    """Octets below 0x80; `text` must have no `foreign` character."""
    return text.translate(_TO_SEPTETS).encode("latin-1")


def decode(content: bytes) -> str:
    """Never raises: octets above 0x7F become U+FFFD, half an escape a space."""
    head, *escaped = content.split(b"\x1b")
    text = [head.decode("latin-1").translate(_FROM_OCTETS)]
    for piece in escaped:
        # What a phone that does not know an escaped character has to show is the character of
        # the default table, and a space for a doubled or a dangling escape.
        if piece and piece[0] in GSM_EXTENDED_DECODE_MAP:
            text.append(GSM_EXTENDED_DECODE_MAP[piece[0]])
            piece = piece[1:]
        elif not piece:
            text.append(" ")
        text.append(piece.decode("latin-1").translate(_FROM_OCTETS))
    return "".join(text)
