"""What aiokafka does wrong, put right for every client of the process.

It offers no other place for that, so `repair` replaces three of its methods, which go wrong while a
broker goes away, and how it compresses, once.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

ASK_EVERY = 0.1
"""A client asks for metadata no more often, as Java's does (`retry.backoff.ms`).

aiokafka's producer asks again as soon as it has the answer while a partition has no leader:
with a broker that refuses connections it does nothing else.
"""

LZ4_LEVEL = 1
"""The fast one, as Java's client has it.  aiokafka's 9 is another method, LZ4 HC: it takes fifteen
times as long to save a fifth of the octets.
"""


def repair() -> None:
    """Done again it changes nothing."""
    for name in ("send", "_send_sasl_token"):
        _replace(AIOKafkaConnection, name, _only_while_open)
    _replace(AIOKafkaClient, "_metadata_update", _seldom)
    _replace(sys.modules[DefaultRecordBatchBuilder.__module__], "lz4_encode", _fast)


def _replace(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    method = getattr(owner, name, None)
    assert method is not None, f"aiokafka changed: {owner.__name__} has no {name}"
    if not hasattr(method, "__wrapped__"):
        setattr(owner, name, wrap(method))


def _only_while_open(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """uvloop raises RuntimeError when something is written to a connection that was lost.

    asyncio's own transport passes over it, so aiokafka knows only OSError there.  It hears
    of the loss a turn of the loop later, from its reader.
    """

    @functools.wraps(method)
    def write(self: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        if self._writer is not None and self._writer.transport.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} was lost")
        return method(self, *args, **kwargs)

    return write


def _seldom(method: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    @functools.wraps(method)
    async def ask(self: Any, *args: Any) -> bool:
        now = asyncio.get_running_loop().time()
        self._ask_at = max(now, getattr(self, "_ask_at", now))
        wait, self._ask_at = self._ask_at - now, self._ask_at + ASK_EVERY
        await asyncio.sleep(wait)
        return await method(self, *args)

    return ask


def _fast(encode: Callable[..., bytes]) -> Callable[[bytes], bytes]:
    @functools.wraps(encode)
    def compress(data: bytes) -> bytes:
        return encode(data, level=LZ4_LEVEL)

    return compress
