"""A topic of a Kafka from some place on, without a group."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ..base import BrokerError, Record
from .settings import KafkaSettings
from .source import consumer_settings, record
from .topics import require


class KafkaTail:
    """See `daemon.broker.base.Tail`.  A place is an offset in each partition."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._ends: dict[TopicPartition, int] = {}

    async def start(self, at: int | None = 0) -> None:
        partitions = (await require(self._settings, [self._topic]))[self._topic]
        tps = [TopicPartition(self._topic, number) for number in range(partitions)]
        consumer = AIOKafkaConsumer(**consumer_settings(self._settings))
        consumer.assign(tps)
        self._consumer = consumer
        try:
            await consumer.start()
            first = await consumer.beginning_offsets(tps)
            self._ends = await consumer.end_offsets(tps)
            for tp, end in self._ends.items():
                wanted = end if at is None else at if at >= 0 else end + at
                consumer.seek(tp, min(max(wanted, first[tp]), end))
        except KafkaError as exc:
            await self.close()
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc

    async def take(self, most: int, wait: float) -> list[Record]:
        if self._consumer is None:
            raise BrokerError(f"Kafka at {self._settings.where}: the tail is not open")
        try:
            got = await self._consumer.getmany(timeout_ms=int(wait * 1000), max_records=most)
        except KafkaError as exc:
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc
        return [record(raw) for raws in got.values() for raw in raws]

    async def finished(self) -> bool:
        if self._consumer is None:
            return True
        for tp, end in self._ends.items():
            if await self._consumer.position(tp) < end:
                return False
        return True

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
