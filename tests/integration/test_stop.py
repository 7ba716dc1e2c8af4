"""Contract, sections 2 and 6: `carrierd stop` reaches what is not written, wherever it waits."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.contract.gateways import SILENT, Answer, Report
from tests.contract.process import until
from tests.contract.together import Together

from .cluster import (
    AT_ONCE,
    PARTITIONS,
    Cluster,
    Ground,
    ahead,
    cluster,
    job,
    mobile,
    over_partitions,
    quiet,
    telecom,
    to_every_partition,
)

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.real_kafka,
    pytest.mark.asyncio(loop_scope="module"),
]
scene = Together("ground", at_once=AT_ONCE)


async def stop(c: Cluster, *what: str, at: str = "a") -> float:
    """Runs the command beside this daemon; when it had ended."""
    done = await c.daemons[at].run("stop", *what)
    assert done.status == 0, done.err
    return time.monotonic()


async def stopped(
    c: Cluster, jobs: list[dict[str, Any]], within: float = 60.0, crashed: bool = False
) -> None:
    """Until all of them are, with nothing of them at a gateway; a crash may repeat an event."""
    ends = await c.settled(jobs, within)
    told = {(e["state"], e["code"], e["stage"], e["final"]) for e in ends}
    assert told == {("rejected", "LOCAL:STOPPED", "gate", True)}
    if not crashed:
        c.once(jobs)
    to = {one["to"] for one in jobs}
    assert to.isdisjoint(number for number, _ in c.sent())


@scene()
async def test_a_tenant_is_stopped_at_every_daemon_within_a_second(ground: Ground) -> None:
    """Five thousand wait for an account that sends a few in a second."""
    async with cluster(ground, mobile(2, rate=10), telecom(2)) as c:
        await c.start()
        mine = [job(tenant="loud") for _ in range(5000)]
        other = [job(tenant="quiet") for _ in range(4)]
        await over_partitions(c.topics, mine)
        await c.topics.send(*other)
        await c.taken(len(mine + other))
        asked = await stop(c, "--tenant", "loud")
        written = {to for to, _ in c.sent()}
        never = [one for one in mine if one["to"] not in written]
        assert len(never) > 4900
        # The events of all of them come a little after the fact, more so on a busy machine.
        await c.settled(never)
        late = [s.at - asked for s in c.accounts["mobile"].far.submits if s.at > asked + 1.0]
        assert len(late) <= len(other), late
        sent = {to for to, _ in c.sent()}
        await c.delivered([one for one in mine if one["to"] in sent])
        await stopped(c, [one for one in mine if one["to"] not in sent])
        # The other tenant's, and what is produced from now on, is sent.
        new = [job("telecom", tenant="loud") for _ in range(PARTITIONS)]
        await over_partitions(c.topics, new)
        await c.delivered(other + new)
        assert c.twice() == {}
        await c.caught_up()


@scene()
async def test_a_job_and_an_account_are_stopped_where_they_wait(ground: Ground) -> None:
    slow, quick = mobile(2, "slow", rate=2), mobile(2, "quick")
    async with cluster(
        ground, slow, quick, telecom(2), routes={"mobile": ["slow"], "telecom": ["telecom"]}
    ) as c:
        await c.start()
        before = [job(priority="urgent") for _ in range(12)]
        await over_partitions(c.topics, before)
        await until(lambda: len(c.submits) >= 2, what="the rate is spent")
        some = [job(text="one", account="slow", priority="bulk") for _ in range(PARTITIONS)]
        many = {**job(priority="bulk"), "to": [job()["to"] for _ in range(5)]}
        rest = [job(priority="bulk") for _ in range(2 * PARTITIONS)]
        await over_partitions(c.topics, [*some, *rest])
        await c.topics.send(many)
        await c.taken(len(before + some + rest) + 1)
        await stop(c, "--job", many["id"], at="b")
        ends = await c.settled([many])
        assert {(e["state"], e["code"]) for e in ends} == {("rejected", "LOCAL:STOPPED")}
        await stop(c, "--account", "slow")
        ends = await c.settled(some + rest)
        # One that was under way already may have been written.
        reached = {to for to, _ in c.sent()}
        assert len(reached) <= len(before) + 4
        await stopped(c, [one for one in some + rest if one["to"] not in reached])
        # Stopped is what waited for the account, not the account.
        new = [job(account="quick"), job("telecom"), job()]
        await c.topics.send(*new)
        await c.delivered(new)
        assert c.twice() == {}


@scene()
async def test_what_is_parked_or_held_is_stopped_and_what_was_written_is_not(
    ground: Ground,
) -> None:
    down = mobile(2, "down")
    account = telecom(2, answer_within=2.0)
    async with cluster(ground, down, account, daemon={"park_after": 1.0}) as c:
        for gateway in down.gateways:
            await gateway.stop()
        await c.start(ready=False)
        parked = [job(tenant="x") for _ in range(PARTITIONS)]
        later = [job("telecom", tenant="x", not_before=ahead(60.0)) for _ in range(PARTITIONS)]
        soon = [job("telecom", tenant="x", not_before=ahead(12.0)) for _ in range(PARTITIONS)]
        doubt = [job("telecom", tenant="x", on_uncertain="wait") for _ in range(2)]
        slow = [job("telecom", tenant="x") for _ in range(2)]
        for one in doubt:
            account.far.on(one["to"], SILENT)
        for one in slow:
            account.far.on(one["to"], Answer(after=0.8, reports=(Report(after=3.0),)))
        await over_partitions(c.topics, parked + later)
        await c.topics.send(*doubt)
        await c.counts(len(parked + later), "carrierd_parked")
        await c.caught_up_but(doubt)
        await over_partitions(c.topics, soon)
        await c.topics.send(*slow)
        await c.reached(slow)
        await stop(c, "--tenant", "x", at="b")
        await stopped(c, parked + later)
        await stopped(c, soon)
        await c.delivered(slow)
        for one in doubt:
            (submit,) = account.far.to(one["to"])
            assert [e["state"] for e in c.topics.events(f"{one['id']}/0")] == ["uncertain"]
            gateway = next(g for g in account.gateways if g.name == submit.node)
            gateway.report(submit, Report())
        await c.delivered(doubt)
        await c.counts(0, "carrierd_parked")
        for gateway in down.gateways:
            await gateway.start()
        new = [job(tenant="x"), job("telecom", tenant="x")]
        await c.topics.send(*new)
        await c.delivered(new)
        assert {s.to[0] for s in down.far.submits} == {new[0]["to"]}
        await c.caught_up()


@scene()
async def test_what_is_still_in_kafka_is_stopped(ground: Ground) -> None:
    """No daemon has taken it, or ever ran."""
    async with cluster(ground, mobile(1), telecom(1), names=["a"]) as c:
        loud, quiet_ = ([job(tenant=name) for _ in range(50)] for name in ("loud", "quiet"))
        other = [job("telecom", tenant="quiet") for _ in range(50)]
        await over_partitions(c.topics, loud + quiet_ + other)
        await stop(c, "--tenant", "loud")
        await stop(c, "--account", "telecom")
        await stop(c, "--job", quiet_[7]["id"])
        never = [*loud, *other, quiet_[7]]
        new = [job(name, tenant="loud") for name in ("mobile", "telecom") for _ in range(4)]
        await over_partitions(c.topics, new)
        await c.start()
        await stopped(c, never)
        rest = [one for one in quiet_ + new if one not in never]
        await c.delivered(rest)
        assert {to for to, _ in c.sent()} == {one["to"] for one in rest}
        # Their ids are used up.
        again = [loud[0], other[0], quiet_[7]]
        await to_every_partition(c.topics, again)
        await c.duplicates(len(again) * PARTITIONS)
        await c.caught_up()
        c.once(loud + quiet_ + other)


@scene("with its disk", "and its disk")
async def test_what_was_stopped_stays_so_when_the_daemon_dies(ground: Ground, disk: str) -> None:
    """It dies as soon as the command has said that it is done."""
    async with cluster(ground, mobile(1, rate=2), names=["a"], daemon={"park_after": 1.0}) as c:
        await c.start()
        first = [job(priority="urgent") for _ in range(3)]
        held = [job(tenant="x", not_before=ahead(9.0)) for _ in range(PARTITIONS)]
        jobs = [job(tenant="x") for _ in range(50)]
        await c.topics.send(*first, topic="urgent")
        await c.reached(first[:1])
        await over_partitions(c.topics, held + jobs)
        await c.taken(len(first + held + jobs))
        await stop(c, "--tenant", "x")
        await c.kill("a", disk=disk == "and its disk")
        await quiet(lambda: len(c.submits), 0.3)
        written = {to for to, _ in c.sent()}
        await c.start("a")
        never = [one for one in held + jobs if one["to"] not in written]
        await stopped(c, never, crashed=True)
        assert {to for to, _ in c.sent()} <= written | {one["to"] for one in first}


@scene()
async def test_a_stop_that_finds_nothing_is_done_and_hurts_nobody_later(ground: Ground) -> None:
    async with cluster(ground, mobile(1), names=["a"]) as c:
        await c.start()
        one = job(tenant="x")
        await stop(c, "--job", one["id"])
        await stop(c, "--tenant", "x")
        await stop(c, "--account", "mobile")
        await c.topics.send(one)
        await c.delivered([one])
        # Nor does it, when it is heard of again.
        await c.kill("a", disk=True)
        await c.start("a")
        two = job(tenant="x")
        await c.topics.send(one, two)
        await c.delivered([two])
        c.once([one, two])
        assert c.twice() == {}
