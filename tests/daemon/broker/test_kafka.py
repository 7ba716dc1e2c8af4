"""What is particular to Kafka: partitions, groups, refusals, and a broker that goes away."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import murmur2 as reference
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions
from hypothesis import given
from hypothesis import strategies as st

from daemon.broker import broker
from daemon.broker.base import BrokerError, Place, Record, RecordsRefused, Tail, Topic
from daemon.broker.kafka import KafkaBroker, KafkaSettings, KafkaSource
from daemon.broker.kafka import consumer as consumers
from daemon.broker.kafka.partition import murmur2, partition
from daemon.broker.kafka.seldom import Seldom
from daemon.broker.local import LocalBroker
from daemon.config import load
from tests.kafka.server import KafkaServer

pytestmark = pytest.mark.kafka

SESSION = 3.0

# Says how many partitions it has and whether it is sure of them, whenever that changes and
# first of all when it has slept for longer than a session.
MEMBER = """
import asyncio, sys, time
from daemon.broker.kafka import KafkaBroker, KafkaSettings

async def main(bootstrap, group, topic, session):
    settings = KafkaSettings([bootstrap], group=group, session=float(session))
    held = []
    source = KafkaBroker(settings).source([topic], on_assigned=lambda p: held.append(len(p)))
    await source.start()
    said, at = None, time.monotonic()
    while True:
        now = held[-1], "sure" if source.sure() else "unsure"
        if time.monotonic() - at > float(session):
            print("woke", now[1], flush=True)
        if now != said:
            print(*now, flush=True)
        said, at = now, time.monotonic()
        await source.take(100, 0.02)

asyncio.run(main(*sys.argv[1:]))
"""


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
    for said_by in ("aiokafka", "aiokafka.consumer.fetcher", "aiokafka.producer.sender"):
        assert any(isinstance(each, Seldom) for each in logging.getLogger(said_by).filters)


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

    everywhere = frozenset((topic, number) for number in range(4))
    mine: list[frozenset[Place]] = []
    theirs: list[frozenset[Place]] = []
    lost: list[frozenset[Place]] = []
    positions: dict[Place, int] = {}
    given: list[Record] = []

    async def revoked(places: frozenset[Place]) -> None:
        lost.append(places)
        given.extend(await first.take(50, 0.5))
        assert not theirs  # they have to wait
        first.commit(positions)

    first = broker.source([topic], on_assigned=mine.append, on_revoked=revoked)
    await first.start()
    stack.push_async_callback(first.close)
    taken: list[Record] = []
    while len(taken) < 300:
        taken += await first.take(50, 5.0)
    done = taken[:200]
    for record in done:
        positions[record.topic, record.partition] = record.offset + 1
    assert mine == [everywhere]

    second = broker.source([topic], on_assigned=theirs.append)
    joining = asyncio.create_task(second.start())
    stack.push_async_callback(second.close)
    async with asyncio.timeout(10):
        while not lost:
            taken += await first.take(1, 0.05)  # as the daemon does all the while
    await joining
    await until(lambda: len(mine) == 2)
    assert lost == [everywhere]
    assert not given
    assert mine[1] | theirs[0] == everywhere
    assert len(mine[1]) == len(theirs[0]) == 2
    await until(lambda: first.sure() and second.sure())

    seen = {record.value for record in done}
    again: list[Record] = []
    async with asyncio.timeout(30):
        while len(seen) < 400:
            for source, places in ((first, mine[1]), (second, theirs[0])):
                got = await source.take(50, 0.2)
                assert {(record.topic, record.partition) for record in got} <= places
                again += got
                seen |= {record.value for record in got}
    # What was committed in the last word is not given again, to nobody; all else is, once.
    assert sorted(int(record.value) for record in again + done) == list(range(400))


async def member(
    stack: AsyncExitStack, bootstrap: str, group: str, topic: str
) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MEMBER, bootstrap, group, topic, str(SESSION)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.communicate()

    stack.push_async_callback(end)
    return process


async def said(process: asyncio.subprocess.Process, wanted: str) -> list[str]:
    """What it says up to the line that is waited for."""
    assert process.stdout is not None
    lines = []
    async with asyncio.timeout(20):
        while not lines or lines[-1] != wanted:
            line = await process.stdout.readline()
            assert line, f"it ended, and had said {lines}"
            lines.append(line.decode().strip())
    return lines


async def alone_in_a_group(
    stack: AsyncExitStack, here: KafkaSettings, topic: str
) -> tuple[KafkaSource, list[frozenset[Place]]]:
    mine: list[frozenset[Place]] = []
    source = KafkaBroker(here).source([topic], on_assigned=mine.append)
    await source.start()
    stack.push_async_callback(source.close)
    return source, mine


@pytest.mark.real_kafka
async def test_a_member_that_was_killed_is_followed_after_its_session(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic, partitions=4)
    here = settings(kafka, session=SESSION)
    source, mine = await alone_in_a_group(stack, here, topic)
    other = await member(stack, kafka, here.group, topic)
    await said(other, "2 sure")
    await until(lambda: len(mine[-1]) == 2)
    other.kill()
    killed_at = time.monotonic()
    await until(lambda: len(mine[-1]) == 4)
    assert time.monotonic() - killed_at < SESSION + 4
    assert source.sure()


@pytest.mark.real_kafka
async def test_a_member_that_was_frozen_knows_that_others_may_have_what_it_had(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic, partitions=4)
    here = settings(kafka, session=SESSION)
    _, mine = await alone_in_a_group(stack, here, topic)
    other = await member(stack, kafka, here.group, topic)
    await said(other, "2 sure")
    await until(lambda: len(mine[-1]) == 2)
    other.send_signal(signal.SIGSTOP)
    slept = asyncio.create_task(asyncio.sleep(SESSION + 0.2))
    await until(lambda: len(mine[-1]) == 4)
    await slept
    other.send_signal(signal.SIGCONT)
    heard = await said(other, "woke unsure")  # before it can have heard anything
    assert "woke sure" not in heard
    await said(other, "2 sure")
    assert len(mine[-1]) == 2


@pytest.mark.real_kafka
async def test_what_goes_wrong_in_a_revocation_is_raised_by_take(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic)
    broker = KafkaBroker(settings(kafka))

    async def revoked(places: frozenset[Place]) -> None:
        raise ZeroDivisionError

    source = broker.source([topic], on_revoked=revoked)
    await source.start()
    stack.push_async_callback(source.close)
    taking = asyncio.create_task(source.take(1, 30.0))
    other = broker.source([topic])
    await other.start()
    stack.push_async_callback(other.close)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(taking, 10)
    assert not source.sure()


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
async def test_a_broker_that_is_restarted_costs_nothing_of_what_is_taken_committed_and_tailed(
    own_kafka: KafkaServer, stack: AsyncExitStack
) -> None:
    broker = KafkaBroker(settings(own_kafka.bootstrap, session=SESSION), partitions=2)
    jobs, state = name("jobs"), name("state")
    await broker.create([Topic(jobs), Topic(state, compact=True, retain=3600)])
    outlet, source, tail = broker.outlet([jobs, state]), broker.source([jobs]), broker.tail(state)
    for each in (outlet, source, tail):
        await each.start()
        stack.push_async_callback(each.close)
    taken: list[Record] = []
    tailed: list[Record] = []
    published = 0
    stopping = False

    async def publish() -> None:
        nonlocal published
        while not stopping:
            n = b"%d" % published
            await outlet.publish([(jobs, n, n), (state, b"key-%d" % (published % 5), n)])
            published += 1
            await asyncio.sleep(0.002)

    async def take() -> None:
        while True:
            got = await source.take(50, 1.0)
            taken.extend(got)
            source.commit({(r.topic, r.partition): r.offset + 1 for r in got})

    async def follow() -> None:
        while True:
            tailed.extend(await tail.take(50, 1.0))

    publishing = asyncio.create_task(publish())
    reading = [asyncio.create_task(take()), asyncio.create_task(follow())]

    async def more() -> None:
        taken_then, tailed_then = len(taken), len(tailed)
        await until(lambda: len(taken) > taken_then + 100 and len(tailed) > tailed_then + 100)

    for end in (own_kafka.kill, own_kafka.stop):
        await more()
        await asyncio.to_thread(end)
        await until(lambda: not outlet.connected)
        with pytest.raises(BrokerError, match=own_kafka.bootstrap):
            await tail.ends()
        assert source.sure()  # nobody else is in the group
        await asyncio.to_thread(own_kafka.start)
    await more()
    stopping = True
    await publishing
    everything = set(range(published))
    await until(lambda: {int(record.value) for record in taken} == everything)
    await until(lambda: len(tailed) >= published)
    for task in reading:
        task.cancel()
    results = await asyncio.gather(*reading, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    by_key: dict[bytes | None, list[int]] = defaultdict(list)
    for record in tailed:
        by_key[record.key].append(int(record.value))
    assert by_key == {b"key-%d" % k: list(range(k, published, 5)) for k in range(5)}
    await source.close()
    again = broker.source([jobs])
    await again.start()
    stack.push_async_callback(again.close)
    assert await again.take(10, 0.5) == []


@pytest.mark.real_kafka
async def test_two_members_are_not_sure_when_the_group_has_not_heard_of_them(
    own_kafka: KafkaServer, stack: AsyncExitStack
) -> None:
    broker = KafkaBroker(settings(own_kafka.bootstrap, session=SESSION), partitions=2)
    await broker.create([Topic("jobs")])
    both = [broker.source(["jobs"]), broker.source(["jobs"])]
    for source in both:
        await source.start()
        stack.push_async_callback(source.close)
    await until(lambda: all(source.sure() for source in both))
    await asyncio.sleep(SESSION)
    await until(lambda: all(source.sure() for source in both))  # without anything to commit
    own_kafka.freeze()
    frozen_at = time.monotonic()
    try:
        await until(lambda: not any(source.sure() for source in both))
        assert time.monotonic() - frozen_at < SESSION + 1
    finally:
        own_kafka.thaw()
    await until(lambda: all(source.sure() for source in both))


@pytest.mark.real_kafka
async def test_everything_closes_in_time_while_the_broker_is_away(own_kafka: KafkaServer) -> None:
    broker = KafkaBroker(settings(own_kafka.bootstrap, session=SESSION), partitions=1)
    await broker.create([Topic("jobs"), Topic("reports")])
    outlet = broker.outlet(["reports"])
    await outlet.start()
    own_kafka.freeze()
    publishing = asyncio.create_task(outlet.publish([("reports", b"k", b"v")]))
    await asyncio.sleep(0.1)
    await asyncio.wait_for(outlet.close(), 15)
    with pytest.raises(BrokerError, match="closed before it was written"):
        await publishing
    await asyncio.to_thread(own_kafka.kill)
    await asyncio.to_thread(own_kafka.start)

    before = asyncio.all_tasks()
    frozen, killed = ((broker.source(["jobs"]), broker.tail("reports")) for _ in range(2))
    for each in (*frozen, *killed):
        await each.start()
    own_kafka.freeze()
    for each in frozen:
        await asyncio.wait_for(each.close(), 15)
    await asyncio.to_thread(own_kafka.kill)
    await until(lambda: not killed[0].sure())
    for each in killed:
        await asyncio.wait_for(each.close(), 15)
    await until(lambda: asyncio.all_tasks() <= before)
