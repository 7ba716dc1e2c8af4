"""What SIGTERM does: nothing new, answers awaited, everything told, goodbye, within its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daemon.app import App
from daemon.broker.base import Source
from daemon.broker.local import LocalBroker
from daemon.config import load
from tests.contract.gateways import SILENT, Answer
from tests.contract.process import toml, until
from tests.contract.world import Account, job, number

from .whole import whole


async def test_a_drain_waits_for_the_answers_that_are_owed_and_tells_them(tmp_path: Path) -> None:
    account = Account("a", "cmpp", "mobile", answer_within=5.0)
    account.far.default = Answer(after=0.9, reports=())  # later than the last look for jobs
    async with whole(tmp_path, account) as opened:
        jobs = [job(number()) for _ in range(5)]
        await opened.take(*jobs)
        await until(lambda: len(account.far.submits) == 5, what="five submits")
        assert await opened.drain() == 0
        assert [opened.states(one) for one in jobs] == [["accepted"]] * 5
        assert opened.app.outbox.waiting == 0
        assert account.gateway.farewells == 1
    assert account.far.faults == []


async def test_what_was_not_written_at_a_drain_stays_unwritten_and_is_not_in_doubt(
    tmp_path: Path,
) -> None:
    account = Account("a", "cmpp", "mobile", rate=5)
    account.far.default = Answer(reports=())
    jobs = [job(number()) for _ in range(20)]
    async with whole(tmp_path, account) as opened:
        await opened.take(*jobs)
        await until(lambda: account.far.submits, what="a submit")
        assert await opened.drain() == 0
        written = len(account.far.submits)
        assert written < 10
    async with whole(tmp_path, account) as opened:
        await until(lambda: len(account.far.submits) > written, what="another submit")
        assert {event["state"] for event in opened.told} <= {"accepted"}
    assert len({submit.to for submit in account.far.submits}) == len(account.far.submits)


async def test_a_drain_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    account = Account("a", "cmpp", "mobile", answer_within=1.5)
    account.far.default = SILENT
    async with whole(tmp_path, account, daemon={"drain_within": 0.4}) as opened:
        await opened.take(job(number()))
        await until(lambda: account.far.submits, what="the submit")
        began = time.monotonic()
        assert await opened.drain() == 1
        # The gateway answers the goodbye; whoever does not gets two seconds more.
        assert 0.4 <= time.monotonic() - began < 2.0


async def test_a_carrier_that_does_not_say_goodbye_does_not_keep_a_drain(tmp_path: Path) -> None:
    account = Account("a", "cmpp", "mobile", answer_within=30.0)
    async with whole(tmp_path, account, daemon={"drain_within": 5.0}) as opened:
        account.gateway.frozen = True
        account.gateway.frame = lambda connection, frame: None
        began = time.monotonic()
        assert await opened.drain() == 0
        assert time.monotonic() - began < 4.0


async def test_reports_that_come_during_a_drain_are_told_and_acknowledged(tmp_path: Path) -> None:
    account = Account("a", "cmpp", "mobile", answer_within=5.0)
    far, gateway = account.far, account.gateway
    async with whole(tmp_path, account) as opened:
        fast, slow = job(number()), job(number())
        far.on(slow["to"], Answer(after=0.5, reports=()))
        await opened.take(fast, slow)
        await until(lambda: len(far.submits) == 2, what="both submits")
        draining = asyncio.create_task(opened.drain())
        assert await draining == 0
        assert opened.states(fast)[-1] == "delivered"
        assert opened.states(slow) == ["accepted"]
        assert gateway.deliver_answers == [0]


class Crowded(LocalBroker):
    """Its source is kept waiting by the group, as Kafka's is by a member that was killed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.asked = asyncio.Event()

    def source(self, topics: Sequence[str], **more: Any) -> Source:
        source = super().source(topics, **more)
        source.start = self._wait  # type: ignore[method-assign]
        return source

    async def _wait(self) -> None:
        self.asked.set()
        await asyncio.get_running_loop().create_future()


async def test_a_daemon_that_is_told_to_stop_while_the_group_keeps_it_waiting_stops(
    tmp_path: Path,
) -> None:
    a = Account("a", "cmpp", "mobile")
    await a.gateway.start()
    config = {
        "daemon": {"name": "life", "state_dir": str(tmp_path / "state")},
        "broker": {"kind": "local"},
        "http": {"listen": "127.0.0.1:0"},
        "routes": {"mobile": ["a"]},
        "accounts": {"a": a.table()},
    }
    file = tmp_path / "carrierd.toml"
    file.write_text("\n".join(toml(config)) + "\n")
    broker = Crowded(tmp_path / "state" / "broker")
    app = App(load(file), broker)
    running = asyncio.create_task(app.run())
    await broker.asked.wait()
    await until(lambda: a.gateway.bound, 3.0, "the login")
    app.stop()
    await asyncio.wait([running], timeout=5.0)
    assert running.done()
    assert running.result() == 0
    assert a.gateway.farewells == 1
    await a.gateway.close()
