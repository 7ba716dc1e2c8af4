"""Jobs as the demonstration and the bench offer them."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from daemon.broker.base import Topic
from daemon.broker.local import LocalBroker
from daemon.config import load
from daemon.demo.ports import Ports
from daemon.demo.settings import CARRIERS, LINES, Settings
from daemon.demo.traffic import INDEX_DIGITS, MIXED, Traffic, offer
from daemon.jobs import decode
from daemon.numbers.plan import Plan


def test_every_carrier_gets_every_text_in_turn_and_no_number_twice() -> None:
    traffic = Traffic("r", CARRIERS, MIXED)
    plan = Plan(None)
    seen = set()
    numbers = set()
    for index in range(len(CARRIERS) * len(MIXED)):
        key, value = traffic.job(index)
        job = decode(value, None, time.time())
        assert key == job.id.encode() == f"r-{index}".encode()
        assert plan.carrier(job.to[0]) == traffic.carrier(index)
        seen.add((traffic.carrier(index), job.text, job.signature))
        numbers.add(job.to[0])
    assert len(seen) == len(numbers) == len(CARRIERS) * len(MIXED)


@pytest.mark.parametrize("recipients", [1, 3, 99])
def test_messages_are_numbered_through_all_jobs_and_belong_to_one_carrier(recipients: int) -> None:
    traffic = Traffic("r", CARRIERS, recipients=recipients)
    plan = Plan(None)
    owners: list[str | None] = []
    for index in range(10):
        job = decode(traffic.job(index)[1], None, time.time())
        first = len(owners)
        assert list(job.to) == [traffic.to(first + place) for place in range(recipients)]
        assert [int(to[-INDEX_DIGITS:]) - first for to in job.to] == list(range(recipients))
        owners += [plan.carrier(to) for to in job.to]
        assert set(owners[first:]) == {traffic.carrier(index)}
    everybody = range(len(owners))
    for place, name in enumerate(CARRIERS):
        found = sorted(number for each in traffic.messages(place) for number in everybody[each])
        assert found == [number for number in everybody if owners[number] == name]


async def test_an_offer_that_is_stopped_tells_what_was_sent(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path)
    await broker.create([Topic("jobs")])
    outlet, tail = broker.outlet(["jobs"]), broker.tail("jobs")
    await outlet.start()
    await tail.start()
    stop = asyncio.Event()
    offering = asyncio.create_task(
        offer(Traffic("r", CARRIERS), outlet, "jobs", 1_000_000, 200.0, stop)
    )
    records = await tail.take(1, 5.0)
    stop.set()
    due = await offering
    while len(records) < len(due) and (more := await tail.take(500, 5.0)):
        records += more
    assert 1 <= len(due) < 1_000_000
    assert len(records) == len(due)
    await tail.close()
    await outlet.close()


async def test_jobs_leave_at_their_rate_and_all_are_stored(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path)
    await broker.create([Topic("jobs")])
    outlet, tail = broker.outlet(["jobs"]), broker.tail("jobs")
    await outlet.start()
    began = time.time()
    try:
        due = await offer(Traffic("r", CARRIERS), outlet, "jobs", 50, 200.0, first=7)
        ended = time.time()
        await tail.start()
        records = await tail.take(100, 0.0)
    finally:
        await tail.close()
        await outlet.close()
    assert [record.key for record in records] == [f"r-{7 + index}".encode() for index in range(50)]
    # The last one is due 49 fiftieths of a quarter of a second after the first.
    assert due[-1] - due[0] == pytest.approx(49 / 200)
    assert ended - began >= 49 / 200
    assert all(record.timestamp >= at - 1e-3 for record, at in zip(records, due, strict=True))


@pytest.mark.parametrize("carriers", [CARRIERS, *((name,) for name in CARRIERS)])
def test_settings_make_a_file_that_the_daemon_takes(
    carriers: tuple[str, ...], tmp_path: Path
) -> None:
    settings = Settings(
        carriers=carriers,
        rate=50.0,
        window=8,
        binds=2,
        delay=0.05,
        more={"accounts." + carriers[0]: {"answer_within": 1.5}, "uncertain": {"then": "wait"}},
    )
    with Ports(settings.ports) as ports:
        config = load(settings.write(tmp_path, ports.numbers))
    assert {name: one.protocol for name, one in config.accounts.items()} == {
        name: LINES[name].protocol for name in carriers
    }
    assert config.accounts[carriers[0]].answer_within == 1.5
    assert config.uncertain.then == "wait"
    assert config.simulate.delay == 0.05
    assert config.broker.kind == "local"


def test_a_kafka_has_topics_and_a_group_under_the_prefix(tmp_path: Path) -> None:
    settings = Settings(bootstrap="127.0.0.1:9092,127.0.0.1:9093", topics="mine.")
    with Ports(settings.ports) as ports:
        config = load(settings.write(tmp_path, ports.numbers))
    assert config.broker.bootstrap == ("127.0.0.1:9092", "127.0.0.1:9093")
    assert config.broker.group == "mine.carrierd"
    assert config.broker.topics.jobs == ("mine.sms.jobs.urgent", "mine.sms.jobs")
    assert config.broker.topics.reports == "mine.sms.reports"


def test_a_held_port_can_be_listened_on_and_is_given_to_nobody_else() -> None:
    with Ports(3) as ports:
        assert len(set(ports.numbers)) == 3
        with socket.create_server(("127.0.0.1", ports.numbers[0])) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", ports.numbers[1]))
