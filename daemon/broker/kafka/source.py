"""The jobs topics of a Kafka, read as a member of a consumer group."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from ..base import BrokerError, Place, Placed, Record
from .settings import KafkaSettings
from .topics import require

COMMIT_EVERY = 1.0
ENDS_EVERY = 2.0
LEAVE_WITHIN = 5.0

# aiokafka asks a node for nothing new while one partition of it has records not yet taken,
# and then only for the others: so a partition that was just emptied waits up to this long
# for its turn.  Idle, it is also the time between two empty answers.
FETCH_WAIT = 0.05
FETCH_PARTITION = 1 << 20
FETCH_NODE = 8 << 20
NEVER = 2**31 - 1  # ms

# The least that brokers admit by default: so long are the partitions of a daemon that was
# killed nobody's.
SESSION = 6.0
HEARTBEAT = 1.5

log = structlog.get_logger()


def record(raw: ConsumerRecord) -> Record:
    content_type = None
    for name, value in raw.headers:
        if name == "content-type":
            content_type = value.decode("latin-1")
    return Record(
        raw.topic,
        raw.partition,
        raw.offset,
        raw.key,
        raw.value or b"",  # a tombstone
        content_type,
        raw.timestamp / 1000,
    )


def consumer_settings(settings: KafkaSettings) -> dict[str, Any]:
    """Bounded reading from the oldest record on, with no commit but ours.  Raises BrokerError."""
    return settings.client() | {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": round(FETCH_WAIT * 1000),
        "max_partition_fetch_bytes": FETCH_PARTITION,
        "fetch_max_bytes": FETCH_NODE,
        # A group is silent to those that join until all have, or their sessions have ended.
        "request_timeout_ms": round((settings.answer_within + SESSION) * 1000),
    }


class KafkaSource:
    """See `daemon.broker.base.Source`."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        *,
        on_assigned: Placed | None = None,
        on_revoked: Placed | None = None,
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._consumer: AIOKafkaConsumer | None = None
        self._mine: dict[str, list[TopicPartition]] = {}  # by topic, in the order of taking
        self._paused: set[str] = set()
        self._stale = False
        self._alarm: asyncio.Timeout | None = None  # set while `take` may be waiting
        self._owed: dict[TopicPartition, int] = {}  # offsets to commit
        self._told: dict[TopicPartition, int] = {}  # offsets committed
        self._flushing = asyncio.Lock()
        self._reached: dict[Place, int] = {}  # next offset to take
        self._ends: dict[Place, int] = {}
        self._upkeep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await require(self._settings, self._topics)
        consumer = AIOKafkaConsumer(
            **consumer_settings(self._settings),
            group_id=self._settings.group,
            session_timeout_ms=round(SESSION * 1000),
            heartbeat_interval_ms=round(HEARTBEAT * 1000),
            # Backpressure may stop the reading for hours; a stuck loop stops the heartbeat.
            max_poll_interval_ms=NEVER,
        )
        consumer.subscribe(list(self._topics), listener=_Listener(self))
        self._consumer = consumer
        try:
            await consumer.start()
        except KafkaError as exc:
            await consumer.stop()
            self._consumer = None
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc
        self._upkeep = asyncio.create_task(self._keep(consumer), name="kafka source upkeep")

    async def take(self, most: int, wait: float) -> list[Record]:
        consumer = self._started()
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        found: list[Record] = []
        while True:
            self._stale = False
            # aiokafka suspends only before it hands out records, so the alarm loses none.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until) as self._alarm:
                    await self._collect(consumer, most, wait, found)
            self._alarm = None
            if found or not self._stale:
                return found

    def commit(self, positions: Mapping[Place, int]) -> None:
        for (topic, partition), offset in positions.items():
            self._owed[TopicPartition(topic, partition)] = offset

    def pause(self, topics: Sequence[str] = ()) -> None:
        self._paused.update(topics or self._topics)
        self._wake()

    def resume(self, topics: Sequence[str] = ()) -> None:
        self._paused.difference_update(topics or self._topics)
        self._wake()

    def lag(self) -> dict[Place, int]:
        consumer = self._started()
        lag = {}
        for tp in consumer.assignment():
            place = (tp.topic, tp.partition)
            end = max(self._ends.get(place, 0), consumer.highwater(tp) or 0)
            lag[place] = max(0, end - self._reached.get(place, end))
        return lag

    async def close(self) -> None:
        if self._upkeep is not None:
            self._upkeep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._upkeep
            self._upkeep = None
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        try:
            async with asyncio.timeout(LEAVE_WITHIN):
                await self._flush(consumer)
                await consumer.stop()
        except TimeoutError:
            log.warning("left the consumer group without a word", kafka=self._settings.where)

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise BrokerError(f"Kafka at {self._settings.where}: the source is not open")
        return self._consumer

    def _wake(self) -> None:
        """What `take` waits for is no longer the right thing."""
        self._stale = True
        if self._alarm is not None and not self._alarm.expired():
            self._alarm.reschedule(asyncio.get_running_loop().time())

    async def _collect(
        self, consumer: AIOKafkaConsumer, most: int, wait: float, found: list[Record]
    ) -> None:
        """Fill `found`; wait for a first record only when there is none."""
        open_ = [tps for topic, tps in self._mine.items() if topic not in self._paused]
        await self._fill(consumer, open_, most, found)
        if found:
            return
        if not open_:
            await asyncio.Event().wait()  # for the alarm
        # One record, whosever it is: what came with it is then taken in order.
        await self._gather(consumer, [tp for tps in open_ for tp in tps], 1, found, wait)
        await self._fill(consumer, open_, most, found)
        found.sort(key=lambda taken: self._topics.index(taken.topic))

    async def _fill(
        self,
        consumer: AIOKafkaConsumer,
        open_: Sequence[Sequence[TopicPartition]],
        most: int,
        found: list[Record],
    ) -> None:
        for partitions in open_:
            if len(found) < most:
                await self._gather(consumer, partitions, most, found)

    async def _gather(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Sequence[TopicPartition],
        most: int,
        found: list[Record],
        wait: float = 0.0,
    ) -> None:
        """Add what there is to `found`, up to `most` in all."""
        try:
            got = await consumer.getmany(
                *partitions, timeout_ms=int(wait * 1000), max_records=most - len(found)
            )
        except KafkaError as exc:
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc
        for tp, raws in got.items():
            found.extend(map(record, raws))
            self._reached[tp.topic, tp.partition] = raws[-1].offset + 1

    # Assignment

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        consumer = self._consumer
        gone = frozenset((tp.topic, tp.partition) for tp in partitions)
        if consumer is None or not gone:
            return
        await self._flush(consumer)
        if self._on_revoked is not None:
            self._on_revoked(gone)
            await self._flush(consumer)  # it may have had a last word
        self._mine = {}
        for tp in partitions:
            self._owed.pop(tp, None)
            self._told.pop(tp, None)
            self._reached.pop((tp.topic, tp.partition), None)
            self._ends.pop((tp.topic, tp.partition), None)

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        mine: dict[str, list[TopicPartition]] = {topic: [] for topic in self._topics}
        for tp in sorted(partitions):
            mine[tp.topic].append(tp)
        self._mine = {topic: tps for topic, tps in mine.items() if tps}
        self._wake()
        if self._on_assigned is not None and self._mine:
            self._on_assigned(
                frozenset((tp.topic, tp.partition) for tps in self._mine.values() for tp in tps)
            )

    # Upkeep

    async def _keep(self, consumer: AIOKafkaConsumer) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time()
        while True:
            if loop.time() >= ends_at:
                await self._look(consumer)
                ends_at = loop.time() + ENDS_EVERY
            await asyncio.sleep(COMMIT_EVERY)
            await self._flush(consumer)

    async def _flush(self, consumer: AIOKafkaConsumer) -> None:
        """Commit what is owed; what could not be told now stays owed while it is ours."""
        async with self._flushing:
            mine = consumer.assignment()
            owed = {
                tp: offset
                for tp, offset in self._owed.items()
                if tp in mine and self._told.get(tp) != offset
            }
            if not owed:
                return
            try:
                await consumer.commit(owed)
            except (CommitFailedError, IllegalStateError) as exc:
                # The group has moved on; who has the partition now reads these again.
                log.info("offsets not committed", kafka=self._settings.where, error=str(exc))
            except KafkaError as exc:
                log.warning("offsets not committed yet", kafka=self._settings.where, error=str(exc))
            else:
                self._told.update(owed)
                for tp, offset in owed.items():
                    if self._owed.get(tp) == offset:
                        del self._owed[tp]

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        """Ask where the partitions end: under backpressure no fetch says so."""
        mine = consumer.assignment()
        if not mine:
            return
        try:
            ends = await consumer.end_offsets(list(mine))
            for tp in mine - {tp for tp in mine if (tp.topic, tp.partition) in self._reached}:
                reached = await consumer.committed(tp)
                if reached is None:
                    reached = (await consumer.beginning_offsets([tp]))[tp]
                self._reached.setdefault((tp.topic, tp.partition), reached)
        except KafkaError as exc:
            log.warning("lag not known", kafka=self._settings.where, error=str(exc))
            return
        for tp, end in ends.items():
            self._ends[tp.topic, tp.partition] = end


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed here
    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._source.revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._source.assigned(assigned)
