"""The status codes: every row of the shipped table, and what the daemon makes of it."""

from __future__ import annotations

from collections.abc import Iterator

from daemon.codes.lookup import Codes
from daemon.codes.table import CAUSES, Row

from .markdown import code, table

STAGES = {
    "bind": "Answers to a login",
    "submit": "Answers to a submit",
    "report": "Delivery reports",
}
PROTOCOLS = {
    "cmpp": "CMPP",
    "sgip": "SGIP",
    "smgp": "SMGP",
    "smpp": "SMPP",
    "platform": "Aggregators in between",
}
_PREFIXES = ("CMPP.RESULT:", "SGIP.RESULT:", "SMGP.STATUS:")


def page() -> str:
    """The status codes in Markdown."""
    return "\n".join((_BEGIN, *_sections(Codes().rows)))


def _sections(rows: list[Row]) -> Iterator[str]:
    for protocol, name in PROTOCOLS.items():
        yield f"## {name}\n"
        for stage, title in STAGES.items():
            own = [row for row in rows if row.stage == stage and protocol in row.protocols]
            if own:
                yield f"### {name}: {title.lower()}\n"
                header = ("code", "cause", "again", "whose fault", "meaning", "含义")
                yield table(header, map(_cells, own))


def _cells(row: Row) -> tuple[str, ...]:
    meaning = row.meaning
    again = "yes" if meaning.retryable and row.stage == "submit" else ""
    fault = "" if meaning.fault == "-" else meaning.fault
    return _said(row), meaning.cause, again, fault, meaning.en, meaning.zh


def _said(row: Row) -> str:
    """The code as events have it; a pattern without its mark."""
    said = row.code.removeprefix("re:") if row.pattern is not None else row.code
    for prefix in _PREFIXES:
        said = said.removeprefix(prefix)
    return f"{code(said)} (pattern)" if row.pattern is not None else code(said)


_BEGIN = f"""\
# Status codes

What a carrier's code means: the row that fits a code best gives a report its `cause`, says whether
a submit that was answered so goes again (at most three times), and whose fault it counts as in
`carrierd_failures_total`. The code itself is in the records as the carrier gave it. Causes are the
same words for all carriers: {", ".join(map(code, CAUSES))}.

Provinces and vendors use codes freely. A table of your own (`daemon.codes`, the same columns, only
`code` and `cause` are required) goes before this one, without a change of code. The daemon's own
codes, `LOCAL:…`, are explained in [Integrating](../integrating.md).

This page is written by `make docs` from `daemon/codes/codes.tsv`, where each row names its source.
"""
