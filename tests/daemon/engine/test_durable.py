"""What waits for the disk: claims before writes; answers before offsets; events before receipts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protocols.events import Event, Fate, Received, Reported

from .conftest import MakeDesk
from .desk import Desk, Peer

TO = "13912345678"


def acknowledged(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Receipts that the gateway gets an answer for, from now on."""
    found: list[Any] = []
    monkeypatch.setattr(peer.wire, "_acknowledge", found.extend)
    return found


async def answered(desk: Desk, peer: Peer) -> bytes:
    """The carrier's id of a message that was accepted."""
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    key = peer.accepts(sequence)
    await desk.settle()
    return key


@pytest.mark.parametrize("known", [True, False], ids=["of ours", "of nobody's"])
async def test_a_report_is_acknowledged_only_once_what_came_of_it_is_on_the_disk(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    key = await answered(desk, peer)
    receipts = acknowledged(peer, monkeypatch)
    report = Reported((key if known else b"?" * 8,), 1, Fate.DELIVERED, "DELIVRD", TO, "receipt")
    async with desk.slow_disk():
        peer.says(report)
        await asyncio.sleep(0.05)
        assert receipts == []
    assert receipts == ["receipt"]
    assert (desk.states("j/0")[-1] == "delivered") == known


async def test_an_inbound_message_is_acknowledged_only_once_it_is_on_the_disk(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    receipts = acknowledged(peer, monkeypatch)
    said: Event = Received("13900000001", "10657525", b"hello", 0, False, "receipt", b"identity")
    async with desk.slow_disk():
        peer.says(said)
        await asyncio.sleep(0.05)
        assert receipts == []
    assert receipts == ["receipt"]
    assert [event["text"] for event in desk.told] == ["hello"]


async def test_nothing_is_written_before_the_claim_that_names_it_is_on_the_disk(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await asyncio.sleep(0.02)  # so that the pace is not what keeps it
    async with desk.slow_disk():
        taking = asyncio.create_task(desk.take({"id": "j"}))
        await desk.until(lambda: peer.link.reserved == 1)
        assert not peer.written()
    await taking
    assert await desk.written(peer)


async def test_what_was_written_is_named_in_a_claim_until_its_answer_is_on_the_disk(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    assert len(desk.app.ledger.claims()) == 1
    async with desk.slow_disk():
        peer.accepts(sequence)
        await asyncio.sleep(0.05)
        assert len(desk.app.ledger.claims()) == 1
    assert desk.app.ledger.claims() == []


async def test_an_offset_moves_past_a_message_only_once_its_answer_is_on_the_disk(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    [offset] = await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    assert desk.app.offsets.moved().get(("sms.jobs", 0), 0) == offset
    async with desk.slow_disk():
        peer.accepts(sequence)
        await asyncio.sleep(0.05)
        assert desk.app.offsets.moved() == {}
    assert desk.app.offsets.moved() == {("sms.jobs", 0): offset + 1}


async def test_a_message_in_doubt_holds_its_offset_and_all_behind_it(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    await desk.written(peer)
    peer.silence()
    await desk.take({"id": "k"})
    [(behind, _, _)] = await desk.written(peer)
    peer.accepts(behind)
    await desk.settle()
    assert (desk.states("j/0"), desk.states("k/0")) == (["uncertain"], ["accepted"])
    assert desk.app.offsets.moved() == {("sms.jobs", 0): 0}
    await desk.pass_(11.0)
    [(again, _, _)] = await desk.written(peer)
    peer.accepts(again)
    await desk.settle()
    assert desk.app.offsets.moved() == {("sms.jobs", 0): 2}
