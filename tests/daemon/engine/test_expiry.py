"""Every message ends, whatever it is doing when its time is over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from daemon import account as accounts

from .conftest import MakeDesk
from .desk import START, Terms

LONG = "字" * 130  # two parts


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


async def test_without_any_usable_account_a_message_ends_after_the_accounts_report_within(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(extra="report_within = 60"))
    await desk.take({"id": "j"})
    await desk.pass_(61.0)
    assert [(e["state"], e["code"]) for e in desk.of("j/0")] == [("expired", "LOCAL:QUEUE_EXPIRED")]


async def test_a_message_of_which_one_part_was_throttled_past_its_expiry_ends_expired(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG, "expires_at": moment(30.0)})
    first, second = await desk.written(peer, 2)
    peer.accepts(first[0])
    await desk.pass_(31.0)
    peer.refuses(second[0], "8", throttled=True)
    await asyncio.sleep(0.02)
    await desk.pass_(300_000.0)
    assert desk.states("j/0")[-1:] == ["expired"]


async def test_a_part_throttled_past_report_within_still_ends_when_the_gateway_is_gone(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    await desk.pass_(259_201.0)
    peer.refuses(sequence, "8", throttled=True)
    peer.lost()
    await asyncio.sleep(0.02)
    await desk.pass_(10.0)
    await desk.pass_(259_201.0)
    assert desk.states("j/0")[-1:] == ["expired"]


async def test_a_message_claimed_for_a_frozen_link_expires_when_the_link_is_lost(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=0.05))
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG, "expires_at": moment(30.0)})
    # Nothing to spend at start: it is claimed and not written.
    assert peer.link.reserved == 2
    assert not peer.written()
    await desk.pass_(31.0)
    peer.lost()
    await desk.pass_(10.0)
    await desk.pass_(300_000.0)
    assert desk.states("j/0") == ["expired"]


async def test_messages_that_expired_in_their_queue_are_not_counted_as_waiting(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    await desk.take({"id": "j", "expires_at": moment(30.0)})
    assert desk.app.router.waiting("a") == 1
    await desk.pass_(31.0)
    assert desk.states("j/0") == ["expired"]
    assert desk.app.router.waiting("a") == 0


async def test_a_message_that_ends_without_its_last_report_has_no_time_of_delivery(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG}, {"id": "k", "text": LONG})
    ids = [peer.accepts(sequence) for sequence, _, _ in await desk.written(peer)]
    for key in ids[:3]:
        peer.reports(key, to="13912345678")
    await desk.pass_(259_201.0)
    assert desk.states("j/0") == ["accepted", "delivered"]
    assert [(e["state"], e["code"]) for e in desk.of("k/0")][-1] == ("expired", "LOCAL:NO_REPORT")
    assert desk.app.tally.delivery["a"].count == 1
