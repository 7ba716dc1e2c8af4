"""From a code, as events spell it, to what it means.

Order of look-up for a code at a stage:

1. rows of the protocol and of `any`: the code itself, else the longest pattern
2. at reports, rows of `platform`, for an aggregator in between
3. at reports, words of the other protocols: some SMPP gateways pass CMPP's words on
4. the last resort, `re:^.*$`: unknown

Among equals, rows of the same carrier come first, then those for any, then those of another
carrier: a protocol's own table holds whoever speaks it. A row of the operator's file, if it is for
this carrier or any, comes before a row of ours for the same code or an equally long pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from daemon.codes.table import Meaning, Row, rows

LAST_RESORT = "re:^.*$"

_OWN = Path(__file__).with_name("codes.tsv")
_SUBMIT = {"cmpp": "CMPP.RESULT:", "sgip": "SGIP.RESULT:", "smgp": "SMGP.STATUS:"}
_MOST_CACHED = 20_000  # peers choose the words


class Codes:
    """The table with the operator's file, if any, over it; a look is a dict hit after the first."""

    def __init__(self, override: Path | None = None) -> None:
        """Raises CodesError and OSError."""
        self.rows = list(rows(_OWN))
        if override is not None:
            self.rows += rows(override, override=True)
        self._exact: dict[tuple[str, str], list[Row]] = {}
        self._patterns: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.pattern is None:
                self._exact.setdefault((row.stage, row.code), []).append(row)
            else:
                self._patterns.setdefault(row.stage, []).append(row)
        self._last_resort = max(
            (row for row in self.rows if row.code == LAST_RESORT), key=lambda row: row.override
        )
        self._cache: dict[tuple[str, str, str, str], Meaning] = {}

    @property
    def unlisted(self) -> Meaning:
        """What a code means that nobody listed."""
        return self._last_resort.meaning

    def look(self, carrier: str, protocol: str, stage: str, code: str) -> Meaning:
        """What `code` means; `stage` is `report`, `submit`, `bind` or `gate`.

        `code` comes as in events: the status word, with `/` and SMGP's error behind it; SGIP's
        error, and results of CMPP, SGIP and SMGP, in decimal; SMPP's status as 0x%08X; LOCAL:*
        at any stage. Never raises: what nobody listed is `unknown`.
        """
        key = (carrier, protocol, stage, code)
        meaning = self._cache.get(key)
        if meaning is None:
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            meaning = self._cache[key] = self.row(*key).meaning
        return meaning

    def row(self, carrier: str, protocol: str, stage: str, code: str) -> Row:
        """The row behind `look`, not cached."""
        found = None
        for place, key in keys(protocol, stage, code):
            row = self._find(carrier, protocol, place, key)
            # SMGP has an error and a word: the word helps where the error says nothing.
            if row is not None and (found is None or found.meaning.cause == "unknown"):
                found = row
        return found or self._last_resort

    def _find(self, carrier: str, protocol: str, stage: str, key: str) -> Row | None:
        tiers: list[Callable[[Row], bool]] = [lambda row: not row.protocols.isdisjoint(own)]
        own = {protocol, "any"} if stage != "local" else {"local"}
        if stage == "report":
            tiers.append(lambda row: "platform" in row.protocols)
            tiers.append(lambda row: True)
        for of_tier in tiers:
            row = _best(filter(of_tier, self._exact.get((stage, key), ())), carrier, protocol)
            if row is None:
                row = _best(
                    (
                        row
                        for row in self._patterns.get(stage, ())
                        if row.code != LAST_RESORT and of_tier(row) and row.matches(key)
                    ),
                    carrier,
                    protocol,
                )
            if row is not None:
                return row
        return None


def keys(protocol: str, stage: str, code: str) -> Iterator[tuple[str, str]]:
    """The (stage, code) pairs of the table to look under, the most telling first."""
    if code.startswith("LOCAL:"):
        yield "local", code
    elif stage == "report":
        if protocol == "sgip" and code.lstrip("-").isdigit():
            # Events of delivered parts have error 0, which the table has as a state.
            yield "report", "SGIP.STATE:0" if code == "0" else f"SGIP:{code}"
        elif protocol == "smgp" and "/" in code:
            word, _, error = code.partition("/")
            yield "report", f"SMGP.ERR:{error.zfill(3)}" if error.isdigit() else error
            yield "report", word
        else:
            yield "report", code
    elif protocol == "smpp":
        yield "submit", f"SMPP.STATUS:{code}"
    elif protocol == "cmpp" and stage == "bind":
        yield "bind", f"CMPP.CONNECT:{code}"
    elif protocol in _SUBMIT:
        # SGIP and SMGP have one table for answers to a login and to a submit.
        yield "submit", _SUBMIT[protocol] + code


def _best(candidates: Iterable[Row], carrier: str, protocol: str) -> Row | None:
    def rank(row: Row) -> tuple[int, bool, bool, int]:
        return (
            len(row.code) if row.pattern is not None else 0,
            row.override and row.carrier in (carrier, "any"),
            protocol in row.protocols,
            2 if row.carrier == carrier else 1 if row.carrier == "any" else 0,
        )

    return max(candidates, key=rank, default=None)
