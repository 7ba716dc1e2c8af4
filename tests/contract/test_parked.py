"""Contract, section 6.3, on the local broker: what waits long is parked, and told as such."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .together import Together
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
scene = Together("tmp_path", at_once=4)
SOON = {"park_after": 1.0}


@asynccontextmanager
async def carriers(directory: Path, **keys: Any) -> AsyncIterator[World]:
    """`near` answers, `far` is not there; the daemon parks after a second."""
    far = Account("far", "cmpp", "mobile", answer_within=3.0, **keys)
    near = Account("near", "smgp", "telecom", answer_within=3.0)
    async with world(directory, near, far, ready=False, daemon=SOON) as w:
        await far.gateway.stop()
        await w.daemon.kill()
        await w.daemon.start(ready=False)
        yield w


def ahead(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@scene()
async def test_what_waits_for_a_carrier_that_is_down_is_parked_and_then_sent(
    tmp_path: Path,
) -> None:
    async with carriers(tmp_path) as w:
        jobs = [job(number()) for _ in range(30)]
        other = job(number("telecom"))
        began = time.monotonic()
        await w.daemon.send(*jobs, other)
        assert (await w.daemon.final(f"{other['id']}/0"))["state"] == "delivered"
        parked = await w.daemon.metric("carrierd_parked", account="far")
        # Else it is no wonder if they are.
        assert parked == 0 or time.monotonic() - began >= SOON["park_after"]
        await w.daemon.reads("carrierd_parked", len(jobs), account="far")
        assert await w.daemon.metric("carrierd_parked", account="near") == 0
        await w.daemon.kill()
        await w.daemon.start(ready=False)
        await w.daemon.reads("carrierd_parked", len(jobs), account="far")
        await w.far.gateway.start()
        for one in jobs:
            last = await w.daemon.final(f"{one['id']}/0")
            assert last["state"] == "delivered"
            assert len(w.far.far.to(one["to"])) == 1
        await w.daemon.reads("carrierd_parked", 0, account="far")


@scene()
async def test_what_is_for_later_is_parked_and_kept_until_its_time(tmp_path: Path) -> None:
    async with carriers(tmp_path) as w:
        at = datetime.now(UTC) + timedelta(seconds=6.0)
        one, never = job(number("telecom"), not_before=at.isoformat()), job(number("telecom"))
        late = job(number("telecom"), not_before=ahead(60.0))
        await w.daemon.send(one, late, never)
        await w.daemon.final(f"{never['id']}/0")
        await w.daemon.reads("carrierd_parked", 2, account="near")
        assert w.near.far.to(one["to"]) == []
        last = await w.daemon.final(f"{one['id']}/0")
        assert last["state"] == "delivered"
        submitted = datetime.fromisoformat(last["times"]["submitted"])
        assert timedelta(seconds=-0.01) <= submitted - at <= timedelta(seconds=3.0)
        await w.daemon.reads("carrierd_parked", 1, account="near")


@scene()
async def test_what_is_parked_still_expires(tmp_path: Path) -> None:
    async with carriers(tmp_path, report_within=7.0) as w:
        short, long = job(number(), expires_at=ahead(5.0)), job(number())
        await w.daemon.send(short, long)
        await w.daemon.reads("carrierd_parked", 2, account="far")
        for one in (short, long):
            last = await w.daemon.final(f"{one['id']}/0")
            assert (last["state"], last["code"]) == ("expired", "LOCAL:QUEUE_EXPIRED")
        await w.daemon.reads("carrierd_parked", 0, account="far")
        assert w.far.far.submits == []
