"""A job record, read and checked (contract section 4).

Every record passes here, so a sound one costs one compiled decoder and little else; what is
wrong with any other is `refusal`'s to say.  What depends on number, route or account is not
looked at: that refuses a message, not a job.
"""

from __future__ import annotations

import base64
from hashlib import blake2b
from typing import Any, Final, Protocol

import msgspec

from .fields import DEFAULT_TENANT, Job, Lane, Wire
from .refusal import (
    DEEPEST_META,
    FARTHEST,
    LONGEST_META,
    NO_MOMENT,
    TOO_FAR,
    JobError,
    explain,
    is_digits,
    meta_fault,
    moment,
)

__all__ = ["Job", "JobError", "Lane", "dead_letter", "decode", "digest", "pack", "unpack"]

MSGPACK = "application/msgpack"

URGENT: Final = Lane.URGENT
NORMAL: Final = Lane.NORMAL
BULK: Final = Lane.BULK
TENANT: Final = DEFAULT_TENANT
LANES: Final = {"urgent": URGENT, "normal": NORMAL, "bulk": BULK}

_from_json: Final = msgspec.json.Decoder(Wire).decode
_from_msgpack: Final = msgspec.msgpack.Decoder(Wire).decode
_to_json: Final = msgspec.json.Encoder().encode
_to_sorted_json: Final = msgspec.json.Encoder(order="sorted").encode
_any_json: Final = msgspec.json.Decoder().decode
_pack: Final = msgspec.msgpack.Encoder().encode
_nothing: Final = blake2b(digest_size=16)
_unpack: Final = msgspec.msgpack.Decoder(Job).decode


def decode(value: bytes, content_type: str | None, now: float) -> Job:
    """The job in a record's value; `now` is in seconds since 1970.

    msgpack when the content type is `application/msgpack`, else JSON.  Where a field stands
    twice the last one counts, as with most readers of JSON.  Raises JobError and nothing else.
    """
    packed = content_type is not None and _is_msgpack(content_type)
    try:
        # Any: its fields are not what a job's are until they are made so, and compiled code looks.
        wire: Any = _from_msgpack(value) if packed else _from_json(value)
    except (ValueError, RecursionError):
        raise explain(value, packed) from None
    job: Job = wire
    if isinstance(wire.to, str):
        job.to = (wire.to,)
    # Most records end here: each of the rest costs a comparison.
    if job.tenant is not TENANT and job.tenant == TENANT:
        job.tenant = TENANT  # msgspec leaves out what *is* the default, not what equals it
    if job.ext and not is_digits(job.ext):
        raise explain(value, packed)
    if wire.priority is not NORMAL:
        job.priority = LANES[wire.priority]
    if wire.not_before is not None:
        job.not_before = _moment("not_before", wire.not_before)
        if job.not_before > now + FARTHEST:
            raise JobError("not_before", TOO_FAR)
    if wire.expires_at is not None:
        job.expires_at = _moment("expires_at", wire.expires_at)
    if wire.meta is not None:
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
    hashed = _nothing.copy()
    hashed.update(packed)
    return hashed.digest()


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
