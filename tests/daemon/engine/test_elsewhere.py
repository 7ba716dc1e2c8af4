"""Reports about what another daemon wrote, which comes to be ours when that one is gone."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from daemon import replica
from daemon.broker.base import Record
from daemon.changelog import MSGPACK
from daemon.changes import Changes
from daemon.ledger import Ledger
from daemon.model import Message, PartState, pack_life
from daemon.recall import revive_all
from daemon.teller import Teller

from .conftest import MakeDesk, MakeGroup
from .desk import JOBS, Desk, Peer, Terms, configured

TO = "13912345678"
OTHER = 7
OURS = frozenset({(JOBS, 0)})


async def told(directory: Path) -> tuple[bytes, Record]:
    """Another daemon's job was answered: the carrier's id, and what that daemon told of it."""
    other = Desk(directory / "other" / "state", configured(Terms()))
    await other.start()
    try:
        peer = other.peer()
        await other.take({"id": "j"})
        [(sequence, _, _)] = await other.written(peer)
        carrier_id = peer.accepts(sequence)
        await other.settle()
        (message,) = other.app.engine.open.values()
        teller = Teller(OTHER, "sms.state", "sms.parked")
        _, key, value = teller.outcome(message, pack_life(message))
    finally:
        await other.close()
    return carrier_id, Record("sms.state", 0, 0, key, value, MSGPACK, other.at)


async def beside(make_desk: MakeDesk) -> tuple[Desk, Peer]:
    """One of a group, which has no partition yet."""
    desk = await make_desk()
    desk.app.homes.every = False
    desk.app.homes._sure = lambda: True
    return desk, desk.peer()


async def test_a_report_that_came_before_its_answer_was_told_counts_after_a_takeover(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    desk, peer = await beside(make_desk)
    carrier_id, record = await told(tmp_path)
    peer.reports(carrier_id, to=TO)
    await desk.settle()
    await desk.app.replica._take_over([record])
    await desk.settle()
    assert desk.states("j/0") == []
    await desk.app.takeover.adopt(OURS)
    await desk.settle()
    assert desk.states("j/0") == ["delivered"]


async def test_a_report_that_came_while_its_answer_was_written_down_counts_after_a_takeover(
    make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, peer = await beside(make_desk)
    carrier_id, record = await told(tmp_path)

    async def nothing_to_wait_for(ledger: Ledger) -> None:
        """The commit that is held up has nothing of this message."""

    async with desk.slow_disk():
        with monkeypatch.context() as patch:
            patch.setattr(replica, "durable", nothing_to_wait_for)
            await desk.app.replica._take_over([record])
        peer.reports(carrier_id, to=TO)
        await desk.app.engine.reports.settled()
    await desk.pass_(3.0)
    assert desk.states("j/0") == []
    await desk.app.takeover.adopt(OURS)
    await desk.settle()
    assert desk.states("j/0") == ["delivered"]
    assert desk.app.correlate.waiting() == []


async def test_a_report_about_nobodys_message_still_waits_after_a_takeover(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    desk, peer = await beside(make_desk)
    _, record = await told(tmp_path)
    peer.reports(bytes(8), to=TO)
    await desk.settle()
    await desk.app.replica._take_over([record])
    await desk.app.takeover.adopt(OURS)
    await desk.settle()
    assert desk.states("j/0") == []
    assert len(desk.app.correlate.waiting()) == 1


async def test_a_report_that_nobody_knows_is_acknowledged_when_the_others_were_told(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine that got it may be gone the next moment, and the carrier says it once."""
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    other = b.peer()
    receipts: list[Any] = []
    monkeypatch.setattr(other.wire, "_acknowledge", receipts.extend)
    other.reports(b"?" * 8, to=TO)
    await group.pass_(0.4)
    assert receipts == []
    await group.pass_(0.2)
    assert len(receipts) == 1
    await group.kill(b)
    await group.assign([0])
    peer = a.peer()
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence, b"?" * 8)
    await group.settle()
    assert group.states("j/0")[-1] == "delivered", "its report was told"


async def test_a_report_before_its_answer_is_acknowledged_with_the_answer(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0])
    peer = a.peer()
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    receipts: list[Any] = []
    monkeypatch.setattr(peer.wire, "_acknowledge", receipts.extend)
    peer.reports(b"?" * 8, to=TO)
    await group.settle()
    assert receipts == []
    peer.accepts(sequence, b"?" * 8)
    await group.settle()
    assert len(receipts) == 1
    assert group.states("j/0")[-1] == "delivered"


async def test_no_receipt_waits_for_a_broker_that_is_away(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0])
    peer = a.peer()
    receipts: list[Any] = []
    monkeypatch.setattr(peer.wire, "_acknowledge", receipts.extend)
    peer.reports(b"?" * 8, to=TO)
    await group.settle()
    assert receipts == []
    a.app.engine.reports.owe_nothing()
    await group.settle()
    assert len(receipts) == 1


async def test_what_is_let_go_of_while_its_last_row_is_written_keeps_what_that_says(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "text": "字" * 130})
    first, second = [peer.accepts(sequence) for sequence, _, _ in await desk.written(peer, 2)]
    await desk.settle()
    homes = desk.app.engine.homes
    async with desk.slow_disk():
        peer.reports(first, to=TO)
        homes.every, homes._sure = False, lambda: True
        homes.assigned(frozenset())
        desk.app.engine.forsake()
        assert not desk.app.engine.open
        peer.reports(second, to=TO)
        await asyncio.sleep(0.05)
    [message] = revive_all(await desk.app.ledger.load([1 << 10]))
    assert [part.state for part in message.parts] == [PartState.DELIVERED] * 2
    assert desk.app.engine.memory._closing == {}


@pytest.mark.interpreted
async def test_a_report_while_what_was_told_is_written_does_not_undo_that(
    make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Desk(tmp_path / "other" / "state", configured(Terms()))
    await other.start()
    teller = Teller(OTHER, "sms.state", "sms.parked")
    records: list[Record] = []

    def tell(message: Message) -> None:
        _, key, value = teller.outcome(message, pack_life(message))
        records.append(Record("sms.state", 0, len(records), key, value, MSGPACK, other.at))

    try:
        there = other.peer()
        await other.take({"id": "j", "text": "字" * 190})
        one, two, three = [sequence for sequence, _, _ in await other.written(there, 3)]
        first = there.accepts(one)
        there.refuses(two, "8", throttled=True)
        there.refuses(three, "8", throttled=True)
        (message,) = other.app.engine.open.values()
        tell(message)
        message.parts[1].state, message.parts[1].carrier_ids = PartState.ANSWERED, (b"8" * 8,)
        tell(message)
    finally:
        await other.close()

    desk, peer = await beside(make_desk)
    replica = desk.app.replica
    await replica._take_over(records[:1])
    await desk.settle()
    keeping, go = desk.app.engine.keeping, threading.Event()
    commit = keeping.commit

    def slow(c: Changes) -> None:
        desk.app.ledger._write_thread.submit(go.wait, 60.0)
        commit(c)

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "commit", slow)
        await replica._take_over(records[1:])
    peer.reports(first, to=TO)
    await desk.app.engine.reports.settled()
    go.set()
    await desk.settle()
    [row] = revive_all(await desk.app.ledger.load([1 << 10]))
    assert [part.state for part in row.parts] == [
        PartState.DELIVERED,
        PartState.ANSWERED,
        PartState.UNSENT,
    ], "else the second would be sent again"
    assert desk.app.engine.memory._closing == {}
