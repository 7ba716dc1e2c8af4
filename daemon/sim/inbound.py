"""Messages from subscribers, as parts that a gateway delivers."""

from __future__ import annotations

from itertools import count

from protocols.part import Part
from protocols.text.coding import choose
from protocols.text.split import split

_REFERENCES = count(1)


def parts(
    protocol: str,
    sender: str,
    to: str,
    text: str,
    *,
    encoding: str = "auto",
    header: str = "udh8",
) -> list[Part]:
    """One text from `sender` to the access number `to`, in as many parts as it needs.

    `encoding` is one of auto, ucs2, gbk and ascii; `header` one of udh8 and udh16, with SMPP also
    sar.  Raises EncodeError for a text that the encoding does not have.
    """
    alphabet = choose(text, encoding, protocol)
    segments = split(text, alphabet, protocol, next(_REFERENCES), header)
    return [
        Part(
            to,
            sender,
            segment.content,
            alphabet.coding,
            udh=segment.udh,
            number=segment.number,
            total=segment.total,
            reference=segment.reference,
        )
        for segment in segments
    ]
