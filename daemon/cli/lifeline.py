"""The life of a message for people: its steps, the time between them, and the whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from daemon.cli.lasting import lasting
from daemon.cli.paint import Paint

VERDICTS = {"delivered": "green", "undelivered": "red", "rejected": "red", "expired": "red"}
LONG, TOO_LONG = 1.0, 5.0
"""Seconds between two steps that are worth a look, and that spoil a code's seven."""
WIDTH = 12


def lifeline(life: dict[str, Any], paint: Paint) -> Iterator[str]:
    """Lines for a life as `trace --json` has it."""
    verdict = life["state"] + ("" if life["final"] else " (not final)")
    if life["code"]:
        verdict += f", {life['code']}"
    verdict = paint(verdict, VERDICTS.get(life["state"], "yellow") if life["final"] else "yellow")
    yield f"{paint(life['message'], 'bold')}  to {life['to']}  {verdict}"
    ids = ", ".join(life["carrier_ids"]) or "none"
    yield f"  account {life['account'] or '-'}, carrier ids: {ids}"
    first = before = None
    for step in life["steps"]:
        at = datetime.fromisoformat(step["at"]) if step["at"] is not None else None
        gap = ""
        if at is not None:
            if first is None:
                first = at
            if before is not None:
                gap = _gap((at - before).total_seconds(), paint)
            before = at
        stamp = step["at"] or "-"
        line = (
            f"  {stamp:<29}  {gap or ' ' * WIDTH}  {step['step']:<12}  {', '.join(_details(step))}"
        )
        yield line.rstrip()
    if first is not None and before is not None:
        whole = lasting((before - first).total_seconds())
        yield f"  {'':<29}  {paint(whole.rjust(WIDTH), 'bold')}  in all"


def _gap(seconds: float, paint: Paint) -> str:
    """Since the step before; reports may have come before the answer was written down."""
    text = lasting(seconds)
    colour = "red" if seconds >= TOO_LONG else "yellow" if seconds >= LONG else "dim"
    return paint(f"+{text}".rjust(WIDTH) if seconds >= 0 else text.rjust(WIDTH), colour)


def _details(step: dict[str, Any]) -> Iterator[str]:
    for name in ("part", "attempt", "node", "code"):
        if step[name]:
            yield f"{name} {step[name]}"
    if "matched" in step:
        yield f"matched by {step['matched']}"
