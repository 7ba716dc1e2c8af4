"""Pieces of Markdown that every reference page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell or a row is escaped."""
    lines = [list(header), ["---"] * len(header), *(list(row) for row in rows)]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def code(text: str) -> str:
    """As code within a line."""
    return f"``{text}``" if "`" in text else f"`{text}`"


def block(text: str, language: str = "text") -> str:
    """As code of its own."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
