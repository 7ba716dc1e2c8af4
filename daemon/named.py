"""What a claim in the ledger names."""

from __future__ import annotations

from msgspec import Struct


class Named(Struct, array_like=True):
    """A message in a claim: what a restart needs to know if it was on the wire."""

    mid: int
    reference: int
    parts: int
    node: str


class Claim(Struct, array_like=True):
    account: str
    messages: list[Named]
