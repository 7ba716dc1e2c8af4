"""`carrierd send`, `tail` and `topics`, as processes of their own beside whoever takes the jobs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.broker.base import Broker, Record
from daemon.broker.kafka import KafkaBroker, KafkaSettings
from daemon.broker.local import LocalBroker

ROOT = Path(__file__).parents[3]
WITHIN = 60.0

CONFIG = """\
[daemon]
state_dir = "{state_dir}"
[broker]
kind = "{kind}"
bootstrap = ["{bootstrap}"]
topics.jobs = ["{mark}.urgent", "{mark}.jobs"]
topics.reports = "{mark}.reports"
topics.inbound = "{mark}.inbound"
topics.dead = "{mark}.dead"
topics.parked = "{mark}.parked"
topics.state = "{mark}.state"
[accounts.a]
carrier = "mobile"
protocol = "cmpp"
version = "3.0"
login = "901234"
password_env = "NOT_SET_FOR_COMMANDS_THAT_LOG_IN_NOWHERE"
access_number = "10657"
rate = 1
[[accounts.a.nodes]]
name = "n"
host = "127.0.0.1"
port = 7890
[routes]
mobile = ["a"]
"""
TOPICS = ["urgent", "jobs", "reports", "inbound", "dead", "parked", "state"]


@dataclass
class Done:
    status: int
    out: str
    err: str


@dataclass
class World:
    broker: Broker
    config: Path
    mark: str

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        command, *rest = arguments
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "daemon", command, *rest, "--config", str(self.config)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )

    async def run(self, *arguments: str, given: bytes = b"") -> Done:
        process = await self.start(*arguments)
        out, err = await asyncio.wait_for(process.communicate(given), WITHIN)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    def topic(self, word: str) -> str:
        return f"{self.mark}.{word}"

    async def taken(self, count: int) -> list[Record]:
        """As the daemon takes them; committed."""
        source = self.broker.source([self.topic("urgent"), self.topic("jobs")])
        await source.start()
        found: list[Record] = []
        async with asyncio.timeout(WITHIN):
            while len(found) < count:
                found += await source.take(count, 1.0)
        source.commit({(r.topic, r.partition): r.offset + 1 for r in found})
        await source.close()
        return found

    async def publish(self, word: str, *values: bytes, key: bytes = b"k") -> None:
        outlet = self.broker.outlet([self.topic(word)])
        await outlet.start()
        await outlet.publish([(self.topic(word), key, value) for value in values])
        await outlet.close()


def world_of(kind: str, directory: Path, bootstrap: str) -> World:
    mark = f"t{uuid.uuid4().hex[:8]}"
    config = directory / "carrierd.toml"
    config.write_text(
        CONFIG.format(kind=kind, bootstrap=bootstrap, mark=mark, state_dir=directory / "state")
    )
    broker: Broker = LocalBroker(directory / "state" / "broker")
    if kind == "kafka":
        broker = KafkaBroker(KafkaSettings([bootstrap]))
    return World(broker, config, mark)


@pytest.fixture
def local(tmp_path: Path) -> World:
    return world_of("local", tmp_path, "127.0.0.1:1")


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "local":
        return world_of("local", tmp_path, "127.0.0.1:1")
    world = world_of("kafka", tmp_path, request.getfixturevalue("kafka"))
    make_topics: Callable[..., None] = request.getfixturevalue("make_topics")
    make_topics(*map(world.topic, TOPICS))
    return world


def event(job: str, index: int, state: str, *, final: bool = True) -> bytes:
    value = {"v": 1, "job": job, "message": f"{job}/{index}", "state": state, "final": final}
    return json.dumps(value | {"attempts": 1}, separators=(",", ":")).encode()


# send


async def test_a_job_sent_is_taken_and_its_report_is_shown(world: World) -> None:
    done = await world.run("send", "--to", "13800138000", "--text", "你好", "--id", "j-1")
    assert (done.status, done.out, done.err) == (0, "stored 1 job\n", "")
    (record,) = await world.taken(1)
    assert (record.topic, record.key) == (world.topic("jobs"), b"j-1")
    assert record.content_type == "application/json"
    assert json.loads(record.value) == {"id": "j-1", "to": ["13800138000"], "text": "你好"}
    await world.publish("reports", event("j-1", 0, "delivered"))
    shown = await world.run("tail", "reports")
    assert shown.status == 0
    assert shown.out == event("j-1", 0, "delivered").decode() + "\n"


async def test_every_field_of_a_job_has_its_flag(local: World) -> None:
    flags = {
        "signature": "公司",
        "tenant": "t-1",
        "ext": "01",
        "priority": "urgent",
        "not_before": "2026-11-22T08:00:00+08:00",
        "expires_at": "2026-11-22T09:00:00+08:00",
        "account": "a",
        "on_uncertain": "wait",
    }
    arguments = [word for k, v in flags.items() for word in (f"--{k.replace('_', '-')}", v)]
    done = await local.run(
        *("send", "--to", "13800138000,13800138001", "--to", "13800138002", "--text", "x"),
        *("--id", "j", "--no-report", "--meta", '{"a":[1]}', *arguments),
    )
    assert done.status == 0, done.err
    (record,) = await local.taken(1)
    assert record.topic == local.topic("urgent")
    assert json.loads(record.value) == {
        "id": "j",
        "to": ["13800138000", "13800138001", "13800138002"],
        "text": "x",
        "report": False,
        "meta": {"a": [1]},
        **flags,
    }


async def test_a_job_without_an_id_gets_a_new_one(local: World) -> None:
    for _ in range(2):
        assert (await local.run("send", "--to", "1", "--text", "x")).status == 0
    one, two = [json.loads(record.value)["id"] for record in await local.taken(2)]
    assert uuid.UUID(one) != uuid.UUID(two)


async def test_lines_of_a_file_are_sent_as_they_are(local: World) -> None:
    lines = [b'{"id": "a",  "to": "1", "text": "x"}', b'{"id":"b","to":"1","bogus":1}', b"nonsense"]
    done = await local.run("send", "--file", "-", given=b"\n\n".join(lines) + b"\n")
    assert (done.status, done.out) == (0, "stored 3 jobs\n")
    first, second = done.err.splitlines()
    assert first.startswith("carrierd send: job 2: ")
    assert second.startswith("carrierd send: job 3: record: is not JSON")
    assert second.endswith("; it will come out on the dead topic")
    records = await local.taken(3)
    assert [record.value for record in records] == lines
    assert [record.key for record in records] == [b"a", b"b", None]


async def test_a_file_of_more_jobs_than_one_batch_is_stored_in_order(
    local: World, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text("".join(f'{{"id":"{n}","to":"1","text":"x"}}\n' for n in range(1203)))
    done = await local.run("send", "--file", str(file))
    assert (done.status, done.out) == (0, "stored 1203 jobs\n")
    assert [record.key for record in await local.taken(1203)] == [b"%d" % n for n in range(1203)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--text", "x"], "--to and --text are required"),
        (["--to", "1"], "--to and --text are required"),
        (["--file", "-", "--to", "1"], "--file brings its own jobs"),
        (["--to", "1", "--text", "x", "--meta", "{"], "is not JSON"),
        (["--to", "1", "--text", "x", "--meta", "[1]"], "is not a JSON object"),
    ],
)
async def test_wrong_use_is_told_and_nothing_is_stored(
    local: World, arguments: list[str], says: str
) -> None:
    done = await local.run("send", *arguments)
    assert done.status == 2
    assert says in done.err
    assert not (local.config.parent / "state").exists()


async def test_a_file_that_cannot_be_read_is_named(local: World) -> None:
    done = await local.run("send", "--file", "/nowhere/jobs")
    assert (done.status, done.err) == (
        1,
        "carrierd send: /nowhere/jobs: No such file or directory\n",
    )


@pytest.mark.parametrize("command", [["send", "--to", "1", "--text", "x"], ["tail", "dead"]])
async def test_a_broker_that_is_not_there_fails_the_command(
    tmp_path: Path, command: list[str]
) -> None:
    done = await world_of("kafka", tmp_path, "127.0.0.1:1").run(*command, "--log-level", "error")
    assert done.status == 1
    assert f"carrierd {command[0]}: Kafka at 127.0.0.1:1: " in done.err


@pytest.mark.parametrize(
    "command", [["send", "--to", "1", "--text", "x"], ["tail", "dead"], ["topics"]]
)
async def test_a_bad_configuration_is_told_by_line(local: World, command: list[str]) -> None:
    local.config.write_text(local.config.read_text().replace('"local"', '"remote"'))
    done = await local.run(*command)
    assert done.status == 2
    assert done.err.startswith(f"{local.config}:4: broker.kind: ")


# send --wait


async def test_waiting_prints_every_event_and_ends_with_the_last_delivery(world: World) -> None:
    sending = await world.start(
        *("send", "--to", "13800138000,13800138001", "--text", "x", "--id", "j", "--wait")
    )
    (record,) = await world.taken(1)
    job = json.loads(record.value)["id"]
    await world.publish(
        "reports",
        event("another", 0, "delivered"),
        event(job, 0, "accepted", final=False),
        event(job, 0, "delivered"),
        event(job, 0, "delivered"),  # repeated after a crash
        event(job, 1, "accepted", final=False),
        event(job, 1, "delivered"),
        key=job.encode(),
    )
    out, err = await asyncio.wait_for(sending.communicate(), WITHIN)
    assert sending.returncode == 0
    shown = [(e["message"], e["state"]) for e in map(json.loads, out.splitlines())]
    assert shown == [
        ("j/0", "accepted"),
        ("j/0", "delivered"),
        ("j/1", "accepted"),
        ("j/1", "delivered"),
    ]
    assert err == b"stored 1 job\n"


async def answered(local: World, *values: bytes, word: str = "reports") -> tuple[int, str]:
    """Exit status and output of a waiting `send` of job j, when this is published."""
    sending = await local.start("send", "--to", "1", "--text", "x", "--id", "j", "--wait")
    await local.taken(1)
    await local.publish(word, *values)
    out, _ = await asyncio.wait_for(sending.communicate(), WITHIN)
    assert sending.returncode is not None
    return sending.returncode, out.decode()


async def test_what_was_not_delivered_fails_the_wait(local: World) -> None:
    for state in ("undelivered", "rejected", "expired"):
        status, out = await answered(local, event("j", 0, state))
        assert (status, json.loads(out)["state"]) == (1, state)


async def test_a_job_that_comes_out_dead_fails_the_wait(local: World) -> None:
    value = json.dumps({"id": "j", "to": ["1"], "text": "x"}, separators=(",", ":")).encode()
    letter = json.dumps({"v": 1, "field": "id", "value_base64": b64encode(value).decode()})
    assert await answered(local, letter.encode(), word="dead") == (1, letter + "\n")


async def test_waiting_ends_after_its_timeout(local: World) -> None:
    done = await local.run("send", "--to", "1,2", "--text", "x", "--wait", "--timeout", "0.3")
    assert done.status == 1
    assert "2 without a final state after 0.3 s" in done.err


# tail


async def test_tail_follows_what_comes_until_it_is_stopped(world: World) -> None:
    await world.publish("inbound", b'{"n":1}')
    following = await world.start("tail", "inbound", "--follow")
    assert following.stdout is not None
    async with asyncio.timeout(WITHIN):
        assert await following.stdout.readline() == b'{"n":1}\n'
        await world.publish("inbound", b'{"n":2}')
        assert await following.stdout.readline() == b'{"n":2}\n'
    following.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(following.communicate(), WITHIN)
    assert (following.returncode, err) == (130, b"")


async def test_tail_begins_where_it_is_told_to(local: World) -> None:
    await local.publish("dead", *(b'{"n":%d}' % n for n in range(5)))
    for at, expected in (("3", "34"), ("-1", "4"), ("0", "01234"), ("9", "")):
        done = await local.run("tail", "dead", f"--from={at}")
        assert done.out == "".join(f'{{"n":{n}}}\n' for n in expected)


async def test_tail_stays_json_lines_whatever_is_on_the_topic(local: World) -> None:
    await local.publish("reports", b'{\n "a": 1\n}', b"not json", b"\xff")
    done = await local.run("tail", "reports")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"a": 1},
        {"value_base64": b64encode(b"not json").decode()},
        {"value_base64": "/w=="},
    ]


# topics


def states(done: Done) -> list[tuple[str, str, str]]:
    return [tuple(line.split(maxsplit=2)) for line in done.out.splitlines()]  # type: ignore[misc]


PURPOSES = ["jobs", "jobs", "reports", "inbound", "dead", "parked", "state"]


async def test_topics_lists_what_is_missing_and_makes_it(local: World) -> None:
    await local.publish("dead", b"{}")
    done = await local.run("topics")
    there = {"dead": "1 partition"}
    assert done.status == 1
    assert states(done) == [
        (local.topic(word), purpose, there.get(word, "missing"))
        for word, purpose in zip(TOPICS, PURPOSES, strict=True)
    ]
    for arguments in (["topics", "--create"], ["topics"]):
        done = await local.run(*arguments)
        assert done.status == 0
        assert [state for _, _, state in states(done)] == ["1 partition"] * 7


@pytest.mark.real_kafka
@pytest.mark.kafka
async def test_topics_are_made_in_kafka_with_the_partitions_asked_for(
    kafka: str, tmp_path: Path
) -> None:
    world = world_of("kafka", tmp_path, kafka)
    done = await world.run("topics")
    assert (done.status, {state for _, _, state in states(done)}) == (1, {"missing"})
    done = await world.run("topics", "--create", "--partitions", "2")
    assert (done.status, {state for _, _, state in states(done)}) == (0, {"2 partitions"})
    refused = await world.run("topics", "--create", "--partitions", "0")
    assert refused.status == 2
    assert "'0' is not a whole number from 1" in refused.err
