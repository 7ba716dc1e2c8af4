"""Claims: the messages of which a crash could not say whether they left.

Before a message may be written, a claim that names it is durable.  It is dropped once every message
it names has been answered, given up or taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from .named import Claim, Named

__all__ = ["START_BITS", "Claim", "Claims", "Named", "pack", "pack_all", "unpack"]

START_BITS = 40
"""Claims are numbered from the count of starts, shifted by this: always higher than before."""


class Claims:
    """`first` is higher than any claim ever made: messages remember theirs."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._open: dict[int, int] = {}
        self._done: list[int] = []

    def make(self, messages: int) -> int:
        """A new claim on so many messages."""
        claim = self._next
        self._next += 1
        self._open[claim] = messages
        return claim

    def release(self, claim: int, messages: int = 1) -> None:
        """So many messages less; nothing for one that is no claim any more."""
        left = self._open.get(claim)
        if left is None:
            return
        if left > messages:
            self._open[claim] = left - messages
        else:
            del self._open[claim]
            self._done.append(claim)

    def done(self) -> list[int]:
        """Claims that may be dropped from the ledger, once."""
        done = self._done
        if done:
            self._done = []
        return done


_encode: Final = msgspec.msgpack.Encoder().encode


def pack(account: str, messages: Sequence[tuple[int, int, int, str]]) -> bytes:
    """A claim on messages of one account, each as `Named` has it, without making one for each."""
    return _encode(((account, messages),))


def pack_all(claims: Sequence[Claim]) -> bytes:
    """Claims of several accounts under one number."""
    return _encode(claims)


unpack: Final = msgspec.msgpack.Decoder(list[Claim]).decode
