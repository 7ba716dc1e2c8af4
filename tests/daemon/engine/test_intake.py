"""Jobs in, while others cannot go out."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest

from daemon import intake
from daemon.broker.base import Record
from daemon.intake import LOW, MOST_AT_ONCE
from daemon.model import INDEX_BITS
from daemon.packed import SIZE

from .conftest import MakeDesk
from .desk import Desk, Peer, Terms

TO = "13912345678"


class Steady:
    """Always has one more record of this account, unless it is told to pause."""

    def __init__(self, account: str = "a") -> None:
        self.account = account
        self.given = self.pauses = 0
        self.paused = False

    async def take(self, most: int, wait: float) -> list[Record]:
        await asyncio.sleep(0.002)
        if self.paused:
            return []
        self.given += 1
        job = {"id": f"s{self.given}", "to": "13912345678", "text": "x", "account": self.account}
        value = json.dumps(job).encode()
        return [Record("sms.jobs", 0, 100_000 + self.given, None, value, None, 0.0)]

    def pause(self, topics: Sequence[str] = ()) -> None:
        self.paused = True
        self.pauses += 1

    def resume(self, topics: Sequence[str] = ()) -> None:
        self.paused = False


async def test_a_backlog_of_an_account_that_is_down_does_not_delay_the_jobs_of_others(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(name="a"), Terms(name="slow"))
    await behind_a_backlog(desk, Steady(), more=200)


async def test_a_backlog_of_an_account_at_its_rate_does_not_delay_the_jobs_of_others(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(name="a"), Terms(name="slow", rate=500, window=200))
    source = Steady()
    await behind_a_backlog(desk, source, desk.peer("slow"), more=100)
    # Whenever this test has kept the account waiting, taking waits as well.
    assert source.pauses < 50


async def test_a_backlog_of_a_slow_gateway_does_not_delay_the_jobs_of_others(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow this machine is, its backlog counts as one that is worth waiting for.
    monkeypatch.setattr(intake, "SOON", math.inf)
    desk = await make_desk(Terms(name="a"), Terms(name="slow", rate=100_000, window=4))
    await behind_a_backlog(desk, Steady(), desk.peer("slow"), more=5)


async def test_what_comes_behind_a_gateway_that_does_not_answer_is_taken_all_the_same(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(name="a"), Terms(name="slow", rate=100_000, window=4))
    desk.peer("slow")
    await behind_a_backlog(desk, Steady("slow"), more=3)


async def behind_a_backlog(desk: Desk, source: Steady, *answering: Peer, more: int) -> None:
    """So many more jobs are taken before the backlog of `slow` is as good as gone."""
    peers = [desk.peer("a"), *answering]
    for start in range(0, 4_000, 500):
        jobs = ({"id": f"d{n}", "account": "slow"} for n in range(start, start + 500))
        await desk.take(*jobs)
    desk.app.intake.source = source  # type: ignore[assignment]
    running = asyncio.create_task(desk.app.intake.run())
    waiting = desk.app.router.queues["account:slow"].lanes
    try:
        async with asyncio.timeout(desk.patience):
            while source.given < more:
                for peer in peers:
                    for sequence, _, _ in peer.written():
                        peer.accepts(sequence)
                await asyncio.sleep(0.001)
        assert len(waiting) > LOW
    finally:
        desk.app.intake.stopping = True
        await running


@pytest.mark.parametrize(
    "between",
    [{"id": "no text", "text": ""}, {"id": "several", "to": [TO, "13912345679"]}, {"id": "first"}],
    ids=["dead", "several", "repeated"],
)
async def test_what_is_held_in_other_ways_does_not_overtake_the_records_before_it(
    make_desk: MakeDesk, between: dict[str, Any]
) -> None:
    desk = await make_desk()
    desk._offset = SIZE - 2  # records behind the next one are in another block
    await desk.take({"id": "over", "to": "12"}, {"id": "first"}, between, {"id": "last"})
    assert desk.app.offsets.moved() == {("sms.jobs", 0): SIZE - 1}


async def test_each_record_is_held_for_its_own_job_whatever_order_they_come_in(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    places = [(0, 0), (0, 1), (0, 3), (1, 4), (1, 5), (0, 4), (1, 6), (1, 7), (1, 9)]
    records = []
    for number, (partition, offset) in enumerate(places):
        to = [TO, "13912345679"] if number == 6 else TO
        value = json.dumps({"id": f"j{number}", "to": to, "text": "hello"}).encode()
        records.append(Record("sms.jobs", partition, offset, None, value, None, desk.at))
    await desk.app.intake.take(records)
    offsets = desk.app.offsets
    assert offsets.held == len(places)
    by_job = {message.job.fields.id: message.job for message in desk.app.engine.open.values()}
    for number, (partition, offset) in enumerate(places):
        job = by_job[f"j{number}"]
        assert job.source == ("sms.jobs", partition, offset)
        offsets.moved()
        first = job.seq << INDEX_BITS
        offsets.release(range(first, first + len(job.fields.to)))
        held = [at for of, at in places[number + 1 :] if of == partition]
        expected = held[0] if held else max(at for of, at in places if of == partition) + 1
        assert offsets.moved() == {("sms.jobs", partition): expected}


async def test_what_ends_soon_has_its_alarm_at_once(make_desk: MakeDesk) -> None:
    """The look ahead into the ledger may be past it already."""
    desk = await make_desk()
    within = desk.app.config.accounts["a"].report_within
    for number, horizon in enumerate((desk.at + within - 1.0, desk.at + within + 1.0)):
        desk.app.alarms.horizon = horizon
        await desk.take({"id": f"j{number}"})
    [message] = [m for m in desk.app.engine.open.values() if m.job.fields.id == "j1"]
    assert desk.app.alarms.due(desk.at + within + 1.0) == [message.mid]


async def test_what_is_taken_of_a_partition_that_is_another_s_waits_for_that_one(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    desk.app.homes.every = False
    await desk.take({"id": "j"})
    assert not desk.app.engine.open
    assert not len(desk.app.router.queues["mobile"].lanes)


async def test_a_repeat_in_the_same_batch_holds_its_record_as_long_as_the_first(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    await desk.take({"id": "j"}, {"id": "j"}, {"id": "j", "text": "other"})
    dead = [event for event in desk.told if event["on"] == "sms.dead"]
    assert [(event["field"], event["offset"]) for event in dead] == [("id", 2)]
    assert desk.app.offsets.moved() == {("sms.jobs", 0): 0}
    peer = desk.peer()
    [(sequence, _, _)] = await desk.written(peer)
    peer.accepts(sequence)
    await desk.settle()
    assert desk.app.offsets.moved() == {("sms.jobs", 0): 3}
    assert desk.states("j/0") == ["accepted"]


async def test_a_repeat_after_a_restart_holds_until_the_first_is_safe(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    await desk.take({"id": "j", "to": ["13912345678", "1"]})
    fresh = await make_desk(after=desk)
    await fresh.take({"id": "j", "to": ["13912345678", "1"]})
    assert fresh.told == []
    assert fresh.app.offsets.moved().get(("sms.jobs", 0), 1) == 1
    peer = fresh.peer()
    queue = fresh.app.router.queues["mobile"]
    await fresh.app.refill._fill(queue, 1)
    fresh.pull()
    [(sequence, _, _)] = await fresh.written(peer)
    peer.accepts(sequence)
    await fresh.settle()
    assert fresh.app.offsets.moved() == {("sms.jobs", 0): 2}


async def test_a_refused_message_is_final_and_its_siblings_go_on(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "to": ["12", "13912345678", "+86 139-1234-5678", "13812345678"]})
    codes = {event["message"]: event["code"] for event in desk.told}
    assert codes == {"j/0": "LOCAL:BAD_NUMBER", "j/2": "LOCAL:DUPLICATE"}
    found = await desk.written(peer, 2)
    assert [part.to for _, part, _ in found] == ["13912345678", "13812345678"]


class Asked(Steady):
    """Has as many records as are asked for, each of so many messages."""

    def __init__(self, recipients: int) -> None:
        super().__init__()
        self.recipients = recipients
        self.most: list[int] = []
        self.thrice = asyncio.Event()

    async def take(self, most: int, wait: float) -> list[Record]:
        self.most.append(most)
        if len(self.most) == 3:
            self.thrice.set()
        await asyncio.sleep(0.002)
        records = []
        for _ in range(min(most, 20)):
            self.given += 1
            to = [f"139{self.given * 100 + place:08}" for place in range(self.recipients)]
            value = json.dumps({"id": f"m{self.given}", "to": to, "text": "x", "account": "a"})
            place = ("sms.jobs", 0, self.given)
            records.append(Record(*place, None, value.encode(), None, 0.0))
        return records


@pytest.mark.parametrize(("recipients", "most"), [(1, MOST_AT_ONCE), (99, 11)])
async def test_of_jobs_with_many_recipients_fewer_are_taken_at_once(
    make_desk: MakeDesk, recipients: int, most: int
) -> None:
    desk = await make_desk()
    source: Any = Asked(recipients)
    desk.app.intake.source = source
    taking = asyncio.create_task(desk.app.intake.run())
    async with asyncio.timeout(30.0):
        await source.thrice.wait()
    desk.app.intake.stop()
    await taking
    assert source.most[:3] == [MOST_AT_ONCE, most, most]
