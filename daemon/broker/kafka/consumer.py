"""How records are read from a Kafka, by a member of a group or by a tail."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Iterator
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError

from ..base import Record
from .settings import KafkaSettings

# aiokafka asks a node for nothing new while one partition of it has records not yet taken,
# and then only for the others: so a partition that was just emptied waits up to this long
# for its turn.
FETCH_WAIT = 0.05
IDLE_FETCH_WAIT = 0.5
"""Where all partitions are asked for nothing can be late: the node answers at the first record.

It answers nothing else on that connection before; an end that is asked for waits that long.
"""
FETCH_PARTITION = 1 << 20
FETCH_NODE = 8 << 20
LOOK_EVERY = 10.0  # for partitions that were added
LEAVE_WITHIN = 3.0

log = structlog.get_logger()


class _Unpacked:
    """What was fetched of one partition, as records of ours.

    aiokafka would make records of its own, one by one as they are taken, and we ours of those.
    Batches of the producers in `without` are passed over unopened.
    """

    __slots__ = ("_records", "next_fetch_offset")

    def __init__(
        self, tp: TopicPartition, fetched: PartitionRecords, without: Collection[int]
    ) -> None:
        self.next_fetch_offset: int = fetched.next_fetch_offset
        self._records = self._unpack(tp, fetched._records, without)

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def __next__(self) -> Record:
        return next(self._records)

    def _unpack(
        self, tp: TopicPartition, fetched: Any, without: Collection[int]
    ) -> Iterator[Record]:
        topic, partition = tp
        while fetched.has_next():
            batch = fetched.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {tp}")
            if not (batch.is_control_batch or (without and batch.producer_id in without)):
                for raw in batch:
                    offset = raw.offset
                    if offset < self.next_fetch_offset:
                        continue  # of a batch that begins before the place that was asked for
                    self.next_fetch_offset = offset + 1
                    content_type = None
                    for name, value in raw.headers:
                        if name == "content-type":
                            content_type = value.decode("latin-1")
                    yield Record(
                        topic,
                        partition,
                        offset,
                        raw.key,
                        raw.value or b"",  # a tombstone
                        content_type,
                        raw.timestamp / 1000,
                    )
            self.next_fetch_offset = batch.next_offset


class _Fetched(OrderedDict[TopicPartition, Any]):
    """What a client has fetched and not given out: it will be given as records of ours."""

    def __init__(self, without: Collection[int]) -> None:
        super().__init__()
        self._without = without

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if isinstance(result, FetchResult):  # else an error
            fetched = result._partition_records
            result._partition_records = _Unpacked(tp, fetched, self._without)
        super().__setitem__(tp, result)


def consumer_settings(settings: KafkaSettings) -> dict[str, Any]:
    """Bounded reading from the oldest record on, with no commit but ours.  Raises BrokerError."""
    return settings.client() | {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": round(FETCH_WAIT * 1000),
        "max_partition_fetch_bytes": FETCH_PARTITION,
        "fetch_max_bytes": FETCH_NODE,
        "metadata_max_age_ms": round(LOOK_EVERY * 1000),
    }


def adapt(consumer: AIOKafkaConsumer, without: Collection[int] = ()) -> None:
    """Of a consumer that was started: it gives records of ours, but for what the producers with the
    numbers in `without` have written, and waits longer when idle.

    aiokafka has one time to wait; idle, an answer every `FETCH_WAIT` costs more than everything
    else that the daemon does then.
    """
    fetcher = consumer._fetcher
    assert {"_records", "_fetch_max_wait_ms"} <= vars(fetcher).keys(), "aiokafka changed"
    assert hasattr(FetchResult, "_update_position"), "aiokafka changed"
    assert hasattr(PartitionRecords, "_unpack_records"), "aiokafka changed"
    fetched = _Fetched(without)
    for tp, result in fetcher._records.items():
        fetched[tp] = result
    fetcher._records = fetched
    plan = fetcher._get_actions_per_node
    times = [round(wait * 1000) for wait in (IDLE_FETCH_WAIT, FETCH_WAIT)]

    def planned(assignment: Any) -> Any:
        fetcher._fetch_max_wait_ms = times[bool(fetcher._records)]
        return plan(assignment)

    fetcher._get_actions_per_node = planned
    fetcher._fetcher_timeout = IDLE_FETCH_WAIT  # it looks again by itself, whatever has happened


async def leave(consumer: AIOKafkaConsumer) -> bool:
    """Stop it, also while the broker is away; False when nobody there will have heard of it.

    aiokafka's `stop` does not come to its end then: it waits for an answer, or it ends by a
    cancellation that was meant for a task of its own.
    """
    if await _ended(consumer.stop()):
        return True
    for rest in (consumer._fetcher, consumer._client):
        if rest is not None:
            await _ended(rest.close())
    return False


async def _ended(work: Coroutine[Any, Any, None]) -> bool:
    """Whether it came to an end of its own, without an error and in time."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task], timeout=LEAVE_WITHIN)
    finally:
        task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        return False
    fault = task.exception()
    if fault is None:
        return True
    if not isinstance(fault, KafkaError):
        raise fault
    log.warning("a Kafka client did not stop in order", error=str(fault))
    return False
