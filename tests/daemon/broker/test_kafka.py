"""What is particular to Kafka: partitions, groups, refusals, and a broker that goes away."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import murmur2 as reference
from confluent_kafka.admin import AdminClient, ConfigResource
from hypothesis import given
from hypothesis import strategies as st

from daemon.broker import broker
from daemon.broker.base import BrokerError, Place, Record, RecordsRefused, Topic
from daemon.broker.kafka import KafkaBroker, KafkaSettings
from daemon.broker.kafka.partition import murmur2, partition
from daemon.broker.kafka.seldom import Seldom
from daemon.broker.local import LocalBroker
from daemon.config import load
from tests.kafka.server import KafkaServer

pytestmark = pytest.mark.kafka


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def name(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


def settings(bootstrap: str, **more: Any) -> KafkaSettings:
    return KafkaSettings([bootstrap], group=name("group"), **more)


async def everything(broker: KafkaBroker, topic: str) -> list[Record]:
    tail = broker.tail(topic)
    await tail.start(0)
    found: list[Record] = []
    while not await tail.finished():
        found += await tail.take(1000, 1.0)
    await tail.close()
    return found


async def until(condition: Callable[[], bool], within: float = 30.0) -> None:
    """For what happens by itself, elsewhere."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# Partitions


@pytest.mark.parametrize(
    ("key", "signed"),
    [  # UtilsTest.testMurmur2 of the Java client
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_are_hashed_as_the_java_client_does(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


@given(st.binary(max_size=80), st.integers(1, 500))
def test_any_key_is_hashed_as_other_clients_do(key: bytes, partitions: int) -> None:
    assert murmur2(key) == reference(key)
    assert 0 <= partition(key, partitions) < partitions


# Settings


def test_the_configuration_says_how_to_reach_the_cluster(tmp_path: Path) -> None:
    file = tmp_path / "carrierd.toml"
    example = Path(__file__).parents[3] / "config" / "example.toml"
    (tmp_path / "secret").write_text("hush\n")
    (tmp_path / "secret").chmod(0o600)
    section = """kind = "kafka"
bootstrap = ["k1:9092", "k2:9092"]
group = "g"
security = "SASL_PLAINTEXT"
sasl_mechanism = "SCRAM-SHA-512"
username = "u"
password_file = "SECRET"
""".replace("SECRET", str(tmp_path / "secret"))
    file.write_text(example.read_text().replace('kind = "local"', section))
    opened = broker(load(file))
    assert isinstance(opened, KafkaBroker)
    assert opened.settings.client() == {
        "bootstrap_servers": ["k1:9092", "k2:9092"],
        "client_id": "carrierd-example",
        "security_protocol": "SASL_PLAINTEXT",
        "ssl_context": None,
        "request_timeout_ms": 10_000,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "hush",
    }
    assert opened.settings.group == "g"
    assert "hush" not in repr(opened.settings)


def test_the_local_broker_is_in_the_state_directory(tmp_path: Path) -> None:
    example = (Path(__file__).parents[3] / "config" / "example.toml").read_text()
    file = tmp_path / "carrierd.toml"
    file.write_text(example.replace("/var/tmp/carrierd-example", str(tmp_path / "state")))
    opened = broker(load(file))
    assert isinstance(opened, LocalBroker)
    assert opened.root == tmp_path / "state" / "broker"


def test_the_client_says_the_same_thing_seldom() -> None:
    seldom = Seldom()
    said = [
        seldom.filter(logging.makeLogRecord({"msg": text, "args": (n,)}))
        for n in range(3)
        for text in ("node %d is away", "topic %d is away")
    ]
    assert said == [True, True, False, False, False, False]


# Topics


@pytest.mark.real_kafka
async def test_missing_topics_are_an_error_at_start_that_names_each(
    kafka: str, make_topics: Callable[..., None]
) -> None:
    broker = KafkaBroker(settings(kafka))
    there, one, two = name("there"), name("one"), name("two")
    make_topics(there)
    for opening in (broker.source([one, there, two]), broker.outlet([one, there, two])):
        with pytest.raises(BrokerError, match=f"no topic {one}, {two};"):
            await opening.start()
        await opening.close()
    with pytest.raises(BrokerError, match=one):
        await broker.tail(one).start()


@pytest.mark.real_kafka
async def test_topics_are_made_as_they_should_be_and_the_others_are_left(kafka: str) -> None:
    broker = KafkaBroker(settings(kafka), partitions=2)
    plain, compact, long = name("plain"), name("compact"), name("long")
    await broker.create([Topic(plain)])
    wider = KafkaBroker(settings(kafka), partitions=5)
    await wider.create([Topic(plain), Topic(compact, compact=True), Topic(long, longest=2 << 20)])
    found = await broker.topics([plain, compact, long, "never-made"])
    assert found == {plain: 2, compact: 5, long: 5, "never-made": None}
    admin = AdminClient({"bootstrap.servers": kafka})
    asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in (plain, compact, long)]
    config = {
        resource.name: {key: entry.value for key, entry in future.result(10).items()}
        for resource, future in admin.describe_configs(asked).items()
    }
    assert [config[t]["cleanup.policy"] for t in (plain, compact)] == ["delete", "compact"]
    assert config[long]["max.message.bytes"] == str(2 << 20)


@pytest.mark.real_kafka
async def test_topics_that_cannot_be_made_are_named_with_the_reason(kafka: str) -> None:
    broker = KafkaBroker(settings(kafka), replicas=7)
    topic = name("topic")
    with pytest.raises(BrokerError, match=rf"{topic}: .*replication factor"):
        await broker.create([Topic(topic)])


async def test_a_broker_that_is_not_there_is_an_error_that_names_it() -> None:
    broker = KafkaBroker(settings("127.0.0.1:1"))
    for starting in (
        broker.source(["t"]).start(),
        broker.outlet(["t"]).start(),
        broker.tail("t").start(),
        broker.create([Topic("t")]),
    ):
        with pytest.raises(BrokerError, match=r"Kafka at 127\.0\.0\.1:1: "):
            await starting
    with pytest.raises(BrokerError, match="'KERBEROS', allowed are PLAINTEXT, SSL"):
        await KafkaBroker(settings("127.0.0.1:1", security="KERBEROS")).topics(["t"])
    with pytest.raises(BrokerError, match=r"broker\.ca_file: /nowhere/ca\.pem: "):
        await KafkaBroker(
            settings("127.0.0.1:1", security="SSL", ca_file="/nowhere/ca.pem")
        ).topics(["t"])


# Refusals


@pytest.mark.real_kafka
async def test_a_record_that_is_too_long_is_refused_alone(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("topic")
    make_topics(topic, partitions=2)
    broker = KafkaBroker(settings(kafka))
    outlet = broker.outlet([topic])
    await outlet.start()
    stack.push_async_callback(outlet.close)
    long = uuid.uuid4().bytes * 100_000  # repeats, so lz4 makes it short
    noise = b"".join(uuid.uuid4().bytes for _ in range(80_000))
    records: list[tuple[str, bytes | None, bytes]] = [
        (topic, b"key-%d" % (n % 5), b"%d" % n) for n in range(100)
    ]
    records[40] = (topic, b"key-0", noise)
    records[41] = (topic, b"key-1", long)
    other = asyncio.create_task(outlet.publish([(topic, b"key-0", b"100")]))
    with pytest.raises(
        RecordsRefused, match=f"record 40: topic {topic}: .*MessageSizeTooLarge"
    ) as e:
        await outlet.publish(records)
    assert set(e.value.refused) == {40}
    await other
    await outlet.publish([(topic, b"key-%d" % n, b"%d" % (101 + n)) for n in range(5)])
    order: dict[bytes | None, list[int]] = defaultdict(list)
    for record in await everything(broker, topic):
        order[record.key].append(41 if record.value == long else int(record.value))
    expected = {b"key-%d" % k: [n for n in range(k, 100, 5) if n != 40] for k in range(5)}
    for k in range(5):
        expected[b"key-%d" % k].append(101 + k)
    order[b"key-0"].remove(100)  # published beside it
    assert order == expected


# Groups


@pytest.mark.real_kafka  # the mock cluster admits no commit once a rebalance has begun
async def test_a_second_member_takes_over_its_share_from_the_committed_position(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic, partitions=4)
    broker = KafkaBroker(settings(kafka))
    outlet = broker.outlet([topic])
    await outlet.start()
    stack.push_async_callback(outlet.close)
    await outlet.publish([(topic, b"%d" % n, b"%d" % n) for n in range(400)])

    mine: set[Place] = set()
    lost: list[frozenset[Place]] = []
    positions: dict[Place, int] = {}

    async def revoked(places: frozenset[Place]) -> None:
        lost.append(places)
        first.commit({place: positions[place] for place in places if place in positions})
        mine.difference_update(places)

    first = broker.source([topic], on_assigned=mine.update, on_revoked=revoked)
    await first.start()
    stack.push_async_callback(first.close)
    taken: list[Record] = []
    while len(taken) < 300:
        taken += await first.take(50, 5.0)
    done = taken[:200]
    for record in done:
        positions[record.topic, record.partition] = record.offset + 1
    everywhere = {(topic, number) for number in range(4)}
    assert mine == everywhere

    theirs: set[Place] = set()
    second = broker.source([topic], on_assigned=theirs.update)
    await second.start()
    stack.push_async_callback(second.close)
    await until(lambda: len(mine) == 2 and len(theirs) == 2)
    assert mine | theirs == everywhere
    assert lost == [frozenset(everywhere)]

    seen = {record.value for record in done}
    again: list[Record] = []
    async with asyncio.timeout(30):
        while len(seen) < 400:
            for source in (first, second):
                got = await source.take(50, 0.2)
                again += got
                seen |= {record.value for record in got}
    # What was committed in the last word is not given again, to nobody.
    assert not {record.value for record in again} & {record.value for record in done}


async def test_a_commit_reaches_the_group_without_a_close(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic)
    here = settings(kafka)
    broker = KafkaBroker(here)
    outlet = broker.outlet([topic])
    await outlet.start()
    stack.push_async_callback(outlet.close)
    await outlet.publish([(topic, b"k", b"%d" % n) for n in range(9)])
    source = broker.source([topic])
    await source.start()
    stack.push_async_callback(source.close)
    (place,) = {(r.topic, r.partition) for r in await source.take(9, 10.0)}
    source.commit({place: 4})
    source.commit({place: 6})

    looker = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=here.group)
    looker.assign([TopicPartition(*place)])
    await looker.start()
    stack.push_async_callback(looker.stop)
    async with asyncio.timeout(20):
        while await looker.committed(TopicPartition(*place)) != 6:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


# A broker that goes away


@pytest.mark.real_kafka
async def test_a_broker_killed_while_publishing_loses_and_repeats_nothing(
    own_kafka: KafkaServer, stack: AsyncExitStack
) -> None:
    broker = KafkaBroker(settings(own_kafka.bootstrap), partitions=3)
    topic = name("reports")
    await broker.create([Topic(topic)])
    outlet = broker.outlet([topic])
    await outlet.start()
    stack.push_async_callback(outlet.close)

    published = 0
    stopping = False

    async def publish(writer: int) -> int:
        nonlocal published
        n = 0
        while not stopping:
            await outlet.publish([(topic, b"w%d" % writer, b"%d" % (n + i)) for i in range(20)])
            n += 20
            published += 20
        return n

    writers = [asyncio.create_task(publish(writer)) for writer in range(8)]

    async def more(count: int) -> None:
        target = published + count
        await until(lambda: published > target)

    for kill in (own_kafka.kill, own_kafka.stop):
        await more(2000)
        await asyncio.to_thread(kill)
        await until(lambda: not outlet.connected)
        assert not any(writer.done() for writer in writers)
        await asyncio.to_thread(own_kafka.start)
        await until(lambda: outlet.connected)
        await more(500)
    stopping = True
    counts = await asyncio.wait_for(asyncio.gather(*writers), 60)
    found: dict[bytes | None, list[int]] = defaultdict(list)
    for record in await everything(broker, topic):
        found[record.key].append(int(record.value))
    assert found == {b"w%d" % w: list(range(count)) for w, count in enumerate(counts)}


@pytest.mark.real_kafka
async def test_a_source_waits_for_a_broker_that_is_away(
    own_kafka: KafkaServer, stack: AsyncExitStack
) -> None:
    broker = KafkaBroker(settings(own_kafka.bootstrap), partitions=2)
    topic = name("jobs")
    await broker.create([Topic(topic)])
    outlet, source = broker.outlet([topic]), broker.source([topic])
    for each in (outlet, source):
        await each.start()
        stack.push_async_callback(each.close)
    await outlet.publish([(topic, b"k", b"1")])
    (first,) = await source.take(10, 10.0)
    await asyncio.to_thread(own_kafka.kill)
    source.commit({(first.topic, first.partition): first.offset + 1})
    assert await source.take(10, 1.5) == []
    await asyncio.to_thread(own_kafka.start)
    publishing = asyncio.create_task(outlet.publish([(topic, b"k", b"2")]))
    found: list[Record] = []
    async with asyncio.timeout(40):
        while not any(record.value == b"2" for record in found):
            found += await source.take(10, 1.0)
    await publishing


@pytest.mark.real_kafka
async def test_an_outlet_closes_in_time_while_the_broker_is_away(own_kafka: KafkaServer) -> None:
    broker = KafkaBroker(settings(own_kafka.bootstrap), partitions=1)
    await broker.create([Topic("reports")])
    outlet = broker.outlet(["reports"])
    await outlet.start()
    await asyncio.to_thread(own_kafka.kill)
    publishing = asyncio.create_task(outlet.publish([("reports", b"k", b"v")]))
    await until(lambda: not outlet.connected)
    await asyncio.wait_for(outlet.close(), 15)
    with pytest.raises(BrokerError, match="closed before it was written"):
        await publishing
