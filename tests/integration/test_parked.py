"""Contract, section 6.3: what has to wait long waits in Kafka, outside the watermark."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import pytest

from tests.contract.process import until
from tests.contract.together import Together

from .cluster import (
    AT_ONCE,
    LOAD,
    LONG,
    PARTITIONS,
    SESSION,
    Cluster,
    Ground,
    ahead,
    cluster,
    job,
    mobile,
    over_partitions,
    telecom,
)

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.real_kafka,
    pytest.mark.asyncio(loop_scope="module"),
]
scene = Together("ground", at_once=AT_ONCE)
SOON = {"park_after": 1.0}
MANY = 8 * PARTITIONS * LOAD


def some(count: int = MANY, **more: Any) -> list[dict[str, Any]]:
    """Every fourth of several parts."""
    return [job(**({"text": LONG} if i % 4 == 0 else {}), **more) for i in range(count)]


async def down(c: Cluster) -> None:
    """The mobile carrier is gone before any daemon comes."""
    for gateway in c.accounts["mobile"].gateways:
        await gateway.stop()


async def up(c: Cluster) -> None:
    for gateway in c.accounts["mobile"].gateways:
        await gateway.start()


async def parked(c: Cluster, jobs: list[dict[str, Any]], account: str = "mobile") -> None:
    """Until the metric says so; then the offsets are past them, and the topic has them."""
    await c.counts(len(jobs), "carrierd_parked", account=account)
    await c.caught_up(5.0)
    records = await c.records("parked")
    missing = [one["id"] for one in jobs if not any(r.names(one["id"]) for r in records)]
    assert missing == []


async def gone(c: Cluster) -> None:
    """Until nothing is parked."""
    await c.counts(0, "carrierd_parked")


@scene()
async def test_a_carrier_that_is_down_holds_up_no_offset_and_nobody_else(ground: Ground) -> None:
    async with cluster(ground, mobile(2), telecom(2), daemon=SOON) as c:
        await down(c)
        await c.start(ready=False)
        jobs, others = some(), [job("telecom") for _ in range(MANY)]
        mixed = [one for pair in zip(jobs, others, strict=True) for one in pair]
        began = time.monotonic()
        await over_partitions(c.topics, mixed)
        await c.delivered(others)
        await parked(c, jobs)
        assert time.monotonic() - began >= SOON["park_after"]
        assert c.twice() == {}
        # Urgent and normal ones of another carrier come through while others are parked.
        late = [job("telecom", priority=p) for p in ("urgent", "normal", "bulk")]
        await c.topics.send(*late, topic="urgent")
        await c.delivered(late)
        await c.topics.send(*jobs[:5])
        await c.duplicates(5)
        await up(c)
        await c.delivered(jobs)
        c.once(jobs + others)
        assert c.twice() == {}
        await gone(c)
        await c.caught_up()


@scene()
async def test_what_is_parked_outlives_a_kill(ground: Ground) -> None:
    async with cluster(ground, mobile(1), names=["a"], daemon=SOON) as c:
        await down(c)
        await c.start(ready=False)
        jobs = some()
        await over_partitions(c.topics, jobs)
        await parked(c, jobs)
        await c.kill("a")
        await c.start("a", ready=False)
        await parked(c, jobs)
        await up(c)
        await c.delivered(jobs)
        assert c.twice() == {}
        await gone(c)
        # What was taken back and sent is not taken out of the topic once more.
        await c.kill("a")
        await c.start("a")
        new = [job() for _ in range(PARTITIONS)]
        await over_partitions(c.topics, new)
        await c.delivered(new)
        assert c.twice() == {}
        assert await c.metric("carrierd_parked") == 0


@scene("after", *(["before"] if LOAD > 1 else []))
async def test_what_was_parked_by_a_lost_daemon_is_sent_by_another(
    ground: Ground, return_: str
) -> None:
    """The carrier is back before the other one has taken over, or after."""
    async with cluster(ground, mobile(2), daemon=SOON) as c:
        await down(c)
        await c.start(ready=False)
        jobs = some()
        await over_partitions(c.topics, jobs)
        await parked(c, jobs)
        await c.kill("a", disk=True)
        if return_ == "after":
            await c.shared(1)
            await parked(c, jobs)
        await up(c)
        await c.delivered(jobs, within=SESSION + 15.0)
        assert c.writers() == {"b"}
        assert c.twice() == {}
        await gone(c)
        # The lost one comes back with nothing, and reads the same topics.
        await c.start("a")
        new = [job() for _ in range(PARTITIONS)]
        await over_partitions(c.topics, new)
        await c.delivered(new)
        assert c.twice() == {}
        assert await c.metric("carrierd_parked") == 0


@scene()
async def test_an_empty_disk_finds_what_was_parked_and_what_was_not_sent_since(
    ground: Ground,
) -> None:
    async with cluster(ground, mobile(1), names=["a"], daemon=SOON) as c:
        await down(c)
        await c.start(ready=False)
        first, second = some(), some()
        await over_partitions(c.topics, first)
        await parked(c, first)
        await up(c)
        await c.delivered(first)
        await c.caught_up()
        await down(c)
        await over_partitions(c.topics, second)
        await c.counts(len(second), "carrierd_parked", account="mobile")
        await c.caught_up()
        await c.kill("a", disk=True)
        await up(c)
        await c.start("a")
        await c.delivered(second)
        assert c.twice() == {}
        c.once(first + second)
        await c.topics.send(*first, *second)
        await c.duplicates(len(first + second))


@scene("runs on", "lost", *(["killed"] if LOAD > 1 else []))
async def test_a_job_for_later_is_parked_and_sent_at_its_time(ground: Ground, what: str) -> None:
    async with cluster(ground, mobile(1), names=["a"], daemon=SOON) as c:
        await c.start()
        at = ahead(8.0 if what == "runs on" else SESSION + 10.0)
        jobs = [job(not_before=at) for _ in range(PARTITIONS)]
        now = job()
        await over_partitions(c.topics, jobs)
        await c.topics.send(now)
        await c.delivered([now])
        await c.caught_up()
        records = await c.records("parked")
        assert all(any(r.names(one["id"]) for r in records) for one in jobs)
        assert await c.metric("carrierd_parked", account="mobile") == len(jobs)
        if what != "runs on":
            await c.kill("a", disk=what == "lost")
            await c.start("a")
        due = datetime.fromisoformat(at).timestamp()
        assert time.time() < due, "the machine is too slow for this test"
        ends = await c.settled(jobs, within=due - time.time() + 60.0)
        assert {event["state"] for event in ends} == {"delivered"}
        for one in jobs:
            (submit,) = c.accounts["mobile"].far.to(one["to"])
            late = time.time() - (time.monotonic() - submit.at) - due
            assert -0.02 <= late <= 4.0, late


@scene()
async def test_time_runs_for_what_is_parked(ground: Ground) -> None:
    """`expires_at`, and the account's `report_within` counted from the taking."""
    async with cluster(ground, mobile(1, report_within=8.0), names=["a"], daemon=SOON) as c:
        await down(c)
        await c.start(ready=False)
        until_ = time.monotonic() + 6.0
        short = [job(expires_at=ahead(6.0)) for _ in range(PARTITIONS)]
        long = [job() for _ in range(PARTITIONS)]
        await over_partitions(c.topics, short + long)
        await parked(c, short + long)
        assert time.monotonic() < until_, "the machine is too slow for this test"
        ends = await c.settled(short)
        assert time.monotonic() >= until_ - 0.05
        ends += await c.settled(long)
        assert {(e["state"], e["code"]) for e in ends} == {("expired", "LOCAL:QUEUE_EXPIRED")}
        await gone(c)
        await up(c)
        await c.ready()
        new = job()
        await c.topics.send(new)
        await c.delivered([new])
        assert [s.to[0] for s in c.submits] == [new["to"]]


@scene()
async def test_a_parked_message_follows_its_route_to_whoever_is_usable(ground: Ground) -> None:
    first, second = mobile(1, "first"), mobile(1, "second")
    async with cluster(ground, first, second, names=["a"], daemon=SOON) as c:
        await first.gateway.stop()
        await second.gateway.stop()
        await c.start(ready=False)
        free, bound = some(PARTITIONS), [job(account="first") for _ in range(PARTITIONS)]
        await over_partitions(c.topics, free + bound)
        await c.counts(len(free + bound), "carrierd_parked")
        await c.caught_up()
        await second.gateway.start()
        await c.delivered(free)
        assert {s.node for s in c.submits} == {second.gateway.name}
        assert await c.metric("carrierd_parked") == len(bound)
        await first.gateway.start()
        await c.delivered(bound)
        assert {s.node for s in first.far.submits} == {first.gateway.name}
        assert c.twice() == {}
        await gone(c)


@scene()
async def test_parking_while_the_carrier_flaps_sends_each_once(ground: Ground) -> None:
    """It comes for a moment, again and again, less than what waits needs."""
    async with cluster(ground, mobile(1, rate=40 * LOAD), names=["a"], daemon=SOON) as c:
        await down(c)
        await c.start(ready=False)
        jobs = some(2 * MANY)
        await over_partitions(c.topics, jobs)
        await parked(c, jobs)
        for _ in range(3):
            count, wanted = len(c.submits), len(c.submits) + 10
            await up(c)
            await until(lambda wanted=wanted: len(c.submits) >= wanted, what="submits")  # type: ignore[misc]
            await down(c)
            assert len(c.submits) > count
            await asyncio.sleep(1.5 * SOON["park_after"])
        await up(c)
        ends = await c.settled(jobs)
        assert {event["state"] for event in ends} == {"delivered"}
        c.once(jobs)
        doubt = {e["to"] for e in c.topics.reports() if e["state"] == "uncertain"}
        assert {to for to, _ in c.twice()} <= doubt
        await gone(c)
