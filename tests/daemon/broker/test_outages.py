"""A Kafka that goes away: what it costs, and how much is said and asked meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import pytest
from aiokafka import client
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from daemon.broker.base import BrokerError, Record, Topic
from daemon.broker.kafka import KafkaBroker, repairs
from daemon.broker.kafka.seldom import SILENCE, Seldom
from tests.kafka.server import KafkaServer

from .names import name, settings, until

pytestmark = [pytest.mark.kafka, pytest.mark.real_kafka]

SESSION = 3.0


@pytest.fixture(scope="module")
def stoppable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(stoppable: KafkaServer) -> Iterator[KafkaServer]:
    """A Kafka of this module's own, to stop, kill and start again."""
    if not stoppable.running:
        stoppable.start()
    yield stoppable
    if stoppable.running:
        stoppable.thaw()


async def test_a_request_on_a_connection_that_was_lost_is_a_connection_error(
    server: KafkaServer,
) -> None:
    host, _, port = server.bootstrap.rpartition(":")
    lost = await create_conn(host, int(port))
    lost._writer.transport.abort()
    await asyncio.sleep(0)  # the handle is closed, and nobody has been told
    assert lost._writer is not None
    with pytest.raises(KafkaConnectionError, match="was lost"):
        await lost.send(MetadataRequest([]))
    assert not lost.connected()


async def test_a_client_that_wants_metadata_all_the_time_asks_ten_times_a_second(
    server: KafkaServer,
) -> None:
    asking = AIOKafkaClient(bootstrap_servers=server.bootstrap)
    await asking.bootstrap()
    began, count = time.monotonic(), 0
    try:
        for _ in range(6):
            assert await asking.force_metadata_update()
            count += 1
    finally:
        await asking.close()
    assert time.monotonic() - began >= 5 * repairs.ASK_EVERY


def test_the_client_says_the_same_thing_once_while_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    seldom = Seldom()

    def says(text: str, n: int) -> bool:
        return seldom.filter(logging.makeLogRecord({"msg": text, "args": (n,)}))

    assert [says(text, n) for n in range(2) for text in ("node %d", "topic %d")] == [
        *(True, True),
        *(False, False),
    ]
    for _ in range(5):
        now += SILENCE
        assert not says("node %d", 1)
    now += SILENCE + 0.1
    assert says("node %d", 1)
    for said_by in ("aiokafka", "aiokafka.consumer.fetcher", "aiokafka.producer.sender"):
        assert any(isinstance(each, Seldom) for each in logging.getLogger(said_by).filters)


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each connection was tried."""
    tried: list[float] = []

    async def counted(*args: object, **kwargs: object) -> object:
        tried.append(time.monotonic())
        return await create_conn(*args, **kwargs)

    monkeypatch.setattr(client, "create_conn", counted)
    return tried


async def committed(server: KafkaServer, group: str, records: int) -> None:
    """Until the group's offsets are behind so many records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(30):
            while True:
                with suppress(KafkaError):
                    offsets = await admin.list_consumer_group_offsets(group)
                    if sum(offset.offset for offset in offsets.values()) == records:
                        return
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def test_a_broker_that_is_restarted_costs_nothing_of_what_is_published_taken_and_tailed(
    server: KafkaServer,
    stack: AsyncExitStack,
    connects: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = KafkaBroker(settings(server.bootstrap, session=SESSION), partitions=2)
    jobs, state = name("jobs"), name("state")
    await broker.create([Topic(jobs), Topic(state, compact=True, retain=3600)])
    outlet, source, tail = broker.outlet([jobs, state]), broker.source([jobs]), broker.tail(state)
    for each in (outlet, source, tail):
        await each.start()
        stack.push_async_callback(each.close)
    taken: set[tuple[bytes | None, int]] = set()
    tailed: list[Record] = []
    stopping = False

    async def publish(writer: int) -> int:
        key, n = b"w%d" % writer, 0
        while not stopping:
            numbers = [b"%d" % (n + i) for i in range(10)]
            await outlet.publish([(topic, key, one) for one in numbers for topic in (jobs, state)])
            n += len(numbers)
        return n

    async def take() -> None:
        while True:
            got = await source.take(500, 0.1)
            taken.update((r.key, int(r.value)) for r in got)
            source.commit({(r.topic, r.partition): r.offset + 1 for r in got})
            source.sure()  # who does not ask for long is taken to have stood still

    async def follow() -> None:
        while True:
            tailed.extend(await tail.take(500, 1.0))

    writers = [asyncio.create_task(publish(writer)) for writer in range(8)]
    reading = [asyncio.create_task(take()), asyncio.create_task(follow())]

    async def more() -> None:
        taken_then, tailed_then = len(taken), len(tailed)
        await until(lambda: len(taken) > taken_then + 500 and len(tailed) > tailed_then + 500)

    for end in (server.kill, server.stop):
        await more()
        since = time.monotonic()
        await asyncio.to_thread(end)
        await until(lambda: not outlet.connected)
        with pytest.raises(BrokerError, match=server.bootstrap):
            await tail.ends()
        assert source.sure()  # nobody else is in the group
        await asyncio.to_thread(server.start)
        tries = sum(at > since for at in connects) / (time.monotonic() - since)
        assert tries < 300, f"{tries:.0f} a second, by three clients"
        await until(lambda: outlet.connected)
    await more()
    stopping = True
    counts = await asyncio.wait_for(asyncio.gather(*writers), 30)
    expected = {b"w%d" % w: list(range(count)) for w, count in enumerate(counts)}
    await until(lambda: len(tailed) >= sum(counts))
    wanted = {(key, n) for key, numbers in expected.items() for n in numbers}
    await until(lambda: len(taken) >= len(wanted))
    assert taken == wanted
    for task in reading:
        task.cancel()
    results = await asyncio.gather(*reading, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    by_key: dict[bytes | None, list[int]] = defaultdict(list)
    for record in tailed:
        by_key[record.key].append(int(record.value))
    assert by_key == expected  # each once, in order
    # The group comes back later than the broker's partitions.
    await committed(server, broker.settings.group, sum(counts))
    await source.close()
    again = broker.source([jobs])
    await again.start()
    stack.push_async_callback(again.close)
    assert await again.take(10, 0.5) == []
    lines = Counter(each.msg for each in caplog.records if each.name.startswith("aiokafka"))
    assert lines
    assert max(lines.values()) <= 2, lines  # outages


async def test_two_members_are_not_sure_when_the_group_has_not_heard_of_them(
    server: KafkaServer, stack: AsyncExitStack
) -> None:
    broker = KafkaBroker(settings(server.bootstrap, session=SESSION), partitions=2)
    jobs = name("jobs")
    await broker.create([Topic(jobs)])
    both = [broker.source([jobs]), broker.source([jobs])]
    for source in both:
        await source.start()
        stack.push_async_callback(source.close)
    await until(lambda: all(source.sure() for source in both))
    await asyncio.sleep(SESSION)
    await until(lambda: all(source.sure() for source in both))  # without anything to commit
    server.freeze()
    frozen_at = time.monotonic()
    try:
        await until(lambda: not any(source.sure() for source in both))
        assert time.monotonic() - frozen_at < SESSION + 1
    finally:
        server.thaw()
    await until(lambda: all(source.sure() for source in both))


async def test_everything_closes_in_time_while_the_broker_is_away(server: KafkaServer) -> None:
    broker = KafkaBroker(settings(server.bootstrap, session=SESSION), partitions=1)
    jobs, reports = name("jobs"), name("reports")
    await broker.create([Topic(jobs), Topic(reports)])
    before = asyncio.all_tasks()
    outlet = broker.outlet([reports])
    await outlet.start()
    frozen, killed = ((broker.source([jobs]), broker.tail(reports)) for _ in range(2))
    for each in (*frozen, *killed):
        await each.start()
    server.freeze()
    publishing = asyncio.create_task(outlet.publish([(reports, b"k", b"v")]))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(15):
        await asyncio.gather(*(each.close() for each in (outlet, *frozen)))
    with pytest.raises(BrokerError, match="closed before it was written"):
        await publishing
    await asyncio.to_thread(server.kill)
    await until(lambda: not killed[0].sure())
    async with asyncio.timeout(15):
        await asyncio.gather(*(each.close() for each in killed))
    await until(lambda: asyncio.all_tasks() <= before)
