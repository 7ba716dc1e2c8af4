"""Contract, section 6: rate, window, failover, urgency."""

from __future__ import annotations

import asyncio
import itertools
import struct
import time
from pathlib import Path

import pytest

from .gateways import SILENT, Answer, refused
from .process import URGENT, until
from .together import Together
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
alone = Together("tmp_path", at_once=4)
LONG = "测试长短信" * 30


async def all_accepted(w: World, jobs: list[dict]) -> None:
    for one in jobs:
        await w.daemon.state(f"{one['id']}/0", "accepted")


@alone()
async def test_the_rate_is_never_exceeded_in_any_second(tmp_path: Path) -> None:
    """Across two nodes with three binds, throttles, long messages and a restart."""
    account = Account("m", "cmpp", "mobile", rate=60, node_keys=[{"binds": 2}, {}], adapt=False)
    account.far.default = Answer(after=0.01, reports=())
    async with world(tmp_path, account) as w:
        jobs = [job(number(), LONG if i % 5 == 0 else "x") for i in range(110)]
        for one in jobs[:8]:
            account.far.on(one["to"], refused(8), Answer(reports=()))
        await w.daemon.send(*jobs)
        await until(lambda: len(account.far.submits) > 70)
        account.gateways[0].drop()
        await until(lambda: len(account.far.submits) > 100)
        await w.daemon.kill()
        await w.daemon.start()
        await all_accepted(w, jobs)
        assert account.far.busiest_second() <= 60 * 1.05 + 1
        assert all(g.name in {s.node for s in account.far.submits} for g in account.gateways)


@alone()
async def test_a_rate_of_one_has_no_burst(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=2)
    async with world(tmp_path, account) as w:
        jobs = [job(number()) for _ in range(7)]
        await w.daemon.send(*jobs)
        await all_accepted(w, jobs)
        assert account.far.busiest_second() <= 3
        span = account.far.submits[-1].at - account.far.submits[0].at
        assert span <= 5.5, "and it is used"


@alone()
async def test_the_rate_is_reached(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=200, window=16)
    account.far.default = Answer(after=0.02, reports=())
    async with world(tmp_path, account) as w:
        spans = []
        # Once of three times: a machine that does other things has its slow seconds.
        while len(spans) < 3 and not (spans and spans[-1] <= 3.3):
            account.far.submits.clear()
            jobs = [job(number()) for _ in range(500)]
            await w.daemon.send(*jobs)
            await all_accepted(w, jobs)
            times = [s.at for s in account.far.submits]
            spans.append(times[-1] - times[0])
        assert 1.9 <= min(spans) <= 3.3, spans


@alone()
async def test_each_destination_counts(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=40, max_destinations=20)
    async with world(tmp_path, account) as w:
        one = job([number() for _ in range(100)])
        await w.daemon.send(one)
        for index in range(100):
            await w.daemon.state(f"{one['id']}/{index}", "accepted")
        assert account.far.busiest_second() <= 43


@alone()
async def test_the_window_is_never_exceeded_and_fully_used(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=1000, window=4, node_keys=[{"binds": 2}])
    account.far.default = Answer(after=0.1, reports=())
    async with world(tmp_path, account) as w:
        await w.daemon.reads("carrierd_bind_up", 2, account="m")
        jobs = [job(number()) for _ in range(60)]
        await w.daemon.send(*jobs)
        await all_accepted(w, jobs)
        peaks = [len(c.peak) for c in account.gateway.connections]
        assert peaks == [4, 4]


@alone()
async def test_what_is_uncertain_leaves_the_window(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", window=2, answer_within=0.5)
    async with world(tmp_path, account, uncertain={"hold": 30.0}, check=False) as w:
        lost = [job(number()) for _ in range(3)]
        for one in lost:
            account.far.on(one["to"], SILENT)
        await w.daemon.send(*lost)
        await until(lambda: len(account.far.submits) == 2)
        after = job(number())
        await w.daemon.send(after)
        for one in lost:
            await w.daemon.state(f"{one['id']}/0", "uncertain")
        await w.daemon.state(f"{after['id']}/0", "accepted")


@alone()
async def test_a_frozen_bind_is_closed_and_its_share_flows_on(tmp_path: Path) -> None:
    answer = 1.0
    account = Account("m", "cmpp", "mobile", nodes=2, answer_within=answer, rate=200)
    account.far.default = Answer(after=0.01, reports=())
    first, second = account.gateways
    async with world(tmp_path, account, uncertain={"hold": 0.3}) as w:
        closed, gaps = [], []
        # Once of three times: a machine that does other things has its slow seconds.
        while len(gaps) < 3 and not (gaps and closed[-1] <= answer + 0.3 and gaps[-1] <= 1.0):
            await flowing(w, first, second)
            seen = len(account.far.submits)
            feed = asyncio.create_task(offer(w, 100, 3.0))
            await asyncio.sleep(0.5)
            first.frozen = True
            began = time.monotonic()
            (connection,) = first.bound
            await until(lambda c=connection: c.closed, what="the frozen bind's end")
            closed.append(connection.closed - began)
            jobs = await feed
            await all_accepted(w, jobs)
            submits = account.far.submits[seen:]
            gaps.append(longest_gap([s for s in submits if s.node == second.name], began))
            assert len(submits) - len({s.to for s in submits}) <= 16
            first.frozen = False
        assert min(closed) <= answer + 0.3, closed
        assert min(gaps) <= 1.0, gaps
        assert await w.daemon.metric("carrierd_failovers_total", account="m") >= 1


@alone()
async def test_a_lost_node_hands_its_share_over_within_a_second(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", nodes=2, rate=150)
    account.far.default = Answer(after=0.01, reports=())
    first, second = account.gateways
    async with world(tmp_path, account, uncertain={"hold": 0.3}) as w:
        await flowing(w, first, second)
        feed = asyncio.create_task(offer(w, 100, 4.5))
        await asyncio.sleep(0.7)
        began = time.monotonic()
        await first.stop()
        await until(
            lambda: sum(s.at >= began + 1.0 for s in account.far.submits) >= 10,
            2.5,
            "the offered rate flows through the second",
        )
        await first.start()
        await until(lambda: first.bound, what="the first node again")
        again = time.monotonic()
        jobs = await feed
        jobs += await offer(w, 100, 1.0)
        await all_accepted(w, jobs)
        back = [s for s in account.far.submits if s.node == first.name and s.at > again]
        assert back, "without a restart"


@alone()
async def test_a_node_that_says_goodbye_is_a_node_lost(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", nodes=2)
    first, second = account.gateways
    async with world(tmp_path, account) as w:
        await flowing(w, first, second)
        (connection,) = first.bound
        connection.send(struct.pack(">III", 12, 2, 9000))
        places = {"from": first.name, "to": second.name}
        await w.daemon.reads("carrierd_failovers_total", 1, account="m", **places)
        await until(lambda: first.bound and first.bound != [connection], 4.0, "the node again")
        assert await w.daemon.signal() == 0
        assert "node lost" not in w.daemon.log.read_text().split('"draining"')[1]


@alone()
async def test_a_larger_priority_is_used_only_while_no_smaller_one_is(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=50, node_keys=[{"priority": 1}, {"priority": 2}])
    account.far.default = Answer(reports=())
    first, second = account.gateways
    async with world(tmp_path, account) as w:
        await until(lambda: second.bound, what="all nodes stay logged in")
        jobs = [job(number()) for _ in range(70)]
        await w.daemon.send(*jobs)
        await all_accepted(w, jobs)
        assert {s.node for s in account.far.submits} == {first.name}
        await first.stop()
        more = [job(number()) for _ in range(5)]
        await w.daemon.send(*more)
        await all_accepted(w, more)
        assert account.far.submits[-1].node == second.name
        await first.start()
        await until(lambda: first.bound)
        seen = len(account.far.submits)
        last = [job(number()) for _ in range(5)]
        await w.daemon.send(*last)
        await all_accepted(w, last)
        assert {s.node for s in account.far.submits[seen + 1 :]} == {first.name}


@alone()
async def test_equal_priorities_share_the_load(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=500, nodes=2)
    account.far.default = Answer(after=0.02, reports=())
    async with world(tmp_path, account) as w:
        for gateway in account.gateways:
            await w.daemon.reads("carrierd_bind_up", 1, account="m", node=gateway.name)
        jobs = await offer(w, 100, 1.5)
        await all_accepted(w, jobs)
        counts = [sum(s.node == g.name for s in account.far.submits) for g in account.gateways]
        assert min(counts) >= len(jobs) * 0.25, counts


@alone()
async def test_one_carriers_trouble_stays_its_own(tmp_path: Path) -> None:
    down = Account("m", "cmpp", "mobile", answer_within=60.0)
    fine = Account("t", "smgp", "telecom")
    fine.far.default = Answer(reports=())
    async with world(tmp_path, down, fine) as w:
        down.gateway.frozen = True
        stuck = [job(number()) for _ in range(300)]
        await w.daemon.send(*stuck)
        jobs = [job(number("telecom")) for _ in range(100)]
        await w.daemon.send(*jobs)
        await all_accepted(w, jobs)
        assert down.gateway.connections, "it is in trouble still"
        down.gateway.drop()


@alone()
async def test_urgent_waits_only_for_the_rate(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=40, window=4)
    account.far.default = Answer(after=0.02, reports=())
    async with world(tmp_path, account) as w:
        await w.daemon.send(*(job(number()) for _ in range(240)))
        await until(lambda: len(account.far.submits) > 10)
        for topic in (URGENT, "sms.jobs"):
            urgent = job(number(), priority="urgent")
            seen = len(account.far.submits)
            await w.daemon.send(urgent, topic=topic)
            await w.daemon.state(f"{urgent['id']}/0", "accepted")
            (submit,) = account.far.to(urgent["to"])
            # All others come to six seconds of the rate; it comes within the first.
            assert account.far.submits.index(submit) - seen <= 40


@alone()
async def test_normal_goes_before_bulk_but_bulk_gets_its_tenth(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=100, window=8)
    account.far.default = Answer(after=0.01, reports=())
    async with world(tmp_path, account) as w:
        bulk = [job(number(), priority="bulk") for _ in range(150)]
        normal = [job(number()) for _ in range(200)]
        await w.daemon.send(*bulk, *normal)
        await until(lambda: len(account.far.submits) >= 150)
        late = [s.to[0] for s in account.far.submits[30:150]]
        share = sum(one["to"] in late for one in bulk) / len(late)
        assert 0.07 <= share <= 0.2, share


@alone()
async def test_the_topic_decides_what_is_taken_first_and_not_the_lane(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=20, window=4)
    account.far.default = Answer(reports=())
    async with world(tmp_path, account) as w:
        await w.daemon.send(*(job(number()) for _ in range(60)))
        await until(lambda: len(account.far.submits) > 5)
        plain = job(number())
        await w.daemon.send(plain, topic=URGENT)
        await asyncio.sleep(0.6)
        assert account.far.to(plain["to"]) == [], "normal behind sixty normal ones"


async def offer(w: World, rate: int, seconds: float) -> list[dict]:
    """Jobs at an even pace; returns them all."""
    jobs: list[dict] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        due = [job(number()) for _ in range(int(passed * rate) - len(jobs))]
        if due:
            await w.daemon.send(*due)
            jobs += due
        await asyncio.sleep(0.02)
    return jobs


async def flowing(w: World, *gateways: object) -> None:
    await until(lambda: all(g.bound for g in gateways), what="all nodes logged in")


def longest_gap(submits: list, since: float) -> float:
    times = [s.at for s in submits if s.at >= since - 0.2]
    return max((b - a for a, b in itertools.pairwise(times)), default=99.0)
