"""The fields of a job: as the daemon keeps them, and as records spell them (contract section 4)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import astuple

from .refusal import LONGEST_ID, LONGEST_TEXT, MOST_RECIPIENTS, SIGNATURE

DEFAULT_TENANT = "default"


class Lane(IntEnum):
    """Which queue of its account a message waits in; smaller goes first."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


_NONE: Any = None


class Job(Struct, omit_defaults=True, gc=False):
    """What a record asks for.  Times are seconds since 1970.

    Fields may be added at the end, with a default, and never renamed: `jobs.pack` leaves defaults
    out, so ledgers and digests of an older version stay readable and equal.
    """

    id: str
    to: tuple[str, ...]
    """As given, not yet folded."""
    text: str
    signature: str | None = None
    tenant: str = DEFAULT_TENANT
    ext: str = ""
    priority: Lane = Lane.NORMAL
    not_before: float | None = None
    expires_at: float | None = None
    report: bool = True
    account: str | None = None
    on_uncertain: Literal["resend", "wait"] | None = None
    meta: bytes | None = None
    """Compact JSON."""

    def __eq__(self, other: object) -> bool:
        # Whether it was read from a record or from the ledger makes no difference.
        return isinstance(other, Job) and astuple(self) == astuple(other)


class Wire(Job, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A job as its record spells it, until `jobs.decode` has made each field what a job has.

    No field may be null; the defaults are those of a job.
    """

    id: Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
    to: (  # type: ignore[assignment]
        Annotated[str, Meta(min_length=1)]
        | Annotated[tuple[str, ...], Meta(min_length=1, max_length=MOST_RECIPIENTS)]
    )
    text: Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
    signature: Annotated[str, Meta(min_length=SIGNATURE[0], max_length=SIGNATURE[1])] = _NONE
    priority: Literal["urgent", "normal", "bulk"] = Lane.NORMAL  # type: ignore[assignment]
    not_before: str = _NONE  # type: ignore[assignment]
    expires_at: str = _NONE  # type: ignore[assignment]
    account: str = _NONE
    on_uncertain: Literal["resend", "wait"] = _NONE
    meta: dict[str, Any] = _NONE  # type: ignore[assignment]
