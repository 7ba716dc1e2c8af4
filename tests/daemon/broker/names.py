"""What the tests that talk to a Kafka share: names of their own, and waiting for others."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from daemon.broker.kafka import KafkaSettings


def name(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


def settings(bootstrap: str, **more: Any) -> KafkaSettings:
    return KafkaSettings([bootstrap], group=name("group"), **more)


async def until(condition: Callable[[], bool], within: float = 30.0) -> None:
    """For what happens by itself, elsewhere."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
