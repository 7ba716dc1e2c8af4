"""What `trace` tells of a message."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

LEFT = frozenset({"written", "claimed"})
"""Steps of an attempt that went out, or may have: a crash came between its claim and its row."""
ANSWERED = frozenset({"answered", "throttled", "refused"})


class Step(msgspec.Struct, array_like=True, gc=False):
    """One thing that happened to a message, as `trace` shows it."""

    at: float
    step: str
    part: int | None = None
    attempt: int | None = None
    node: str | None = None
    code: str | None = None
    matched: str | None = None


def unanswered_since(steps: Iterable[Step], part: int) -> float | None:
    """Wall time since when the gateway may have this part without having said so: that of its
    first write that no answer came to.  None where every one was answered.
    """
    unanswered: dict[int | None, float] = {}
    for step in steps:
        if step.part != part:
            continue
        if step.step in LEFT:
            unanswered.setdefault(step.attempt, step.at)
        elif step.step in ANSWERED:
            unanswered.pop(step.attempt, None)
    return min(unanswered.values(), default=None)
