"""How far a member of a group has come in its partitions, and when the group last heard of it.

From the end of a revocation to the next assignment nothing is committed: an offset of the
generation before, refused while we join, would make aiokafka forget who it is and leave a
dead member behind for everyone to wait for.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from time import monotonic

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata

from ..base import Place

COMMIT_WITHIN = 2.0

# The group has gone on without us; who has the partitions now reads these records again.
GONE_ON = (IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)

log = structlog.get_logger()


class Commits:
    """`begin` with each assignment, `release` and then `end` with each revocation."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._mine: frozenset[TopicPartition] = frozenset()  # may be committed
        self._owed: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}  # committed
        self._flushing = asyncio.Lock()
        self._releasing = False
        self._late = False  # so that an outage is logged once
        self.admitted = False
        """From an assignment until a commit says that the group has gone on without us."""
        self.heard_of = -math.inf
        """When the last commit that succeeded was sent, by the monotonic clock, while nothing was
        being revoked.
        """

    def begin(self, mine: Iterable[TopicPartition]) -> None:
        self._mine = frozenset(mine)
        self._owed.clear()
        self._told.clear()
        self._releasing = False
        self.admitted = True

    def release(self, consumer: AIOKafkaConsumer) -> None:
        """Go on, but be no sign of life: a rebalance does not wait for ever."""
        self._releasing = True
        if thrown_out(consumer):
            self.admitted = False

    def end(self) -> None:
        self._mine = frozenset()
        self._owed.clear()

    def owe(self, positions: Mapping[Place, int]) -> None:
        for (topic, number), offset in positions.items():
            tp = TopicPartition(topic, number)
            if tp in self._mine:
                self._owed[tp] = offset

    async def flush(self, consumer: AIOKafkaConsumer, again: bool = False) -> None:
        """Commit what is owed; what could not be told now stays owed while it is ours.

        `again`: when nothing is owed, one position once more.  The group takes a commit as a
        sign of life like a heartbeat, of which aiokafka does not say whether it was heard.
        """
        async with self._flushing:
            mine = self._mine
            try:
                async with asyncio.timeout(COMMIT_WITHIN):
                    owed = self._due() or (await self._position(consumer) if again else {})
                    if not owed or mine is not self._mine:
                        return
                    sent = monotonic()
                    await _commit(consumer, owed)
            except GONE_ON as exc:
                log.info("offsets not committed", kafka=self._where, error=str(exc))
                if mine is self._mine:
                    self.admitted = False
            except (KafkaError, TimeoutError) as exc:
                if not self._late:
                    error = str(exc) or "no answer in time"
                    log.warning("offsets not committed yet", kafka=self._where, error=error)
                self._late = True
            else:
                self._late = False
                if mine is self._mine:
                    self._told.update(owed)
                    if not self._releasing:
                        self.heard_of = sent

    def _due(self) -> dict[TopicPartition, int]:
        return {tp: offset for tp, offset in self._owed.items() if self._told.get(tp) != offset}

    async def _position(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """One partition of ours with its committed position; empty when nothing is ours."""
        for tp in self._mine:
            offset = self._told.get(tp)
            if offset is None:
                offset = await consumer.committed(tp)
            if offset is None:
                offset = (await consumer.beginning_offsets([tp]))[tp]
            return {tp: offset}
        return {}


def thrown_out(consumer: AIOKafkaConsumer) -> bool:
    """Whether the group has said that it does not know us."""
    return bool(consumer._coordinator.generation < 0)


async def _commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    """One attempt; raises KafkaError.  May be cancelled.

    What aiokafka offers tries for ever, also across a rebalance, and leaves an exception to
    nobody when it is cancelled.
    """
    coordinator = consumer._coordinator
    assert hasattr(coordinator, "_do_commit_offsets"), "aiokafka changed: nothing is committed"
    if thrown_out(consumer):
        raise UnknownMemberIdError  # an empty group would take it all the same
    metadata = {tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
    await coordinator._do_commit_offsets(None, metadata)
