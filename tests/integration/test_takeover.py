"""Contract, section 6: a daemon is lost, and another one goes on with what it had.

The gateways say what was sent, the topics what became of it; the daemons are not asked.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from typing import Any

import pytest

from tests.contract.gateways import ACCEPT, SILENT, Answer, Gateway, Report, failed
from tests.contract.process import until
from tests.contract.together import Together

from .cluster import (
    AT_ONCE,
    LOAD,
    LONG,
    LONG_PARTS,
    PARTITIONS,
    SESSION,
    TEXT,
    Cluster,
    Ground,
    Load,
    cluster,
    four,
    job,
    mobile,
    over_partitions,
    stays,
    to_every_partition,
)
from .system import CARRIERS

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.real_kafka,
    pytest.mark.asyncio(loop_scope="module"),
]
scene = Together("ground", at_once=AT_ONCE)
WINDOW = 8
SLOWLY = Answer(after=0.1, reports=(Report(after=0.3),))


def of_each(count: int, **more: Any) -> list[dict[str, Any]]:
    """So many jobs for each carrier, every third of several parts."""
    return [
        job(carrier, TEXT if index % 3 else LONG, **more)
        for index in range(count)
        for carrier in CARRIERS
    ]


def by_turns(index: int) -> dict[str, Any]:
    """Every fifth of several parts; the carriers take turns."""
    return job(CARRIERS[index % len(CARRIERS)], TEXT if index % 5 else LONG)


def numbers(jobs: list[dict[str, Any]]) -> set[str]:
    return {one["to"] for one in jobs}


async def answered(c: Cluster, jobs: list[dict[str, Any]], within: float = 60.0) -> None:
    """Until gateways answered all parts, and all of it is behind the group's offsets."""
    wanted = sum(LONG_PARTS if one["text"] == LONG else 1 for one in jobs)
    to = numbers(jobs)

    def settled() -> int:
        return sum(count for (number, _), count in c.sent().items() if number in to)

    await until(lambda: settled() == wanted, within, lambda: f"{settled()} of {wanted} parts")
    await c.caught_up(within)


async def dead_letters(c: Cluster, jobs: list[dict[str, Any]], count: int) -> None:
    """Until there are as many, all of them about the id, and none is of another cause."""
    letters = c.topics.published["dead"]
    await until(lambda: len(letters) >= count, what=lambda: f"{len(letters)} dead letters")
    assert Counter(one.value["field"] for one in letters) == {"id": count}
    assert {one.key for one in letters} == {one["id"] for one in jobs}


@scene()
async def test_a_report_at_the_wrong_daemon_finds_its_message(ground: Ground) -> None:
    async with cluster(ground, *four(2)) as c:
        await c.start()
        c.cross()
        across = of_each(PARTITIONS)
        await over_partitions(c.topics, across)
        await c.delivered(across)
        assert c.writers() == {"a", "b"}

        c.split()
        between = of_each(PARTITIONS)
        await over_partitions(c.topics, between)
        await c.delivered(between)

        c.cross()
        early, refused = of_each(3), of_each(3)
        wrong = {"mobile": "UNDELIV", "unicom": "2/25", "telecom": "EXPIRED", "broadnet": "UNDELIV"}
        for one in early:
            c.accounts[carrier_of(one)].far.on(one["to"], Answer(after=0.2, early=True))
        for one in refused:
            c.accounts[carrier_of(one)].far.on(one["to"], failed(wrong[carrier_of(one)], "012"))
        await over_partitions(c.topics, early + refused)
        await c.delivered(early)
        ends = await c.settled(refused)
        codes = {(event["carrier"], event["state"], event["code"]) for event in ends}
        assert codes == {
            ("mobile", "undelivered", "UNDELIV"),
            ("unicom", "undelivered", "25"),
            ("telecom", "undelivered", "EXPIRED/012"),
            ("broadnet", "undelivered", "UNDELIV"),
        }
        c.once(across + between + early + refused)
        assert c.twice() == {}


def carrier_of(one: dict[str, Any]) -> str:
    prefixes = {"138": "mobile", "130": "unicom", "133": "telecom", "192": "broadnet"}
    return prefixes[one["to"][:3]]


@scene()
async def test_a_report_for_a_part_in_doubt_counts_at_whichever_daemon_it_comes(
    ground: Ground,
) -> None:
    """SGIP names our own sequence; the others' ids are unknown without an answer."""
    async with cluster(ground, *four(2, answer_within=0.8)) as c:
        await c.start()
        c.cross()
        jobs = [job(carrier, on_uncertain="wait") for carrier in CARRIERS for _ in range(4)]
        for one in jobs:
            told = Answer(result=None, reports=(Report(after=1.5),))
            c.accounts[carrier_of(one)].far.on(one["to"], told)
        await over_partitions(c.topics, jobs)
        await c.delivered(jobs)
        assert c.writers() == {"a", "b"}
        c.once(jobs)
        assert c.twice() == {}


@scene()
async def test_an_id_is_used_up_at_every_daemon(ground: Ground) -> None:
    async with cluster(ground, *four(2)) as c:
        await c.start()
        jobs = of_each(3)
        await over_partitions(c.topics, jobs)
        await c.delivered(jobs)
        await c.caught_up()
        told, sent = len(c.topics.reports()), c.sent()
        await to_every_partition(c.topics, jobs)
        await c.duplicates(len(jobs) * PARTITIONS)
        await to_every_partition(c.topics, [{**one, "text": "else"} for one in jobs[:4]])
        await dead_letters(c, jobs[:4], 4 * PARTITIONS)
        assert len(c.topics.reports()) == told
        assert c.sent() == sent


@scene()
async def test_an_id_in_both_topics_at_once_is_one_job(ground: Ground) -> None:
    """One key is one partition of each topic, and these are at one daemon."""
    async with cluster(ground, mobile(2)) as c:
        c.accounts["mobile"].far.default = SLOWLY
        await c.start()
        jobs = [job() for _ in range(30)]
        await asyncio.gather(
            c.topics.send(*jobs, topic="urgent"), c.topics.send(*jobs, topic="jobs")
        )
        await c.delivered(jobs)
        await c.caught_up()
        both = [
            await c.metric("carrierd_jobs_total", topic=c.topics.name(topic), outcome="duplicate")
            for topic in ("urgent", "jobs")
        ]
        assert sum(both) == len(jobs)
        c.once(jobs)
        assert c.twice() == {}


@scene()
async def test_a_daemon_lost_with_its_disk_costs_no_more_than_its_window(ground: Ground) -> None:
    async with cluster(ground, *four(2, rate=200 * LOAD, window=WINDOW)) as c:
        await c.start()
        # Accepted, with a report that comes when the daemon that sent it is no more: of those
        # with several parts, the first part's report comes before.
        waiting = of_each(PARTITIONS)
        for account in c.accounts.values():
            account.far.default = ACCEPT
        await over_partitions(c.topics, waiting)
        await answered(c, waiting)
        assert c.writers() == {"a", "b"}
        first = [s for s in c.submits if s.total == LONG_PARTS and s.number == 1]
        await reported(c, first)
        for account in c.accounts.values():
            account.far.default = SLOWLY

        before = len(c.submits)
        load = Load(c.topics, 250 * LOAD, by_turns)
        own = {g.name for account in c.accounts.values() for g in account.gateways[:1]}
        await until(
            lambda: sum(s.node in own for s in c.submits) > before + 100,
            what="load at the one that will be lost",
        )
        await c.kill("a", disk=True)
        lost_at = time.monotonic()
        await asyncio.sleep(1.0)
        jobs = await load.enough()
        # From here on all partitions have something for the one that is left.
        probes = [job("broadnet") for _ in range(PARTITIONS)]
        await over_partitions(c.topics, probes)
        await c.reached(probes, within=SESSION + 5.0)
        taken_over = time.monotonic() - lost_at
        assert taken_over <= SESSION + 5.0
        await c.delivered(jobs + probes)

        rest = [s for s in c.submits if numbers(waiting) >= {s.to[0][-11:]} and s not in first]
        await reported(c, rest)
        await c.delivered(waiting)
        among = Counter(carrier_of({"to": to}) for to, _ in c.twice())
        assert all(count <= WINDOW for count in among.values()), among
        assert all(count == 2 for count in c.twice().values())
        assert c.twice(numbers(waiting)) == {}, "what was answered went again"
        assert {part[0] for part in c.sent()} == numbers(waiting + jobs + probes)

        told, sent = len(c.topics.reports()), c.sent()
        known = int(
            await c.metric("carrierd_jobs_total", topic=c.topics.name("jobs"), outcome="duplicate")
        )
        await to_every_partition(c.topics, waiting)
        await c.duplicates(known + len(waiting) * PARTITIONS)
        await c.topics.send(*({**one, "text": "else"} for one in waiting))
        await dead_letters(c, waiting, len(waiting))
        assert (len(c.topics.reports()), c.sent()) == (told, sent)


async def reported(c: Cluster, submits: list[Any]) -> None:
    """Delivered, says the carrier, until each was acknowledged."""
    gateways = {g.name: g for account in c.accounts.values() for g in account.gateways}
    nodes: list[Gateway] = list(gateways.values())
    before = sum(len(node.deliver_answers) for node in nodes)
    for submit in submits:
        gateways[submit.node].report(submit, Report())
    wanted = before + len(submits)
    await until(
        lambda: sum(len(node.deliver_answers) for node in nodes) >= wanted, what="acknowledged"
    )


@scene()
async def test_a_daemon_that_comes_back_with_its_old_disk_repeats_nothing(ground: Ground) -> None:
    slow = mobile(2, "slow", rate=8)
    gone = mobile(2, "gone", report_within=14.0)
    async with cluster(ground, slow, gone, *four(2)[1:], routes=routes("slow")) as c:
        c.accounts["gone"].far.default = ACCEPT
        await c.start()
        never = [job(account="gone") for _ in range(PARTITIONS)]
        later = [job(account="gone") for _ in range(PARTITIONS)]
        await over_partitions(c.topics, never + later)
        await answered(c, never + later)
        # Nobody answers the first try of these, and the daemon dies meanwhile.
        doubtful = [job("telecom") for _ in range(PARTITIONS)]
        for one in doubtful:
            c.accounts["telecom"].far.on(one["to"], SILENT, Answer())
        waiting = [job() for _ in range(100)]
        await over_partitions(c.topics, doubtful + waiting)
        await c.reached(doubtful)
        await c.kill("a")
        await reported(c, [s for s in c.submits if s.to[0] in numbers(later)])
        await c.delivered(later)
        await c.delivered(doubtful, within=SESSION + 15.0)
        left = [one for one in waiting if f"{one['id']}/0" not in c.topics.finals()]
        assert len(left) > 10, "it comes back while there is work"

        sent = {to: c.sent()[to, 1] for to in numbers(doubtful + later + never)}
        await c.start("a")
        new = of_each(PARTITIONS)
        await over_partitions(c.topics, [one for one in new if carrier_of(one) != "mobile"])
        await c.delivered([one for one in new if carrier_of(one) != "mobile"])
        await c.delivered(waiting)
        ends = await c.settled(never)
        assert {(e["state"], e["code"]) for e in ends} == {("expired", "LOCAL:NO_REPORT")}
        assert {to: c.sent()[to, 1] for to in sent} == sent, "sent again by the one that came back"
        assert all(count <= 2 for count in sent.values())
        assert len(c.twice(numbers(waiting))) <= slow.gateway.window


def routes(account: str) -> dict[str, list[str]]:
    """Of the mobile carrier only this account is served by number."""
    return {
        "mobile": [account], "unicom": ["unicom"], "telecom": ["telecom"], "broadnet": ["broadnet"]
    }  # fmt: skip


@scene("as it is", "compacted")
async def test_an_empty_disk_is_filled_from_the_state_topic(ground: Ground, state: str) -> None:
    """Compaction keeps the last record of each key; the log may do so at any time."""
    async with cluster(ground, *four(1), names=["a"]) as c:
        await c.start()
        done = of_each(3)
        await over_partitions(c.topics, done)
        await c.delivered(done)
        for account in c.accounts.values():
            account.far.default = ACCEPT
        open_ = of_each(4)
        await over_partitions(c.topics, open_)
        await answered(c, open_)
        before = [s for s in c.submits if s.to[0][-11:] in numbers(open_)]
        early = [s for s in before if s.total > 1 and s.number != 2]
        await reported(c, early)
        sent = c.sent()
        await c.kill("a", disk=True)
        if state == "compacted":
            await c.compact_state()
        await c.start("a")
        await to_every_partition(c.topics, done + open_)
        await c.duplicates(len(done + open_) * PARTITIONS)
        await c.topics.send(*({**one, "text": "else"} for one in done))
        await dead_letters(c, done, len(done))
        await reported(c, [s for s in before if s not in early])
        await c.delivered(open_)
        assert c.sent() == sent


@scene()
async def test_a_daemon_that_stood_still_writes_nothing_of_what_it_lost(ground: Ground) -> None:
    """It does not know that it was stopped, for longer than the group waits for anyone."""
    async with cluster(ground, mobile(2, rate=60, window=WINDOW)) as c:
        c.accounts["mobile"].far.default = SLOWLY
        await c.start()
        jobs = [job() for _ in range(400)]
        await over_partitions(c.topics, jobs)
        first = c.accounts["mobile"].gateways[0].name
        await until(lambda: sum(s.node == first for s in c.submits) > 20, what="submits of a")
        process = c.daemons["a"].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            await c.shared(1)
            await asyncio.sleep(1.0)
        finally:
            process.send_signal(signal.SIGCONT)
        await c.delivered(jobs)
        assert len(c.twice()) <= WINDOW, c.twice()
        await stays(lambda: len(c.twice()) <= WINDOW, 1.0, "sent twice")
