"""Topics of a Kafka from some place on, without a group."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ..base import BrokerError, Place, Record
from .consumer import adapt, consumer_settings, leave
from .settings import KafkaSettings
from .topics import require


class KafkaTail:
    """See `daemon.broker.base.Tail`.  Gives nothing of the producers in `without`."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], without: Collection[int] = ()
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._without = without
        self._consumer: AIOKafkaConsumer | None = None
        self._counts: dict[str, int] = {}  # partitions of each topic that are read
        self._ends: dict[Place, int] = {}  # as they were at the start

    async def start(self, at: int | Mapping[Place, int] | None = 0) -> None:
        self._counts = await require(self._settings, self._topics)
        tps = [
            TopicPartition(topic, number)
            for topic, count in self._counts.items()
            for number in range(count)
        ]
        consumer = AIOKafkaConsumer(**consumer_settings(self._settings))
        consumer.assign(tps)
        self._consumer = consumer
        try:
            await consumer.start()
            adapt(consumer, self._without)
            first = await consumer.beginning_offsets(tps)
            ends = await consumer.end_offsets(tps)
        except KafkaError as exc:
            await self.close()
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc
        for tp in tps:
            self._ends[tp.topic, tp.partition] = ends[tp]
            consumer.seek(tp, _begin(at, tp, first[tp], ends[tp]))

    async def take(self, most: int, wait: float) -> list[Record]:
        consumer = self._started()
        # What the client knows by now; it asks every few seconds.
        self._widen(
            consumer,
            {topic: len(consumer.partitions_for_topic(topic) or ()) for topic in self._topics},
        )
        try:
            got = await consumer.getmany(timeout_ms=int(wait * 1000), max_records=most)
        except KafkaError as exc:
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc
        found: list[Record] = []
        for records in got.values():
            found += records
        return found

    def places(self) -> dict[Place, int]:
        return {(tp.topic, tp.partition): at for tp, at in _positions(self._started()).items()}

    async def ends(self) -> dict[Place, int]:
        consumer = self._started()
        try:
            async with asyncio.timeout(self._settings.answer_within):
                self._widen(consumer, await require(self._settings, self._topics))
                ends = await consumer.end_offsets(list(consumer.assignment()))
        except KafkaError as exc:
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc
        except TimeoutError as exc:
            raise BrokerError(f"Kafka at {self._settings.where}: no answer in time") from exc
        return {(tp.topic, tp.partition): end for tp, end in ends.items()}

    async def reached(self, ends: Mapping[Place, int]) -> bool:
        # What has no record in front of the end is passed over by aiokafka.
        places = self.places()
        return all(places.get(place, 0) >= end for place, end in ends.items())

    async def finished(self) -> bool:
        return self._consumer is None or await self.reached(self._ends)

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await leave(consumer)

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise BrokerError(f"Kafka at {self._settings.where}: the tail is not open")
        return self._consumer

    def _widen(self, consumer: AIOKafkaConsumer, counts: Mapping[str, int]) -> None:
        """Read partitions that were added, too."""
        fresh = [
            TopicPartition(topic, number)
            for topic, count in counts.items()
            for number in range(self._counts[topic], count)
        ]
        if not fresh:
            return
        for tp in fresh:
            self._counts[tp.topic] = tp.partition + 1
        positions = _positions(consumer) | dict.fromkeys(fresh, 0)
        # This forgets all positions, and what was fetched and not taken.
        consumer.assign(list(positions))
        for tp, offset in positions.items():
            consumer.seek(tp, offset)


def _positions(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """What to take next of all partitions that are read.

    aiokafka would have each awaited, because it may be looking for the first record there is.
    """
    assignment = consumer._subscription.subscription.assignment
    states = {tp: assignment.state_value(tp) for tp in assignment.tps}
    return {tp: s.position if s.has_valid_position else 0 for tp, s in states.items()}


def _begin(at: int | Mapping[Place, int] | None, tp: TopicPartition, first: int, end: int) -> int:
    if at is None:
        return end
    if isinstance(at, Mapping):
        kept = at.get((tp.topic, tp.partition), first)
        return kept if first <= kept <= end else first
    return min(max(at if at >= 0 else end + at, first), end)
