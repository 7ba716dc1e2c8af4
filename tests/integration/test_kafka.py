"""The daemon on a real Kafka, written to and read by another client than its own.

Its gateways are simulated, and their counts say what was sent and what was sent twice.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgpack
import pytest
import pytest_asyncio
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # not marked as exported

from tests.contract.events import faults
from tests.contract.process import until
from tests.kafka.fixture import why_no_real_kafka
from tests.kafka.server import KafkaServer

from .kafka import MSGPACK, Topics
from .system import CARRIERS, System, eventually, number, system

pytestmark = pytest.mark.kafka

_runs = itertools.count(1)
_names = itertools.count(1)
BEIJING = timedelta(hours=8)


def job(carrier: str = "mobile", text: str = "hello", **more: Any) -> dict[str, Any]:
    """A job with an id and a number of its own."""
    index = next(_names)
    return {"id": f"k-{index}", "to": number(carrier, index), "text": text, **more}


@dataclass
class OnKafka:
    system: System
    topics: Topics

    async def start(self) -> None:
        """The daemon, once it is ready."""
        await self.system.daemon.start()


@asynccontextmanager
async def on_kafka(
    bootstrap: str,
    directory: Path,
    *,
    partitions: int = 3,
    broker: dict[str, Any] | None = None,
    **sections: Any,
) -> AsyncIterator[OnKafka]:
    """Topics that are there, gateways that listen, and a daemon that is not started."""
    topics = Topics(bootstrap, f"t{next(_runs)}.")
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(
            system(directory, broker=topics.broker(**(broker or {})), **sections)
        )
        if why_no_real_kafka():
            await topics.touch()
        else:
            done = await made.daemon.run("topics", "--create", "--partitions", str(partitions))
            assert done.status == 0, done.err
        await stack.enter_async_context(topics.followed())
        yield OnKafka(made, topics)


# One daemon for those that do not stop it

in_module = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OnKafka]:
    async with on_kafka(kafka, tmp_path_factory.mktemp("kafka")) as made:
        await made.start()
        yield made


@in_module
async def test_send_waits_for_the_fate_of_a_message_of_each_carrier(running: OnKafka) -> None:
    for carrier in CARRIERS:
        phone = number(carrier, next(_names))
        done = await running.system.daemon.run(
            "send", "--to", phone, "--text", "您的验证码是 836251", "--signature", "示例", "--wait",
            "--timeout", "10",
        )  # fmt: skip
        assert done.status == 0, done.err
        last = done.lines[-1]
        assert (last["to"], last["state"], last["account"]) == (phone, "delivered", carrier)


@in_module
async def test_reports_are_json_under_the_jobs_id_and_in_order(running: OnKafka) -> None:
    one = job(to=[number("mobile", next(_names)), number("telecom", next(_names))])
    await running.topics.send(one)
    for index in range(2):
        final = await running.topics.final(f"{one['id']}/{index}")
        assert final["state"] == "delivered"
    mine = [p for p in running.topics.published["reports"] if p.value["job"] == one["id"]]
    assert {(p.key, p.content_type) for p in mine} == {(one["id"], "application/json")}
    # One key, one partition: the offsets tell the order.
    mine.sort(key=lambda p: p.offset)
    for index in range(2):
        states = [p.value["state"] for p in mine if p.value["message"] == f"{one['id']}/{index}"]
        assert states in (["accepted", "delivered"], ["delivered"])


@in_module
async def test_a_job_in_msgpack_is_told_by_its_header(running: OnKafka) -> None:
    one = job("unicom", "二进制", meta={"order": 7})
    packed = msgpack.packb(one)
    await running.topics.put(packed, content_type=MSGPACK)
    final = await running.topics.final(f"{one['id']}/0")
    assert (final["state"], final["meta"]) == ("delivered", {"order": 7})
    other = job("unicom")
    ((partition, offset),) = await running.topics.put(msgpack.packb(other))
    letter = await dead(running.topics, partition, offset)
    assert base64.b64decode(letter["value_base64"]) == msgpack.packb(other)


async def dead(topics: Topics, partition: int, offset: int) -> dict[str, Any]:
    """The dead letter of this record of the jobs topic."""
    place = (topics.name("jobs"), partition, offset)
    found: dict[str, Any] = await until(
        lambda: next(
            (
                p.value
                for p in topics.published["dead"]
                if (p.value["topic"], p.value["partition"], p.value["offset"]) == place
            ),
            None,
        ),
        what=f"a dead letter of {place}",
    )
    return found


@in_module
async def test_a_bad_record_is_a_dead_letter_and_stops_nothing_behind_it(running: OnKafka) -> None:
    bad = {
        "text": {**job(), "text": ""},
        "ext": {**job(), "ext": "12a"},
        "colour": {**job(), "colour": "red"},
        "to": {**job(), "to": []},
    }
    good = job()
    values = [b"{not json", *(json.dumps(one).encode() for one in bad.values())]
    keys = ["same"] * len(values)
    places = await running.topics.put(*values, keys=keys, partition=0)
    await running.topics.send(good, partition=0)
    for (partition, offset), field in zip(places, [None, *bad], strict=True):
        letter = await dead(running.topics, partition, offset)
        assert field is None or letter["field"] == field
        assert letter["error"]
    assert (await running.topics.final(f"{good['id']}/0"))["state"] == "delivered"
    letters = [p for p in running.topics.published["dead"] if p.value["offset"] >= places[0][1]]
    assert {p.key for p in letters if p.value["partition"] == 0} >= {"same"}


@in_module
async def test_the_same_id_again_is_counted_and_with_other_content_dead(running: OnKafka) -> None:
    one = job("telecom")
    await running.topics.send(one)
    await running.topics.final(f"{one['id']}/0")
    before = len(running.topics.events(f"{one['id']}/0"))
    duplicates = await running.system.daemon.metric(
        "carrierd_jobs_total", topic=running.topics.name("jobs"), outcome="duplicate"
    )
    await running.topics.send(one)
    ((partition, offset),) = await running.topics.send({**one, "text": "something else"})
    assert (await dead(running.topics, partition, offset))["field"] == "id"
    now = await running.system.daemon.metric(
        "carrierd_jobs_total", topic=running.topics.name("jobs"), outcome="duplicate"
    )
    assert now == duplicates + 1
    assert len(running.topics.events(f"{one['id']}/0")) == before


@in_module
async def test_messages_of_subscribers_are_published_under_their_number(running: OnKafka) -> None:
    text = "我想咨询一下贵公司的套餐：" * 12
    for carrier in CARRIERS:
        phone = number(carrier, next(_names))
        place = running.system.fleet.places[f"{carrier}/{carrier}-1"]
        running.system.fleet.deliver(place, phone, "1069000188", text)
        (found,) = await until(
            lambda phone=phone: [  # type: ignore[misc]
                p for p in running.topics.published["inbound"] if p.value["from"] == phone
            ],
            what=f"the message of {phone}",
        )
        assert (found.key, found.content_type) == (phone, "application/json")
        assert (found.value["text"], found.value["ext"]) == (text, "88")
        assert (found.value["account"], found.value["complete"]) == (carrier, True)


@in_module
async def test_tail_shows_what_was_published(running: OnKafka) -> None:
    one = job("broadnet")
    await running.topics.send(one)
    final = await running.topics.final(f"{one['id']}/0")
    done = await running.system.daemon.run("tail", "reports")
    assert done.status == 0, done.err
    assert final in done.lines


@in_module
async def test_hundreds_of_jobs_over_all_partitions_and_carriers_arrive_once(
    running: OnKafka,
) -> None:
    jobs = [job(carrier, f"number {index}") for index in range(100) for carrier in CARRIERS]
    before = running.system.distinct
    places = await running.topics.send(*jobs)
    assert len({partition for partition, _ in places}) > 1
    for one in jobs:
        final = await running.topics.final(f"{one['id']}/0")
        assert final["state"] == "delivered"
    assert running.system.distinct == before + len(jobs)


@in_module
async def test_nothing_of_all_this_went_against_the_contract(running: OnKafka) -> None:
    """The last of those that share the daemon: it looks at everything they published."""
    in_order = {
        name: sorted(records, key=lambda p: (p.key or "", p.offset))
        for name, records in running.topics.published.items()
    }
    assert faults(in_order, BEIJING) == []
    assert running.system.faults() == {}
    assert running.system.twice == 0
    # Everything is answered, so the offsets go to the end of every partition.
    lag = await running.system.daemon.metrics()
    assert {dict(labels)["topic"] for labels in lag["carrierd_broker_lag"]} == {
        running.topics.name("jobs"),
        running.topics.name("urgent"),
    }


# Each with a daemon of its own


@pytest.mark.real_kafka
async def test_missing_topics_are_named_and_made(kafka: str, tmp_path: Path) -> None:
    topics = Topics(kafka, f"t{next(_runs)}.")
    async with system(tmp_path, broker=topics.broker()) as made:
        listed = await made.daemon.run("topics")
        assert listed.status == 1
        refused = await made.daemon.run("run")
        assert refused.status == 2
        assert all(name in listed.out for name in topics.names())
        # What the daemon reads and writes; nothing goes to the other two yet.
        for purpose in ("urgent", "jobs", "reports", "inbound", "dead"):
            assert topics.name(purpose) in refused.err
        created = await made.daemon.run("topics", "--create", "--partitions", "2")
        assert created.status == 0
        assert (await made.daemon.run("topics")).status == 0
        admin = AdminClient({"bootstrap.servers": kafka})
        state = ConfigResource(ConfigResource.Type.TOPIC, topics.name("state"))
        (answer,) = admin.describe_configs([state]).values()
        assert answer.result(10.0)["cleanup.policy"].value == "compact,delete"
        jobs = admin.list_topics(topics.name("jobs"), timeout=10).topics[topics.name("jobs")]
        assert len(jobs.partitions) == 2
        await made.daemon.start()
        assert await made.daemon.signal() == 0


async def test_an_urgent_job_overtakes_a_backlog(kafka: str, tmp_path: Path) -> None:
    async with on_kafka(kafka, tmp_path, keys={"rate": 50, "window": 4}) as k:
        await k.start()
        await k.topics.send(*(job() for _ in range(300)))
        await k.system.reached("mobile", 50)
        urgent = [job(priority="urgent") for _ in range(10)]
        written = k.system.node("mobile").counts.submits
        await k.topics.send(*urgent, topic="urgent")
        for one in urgent:
            await k.topics.final(f"{one['id']}/0")
        order = [s.to[0] for s in k.system.node("mobile").submits]
        # What was written or claimed when they came may go before them, and no more.
        places = [order.index(one["to"]) for one in urgent]
        assert max(places) < written + 50
        assert len(order) < 300


@pytest.mark.parametrize("commit", ["answered", "stored"])
async def test_offsets_move_only_past_what_is_safe(kafka: str, tmp_path: Path, commit: str) -> None:
    async with on_kafka(
        kafka, tmp_path, broker={"commit": commit}, keys={"answer_within": 30.0}
    ) as k:
        await k.start()
        k.system.gateway("mobile").freeze("mute")
        held = [job("telecom"), job("mobile"), job("telecom")]
        places = await k.topics.send(*held, partition=0)
        assert places == [(0, 0), (0, 1), (0, 2)]
        for one in (held[0], held[2]):
            await k.topics.final(f"{one['id']}/0")
        await k.system.reached("mobile", 1)
        if commit == "stored":
            await k.topics.moved({0: 3})
        else:
            await k.topics.moved({0: 1})
            # Later commits, of another partition, leave this one where it is.
            for end in (1, 2):
                await k.topics.send(job("telecom"), partition=1)
                found = await k.topics.moved({1: end})
                assert found[0] == 1
        k.system.gateway("mobile").freeze(None)
        final = await k.topics.final(f"{held[1]['id']}/0")
        assert (final["state"], final["attempts"]) == ("delivered", 1)
        await k.topics.moved({0: 3})


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_what_kafka_gives_again_after_a_restart_is_not_sent_again(
    kafka: str, tmp_path: Path, end: int
) -> None:
    async with on_kafka(kafka, tmp_path) as k:
        await k.start()
        jobs = [job(carrier) for _ in range(50) for carrier in CARRIERS]
        await k.topics.send(*jobs)
        await k.topics.settled(len(jobs))
        status = await k.system.daemon.signal(end)
        assert status == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        if not why_no_real_kafka():
            await forgotten(k)
            await k.topics.rewind()
        before = [which(event) for event in k.topics.reports()]
        await k.start()
        last = job()
        await k.topics.send(last)
        await k.topics.final(f"{last['id']}/0")
        if not why_no_real_kafka():
            await repeated(k, k.topics.name("jobs"), len(jobs))
        assert k.system.distinct == len(jobs) + 1
        assert k.system.twice == 0
        after = [which(event) for event in k.topics.reports()[len(before) :]]
        # A crash may repeat an event, and never makes another one.
        new = after if end == signal.SIGTERM else [one for one in after if one not in before]
        assert {message for message, _, _ in new} == {f"{last['id']}/0"}


def which(event: dict[str, Any]) -> tuple[str, str, int]:
    """What consumers tell events apart by."""
    return event["message"], event["state"], event["attempts"]


async def forgotten(k: OnKafka) -> None:
    """Until the group has no member: one that was killed is one for its session's time."""

    async def empty() -> bool:
        return await k.topics.members() == 0

    await eventually(empty, 60.0, "the group is empty")


async def repeated(k: OnKafka, topic: str, count: int) -> None:
    """Until the daemon has counted as many jobs that it knew."""

    async def counted() -> bool:
        found = await k.system.daemon.metric(
            "carrierd_jobs_total", topic=topic, outcome="duplicate"
        )
        return found == count

    await eventually(counted, 10.0, f"{count} duplicates")


async def test_a_machine_lost_with_its_disk_loses_no_job(kafka: str, tmp_path: Path) -> None:
    async with on_kafka(kafka, tmp_path, keys={"answer_within": 30.0}) as k:
        await k.start()
        done = [job(carrier) for carrier in CARRIERS]
        await k.topics.send(*done, partition=0)
        for one in done:
            await k.topics.final(f"{one['id']}/0")
        await k.topics.moved({0: len(done)})
        for carrier in CARRIERS:
            k.system.gateway(carrier).freeze("mute")
        open_ = [job(carrier) for carrier in CARRIERS]
        await k.topics.send(*open_, partition=0)
        for carrier in CARRIERS:
            await k.system.reached(carrier, 2)
        await k.system.daemon.kill()
        shutil.rmtree(tmp_path / "state")
        for carrier in CARRIERS:
            k.system.gateway(carrier).freeze(None)
        await k.start()
        for one in open_:
            assert (await k.topics.final(f"{one['id']}/0"))["state"] == "delivered"
        # At most the unanswered window went once more, and nothing that was answered.
        assert k.system.twice <= len(open_)
        assert k.system.distinct == len(done) + len(open_)


@pytest.mark.real_kafka
async def test_a_broker_that_dies_and_comes_back_loses_nothing(
    own_kafka: KafkaServer, tmp_path: Path
) -> None:
    async with on_kafka(own_kafka.bootstrap, tmp_path) as k:
        await k.start()
        jobs = [job(carrier) for _ in range(100) for carrier in CARRIERS]
        first, second, third = jobs[:150], jobs[150:300], jobs[300:]
        await k.topics.send(*first)
        await k.topics.settled(20)
        # These are taken, and their reports have to wait for the broker.
        await k.topics.send(*second)
        await k.system.reached("mobile", 40)
        await asyncio.to_thread(own_kafka.kill)
        assert (await k.system.daemon.get("/healthz"))[0] == 200
        await until_not_ready(k)
        await asyncio.to_thread(own_kafka.start)
        await k.topics.send(*third)
        finals = await k.topics.settled(len(jobs))
        assert {event["state"] for event in finals.values()} == {"delivered"}
        assert k.system.distinct == len(jobs)
        assert k.system.twice == 0
        assert await k.system.daemon.signal() == 0


async def until_not_ready(k: OnKafka) -> None:
    """Until /readyz says that the broker is away."""

    async def away() -> bool:
        return (await k.system.daemon.get("/readyz"))[0] == 503

    await eventually(away, 15.0, "not ready")
