"""The fields of the records that go out, in the order in which they are written."""

from __future__ import annotations

from msgspec import Raw, Struct


class Times(Struct, gc=False):
    produced: str | None
    received: str | None
    submitted: str | None
    answered: str | None
    reported: str | None


class Report(Struct, gc=False):
    """What became of a message, field for field as the contract has it."""

    v: int
    job: str
    message: str
    tenant: str
    to: str
    state: str
    final: bool
    cause: str | None
    code: str | None
    stage: str | None
    carrier: str | None
    account: str | None
    node: str | None
    parts: int
    bill_units: int
    attempts: int
    carrier_ids: list[str]
    times: Times
    meta: Raw
