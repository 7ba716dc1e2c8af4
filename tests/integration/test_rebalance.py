"""Contract, section 6: daemons come and go, the broker goes and comes; what offsets may pass."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from typing import Any

import pytest

from tests.contract.gateways import Answer, Report, national
from tests.contract.process import until
from tests.contract.together import Together
from tests.kafka.server import KafkaServer

from .cluster import (
    AT_ONCE,
    LOAD,
    LONG,
    TEXT,
    Cluster,
    Ground,
    Load,
    Record,
    cluster,
    four,
    job,
    mobile,
    offer,
    telecom,
)
from .system import CARRIERS

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.real_kafka,
    pytest.mark.asyncio(loop_scope="module"),
]
scene = Together("ground", at_once=AT_ONCE)
SLOWLY = Answer(after=0.1, reports=(Report(after=0.3),))
AWAY = float(os.environ.get("CARRIERD_CLUSTER_BROKER_AWAY", "8"))
"""Seconds that the broker stands still; more than the session's time."""


def some(index: int) -> dict[str, Any]:
    """Every fifth of several parts; the carriers take turns."""
    return job(CARRIERS[index % len(CARRIERS)], TEXT if index % 5 else LONG)


def slowly(c: Cluster) -> None:
    for account in c.accounts.values():
        account.far.default = SLOWLY


@scene()
async def test_daemons_that_join_and_leave_under_load_cost_nothing(ground: Ground) -> None:
    names = ("a", "b", "c")
    async with cluster(ground, *four(3, rate=450 * LOAD), names=names) as c:
        slowly(c)
        await c.start("a")
        load = Load(c.topics, 250 * LOAD, some)
        await until(lambda: len(c.submits) > 100, what="submits")
        await c.start("b")
        await until(lambda: "b" in c.writers(), what="submits of the one that joined")
        assert await c.leave("a") == 0
        await c.shared(1)
        await c.start("c")
        await until(lambda: "c" in c.writers(), what="submits of the one that joined")
        jobs = await load.enough()
        await c.delivered(jobs)
        c.once(jobs)
        assert c.twice() == {}
        told = {event["state"] for event in c.topics.reports()}
        assert told <= {"accepted", "delivered"}
        for name in ("b", "c"):
            assert await c.leave(name) == 0
        await c.caught_up()


@scene()
async def test_an_offset_passes_nothing_that_depends_on_one_machine(ground: Ground) -> None:
    """With answers that come out of order, at every moment: what is behind the offset is final or
    answered, and in the state topic, or it is parked."""
    slow, quick = mobile(1), telecom(1)
    chance = random.Random(5)
    async with cluster(ground, slow, quick, names=["a"]) as c:
        await c.start()
        jobs = [job("mobile" if index % 2 else "telecom") for index in range(150 * LOAD)]
        for one in jobs[1::2]:
            after = 1.5 if chance.random() < 0.1 else chance.uniform(0.0, 0.3)
            slow.far.on(one["to"], Answer(after=after))
        # One job has several recipients, of which the last is answered late.
        many = {**job(), "to": [job()["to"] for _ in range(3)]}
        slow.far.on(many["to"][2], Answer(after=1.5))
        jobs.insert(len(jobs) // 2, many)

        places: dict[tuple[int, int], dict[str, Any]] = {}
        watch = await asyncio.to_thread(c.watch, "state", "parked")

        async def produce() -> None:
            for at in range(0, len(jobs), 5):
                some = jobs[at : at + 5]
                stored = await c.topics.send(*some)
                places.update(zip(stored, some, strict=True))
                await asyncio.sleep(0.1 / LOAD)

        producing = asyncio.create_task(produce())
        looks = held_up = 0
        try:
            while not producing.done() or len(c.topics.finals()) < len(jobs) + 2:
                offsets = await c.topics.committed()
                done = answered(c)
                records = await asyncio.to_thread(watch.read)
                known = [one for (p, at), one in places.items() if at < offsets.get(p, 0)]
                assert [one for one in known if not unspoilt(one, done, records)] == []
                looks += 1
                ahead = [
                    one
                    for (p, at), one in places.items()
                    if at >= offsets.get(p, 0) and set(recipients(one)) <= done
                ]
                held_up += bool(ahead) and bool(known)
        finally:
            producing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await producing
            watch.close()
        assert held_up >= 5, f"in {looks} looks the offsets were never held up"
        await c.delivered(jobs)
        await c.caught_up()
        assert c.twice() == {}


def recipients(one: dict[str, Any]) -> list[str]:
    return [one["to"]] if isinstance(one["to"], str) else one["to"]


def answered(c: Cluster) -> set[str]:
    """The numbers whose submit a gateway has answered."""
    return {national(s.to[0]) for s in c.submits if s.settled and s.answer is not None}


def unspoilt(one: dict[str, Any], done: set[str], records: list[Record]) -> bool:
    """Whether another machine could go on with this job, were ours lost now."""
    about = [record for record in records if record.names(one["id"])]
    parked = any(record.topic.endswith("parked") for record in about)
    return bool(about) and (parked or set(recipients(one)) <= done)


async def test_a_broker_that_is_away_costs_nothing(
    own_kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """First frozen for longer than the session, so that nobody knows who has which partition
    meanwhile; then killed and started."""
    place = Ground(own_kafka.bootstrap, tmp_path_factory)
    async with cluster(place, *four(2, rate=300 * LOAD)) as c:
        slowly(c)
        await c.start()
        jobs: list[dict[str, Any]] = []
        for trouble in ("frozen", "killed"):
            new = [some(index) for index in range(400 * LOAD)]
            reached = len(c.submits)
            await offer(c.topics, new[: len(new) // 2], 400 * LOAD)
            await until(lambda reached=reached: len(c.submits) > reached + 50, what="load")  # type: ignore[misc]
            if trouble == "frozen":
                own_kafka.freeze()
                try:
                    await asyncio.sleep(AWAY)
                finally:
                    own_kafka.thaw()
            else:
                await asyncio.to_thread(own_kafka.kill)
                await asyncio.sleep(1.0)
                await asyncio.to_thread(own_kafka.start)
            assert set(c.alive) == {"a", "b"}, trouble
            await offer(c.topics, new[len(new) // 2 :], 400 * LOAD)
            jobs += new
            await c.delivered(jobs)
            await c.shared(2)
        assert c.twice() == {}
        assert {event["state"] for event in c.topics.reports()} <= {"accepted", "delivered"}
        c.once(jobs)
        for name in ("a", "b"):
            assert await c.leave(name) == 0
        await c.caught_up()
