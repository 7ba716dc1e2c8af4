"""Contract, sections 2 and 6, on the local broker: `carrierd stop`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .gateways import SILENT, Answer, Report, national
from .process import until
from .together import Together
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
scene = Together("tmp_path", at_once=4)


async def stop(w: World, *what: str) -> float:
    """Runs the command to its end; when that was."""
    done = await w.daemon.run("stop", *what)
    assert done.status == 0, done.err
    return time.monotonic()


def ends(w: World) -> dict[str, dict[str, Any]]:
    return {p.value["job"]: p.value for p in w.daemon.published["reports"] if p.value["final"]}


async def settled(w: World, jobs: Collection[dict[str, Any]]) -> set[tuple[str, str | None]]:
    """State and code of their ends."""

    def missing() -> int:
        return len({one["id"] for one in jobs} - set(ends(w)))

    await until(lambda: not missing(), what=lambda: f"{missing()} of {len(jobs)} have no end")
    found = ends(w)
    return {(found[one["id"]]["state"], found[one["id"]]["code"]) for one in jobs}


STOPPED = {("rejected", "LOCAL:STOPPED")}


def written(w: World) -> set[str]:
    return {national(s.to[0]) for account in w.accounts.values() for s in account.far.submits}


def unwritten(w: World, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    there = written(w)
    return [one for one in jobs if one["to"] not in there]


async def taken(w: World, count: int) -> None:
    await w.daemon.reads("carrierd_jobs_total", count, outcome="taken")


@scene()
async def test_five_thousand_that_wait_are_stopped_within_a_second(tmp_path: Path) -> None:
    slow = Account("slow", "cmpp", "mobile", rate=5, answer_within=3.0)
    async with world(tmp_path, slow) as w:
        jobs = [job(number(), tenant="loud") for _ in range(5000)]
        other = [job(number(), tenant="quiet", priority="bulk") for _ in range(3)]
        await w.daemon.send(*jobs, *other)
        await taken(w, len(jobs + other))
        asked = await stop(w, "--tenant", "loud")
        never = unwritten(w, jobs)
        assert len(never) > 4900
        # The events of all of them come a little after the fact, more so on a busy machine.
        await settled(w, never)
        late = {
            national(s.to[0])
            for s in slow.far.submits
            if slow.far.pulse.earliest(s.at) > asked + 1.0
        }
        assert late.isdisjoint(one["to"] for one in jobs)
        never = unwritten(w, jobs)
        assert await settled(w, never) == STOPPED
        assert await settled(w, [one for one in jobs if one not in never]) == {
            ("delivered", "DELIVRD")
        }
        new = job(number(), tenant="loud")
        await w.daemon.send(new)
        assert await settled(w, [*other, new]) == {("delivered", "DELIVRD")}


@scene("--job", "--tenant", "--account")
async def test_what_nobody_has_taken_yet_is_stopped(tmp_path: Path, what: str) -> None:
    async with world(tmp_path, Account("m", "cmpp", "mobile", answer_within=3.0)) as w:
        assert await w.daemon.signal() == 0
        jobs = [job(number(), tenant="x") for _ in range(50)]
        value = {"--job": jobs[7]["id"], "--tenant": "x", "--account": "m"}[what]
        await w.daemon.send(*jobs)
        await stop(w, what, value)
        new = job(number(), tenant="x")
        await w.daemon.send(new)
        await w.daemon.start()
        never = jobs if what != "--job" else [jobs[7]]
        assert await settled(w, never) == STOPPED
        rest = [one for one in [*jobs, new] if one not in never]
        assert await settled(w, rest) == {("delivered", "DELIVRD")}
        assert written(w) == {one["to"] for one in rest}
        told = len(w.daemon.published["reports"])
        await w.daemon.send(*never[:3])
        await w.daemon.reads("carrierd_jobs_total", len(never[:3]), outcome="duplicate")
        assert len(w.daemon.published["reports"]) == told


@scene()
async def test_a_job_of_many_recipients_is_stopped_and_no_other(tmp_path: Path) -> None:
    slow = Account("slow", "cmpp", "mobile", rate=2, answer_within=3.0)
    async with world(tmp_path, slow) as w:
        first = [job(number(), priority="urgent") for _ in range(8)]
        many, other = job([number() for _ in range(20)], priority="bulk"), job(number())
        await w.daemon.send(*first, many, other)
        await taken(w, 10)
        await stop(w, "--job", many["id"])
        there = written(w)
        never = [index for index, to in enumerate(many["to"]) if to not in there]
        assert len(never) > 10
        for index in never:
            last = await w.daemon.final(f"{many['id']}/{index}")
            assert (last["state"], last["code"], last["stage"]) == (
                "rejected", "LOCAL:STOPPED", "gate"
            )  # fmt: skip
        assert await settled(w, [*first, other]) == {("delivered", "DELIVRD")}
        assert written(w).isdisjoint(many["to"][index] for index in never)


@scene()
async def test_what_was_written_goes_on_and_what_is_parked_or_held_does_not(
    tmp_path: Path,
) -> None:
    down = Account("down", "cmpp", "mobile")
    there = Account("there", "smgp", "telecom", answer_within=2.0)
    async with world(tmp_path, there, down, daemon={"park_after": 1.0}) as w:
        await down.gateway.stop()
        at = (datetime.now(UTC) + timedelta(seconds=60.0)).isoformat()
        parked = [job(number(), tenant="x") for _ in range(5)]
        later = [job(number("telecom"), tenant="x", not_before=at) for _ in range(5)]
        doubt = job(number("telecom"), tenant="x", on_uncertain="wait")
        there.far.on(doubt["to"], SILENT)
        await w.daemon.send(*parked, *later, doubt)
        await w.daemon.state(f"{doubt['id']}/0", "uncertain")
        await w.daemon.reads("carrierd_parked", len(parked + later))
        soon = job(
            number("telecom"),
            tenant="x",
            not_before=(datetime.now(UTC) + timedelta(seconds=10.0)).isoformat(),
        )
        slow = job(number("telecom"), tenant="x")
        there.far.on(slow["to"], Answer(after=0.8, reports=(Report(after=2.0),)))
        await w.daemon.send(soon, slow)
        await until(lambda: slow["to"] in written(w), what="a submit")
        await stop(w, "--tenant", "x")
        assert await settled(w, [*parked, *later, soon]) == STOPPED
        assert await w.daemon.metric("carrierd_parked") == 0
        assert await settled(w, [slow]) == {("delivered", "DELIVRD")}
        assert [e["state"] for e in w.daemon.events(f"{doubt['id']}/0")] == ["uncertain"]
        there.gateway.report(there.far.to(doubt["to"])[0], Report())
        assert await settled(w, [doubt]) == {("delivered", "DELIVRD")}
        await down.gateway.start()
        new = [job(number(), tenant="x"), job(number("telecom"), tenant="x")]
        await w.daemon.send(*new)
        assert await settled(w, new) == {("delivered", "DELIVRD")}
        assert {national(s.to[0]) for s in down.far.submits} == {new[0]["to"]}


@scene()
async def test_what_was_stopped_stays_so_when_the_daemon_dies_at_once(tmp_path: Path) -> None:
    slow = Account("slow", "cmpp", "mobile", rate=2, answer_within=3.0)
    async with world(tmp_path, slow) as w:
        jobs = [job(number(), tenant="x") for _ in range(200)]
        await w.daemon.send(*jobs)
        await taken(w, len(jobs))
        await stop(w, "--tenant", "x")
        await w.daemon.kill()
        before = written(w)
        await w.daemon.start()
        assert await settled(w, unwritten(w, jobs)) == STOPPED
        assert len(written(w) - before) == 0
        await asyncio.sleep(1.0)
        assert written(w) == before


@scene()
async def test_a_stop_is_of_what_there_is_and_not_of_what_comes(tmp_path: Path) -> None:
    async with world(tmp_path, Account("m", "cmpp", "mobile", answer_within=3.0)) as w:
        one, two = job(number(), tenant="x"), job(number(), tenant="x", account="m")
        for what in (("--job", one["id"]), ("--tenant", "x"), ("--account", "m")):
            await stop(w, *what)
        await w.daemon.send(one, two)
        assert await settled(w, [one, two]) == {("delivered", "DELIVRD")}
        await w.daemon.kill()
        await w.daemon.start()
        three = job(number(), tenant="x")
        await w.daemon.send(three)
        assert await settled(w, [three]) == {("delivered", "DELIVRD")}
