"""The daemon's topics on a Kafka, written and read by librdkafka: not the client the daemon has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.contract.process import Published, until

MSGPACK = "application/msgpack"
WITHIN = 60.0
"""Seconds that a single request may take."""


class Topics:
    """The topics of one daemon: all names begin with `prefix`."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        self.group = f"{prefix}carrierd"
        self.published: dict[str, list[Published]] = {"reports": [], "inbound": [], "dead": []}
        # Nothing is said of a broker that a test stops.
        self._client: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._producer = Producer({**self._client, "enable.idempotence": True})
        self._admin = AdminClient(self._client)

    def name(self, purpose: str) -> str:
        return {"urgent": f"{self.prefix}jobs.urgent"}.get(purpose, f"{self.prefix}{purpose}")

    def broker(self, **keys: Any) -> dict[str, Any]:
        """The configuration's section."""
        topics: dict[str, Any] = {
            purpose: self.name(purpose)
            for purpose in ("reports", "inbound", "dead", "parked", "state")
        }
        topics["jobs"] = [self.name("urgent"), self.name("jobs")]
        return {
            "kind": "kafka", "bootstrap": [self.bootstrap], "group": self.group, **keys,
            "topics": topics,
        }  # fmt: skip

    def names(self) -> list[str]:
        purposes = ("urgent", "jobs", "reports", "inbound", "dead", "parked", "state")
        return [self.name(purpose) for purpose in purposes]

    async def touch(self) -> None:
        """Asks about every topic, which makes it on a mock cluster."""
        for name in self.names():
            await asyncio.to_thread(self._producer.list_topics, name, timeout=WITHIN)

    # Jobs

    async def put(
        self,
        *values: bytes,
        topic: str = "jobs",
        keys: Sequence[str | None] | None = None,
        content_type: str | None = None,
        partition: int | None = None,
    ) -> list[tuple[int, int]]:
        """Records as they are; returns partition and offset of each, once the broker has them."""
        places: dict[int, tuple[int, int]] = {}
        more: dict[str, Any] = {} if partition is None else {"partition": partition}
        if content_type is not None:
            more["headers"] = {"content-type": content_type}
        for index, value in enumerate(values):

            def stored(error: Any, message: Any, index: int = index) -> None:
                assert error is None, error
                places[index] = (message.partition(), message.offset())

            key = None if keys is None else keys[index]
            self._producer.produce(self.name(topic), value, key, on_delivery=stored, **more)
        left = await asyncio.to_thread(self._producer.flush, 2 * WITHIN)
        assert left == 0, f"{left} records are not stored"
        return [places[index] for index in range(len(values))]

    async def send(self, *jobs: dict[str, Any], **where: Any) -> list[tuple[int, int]]:
        """Each with its id as the key."""
        values = [json.dumps(job).encode() for job in jobs]
        return await self.put(*values, keys=[job["id"] for job in jobs], **where)

    # What was published

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Reads all that is published into `published`, in the block."""
        stop = asyncio.Event()
        task = asyncio.create_task(self._follow(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def _follow(self, stop: asyncio.Event) -> None:
        """Never cancelled: a thread that is left in a consumer which is closed takes us along."""
        consumer = Consumer(
            {
                **self._client,
                "group.id": f"{self.prefix}reader",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        try:
            await asyncio.to_thread(self._assign, consumer)
            while not stop.is_set():
                got = await asyncio.to_thread(consumer.consume, 500, 0.05)
                for message in got:
                    if message.error() is None:
                        self._keep(message)
        finally:
            await asyncio.to_thread(consumer.close)

    def _assign(self, consumer: Consumer) -> None:
        places = []
        for purpose in self.published:
            name = self.name(purpose)
            found = consumer.list_topics(name, timeout=WITHIN).topics[name].partitions
            places += [TopicPartition(name, partition, 0) for partition in found]
        consumer.assign(places)

    def _keep(self, message: Any) -> None:
        headers = dict(message.headers() or ())
        key, kind = message.key(), headers.get("content-type")
        self.published[message.topic().removeprefix(self.prefix)].append(
            Published(
                message.topic(),
                None if key is None else key.decode(),
                None if kind is None else kind.decode(),
                message.offset(),
                json.loads(message.value()),
            )
        )

    def reports(self) -> list[dict[str, Any]]:
        return [p.value for p in self.published["reports"]]

    def events(self, message: str) -> list[dict[str, Any]]:
        return [event for event in self.reports() if event["message"] == message]

    def finals(self) -> dict[str, dict[str, Any]]:
        """The final event of each message that has one."""
        return {event["message"]: event for event in self.reports() if event["final"]}

    async def final(self, message: str, within: float = 60.0) -> dict[str, Any]:
        found: dict[str, Any] = await until(
            lambda: self.finals().get(message),
            within,
            lambda: f"a final event of {message}, only {self.events(message)}",
        )
        return found

    async def settled(self, count: int, within: float = 60.0) -> dict[str, dict[str, Any]]:
        """All final events, once there are as many."""
        await until(
            lambda: len(self.finals()) >= count, within, lambda: f"{len(self.finals())} of {count}"
        )
        return self.finals()

    # Offsets

    async def committed(self, topic: str = "jobs") -> dict[int, int]:
        """The group's offsets by partition, without those that it has none for."""
        return await asyncio.to_thread(self._committed, self.name(topic))

    def _committed(self, name: str) -> dict[int, int]:
        asker = Consumer({**self._client, "group.id": self.group})
        try:
            partitions = asker.list_topics(name, timeout=WITHIN).topics[name].partitions
            places = [TopicPartition(name, partition) for partition in partitions]
            found = asker.committed(places, timeout=WITHIN)
            return {place.partition: place.offset for place in found if place.offset >= 0}
        finally:
            asker.close()

    async def moved(
        self, wanted: dict[int, int], topic: str = "jobs", within: float = 60.0
    ) -> dict[int, int]:
        """The group's offsets, once they have these among them."""
        found: dict[int, int] = {}
        try:
            async with asyncio.timeout(within):
                while not wanted.items() <= found.items():
                    found = await self.committed(topic)
        except TimeoutError:
            raise AssertionError(f"offsets {found} of {topic}, not {wanted}") from None
        return found

    async def members(self) -> int:
        """How many daemons the broker believes to be in the group."""
        (answer,) = self._admin.describe_consumer_groups([self.group]).values()
        return len((await asyncio.to_thread(answer.result, WITHIN)).members)

    async def rewind(self, topic: str = "jobs") -> None:
        """Puts the group, which has no member now, back to the beginning."""
        await asyncio.to_thread(self._rewind, self.name(topic))

    def _rewind(self, name: str) -> None:
        partitions = self._admin.list_topics(name, timeout=WITHIN).topics[name].partitions
        places = [TopicPartition(name, partition, 0) for partition in partitions]
        asked = [ConsumerGroupTopicPartitions(self.group, places)]
        (answer,) = self._admin.alter_consumer_group_offsets(asked).values()
        answer.result(WITHIN)
