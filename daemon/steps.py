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


def unanswered_since(steps: Iterable[Step]) -> dict[int, float]:
    """By part, wall time since when the gateway may have it without having said so: that of its
    first write that no answer came to.  Without those of which every one was answered.
    """
    unanswered: dict[tuple[int, int | None], float] = {}
    for step in steps:
        if step.part is None:
            continue
        if step.step in LEFT:
            unanswered.setdefault((step.part, step.attempt), step.at)
        elif step.step in ANSWERED:
            unanswered.pop((step.part, step.attempt), None)
    since: dict[int, float] = {}
    for (part, _), at in unanswered.items():
        since[part] = min(at, since.get(part, at))
    return since
