"""Records to a Kafka: acknowledged by all replicas, once each, in order per key.

aiokafka's `send` makes a future for every record and costs eight times as much as filling
a batch oneself.  So each partition has a `_Lane`: what is published gathers in it while the
batch before is on its way, and goes as one batch.  The producer numbers batches
(idempotence), so one that is repeated because its answer was lost is written once.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain, islice

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerClosed,
    RecordListTooLargeError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from ..base import JSON, MSGPACK, BrokerError, RecordsRefused
from .partition import Sent, shared_out
from .settings import KafkaSettings
from .topics import require

BATCH = 512 * 1024  # bytes before compression, well below a broker's usual limit of 1 MiB
RETRY_AFTER = 0.5
LOOK_EVERY = 1.0
LEAVE_WITHIN = 5.0

# What a broker says of the batch itself: it will say the same next time.
FOR_EVER = (
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
)

log = structlog.get_logger()


class _Ticket:
    """One `publish` call: done when nothing of it is left to settle."""

    __slots__ = ("done", "left", "refused")

    def __init__(self, left: int) -> None:
        self.left = left
        self.refused: dict[int, str] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, count: int) -> None:
        self.left -= count
        if not self.left and not self.done.done():
            self.done.set_result(None)


_Headers = list[tuple[str, bytes]]


def _headers(content_type: str) -> _Headers:
    return [("content-type", content_type.encode("latin-1"))]


class _Share:
    """What one `publish` call has for one partition: places in its records, in order."""

    __slots__ = ("acked", "headers", "places", "records", "ticket", "timestamp")

    def __init__(
        self,
        ticket: _Ticket,
        records: Sequence[Sent],
        places: Sequence[int],
        timestamp: int,
        headers: _Headers,
    ) -> None:
        self.ticket = ticket
        self.records = records
        self.places = places
        self.timestamp = timestamp
        self.headers = headers
        self.acked = 0


class _Lane:
    """What waits for one partition, in order, and the task that sends it."""

    __slots__ = ("filled", "task", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Share] = deque()
        self.filled = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


def _fill(batch: BatchBuilder, shares: Iterable[_Share], most: int | None) -> int:
    """Put in what fits, `most` records at most; how many that were."""
    # Its own `append` costs as much again for each record.
    count = batch._relative_offset = _append(batch._builder.append, shares, most)
    return count


def _append(append: Callable[..., object], shares: Iterable[_Share], most: int | None) -> int:
    count = 0
    for share in shares:
        records, timestamp, headers = share.records, share.timestamp, share.headers
        for place in islice(share.places, share.acked, None):
            _, key, value = records[place]
            if count == most or append(count, timestamp, key, value, headers) is None:
                return count
            count += 1
    return count


def _settle(lane: _Lane, count: int) -> None:
    """Nothing is left to do about the first `count` records of the lane."""
    while count:
        share = lane.waiting[0]
        settled = min(count, len(share.places) - share.acked)
        share.acked += settled
        count -= settled
        if share.acked == len(share.places):
            lane.waiting.popleft()
        share.ticket.settle(settled)


class KafkaOutlet:
    """See `daemon.broker.base.Outlet`.  `producers` gets the number of every producer it has."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        packed: Collection[str] = (),
        producers: set[int] | None = None,
    ) -> None:
        self._settings = settings
        self._producers = set() if producers is None else producers
        self._topics = tuple(topics)
        self._headers = {topic: _headers(MSGPACK if topic in packed else JSON) for topic in topics}
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._counts: dict[str, int] = {}
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._connected = False
        self._acked_at = -math.inf
        self._look: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        return self._connected

    async def start(self) -> None:
        self._counts = await require(self._settings, self._topics)
        try:
            self._producer = await self._open()
        except (KafkaError, TimeoutError) as exc:
            raise BrokerError(f"Kafka at {self._settings.where}: {exc}") from exc
        self._connected = True
        self._look = asyncio.create_task(self._watch(), name="kafka outlet watch")

    async def publish(
        self,
        records: Sequence[Sent],
        content_type: str | None = None,
    ) -> None:
        if not records:
            return
        if self._producer is None or self._closed:
            raise BrokerError(f"Kafka at {self._settings.where}: the outlet is not open")
        said = None if content_type is None else _headers(content_type)
        ticket = _Ticket(len(records))
        timestamp = int(time.time() * 1000)
        counts = {topic: self._partitions(topic) for topic in {topic for topic, _, _ in records}}
        for (topic, number), places in shared_out(records, counts).items():
            headers = said or self._headers[topic]
            self._put(topic, number, _Share(ticket, records, places, timestamp, headers))
        await ticket.done
        if ticket.refused:
            raise RecordsRefused(ticket.refused)

    async def close(self) -> None:
        """What is not acknowledged by then fails with BrokerError."""
        self._closed = True
        self._connected = False
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if self._look is not None:
            tasks.append(self._look)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            self._abandon(lane, "closed before it was written")
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._leave(producer)

    # Producers

    async def _open(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.client(),
            enable_idempotence=True,
            acks="all",
            compression_type="lz4",
            max_batch_size=BATCH,
        )
        # A batch that expires has used up its sequence number, and the broker refuses all
        # that follow.  Idempotent batches are meant to be tried for ever.
        accumulator = producer._message_accumulator
        assert hasattr(accumulator, "_batch_ttl"), "aiokafka changed: batches would expire"
        assert {"_builder", "_relative_offset"} <= vars(producer.create_batch()).keys(), "changed"
        accumulator._batch_ttl = math.inf
        try:
            await producer.start()
        except BaseException:
            await self._leave(producer)
            raise
        self._producers.add(producer._txn_manager.producer_id)
        return producer

    async def _renew(self, failed: AIOKafkaProducer) -> None:
        """A producer whose batch was refused has a gap in its numbers: begin with another."""
        async with self._renewing:
            producer = self._producer
            if producer is None or producer is not failed:  # another lane did
                return
            # Lets the other lanes' batches end; each gets its own answer.
            await producer.stop()
            while True:
                try:
                    self._producer = await self._open()
                except (KafkaError, TimeoutError) as exc:
                    self._away(str(exc) or "no answer in time")
                    await asyncio.sleep(RETRY_AFTER)
                else:
                    return

    async def _leave(self, producer: AIOKafkaProducer) -> None:
        try:
            async with asyncio.timeout(LEAVE_WITHIN):
                await producer.stop()
        except TimeoutError:
            log.warning("closed with records on their way", kafka=self._settings.where)
            await producer.client.close()
            # It would go on trying to send them.
            accumulator = producer._message_accumulator
            for batch in (*accumulator._pending_batches, *chain(*accumulator._batches.values())):
                batch.future.cancel()
            if (sending := producer._sender.sender_task) is not None:
                sending.cancel()

    def _partitions(self, topic: str) -> int:
        """As many as the topic had at the start, or has now."""
        if topic not in self._counts:
            raise BrokerError(f"topic {topic!r} is not one that this outlet was opened for")
        if self._producer is not None:
            known = self._producer.client.cluster.partitions_for_topic(topic)
            if known:
                self._counts[topic] = len(known)
        return self._counts[topic]

    # Lanes

    def _put(self, topic: str, number: int, share: _Share) -> None:
        lane = self._lanes.get((topic, number))
        if lane is None:
            lane = self._lane(topic, number)
        lane.waiting.append(share)
        lane.filled.set()

    def _lane(self, topic: str, number: int) -> _Lane:
        lane = self._lanes[topic, number] = _Lane()
        lane.task = asyncio.create_task(
            self._drain(lane, topic, number), name=f"kafka outlet {topic}-{number}"
        )

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled() or (exc := task.exception()) is None:
                return
            log.error("publishing broke", topic=topic, partition=number, exc_info=exc)
            del self._lanes[topic, number]
            self._abandon(lane, f"broke: {exc!r}")

        lane.task.add_done_callback(ended)
        return lane

    async def _drain(self, lane: _Lane, topic: str, number: int) -> None:
        most: int | None = None  # records in a batch, while looking for the one that is refused
        while True:
            if not lane.waiting:
                lane.filled.clear()
                await lane.filled.wait()
            producer = self._producer
            assert producer is not None
            batch = producer.create_batch()
            count = _fill(batch, lane.waiting, most)
            try:
                await (await producer.send_batch(batch, topic, partition=number))
            except FOR_EVER as exc:
                if count == 1:
                    first = lane.waiting[0]
                    first.ticket.refused[first.places[first.acked]] = f"topic {topic}: {exc}"
                    _settle(lane, 1)
                    most = None
                else:
                    most = count // 2
                await self._renew(producer)
            except ProducerClosed:
                await self._renew(producer)  # waits for the lane that closed it
            except KafkaError as exc:
                # Not written, or the broker no longer knows this producer.
                self._away(f"topic {topic}: {exc}")
                await asyncio.sleep(RETRY_AFTER)
                await self._renew(producer)
            else:
                self._acked(lane, count)

    def _acked(self, lane: _Lane, count: int) -> None:
        self._back()
        self._acked_at = time.monotonic()
        _settle(lane, count)

    def _abandon(self, lane: _Lane, why: str) -> None:
        while lane.waiting:
            done = lane.waiting.popleft().ticket.done
            if not done.done():
                done.set_exception(BrokerError(f"Kafka at {self._settings.where}: {why}"))

    # The connection

    def _away(self, error: str) -> None:
        if self._connected:
            log.warning("broker away", kafka=self._settings.where, error=error)
        self._connected = False

    def _back(self) -> None:
        if not self._connected and not self._closed:
            log.info("broker back", kafka=self._settings.where)
            self._connected = True

    async def _watch(self) -> None:
        """Keep `connected` true to life while nothing is published."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            producer = self._producer
            if producer is None or time.monotonic() - self._acked_at < LOOK_EVERY:
                continue
            try:
                async with asyncio.timeout(2 * LOOK_EVERY):
                    there = await producer.client.force_metadata_update()
            except (KafkaError, TimeoutError):
                there = False
            if there:
                self._back()
            else:
                self._away("does not say what it has")
