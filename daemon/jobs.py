"""A job record, read and checked (contract section 4).

Every record passes here, so a sound one costs one compiled decoder and little else; what is
wrong with any other is `refusal`'s to say.  What depends on number, route or account is not
looked at: that refuses a message, not a job.
"""

from __future__ import annotations

import base64
from enum import IntEnum
from hashlib import blake2b
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from .refusal import (
    DEEPEST_META,
    FARTHEST,
    LONGEST_ID,
    LONGEST_META,
    LONGEST_TEXT,
    MOST_RECIPIENTS,
    NO_MOMENT,
    SIGNATURE,
    TOO_FAR,
    JobError,
    explain,
    is_digits,
    meta_fault,
    moment,
)

__all__ = ["Job", "JobError", "Lane", "dead_letter", "decode", "digest", "pack", "unpack"]

MSGPACK = "application/msgpack"
DEFAULT_TENANT = "default"


class Lane(IntEnum):
    """Which queue of its account a message waits in; smaller goes first."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


URGENT, NORMAL, BULK = Lane
LANES = {"urgent": URGENT, "normal": NORMAL, "bulk": BULK}


class Job(Struct, omit_defaults=True, gc=False):
    """What a record asks for.  Times are seconds since 1970.

    Fields may be added at the end, with a default, and never renamed: `pack` leaves defaults
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

    def __post_init__(self) -> None:
        # msgspec leaves out what *is* the default, not what equals it.
        if self.tenant == DEFAULT_TENANT:
            self.tenant = DEFAULT_TENANT


class _Wire(Struct, forbid_unknown_fields=True, gc=False):
    """The record as it is spelled."""

    id: Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
    to: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[tuple[str, ...], Meta(min_length=1, max_length=MOST_RECIPIENTS)]
    )
    text: Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
    signature: (
        Annotated[str, Meta(min_length=SIGNATURE[0], max_length=SIGNATURE[1])] | UnsetType
    ) = UNSET
    tenant: str = DEFAULT_TENANT
    ext: str = ""
    priority: Literal["urgent", "normal", "bulk"] = "normal"
    not_before: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    report: bool = True
    account: str | UnsetType = UNSET
    on_uncertain: Literal["resend", "wait"] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET


_from_json = msgspec.json.Decoder(_Wire).decode
_from_msgpack = msgspec.msgpack.Decoder(_Wire).decode
_to_json = msgspec.json.Encoder().encode
_to_sorted_json = msgspec.json.Encoder(order="sorted").encode
_any_json = msgspec.json.Decoder().decode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Job).decode


def decode(value: bytes, content_type: str | None, now: float) -> Job:
    """The job in a record's value; `now` is in seconds since 1970.

    msgpack when the content type is `application/msgpack`, else JSON.  Where a field stands
    twice the last one counts, as with most readers of JSON.  Raises JobError and nothing else.
    """
    packed = content_type is not None and _is_msgpack(content_type)
    try:
        wire = _from_msgpack(value) if packed else _from_json(value)
    except (ValueError, RecursionError):
        raise explain(value, packed) from None
    to = wire.to
    job = Job(wire.id, (to,) if isinstance(to, str) else to, wire.text)
    # Most records end here: each of the rest costs a comparison.
    if wire.signature is not UNSET:
        job.signature = wire.signature
    if wire.tenant != DEFAULT_TENANT:
        job.tenant = wire.tenant
    if wire.ext:
        if not is_digits(wire.ext):
            raise explain(value, packed)
        job.ext = wire.ext
    if wire.priority != "normal":
        job.priority = LANES[wire.priority]
    if wire.not_before is not UNSET:
        job.not_before = _moment("not_before", wire.not_before)
        if job.not_before > now + FARTHEST:
            raise JobError("not_before", TOO_FAR)
    if wire.expires_at is not UNSET:
        job.expires_at = _moment("expires_at", wire.expires_at)
    if not wire.report:
        job.report = False
    if wire.account is not UNSET:
        job.account = wire.account
    if wire.on_uncertain is not UNSET:
        job.on_uncertain = wire.on_uncertain
    if wire.meta is not UNSET:
        job.meta = _meta(wire.meta, packed)
    return job


def digest(job: Job, packed: bytes | None = None) -> bytes:
    """16 octets that are equal for equal content, however it was spelled.

    The order of keys, the format and defaults given or left out make no difference.  Numbers
    inside `meta` do when one is written as an integer and the other is not.  `packed` is what
    `pack` makes of the job, where the caller has it.
    """
    if job.meta is not None:
        packed = _pack(msgspec.structs.replace(job, meta=_to_sorted_json(_any_json(job.meta))))
    elif packed is None:
        packed = _pack(job)
    return blake2b(packed, digest_size=16).digest()


def pack(job: Job) -> bytes:
    """The job as the ledger keeps it."""
    return _pack(job)


def unpack(body: bytes) -> Job:
    """What `pack` made, also by an older version.  Raises ValueError."""
    return _unpack(body)


class Refused(Protocol):
    """What `dead_letter` needs of a record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes: ...


def dead_letter(record: Refused, error: JobError) -> bytes:
    """The record of the dead topic (contract section 4)."""
    return _to_json(
        {
            "v": 1,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "field": error.field,
            "error": error.error,
            "value_base64": base64.b64encode(record.value).decode("ascii"),
        }
    )


def _is_msgpack(content_type: str) -> bool:
    return content_type == MSGPACK or content_type.partition(";")[0].strip().lower() == MSGPACK


def _moment(field: str, text: str) -> float:
    try:
        return moment(text)
    except ValueError:
        raise JobError(field, NO_MOMENT) from None


def _meta(value: dict[str, Any], packed: bool) -> bytes:
    # JSON that was decoded is JSON again, but for its depth; msgpack can say much more.
    wrong = meta_fault(value) if packed else None
    if wrong is None:
        try:
            text = _to_json(value)
        except RecursionError:
            raise JobError("meta", meta_fault(value) or "is nested too deeply") from None
        if len(text) > LONGEST_META:
            wrong = f"has {len(text)} octets, allowed are {LONGEST_META}"
        elif text.count(b"[") + text.count(b"{") > DEEPEST_META:
            wrong = meta_fault(value)
    if wrong is not None:
        raise JobError("meta", wrong)
    return text
