"""SMPP delivery receipts as the peers read them, apart from the project's own reading."""

from __future__ import annotations

import re

# SMPP 3.4 section 5.2.12: the bits of esm_class that tell a receipt from a message.
TYPE, FINAL_RECEIPT = 0x3C, 0x04
# Section 5.2.17: registered_delivery for a receipt of success or failure.
WANTS_RECEIPT = 1


def parse(text: bytes) -> tuple[str, str]:
    """The id and the stat word of a receipt's text (appendix B). Raises ValueError."""
    found = re.search(rb"id:(\S+).* stat:(\S+)", text)
    if found is None:
        raise ValueError(f"not a delivery receipt: {text!r}")
    return found[1].decode(), found[2].decode()
