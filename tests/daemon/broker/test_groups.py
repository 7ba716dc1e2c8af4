"""A Kafka's consumer group: who has which partitions, and who knows of it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from daemon.broker.base import BrokerError, Place, Record
from daemon.broker.kafka import KafkaBroker, KafkaSettings, KafkaSource

from .names import name, settings, until

pytestmark = pytest.mark.kafka

SESSION = 3.0

# Says how many partitions it has and whether it is sure of them, whenever that changes and
# first of all when it has slept for longer than a session.
MEMBER = """
import sys, time, uvloop
from daemon.broker.kafka import KafkaBroker, KafkaSettings

async def main(bootstrap, group, topic, session, instance):
    settings = KafkaSettings([bootstrap], group=group, session=float(session))
    held = []
    source = KafkaBroker(settings).source(
        [topic], on_assigned=lambda p: held.append(len(p)), instance=instance or None
    )
    await source.start()
    said, at = None, time.monotonic()
    while True:
        now = held[-1], "sure" if source.sure() else "unsure"
        before, at = at, time.monotonic()  # now: it may be frozen while it prints
        if at - before > float(session):
            print("woke", now[1], flush=True)
        if now != said:
            print(*now, flush=True)
        said = now
        await source.take(100, 0.02)

uvloop.run(main(*sys.argv[1:]))
"""


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
    stack: AsyncExitStack, here: KafkaSettings, topic: str, instance: str = ""
) -> asyncio.subprocess.Process:
    arguments = (here.bootstrap[0], here.group, topic, str(here.session), instance)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MEMBER, *arguments),
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


async def opened(
    stack: AsyncExitStack, here: KafkaSettings, topic: str, instance: str | None = None
) -> tuple[KafkaSource, list[frozenset[Place]]]:
    mine: list[frozenset[Place]] = []
    source = KafkaBroker(here).source([topic], on_assigned=mine.append, instance=instance)
    await source.start()
    stack.push_async_callback(source.close)
    return source, mine


@pytest.mark.real_kafka
async def test_members_that_were_killed_or_frozen_are_followed_after_their_session(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic, partitions=6)
    here = settings(kafka, session=SESSION)
    source, mine = await opened(stack, here, topic)
    killed, frozen = [await member(stack, here, topic) for _ in range(2)]
    await asyncio.gather(said(killed, "2 sure"), said(frozen, "2 sure"))
    await until(lambda: len(mine[-1]) == 2)
    killed.kill()
    frozen.send_signal(signal.SIGSTOP)
    at = time.monotonic()
    slept = asyncio.create_task(asyncio.sleep(SESSION + 0.2))
    await until(lambda: len(mine[-1]) == 6)
    assert time.monotonic() - at < SESSION + 4
    assert source.sure()
    await slept
    frozen.send_signal(signal.SIGCONT)
    heard = await said(frozen, "woke unsure")  # before it can have heard anything
    assert "woke sure" not in heard
    await said(frozen, "3 sure")
    assert len(mine[-1]) == 3


@pytest.mark.real_kafka
async def test_a_member_that_was_the_only_one_is_not_sure_after_it_stood_still(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic, partitions=2)
    here = settings(kafka, session=SESSION)
    frozen = await member(stack, here, topic)
    await said(frozen, "2 sure")
    frozen.send_signal(signal.SIGSTOP)
    slept = asyncio.create_task(asyncio.sleep(SESSION + 0.2))
    _, mine = await opened(stack, here, topic)
    await until(lambda: bool(mine) and len(mine[-1]) == 2)
    await slept
    frozen.send_signal(signal.SIGCONT)
    heard = await said(frozen, "woke unsure")
    assert "woke sure" not in heard
    await said(frozen, "1 sure")


@pytest.mark.real_kafka
async def test_a_member_that_was_killed_and_comes_back_under_its_name_has_what_it_had_at_once(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic, partitions=4)
    here = settings(kafka, session=30.0)
    first = await member(stack, here, topic, "first")  # leads the group
    await said(first, "4 sure")
    source, mine = await opened(stack, here, topic, instance="second")
    await said(first, "2 sure")
    await until(lambda: len(mine[-1]) == 2)
    first.kill()
    first = await member(stack, here, topic, "first")
    await said(first, "2 sure")
    assert [len(places) for places in mine] == [2]  # without a rebalance
    assert source.sure()

    admin = AdminClient({"bootstrap.servers": kafka})
    first.kill()  # nobody watches over the partitions
    made = admin.create_partitions([NewPartitions(topic, 6)])
    await asyncio.to_thread(made[topic].result, 10)
    first = await member(stack, here, topic, "first")
    await said(first, "3 sure")
    assert len(mine[-1]) == 3

    await source.close()
    left_at = time.monotonic()
    await said(first, "6 sure")
    assert time.monotonic() - left_at < here.session / 2


@pytest.mark.real_kafka
async def test_of_two_that_go_by_one_name_the_first_fails_and_the_other_goes_on(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic)
    here = settings(kafka)
    first, _ = await opened(stack, here, topic, instance="carrierd-1f")
    copy, copied = await opened(stack, here, topic, instance="carrierd-1f")
    with pytest.raises(BrokerError, match=r"group-\w+ has joined as carrierd-1f, .* state_dir"):
        await first.take(1, 20.0)
    assert not first.sure()
    await first.close()
    assert await copy.take(1, 1.5) == []
    assert len(copied) == 1
    assert copy.sure()


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


async def test_a_member_that_waits_to_be_admitted_can_give_up_and_holds_nobody_up(
    kafka: str, make_topics: Callable[..., None], stack: AsyncExitStack
) -> None:
    topic = name("jobs")
    make_topics(topic, partitions=4)
    here = settings(kafka, session=SESSION)
    go_on, held = asyncio.Event(), asyncio.Event()

    async def revoked(places: frozenset[Place]) -> None:
        held.set()
        await go_on.wait()

    mine: list[frozenset[Place]] = []
    first = KafkaBroker(here).source([topic], on_assigned=mine.append, on_revoked=revoked)
    await first.start()
    stack.push_async_callback(first.close)
    second = KafkaBroker(here).source([topic], instance="second")
    joining = asyncio.create_task(second.start())
    async with asyncio.timeout(10):
        while not held.is_set():
            await first.take(1, 0.05)
    at = time.monotonic()
    joining.cancel()
    await asyncio.wait([joining])
    await second.close()
    assert joining.cancelled()
    assert time.monotonic() - at < 6.0
    go_on.set()
    await until(lambda: len(mine) > 1 and len(mine[-1]) == len(mine[0]))
