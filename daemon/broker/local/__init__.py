"""A durable queue in a directory, for one machine and without a server.

Each topic is a directory of segment files (`segments`) with framed records (`frames`).  Any
process may append and any may read along; one daemon at a time takes jobs.  There is one
partition, 0, and offsets count from 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..base import BrokerError, Placed, Released, Topic
from .outlet import LocalOutlet
from .segments import Appender, bases, topic_directory
from .source import LocalSource
from .tail import LocalTail

__all__ = ["RETAIN", "LocalBroker", "LocalOutlet", "LocalSource", "LocalTail"]

RETAIN = 7 * 86400.0
"""How long to keep what nobody takes away: reports, inbound and dead."""


class LocalBroker:
    """See `daemon.broker.base.Broker`.

    `retain` says for which topics files are dropped, and after how many seconds without
    a record; topics that it does not name are kept until they are taken.
    """

    def __init__(self, root: Path, retain: Mapping[str, float] | None = None) -> None:
        self.root = root
        self._retain = dict(retain or {})

    def source(
        self,
        topics: Sequence[str],
        *,
        on_assigned: Placed | None = None,
        on_revoked: Released | None = None,
        instance: str | None = None,
    ) -> LocalSource:
        """`on_revoked` is never called: nobody else can have the partition."""
        return LocalSource(self.root, topics, on_assigned=on_assigned)

    def outlet(self, topics: Sequence[str], packed: Collection[str] = ()) -> LocalOutlet:
        return LocalOutlet(self.root, topics, self._retain, packed)

    def tail(self, *topics: str, others: bool = False) -> LocalTail:
        """A frame does not say who wrote it, so `others` changes nothing."""
        return LocalTail(self.root, topics)

    async def topics(self, names: Sequence[str]) -> dict[str, int | None]:
        return {name: 1 if bases(topic_directory(self.root, name)) else None for name in names}

    async def create(self, topics: Sequence[Topic]) -> None:
        await asyncio.to_thread(self._create, [topic.name for topic in topics])

    def _create(self, names: Sequence[str]) -> None:
        try:
            for name in names:
                Appender(topic_directory(self.root, name)).close()
        except OSError as exc:
            raise BrokerError(f"local broker in {self.root}: {exc}") from exc
