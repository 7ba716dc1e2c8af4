"""What a strict gateway finds wrong with the content of one part, whatever the protocol."""

from __future__ import annotations

from .part import Coding
from .text import header

UCS2 = frozenset({Coding.UCS2, 24, 25})
"""With 24 and 25, which add a message class of GSM 03.38; seen in practice, in no table."""


def content_fault(content: bytes, coding: int, *, udh: bool, number: int, total: int) -> str:
    """Says what is wrong, or "" when nothing is.

    Checked are the user data header, its agreement with the part's own number and total, and that
    the text behind it is whole characters: a part that ends inside one garbles two parts.
    """
    if not 1 <= number <= total:
        return f"part {number} of {total}"
    text = content
    if udh:
        head = header.read(content)
        if head is None:
            return f"the user data header {content[:7].hex()} does not add up"
        if (head.number, head.total) != (number, total):
            return (
                f"the user data header says part {head.number} of {head.total}, "
                f"the submit part {number} of {total}"
            )
        text = head.rest
    elif total > 1:
        return f"part {number} of {total} without a user data header"
    return text_fault(text, coding)


def text_fault(text: bytes, coding: int) -> str:
    """Says which octets are no character of `coding`, or "" when all are; binary passes."""
    try:
        if coding in UCS2:
            text.decode("utf-16-be")
        elif coding == Coding.GB18030:
            text.decode("gb18030")
        elif coding == Coding.ASCII and not text.isascii():
            at = next(i for i, octet in enumerate(text) if octet > 127)
            return f"octet {text[at]:#04x} at {at} in a text of seven bits per character"
    except UnicodeDecodeError as exc:
        where = text[exc.start : exc.end].hex()
        return f"coding {coding}: {where} at {exc.start} is not a character: {exc.reason}"
    return ""
