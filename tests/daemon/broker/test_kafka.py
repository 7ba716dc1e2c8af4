"""What is particular to Kafka: partitions, topics, refusals and tails."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka.codec import lz4_decode, lz4_encode
from aiokafka.partitioner import murmur2 as reference
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchPy as DefaultRecordBatch
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions
from hypothesis import given
from hypothesis import strategies as st

from daemon.broker import broker
from daemon.broker.base import BrokerError, Place, Record, RecordsRefused, Tail, Topic
from daemon.broker.kafka import KafkaBroker
from daemon.broker.kafka import consumer as consumers
from daemon.broker.kafka.partition import murmur2, partition
from daemon.broker.local import LocalBroker
from daemon.config import load

from .names import name, settings

pytestmark = pytest.mark.kafka


async def everything(broker: KafkaBroker, topic: str) -> list[Record]:
    tail = broker.tail(topic)
    await tail.start(0)
    found: list[Record] = []
    while not await tail.finished():
        found += await tail.take(1000, 1.0)
    await tail.close()
    return found


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


# Batches


def test_batches_are_compressed_the_fast_way_as_by_the_java_client() -> None:
    def built(codec: int) -> bytes:
        batch = BatchBuilder(1 << 20, codec)
        for number in range(500):
            value = b'{"job":"%d","state":"delivered"}' % (number * 7919)
            batch.append(timestamp=1, key=b"%d" % number, value=value)
        return bytes(batch._build())[DefaultRecordBatch.HEADER_STRUCT.size :]

    plain, packed = built(DefaultRecordBatch.CODEC_NONE), built(DefaultRecordBatch.CODEC_LZ4)
    assert lz4_decode(packed) == plain
    assert packed == lz4_encode(plain, level=1) != lz4_encode(plain)


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
    kept, latest = name("kept"), name("latest")
    await broker.create([Topic(plain)])
    wider = KafkaBroker(settings(kafka), partitions=5)
    await wider.create(
        [
            Topic(plain),
            Topic(compact, compact=True),
            Topic(long, longest=2 << 20),
            Topic(kept, retain=86400.5),
            Topic(latest, compact=True, retain=3600),
        ]
    )
    found = await broker.topics([plain, compact, long, "never-made"])
    assert found == {plain: 2, compact: 5, long: 5, "never-made": None}
    admin = AdminClient({"bootstrap.servers": kafka})
    made = (plain, compact, long, kept, latest)
    asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in made]
    config = {
        resource.name: {key: entry.value for key, entry in future.result(10).items()}
        for resource, future in admin.describe_configs(asked).items()
    }
    policies = ["delete", "compact", "delete", "delete", "compact,delete"]
    assert [config[topic]["cleanup.policy"] for topic in made] == policies
    assert [config[topic]["retention.ms"] for topic in (kept, latest)] == ["86400500", "3600000"]
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


# Tails


async def drain(tail: Tail, ends: dict[Place, int]) -> list[Record]:
    found: list[Record] = []
    async with asyncio.timeout(20):
        while not await tail.reached(ends):
            found += await tail.take(100, 0.1)
    return found


@pytest.mark.real_kafka
@pytest.mark.parametrize("asked", [True, False])
async def test_partitions_that_are_added_are_tailed_too(
    kafka: str,
    make_topics: Callable[..., None],
    stack: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
    asked: bool,
) -> None:
    topic, still = name("state"), name("parked")
    make_topics(topic, still, partitions=1)
    broker = KafkaBroker(settings(kafka))
    if not asked:
        monkeypatch.setattr(consumers, "LOOK_EVERY", 0.3)
    tail = broker.tail(topic, still)
    await tail.start(None)
    stack.push_async_callback(tail.close)
    outlet = broker.outlet([topic, still])
    await outlet.start()
    await outlet.publish([(topic, b"k", b"0"), (still, b"k", b"0")])
    await outlet.close()
    found = await tail.take(1, 5.0)  # the other may have been fetched, and is not taken

    admin = AdminClient({"bootstrap.servers": kafka})
    made = admin.create_partitions([NewPartitions(topic, 3)])
    await asyncio.to_thread(made[topic].result, 10)
    outlet = broker.outlet([topic])
    await outlet.start()
    stack.push_async_callback(outlet.close)
    await outlet.publish([(topic, b"%d" % n, b"%d" % n) for n in range(1, 40)])
    if asked:
        ends = await tail.ends()
        assert len(ends) == 4
        found += await drain(tail, ends)
    async with asyncio.timeout(20):
        while len(found) < 41:
            found += await tail.take(100, 0.1)
    assert sorted(int(r.value) for r in found if r.topic == topic) == list(range(40))
    assert len({record.partition for record in found}) == 3


@pytest.mark.real_kafka
async def test_an_end_is_reached_over_offsets_without_a_record(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("state")
    make_topics(topic, partitions=1)

    def write() -> None:
        producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
        producer.init_transactions(10)
        producer.begin_transaction()
        producer.produce(topic, b"v", b"k")
        producer.commit_transaction(10)  # its mark takes an offset

    await asyncio.to_thread(write)
    tail = KafkaBroker(settings(kafka)).tail(topic)
    await tail.start()
    stack.push_async_callback(tail.close)
    ends = await tail.ends()
    assert ends == {(topic, 0): 2}
    assert [record.offset for record in await drain(tail, ends)] == [0]


@pytest.mark.real_kafka
async def test_a_place_whose_records_were_deleted_begins_at_the_first_there_is(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("state")
    make_topics(topic, partitions=1)
    broker = KafkaBroker(settings(kafka))
    outlet = broker.outlet([topic])
    await outlet.start()
    stack.push_async_callback(outlet.close)
    await outlet.publish([(topic, b"k", b"%d" % n) for n in range(10)])
    admin = AdminClient({"bootstrap.servers": kafka})
    deleted = admin.delete_records([Partition(topic, 0, 6)])
    for each in deleted.values():
        await asyncio.to_thread(each.result, 10)
    tail = broker.tail(topic)
    await tail.start({(topic, 0): 3})
    stack.push_async_callback(tail.close)
    assert [record.offset for record in await drain(tail, await tail.ends())] == [6, 7, 8, 9]


async def test_of_what_others_wrote_nothing_is_left_out_whatever_lies_between(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("state")
    make_topics(topic, partitions=1)
    ours, theirs = (KafkaBroker(settings(kafka)) for _ in range(2))
    outlets = [broker.outlet([topic]) for broker in (ours, theirs, ours)]
    for outlet in outlets:
        await outlet.start()
        stack.push_async_callback(outlet.close)
    for number in range(30):
        await outlets[number % 3].publish([(topic, b"k", b"%d" % number)])
    tail = ours.tail(topic, others=True)
    await tail.start()
    stack.push_async_callback(tail.close)
    found: list[Record] = []
    async with asyncio.timeout(20):
        while not await tail.reached({(topic, 0): 29}):
            found += await tail.take(4, 0.5)
    assert [(record.offset, record.value) for record in found] == [
        (number, b"%d" % number) for number in range(1, 30, 3)
    ]
    # What is left out counts as taken: a start does not read it again, nor wait for it.
    assert await tail.take(4, 0.2) == []
    assert tail.places() == {(topic, 0): 30}
    assert await tail.finished()
    assert len(await everything(ours, topic)) == 30
