"""Colours, where a person looks on: on terminals, and not where NO_COLOR is set."""

from __future__ import annotations

import os
from typing import TextIO

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Paint:
    """For one stream; see no-color.org for the variable."""

    def __init__(self, stream: TextIO) -> None:
        terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.on = terminal and not os.environ.get("NO_COLOR")

    def __call__(self, text: str, *how: str) -> str:
        """The text in these colours; padding goes in before, since a colour has a length."""
        codes = [CODES[each] for each in how if each]
        if not self.on or not codes or not text:
            return text
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m"
