"""The clock of the host is set while the daemon runs: no deadline is misled by it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daemon import clock
from daemon.ticker import LOOK_AHEAD_EVERY
from tests.contract.gateways import ACCEPT, SILENT, Report
from tests.contract.process import until
from tests.contract.world import Account, job, number

from .whole import Whole, whole

DAY = 86_400.0
both_ways = pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])


class Host:
    """The machine's clocks, one of which somebody sets."""

    def __init__(self) -> None:
        self.offset = 0.0

    def time(self) -> float:
        return time.time() + self.offset


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    fake = SimpleNamespace(time=made.time, monotonic=time.monotonic, time_ns=time.time_ns)
    monkeypatch.setattr(clock, "time", fake)
    return made


Run = Callable[..., AbstractAsyncContextManager[tuple[Whole, Account]]]


@pytest.fixture
def run(tmp_path: Path, host: Host) -> Run:
    @asynccontextmanager
    async def run(
        hold: float = 0.4, join_within: float = 180.0, **keys: Any
    ) -> AsyncIterator[tuple[Whole, Account]]:
        account = Account("a", "cmpp", "mobile", **keys)
        config = {"uncertain": {"hold": hold}, "daemon": {"join_within": join_within}}
        async with whole(tmp_path, account, **config) as opened:
            yield opened, account

    return run


async def still(opened: Whole, of: dict[str, Any], states: list[str]) -> None:
    """Nothing more happens to it, though the ticker looks ahead at least once."""
    end = time.monotonic() + LOOK_AHEAD_EVERY + 0.4
    await until(lambda: time.monotonic() > end or opened.states(of) != states)
    assert opened.states(of) == states


@both_ways
async def test_a_message_that_waits_for_its_report_goes_on_waiting(
    run: Run, host: Host, jump: float
) -> None:
    async with run(report_within=3600.0) as (opened, account):
        one = job(number())
        account.far.on(one["to"], ACCEPT)
        await opened.take(one)
        await opened.state(one, "accepted")
        host.offset += jump
        await still(opened, one, ["accepted"])
        (submit,) = account.far.to(one["to"])
        account.gateway.report(submit, Report(), to=one["to"])
        await opened.state(one, "delivered")


@both_ways
async def test_the_hold_of_a_message_in_doubt_ends_in_its_time(
    run: Run, host: Host, jump: float
) -> None:
    async with run(hold=1.2) as (opened, account):
        one = job(number())
        account.far.on(one["to"], SILENT)
        await opened.take(one)
        await opened.state(one, "uncertain")
        began = time.monotonic()
        account.far.on(one["to"], ACCEPT)
        host.offset += jump
        await opened.state(one, "accepted")
        assert time.monotonic() - began > 0.9
        assert len(account.far.to(one["to"])) == 2


@both_ways
async def test_what_comes_after_the_jump_is_sent_and_ends_as_before(
    run: Run, host: Host, jump: float
) -> None:
    async with run(rate=50, window=4) as (opened, _):
        before = [job(number()) for _ in range(20)]
        await opened.take(*before)
        host.offset += jump
        after = [job(number()) for _ in range(20)]
        began = time.monotonic()
        await opened.take(*after)
        for one in (*before, *after):
            await opened.state(one, "delivered")
        assert time.monotonic() - began > 0.5
        assert all(opened.states(one)[-1] == "delivered" for one in (*before, *after))


@both_ways
async def test_half_an_inbound_message_waits_as_long_as_it_should(
    run: Run, host: Host, jump: float
) -> None:
    async with run(join_within=1.2) as (opened, account):
        part = b"\x05\x00\x03\x42\x02\x01" + "前半".encode("utf-16-be")
        to = account.far.access_number
        began = time.monotonic()
        assert await account.gateway.inbound("13912345678", to, part, 8, udhi=1) == 0
        host.offset += jump
        await until(lambda: any("complete" in e for e in opened.told), what="the incomplete one")
        (event,) = [e for e in opened.told if "complete" in e]
        assert (event["complete"], event["text"]) == (False, "前半")
        assert time.monotonic() - began > 0.9
