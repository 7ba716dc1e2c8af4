"""What `trace` tells of a message."""

from __future__ import annotations

import msgspec


class Step(msgspec.Struct, array_like=True, gc=False):
    """One thing that happened to a message, as `trace` shows it."""

    at: float
    step: str
    part: int | None = None
    attempt: int | None = None
    node: str | None = None
    code: str | None = None
    matched: str | None = None
