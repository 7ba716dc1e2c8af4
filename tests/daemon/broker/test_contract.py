"""What `daemon.broker.base` promises, held by both brokers."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from daemon.broker.base import (
    Broker,
    BrokerError,
    Outlet,
    Place,
    Placed,
    Record,
    Released,
    Source,
    Tail,
)
from daemon.broker.kafka import KafkaBroker, KafkaSettings
from daemon.broker.local import LocalBroker

PARTITIONS = 3


class World:
    """A broker with two jobs topics and one for reports, all empty, of this test alone."""

    def __init__(self, broker: Broker, stack: AsyncExitStack) -> None:
        self.broker = broker
        self._stack = stack
        self.urgent, self.normal, self.reports = (
            f"{name}-{uuid.uuid4().hex[:8]}" for name in ("urgent", "normal", "reports")
        )

    @property
    def jobs(self) -> tuple[str, str]:
        return self.urgent, self.normal

    async def source(
        self, on_assigned: Placed | None = None, on_revoked: Released | None = None
    ) -> Source:
        source = self.broker.source(self.jobs, on_assigned=on_assigned, on_revoked=on_revoked)
        await source.start()
        self._stack.push_async_callback(source.close)
        return source

    async def outlet(self, packed: Collection[str] = ()) -> Outlet:
        outlet = self.broker.outlet([*self.jobs, self.reports], packed)
        await outlet.start()
        self._stack.push_async_callback(outlet.close)
        return outlet

    async def tail(self, *topics: str, at: int | Mapping[Place, int] | None = 0) -> Tail:
        tail = self.broker.tail(*topics)
        await tail.start(at)
        self._stack.push_async_callback(tail.close)
        return tail


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.kafka)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if request.param == "local":
            yield World(LocalBroker(tmp_path), stack)
            return
        make_topics: Callable[..., None] = request.getfixturevalue("make_topics")
        settings = KafkaSettings(
            [request.getfixturevalue("kafka")], group=f"group-{uuid.uuid4().hex[:8]}"
        )
        world = World(KafkaBroker(settings), stack)
        make_topics(*world.jobs, world.reports, partitions=PARTITIONS)
        yield world


async def collect(source: Source | Tail, count: int, within: float = 20.0) -> list[Record]:
    """`count` records, however many at a time they come."""
    found: list[Record] = []
    async with asyncio.timeout(within):
        while len(found) < count:
            found += await source.take(count - len(found), 1.0)
    return found


def ends(records: list[Record]) -> dict[Place, int]:
    """The positions behind these."""
    return {(record.topic, record.partition): record.offset + 1 for record in records}


def id_of(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def by_place(records: list[Record]) -> dict[Place, list[Record]]:
    places: dict[Place, list[Record]] = defaultdict(list)
    for record in records:
        places[record.topic, record.partition].append(record)
    return places


async def test_a_packed_topic_says_so_of_its_records(world: World) -> None:
    outlet, source = await world.outlet(packed=[world.urgent]), await world.source()
    await outlet.publish([(world.urgent, b"k", b"\xc0"), (world.normal, b"k", b"null")])
    said = {record.topic: record.content_type for record in await collect(source, 2)}
    assert said == {world.urgent: "application/msgpack", world.normal: "application/json"}


async def test_a_record_without_a_value_is_read_as_no_octets(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    await outlet.publish([(world.normal, b"gone", None)])
    (record,) = await collect(source, 1)
    assert (record.key, record.value) == (b"gone", b"")


async def test_what_was_published_is_taken_as_it_was(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    before = time.time()
    await outlet.publish([(world.normal, b"key", b'{"a":1}')])
    after = time.time()
    await outlet.publish([(world.normal, None, b"\x00\xff")], content_type="application/msgpack")
    keyed, bare = sorted(await collect(source, 2), key=lambda record: record.timestamp)
    assert (keyed.topic, keyed.key, keyed.value) == (world.normal, b"key", b'{"a":1}')
    assert keyed.content_type == "application/json"
    assert before - 0.002 <= keyed.timestamp <= after + 0.002  # Kafka counts milliseconds
    assert (bare.key, bare.value, bare.content_type) == (None, b"\x00\xff", "application/msgpack")


async def test_offsets_of_a_partition_count_from_zero(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    await outlet.publish([(world.normal, b"%d" % n, b"v") for n in range(30)])
    for records in by_place(await collect(source, 30)).values():
        assert [record.offset for record in records] == list(range(len(records)))


async def test_take_gives_no_more_than_was_asked_for(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    await outlet.publish([(world.normal, b"%d" % n, b"v") for n in range(25)])
    first = await collect(source, 1)
    assert len(first) == 1
    taken = len(first)
    while taken < 25:
        got = await source.take(10, 5.0)
        assert 1 <= len(got) <= 10
        taken += len(got)


async def test_take_waits_its_time_and_then_gives_nothing(world: World) -> None:
    source = await world.source()
    begun = time.monotonic()
    assert await source.take(10, 0.3) == []
    assert 0.25 < time.monotonic() - begun < 10


async def test_take_returns_as_soon_as_something_comes(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    taking = asyncio.create_task(source.take(10, 20.0))
    assert not (await asyncio.wait([taking], timeout=0.3))[0]
    published_at = time.monotonic()
    await outlet.publish([(world.normal, b"k", b"v")])
    assert [record.value for record in await taking] == [b"v"]
    assert time.monotonic() - published_at < 10  # and not what was left of twenty


async def test_an_earlier_topic_is_taken_first_whatever_waits_in_later_ones(world: World) -> None:
    outlet = await world.outlet()
    await outlet.publish([(world.normal, b"%d" % n, b"normal") for n in range(2000)])
    await outlet.publish([(world.urgent, b"%d" % n, b"urgent") for n in range(50)])
    source = await world.source()
    first = await collect(source, 100)
    order = [record.topic for record in first]
    assert order == sorted(order, key=world.jobs.index)
    # And of what comes while there still is a backlog, before the rest of it.
    await outlet.publish([(world.urgent, b"late", b"late")])
    late = None
    for _ in range(100):
        got = await source.take(10, 5.0)
        if any(record.value == b"late" for record in got):
            late = got
            break
        await asyncio.sleep(0.01)  # the broker's own way to us
    assert late is not None
    assert late[0].value == b"late"


async def test_the_next_source_goes_on_at_the_committed_position(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    await outlet.publish([(world.normal, b"%d" % n, b"%d" % n) for n in range(90)])
    done = await collect(source, 40)
    source.commit(ends(done))
    seen = done + await collect(source, 30)  # these are not committed
    await source.close()
    again = await collect(await world.source(), 50)
    assert {record.value for record in again} == {b"%d" % n for n in range(90)} - {
        record.value for record in done
    }
    assert {record.value for record in seen} - {record.value for record in done} <= {
        record.value for record in again
    }


async def test_without_a_commit_everything_is_given_again(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    await outlet.publish([(world.normal, b"%d" % n, b"%d" % n) for n in range(20)])
    first = await collect(source, 20)
    await source.close()
    second = await collect(await world.source(), 20)
    assert by_place(first) == by_place(second)


async def test_records_of_one_key_keep_their_order_over_overlapping_calls(world: World) -> None:
    outlet = await world.outlet()
    keys = [b"key-%d" % n for n in range(7)]
    rounds = 60
    await asyncio.gather(
        *(
            outlet.publish(
                [(world.reports, key, b"%d" % n) for key in keys for n in (2 * i, 2 * i + 1)]
            )
            for i in range(rounds)
        )
    )
    got = await collect(await world.tail(world.reports), rounds * 2 * len(keys))
    values: dict[bytes | None, list[int]] = defaultdict(list)
    partitions: dict[bytes | None, set[int]] = defaultdict(set)
    for record in got:
        values[record.key].append(int(record.value))
        partitions[record.key].add(record.partition)
    assert set(values) == set(keys)
    assert all(numbers == list(range(rounds * 2)) for numbers in values.values())
    assert all(len(numbers) == 1 for numbers in partitions.values())


async def test_a_paused_source_gives_nothing_until_it_is_resumed(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    await outlet.publish([(world.normal, b"k", b"1")])
    await collect(source, 1)
    source.pause()
    await outlet.publish([(world.normal, b"k", b"2"), (world.urgent, b"k", b"3")])
    assert await source.take(10, 0.5) == []
    taking = asyncio.create_task(source.take(10, 20.0))
    assert not (await asyncio.wait([taking], timeout=0.1))[0]
    source.resume()
    assert await asyncio.wait_for(taking, 30.0)


async def test_one_topic_can_be_paused_while_the_other_flows(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    source.pause([world.normal])
    await outlet.publish([(world.normal, b"k", b"n"), (world.urgent, b"k", b"u")])
    assert [record.value for record in await collect(source, 1)] == [b"u"]
    taking = asyncio.create_task(source.take(10, 20.0))
    assert not (await asyncio.wait([taking], timeout=0.3))[0]
    source.resume([world.normal])
    assert [record.value for record in await asyncio.wait_for(taking, 30.0)] == [b"n"]


async def test_a_take_that_is_cancelled_loses_nothing(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    count = 600

    async def publish() -> None:
        for n in range(count):
            await outlet.publish([(world.jobs[n % 2], b"%d" % n, b"%d" % n)])

    publishing = asyncio.create_task(publish())
    found: list[Record] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            taking = asyncio.create_task(source.take(7, 5.0))
            await asyncio.wait([taking], timeout=0.001)
            taking.cancel()
            with suppress(asyncio.CancelledError):
                found += await taking
    await publishing
    assert sorted(int(record.value) for record in found) == list(range(count))


async def test_all_that_is_assigned_is_told_at_the_start(world: World) -> None:
    told: list[frozenset[Place]] = []
    await world.source(on_assigned=told.append)
    counts = await world.broker.topics(world.jobs)
    assert told == [{(topic, n) for topic, count in counts.items() for n in range(count or 0)}]


async def test_a_source_is_sure_of_its_partitions_while_it_is_open(world: World) -> None:
    source = world.broker.source(world.jobs)
    assert not source.sure()
    await source.start()
    assert source.sure()  # there is nobody else
    await source.close()
    assert not source.sure()


async def test_lag_is_what_was_not_taken(world: World) -> None:
    outlet = await world.outlet()
    await outlet.publish([(world.normal, b"%d" % n, b"v") for n in range(50)])
    source = await world.source()
    await collect(source, 20)
    async with asyncio.timeout(30):
        while sum(source.lag().values()) != 30:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # it is a few seconds old at most
    assert {topic for topic, _ in source.lag()} == set(world.jobs)
    await collect(source, 30)
    assert sum(source.lag().values()) == 0


async def test_lag_grows_while_the_source_is_paused(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    await outlet.publish([(world.normal, b"k", b"v")])
    await collect(source, 1)
    source.pause()
    await outlet.publish([(world.normal, b"%d" % n, b"v") for n in range(40)])
    async with asyncio.timeout(30):
        while sum(source.lag().values()) != 40:
            assert await source.take(1, 0.2) == []


@pytest.mark.parametrize(
    ("at", "expected"),
    [(0, range(10)), (4, range(4, 10)), (-3, range(7, 10)), (-99, range(10)), (99, range(0))],
)
async def test_a_tail_begins_where_it_is_told_to(world: World, at: int, expected: range) -> None:
    outlet = await world.outlet()
    for n in range(10):  # one key, so one partition: an offset is per partition
        await outlet.publish([(world.reports, b"k", b"%d" % n)])
    tail = await world.tail(world.reports, at=at)
    got = await collect(tail, len(expected))
    assert [int(record.value) for record in got] == list(expected)
    assert await tail.take(10, 0.1) == []
    assert await tail.finished()


async def test_a_tail_from_the_end_gives_only_what_comes(world: World) -> None:
    outlet = await world.outlet()
    await outlet.publish([(world.reports, b"k", b"old")])
    tail = await world.tail(world.reports, at=None)
    assert await tail.finished()
    await outlet.publish([(world.reports, b"k", b"new")])
    assert [record.value for record in await collect(tail, 1)] == [b"new"]


async def test_a_tail_is_not_finished_before_its_last_record(world: World) -> None:
    outlet = await world.outlet()
    await outlet.publish([(world.reports, b"%d" % n, b"v") for n in range(30)])
    tail = await world.tail(world.reports)
    taken = 0
    while not await tail.finished():
        taken += len(await tail.take(7, 5.0))
    assert taken == 30


async def test_a_tail_of_several_topics_gives_all_of_each(world: World) -> None:
    outlet = await world.outlet()
    topics = (world.urgent, world.normal, world.reports)
    sent = [(topic, b"%d" % n) for n in range(40) for topic in topics]
    await outlet.publish([(topic, value, value) for topic, value in sent])
    tail = await world.tail(*topics)
    got = await collect(tail, len(sent))
    assert sorted((record.topic, record.value) for record in got) == sorted(sent)
    assert await tail.finished()
    await outlet.publish([(world.normal, b"k", b"late")])
    assert [record.value for record in await collect(tail, 1)] == [b"late"]


async def test_a_tail_goes_on_at_the_places_it_is_given(world: World) -> None:
    outlet = await world.outlet()
    topics = (world.normal, world.reports)
    await outlet.publish([(t, b"%d" % n, b"%d" % n) for n in range(50) for t in topics])
    tail = await world.tail(*topics)
    empty = tail.places()
    assert set(empty.values()) == {0}
    done = await collect(tail, 60)
    assert tail.places() == empty | ends(done)
    await outlet.publish([(t, b"%d" % n, b"%d" % n) for n in range(50, 60) for t in topics])
    rest = await collect(await world.tail(*topics, at=ends(done)), 60)
    assert not {id_of(record) for record in done} & {id_of(record) for record in rest}
    assert sorted((record.topic, int(record.value)) for record in done + rest) == sorted(
        (topic, n) for n in range(60) for topic in topics
    )


async def test_a_place_that_is_not_given_or_not_written_yet_begins_at_the_first_record(
    world: World,
) -> None:
    outlet = await world.outlet()
    for topic in (world.normal, world.urgent, world.reports):
        await outlet.publish([(topic, b"k", b"%d" % n) for n in range(5)])
    (place,) = by_place(await collect(await world.tail(world.reports), 5))
    number = place[1]
    at = {(world.reports, number): 2, (world.normal, number): 99}
    got = await collect(await world.tail(world.reports, world.normal, world.urgent, at=at), 13)
    values = {topic: [int(r.value) for r in got if r.topic == topic] for topic, _ in by_place(got)}
    assert values == {
        world.reports: [2, 3, 4],
        world.normal: list(range(5)),  # the topic was made anew
        world.urgent: list(range(5)),
    }


async def test_the_ends_are_behind_all_that_was_published_before(world: World) -> None:
    outlet, other = await world.outlet(), await world.outlet()
    tail = await world.tail(world.normal, world.reports)
    empty = await tail.ends()
    counts = await world.broker.topics([world.normal, world.reports])
    assert empty == {(topic, n): 0 for topic, count in counts.items() for n in range(count or 0)}
    assert await tail.reached(empty)
    for n in range(20):
        publisher = (outlet, other)[n % 2]
        await publisher.publish([(world.normal, b"%d" % n, b"v"), (world.reports, b"k", b"v")])
        found = await tail.ends()
        assert sum(found.values()) == 2 * (n + 1)
    assert not await tail.reached(found)
    taken = 0
    while not await tail.reached(found):
        taken += len(await tail.take(7, 5.0))
    assert taken == 40
    await outlet.publish([(world.normal, b"k", b"later")])
    assert await tail.reached(found)
    assert not await tail.reached(await tail.ends())


async def test_a_tail_that_is_cancelled_while_it_takes_loses_nothing(world: World) -> None:
    outlet = await world.outlet()
    tail = await world.tail(world.normal, world.reports)
    count = 300

    async def publish() -> None:
        for n in range(count):
            await outlet.publish([((world.normal, world.reports)[n % 2], b"%d" % n, b"%d" % n)])

    publishing = asyncio.create_task(publish())
    found: list[Record] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            taking = asyncio.create_task(tail.take(7, 5.0))
            await asyncio.wait([taking], timeout=0.001)
            taking.cancel()
            with suppress(asyncio.CancelledError):
                found += await taking
    await publishing
    assert sorted(int(record.value) for record in found) == list(range(count))


async def test_an_outlet_is_connected_from_start_to_close(world: World) -> None:
    outlet = world.broker.outlet([world.reports])
    assert not outlet.connected
    await outlet.start()
    assert outlet.connected
    await outlet.close()
    assert not outlet.connected
    with pytest.raises(BrokerError, match="not open"):
        await outlet.publish([(world.reports, b"k", b"v")])


async def test_what_is_publishing_at_the_close_is_either_written_or_told(world: World) -> None:
    outlet = await world.outlet()
    calls = [
        asyncio.create_task(outlet.publish([(world.reports, b"k", b"%d" % n)])) for n in range(50)
    ]
    await asyncio.sleep(0)
    await outlet.close()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(result is None or isinstance(result, BrokerError) for result in results)
    sound = {b"%d" % n for n, result in enumerate(results) if result is None}
    tail = await world.tail(world.reports)
    found: set[bytes] = set()
    while not await tail.finished():
        found |= {record.value for record in await tail.take(100, 1.0)}
    assert sound <= found


async def test_a_large_backlog_comes_through_whole(world: World) -> None:
    outlet, source = await world.outlet(), await world.source()
    total, size = 20_000, 1_000
    value = b"x" * 300
    await asyncio.gather(
        *(
            outlet.publish(
                [(world.normal, b"%d" % n, b"%d %s" % (n, value)) for n in range(at, at + size)]
            )
            for at in range(0, total, size)
        )
    )
    got = await collect(source, total)
    assert sorted(int(record.value.split()[0]) for record in got) == list(range(total))
