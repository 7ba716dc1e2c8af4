"""The jobs topics of a Kafka, read as a member of a consumer group.

aiokafka's groups are of the eager kind: before each rebalance all partitions are revoked,
and after it those that are ours, also the same ones, are read from their committed position.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from ..base import BrokerError, Place, Placed, Record, Released
from .commits import Commits, thrown_out
from .consumer import adapt, consumer_settings, leave
from .instance import Instance
from .members import Members
from .settings import KafkaSettings
from .topics import require

COMMIT_EVERY = 1.0
ENDS_EVERY = 2.0
NEVER = 2**31 - 1  # ms

HEARTBEAT = 0.5
"""So soon the others hear that someone came or went."""

RELEASE_WITHIN = 10.0
"""So long a rebalance waits for a member that still holds its partitions.

Longer than `on_revoked` and two commits take together.  Also longer than a session by more
than it takes to hear of a rebalance: so whoever was heard of within a session has its
partitions to itself, even if a rebalance had begun by then.
"""

NOWHERE = TopicPartition("", 0)

log = structlog.get_logger()


class KafkaSource:
    """See `daemon.broker.base.Source`."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        *,
        on_assigned: Placed | None = None,
        on_revoked: Released | None = None,
        instance: str | None = None,
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._consumer: AIOKafkaConsumer | None = None
        self._members = Members()
        self._instance = Instance(instance) if instance is not None else None
        self._mine: dict[str, list[TopicPartition]] = {}  # by topic, in the order of taking
        self._revocations = 0
        self._asked_for = 0  # partitions, so that a rebalance is asked for once
        self._alone = False
        self._asked = -math.inf  # when somebody last asked whether we are sure
        self._commits = Commits(settings.where)
        self._rejoined = asyncio.Event()
        self._fault: BaseException | None = None  # what `take` has to raise
        self._paused: set[str] = set()
        self._stale = False
        self._alarm: asyncio.Timeout | None = None  # set while `take` may be waiting
        self._reached: dict[Place, int] = {}  # next offset to take
        self._ends: dict[Place, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await require(self._settings, self._topics)
        instance = self._instance.name if self._instance is not None else None
        session, answer_within = self._settings.session, self._settings.answer_within
        more: dict[str, Any] = {
            "group_id": self._settings.group,
            "group_instance_id": instance,
            "session_timeout_ms": round(session * 1000),
            "rebalance_timeout_ms": round(RELEASE_WITHIN * 1000),
            "heartbeat_interval_ms": round(HEARTBEAT * 1000),
            # Backpressure may stop the reading for hours; a stuck loop stops the heartbeat.
            "max_poll_interval_ms": NEVER,
            "partition_assignment_strategy": (self._members,),
            # A group is silent to those that join until all have.
            "request_timeout_ms": round((answer_within + RELEASE_WITHIN) * 1000),
        }
        consumer = AIOKafkaConsumer(**consumer_settings(self._settings) | more)
        consumer.subscribe(list(self._topics), listener=_Listener(self))
        self._consumer = consumer
        try:
            await consumer.start()
            adapt(consumer)
        except KafkaError as exc:
            await leave(consumer)
            self._consumer = None
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc
        except asyncio.CancelledError:
            if self._instance is not None and consumer._coordinator is not None:
                self._instance.leave(consumer)
            await leave(consumer)
            self._consumer = None
            raise
        self._run("commit", self._keep(consumer))
        self._run("look", self._look(consumer))

    async def take(self, most: int, wait: float) -> list[Record]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        found: list[Record] = []
        while True:
            consumer = self._started()
            revocations = self._revocations
            self._stale = False
            # aiokafka suspends only before it hands out records, so the alarm loses none; and
            # once a revocation has begun it hands out none.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until) as self._alarm:
                    await self._collect(consumer, most, wait, found)
            self._alarm = None
            if revocations != self._revocations:
                found.clear()  # of partitions that were ours; they are read again by who has them
            if found or not self._stale:
                return found

    def commit(self, positions: Mapping[Place, int]) -> None:
        self._commits.owe(positions)

    def sure(self) -> bool:
        if not self._commits.admitted or self._fault is not None:
            return False
        now = monotonic()  # the loop's time is that of its turn, in which we may have stood still
        if now > self._asked + self._settings.session / 2:
            self._alone = False  # we stood still, and others may have joined
        self._asked = now
        return self._alone or now < self._commits.heard_of + self._settings.session

    def pause(self, topics: Sequence[str] = ()) -> None:
        self._paused.update(topics or self._topics)
        self._wake()

    def resume(self, topics: Sequence[str] = ()) -> None:
        self._paused.difference_update(topics or self._topics)
        self._wake()

    def lag(self) -> dict[Place, int]:
        consumer = self._started()
        lag = {}
        for tp in self._held():
            place = (tp.topic, tp.partition)
            end = max(self._ends.get(place, 0), consumer.highwater(tp) or 0)
            lag[place] = max(0, end - self._reached.get(place, end))
        return lag

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        await self._commits.flush(consumer)
        if self._instance is not None:
            self._instance.leave(consumer)
        if not await leave(consumer):
            log.warning("left the consumer group without a word", kafka=self._settings.where)
        self._commits.admitted = False

    def _run(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (exc := task.exception()) is not None:
                self.fail(exc)

        task = asyncio.create_task(work, name=f"kafka source {what}")
        task.add_done_callback(ended)
        self._tasks.append(task)

    def fail(self, fault: BaseException) -> None:
        """Whoever takes hears of it: nobody else waits for what runs here by itself."""
        self._fault = fault
        self._wake()

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise BrokerError(f"Kafka at {self._settings.where}: the source is not open")
        if self._fault is not None:
            raise self._fault
        return self._consumer

    def _held(self) -> list[TopicPartition]:
        return [tp for tps in self._mine.values() for tp in tps]

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
            # For the alarm; and for what aiokafka tells only those that ask it for records.
            await self._gather(consumer, [NOWHERE], 1, found, wait)
            return
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
        for tp, records in got.items():
            found += records
            self._reached[tp.topic, tp.partition] = records[-1].offset + 1

    # Assignment

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        gone = frozenset((tp.topic, tp.partition) for tp in partitions)
        if gone:
            self._revocations += 1
            self._mine = {}
            self._alone = False
            self._commits.release(consumer)
            self._wake()
        if self._instance is not None and thrown_out(consumer):
            await self._stand_aside(self._instance, consumer)
        if not gone:
            return
        try:
            if self._on_revoked is not None:
                await self._on_revoked(gone)
        finally:
            await self._commits.flush(consumer)
            self._commits.end()

    async def _stand_aside(self, instance: Instance, consumer: AIOKafkaConsumer) -> None:
        """Do not go on, and so do not join again, when another daemon goes by our name."""
        if await instance.fenced(consumer):
            self.fail(
                BrokerError(
                    f"Kafka at {self._settings.where}: another member of the group"
                    f" {self._settings.group} has joined as {instance.name}, which is this"
                    " daemon; is there a copy of its state_dir?"
                )
            )
            await asyncio.get_running_loop().create_future()  # until closed

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        if self._instance is not None:
            self._instance.settle(self._started())
        mine: dict[str, list[TopicPartition]] = {topic: [] for topic in self._topics}
        for tp in sorted(partitions):
            mine[tp.topic].append(tp)
        self._mine = {topic: tps for topic, tps in mine.items() if tps}
        self._commits.begin(self._held())
        self._reached.clear()
        self._ends.clear()
        self._rejoined.set()
        self._wake()
        if self._on_assigned is not None:
            # `sure` still says whether nobody else can have had them until now.
            self._on_assigned(frozenset((tp.topic, tp.partition) for tp in self._held()))
        self._alone = self._members.count == 1
        self._asked = monotonic()

    # Upkeep

    async def _keep(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            self._rejoined.clear()
            await self._commits.flush(consumer, again=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COMMIT_EVERY):
                    await self._rejoined.wait()

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        late = False  # so that an outage is logged once
        while True:
            self._share_again(consumer)
            mine = self._held()
            try:
                if mine:
                    await self._ask_ends(consumer, mine)
            except KafkaError as exc:
                if not late:
                    log.warning("lag not known", kafka=self._settings.where, error=str(exc))
                late = True
            else:
                late = False
            await asyncio.sleep(ENDS_EVERY)

    def _share_again(self, consumer: AIOKafkaConsumer) -> None:
        """Join again, once, when there are more partitions than were shared out.

        The group's leader does so by itself, but not when it has come back under its instance
        id: nobody tells it then that it is the leader.
        """
        known = sum(len(consumer.partitions_for_topic(topic) or ()) for topic in self._topics)
        shared = self._members.shared
        if shared is not None and known > max(shared, self._asked_for):
            self._asked_for = known
            consumer._coordinator.request_rejoin()

    async def _ask_ends(self, consumer: AIOKafkaConsumer, mine: list[TopicPartition]) -> None:
        """Ask where the partitions end: under backpressure no fetch says so."""
        revocations = self._revocations
        unknown = [tp for tp in mine if (tp.topic, tp.partition) not in self._reached]
        ends = await consumer.end_offsets(mine)
        reached = await consumer.beginning_offsets(unknown)
        for tp in unknown:
            if (committed := await consumer.committed(tp)) is not None:
                reached[tp] = committed
        if revocations != self._revocations:
            return
        for tp, end in ends.items():
            self._ends[tp.topic, tp.partition] = end
        for tp, offset in reached.items():
            self._reached.setdefault((tp.topic, tp.partition), offset)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed here
    """aiokafka logs what a listener raises, and goes on."""

    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        try:
            await self._source.revoked(revoked)
        except Exception as exc:
            self._source.fail(exc)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            self._source.assigned(assigned)
        except Exception as exc:
            self._source.fail(exc)
