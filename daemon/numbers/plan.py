"""The number plan: which carrier a prefix was given to.

It says nothing about a number that its owner took to another carrier. The table is data with a
source and a date in each row (`plan.tsv`); a file of the operator's own is laid over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .normalise import is_national

CARRIERS = ("mobile", "unicom", "telecom", "broadnet")
NONE = "-"  # a prefix that belongs to none of them, inside one that does

_OWN = Path(__file__).with_name("plan.tsv")
_SPLIT = "?"  # three digits that do not settle it


class PlanError(ValueError):
    """A row cannot be read; the message has file, line, column, and what is allowed."""


class Plan:
    """Longest prefix wins; among rows of one prefix the later."""

    __slots__ = ("_longer", "_prefixes", "_short", "known")

    def __init__(self, override: Path | None = None) -> None:
        """`override`: prefix, tab, carrier in each line. Raises PlanError and OSError."""
        self._prefixes: dict[str, str | None] = dict(_rows(_OWN))
        if override is not None:
            self._prefixes.update(_rows(override))
        # One look is enough for most numbers: only a few prefixes are longer than three digits.
        self._short: dict[str, str | None] = {}
        lengths = set()
        for prefix, carrier in self._prefixes.items():
            if len(prefix) == 3:
                self._short.setdefault(prefix, carrier)
            else:
                self._short[prefix[:3]] = _SPLIT
                lengths.add(len(prefix))
        self._longer = sorted(lengths, reverse=True)
        self.known: dict[str, str] = {
            prefix: carrier
            for prefix, carrier in self._short.items()
            if carrier is not None and carrier != _SPLIT and is_national(prefix)
        }
        """The carrier of every number whose first three digits settle it."""

    def carrier(self, number: str) -> str | None:
        """The carrier of a national number of eleven digits, None when its prefix is unknown."""
        carrier = self._short.get(number[:3])
        if carrier != _SPLIT:
            return carrier
        prefixes = self._prefixes
        for length in self._longer:
            prefix = number[:length]
            if prefix in prefixes:
                return prefixes[prefix]
        return prefixes.get(number[:3])

    def __len__(self) -> int:
        return len(self._prefixes)


def _rows(path: Path) -> Iterator[tuple[str, str | None]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as exc:
        raise PlanError(f"{path}: not UTF-8: {exc}") from exc
    for at, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        prefix, _, rest = line.partition("\t")
        if not (prefix.isascii() and prefix.isdigit() and 3 <= len(prefix) <= 11):
            raise PlanError(f"{path}:{at}: prefix: {prefix!r} is not 3 to 11 digits")
        carrier = rest.partition("\t")[0].strip()
        if carrier != NONE and carrier not in CARRIERS:
            allowed = ", ".join(CARRIERS)
            raise PlanError(f"{path}:{at}: carrier: {carrier!r} is not one of {allowed} or {NONE}")
        yield prefix, None if carrier == NONE else carrier
