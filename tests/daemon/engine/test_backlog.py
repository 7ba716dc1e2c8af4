"""More than memory takes: what only the ledger knows comes back, all of it."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import UTC, datetime

import pytest

from daemon import correlate, queues, refill

from .conftest import MakeDesk
from .desk import START, Desk, Peer, Terms


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


async def drain(desk: Desk, peer: Peer) -> list[str]:
    """Everything that goes out until nothing more comes, each answered at once."""
    wrote = []
    asked = desk.app.refill._asked
    while True:
        found = await desk.next(peer, lambda: not asked.empty())
        for sequence, _, write in found:
            wrote.append(write.message.job.fields.id)
            peer.accepts(sequence)
        worked = bool(found)
        while not asked.empty():
            queue, lane = asked.get_nowait()
            await desk.app.refill._fill(queue, lane)
            queue.refilling[lane] = False
            desk.pull()
            worked = True
        if not worked:
            return wrote


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST_IN_MEMORY", 4)
    monkeypatch.setattr(refill, "MOST_AT_ONCE", 2)


@pytest.mark.usefixtures("small_memory")
async def test_everything_spilled_is_read_back_in_order(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    names = [f"j{n}" for n in range(15)]
    await desk.take(*({"id": name} for name in names))
    assert await drain(desk, desk.peer()) == names


@pytest.mark.usefixtures("small_memory")
async def test_messages_whose_not_before_has_come_do_not_hide_spilled_ones(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    await desk.take(*({"id": f"a{n}"} for n in range(4)))
    held = [{"id": f"h{n}", "not_before": moment(5.0)} for n in range(4)]
    await desk.take(*held)
    await desk.take(*({"id": f"b{n}"} for n in range(8)))
    await desk.pass_(6.0)
    wrote = await drain(desk, desk.peer())
    names = [f"{letter}{n}" for letter, most in (("a", 4), ("h", 4), ("b", 8)) for n in range(most)]
    assert sorted(wrote) == sorted(names)


@pytest.mark.usefixtures("small_memory")
async def test_held_messages_do_not_all_come_to_memory_at_once(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    await desk.take(*({"id": f"h{n}", "not_before": moment(5.0)} for n in range(40)))
    await desk.pass_(6.0)
    assert len(desk.app.engine.open) <= 4
    assert desk.app.router.waiting("a") == 40


async def test_a_held_message_whose_account_was_taken_from_the_configuration_ends(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(name="a"), Terms(name="gone"))
    await desk.take({"id": "j", "account": "gone", "not_before": moment(5.0)})
    await desk.take({"id": "k", "not_before": moment(5.0)})
    fresh_text = desk.text
    start = fresh_text.index("[accounts.gone]")
    desk.text = fresh_text[:start].replace(', "gone"', "")
    fresh = await make_desk(after=desk)
    await fresh.pass_(6.0)
    peer = fresh.peer()
    assert [w.message.job.fields.id for _, _, w in await fresh.written(peer)] == ["k"]
    await fresh.pass_(400_000.0)
    assert fresh.states("j/0")[-1] in ("rejected", "expired")


@pytest.mark.usefixtures("small_memory")
async def test_what_was_spilled_behind_messages_that_expired_is_read_back(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    await desk.take(*({"id": f"e{n}", "expires_at": moment(30.0)} for n in range(4)))
    await desk.take(*({"id": f"s{n}"} for n in range(3)))
    await desk.pass_(31.0)
    assert desk.app.router.waiting("a") == 3
    assert await drain(desk, desk.peer()) == ["s0", "s1", "s2"]
    assert desk.app.router.waiting("a") == 0


async def test_answered_messages_of_four_accounts_fit_in_memory(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=100_000, window=500))
    peer = desk.peer()

    async def answered(start: int) -> None:
        text = "您的验证码是123456，五分钟内有效，请勿泄露。"
        await desk.take(*({"id": f"j{n}", "text": text} for n in range(start, start + 400)))
        wrote = 0
        while wrote < 400:
            for sequence, _, _ in await desk.written(peer):
                peer.accepts(sequence)
                wrote += 1
        peer.wire.sent.clear()
        peer.written()
        desk.told.clear()
        await desk.settle()

    await answered(0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await answered(400)
        await answered(800)
        each = (tracemalloc.get_traced_memory()[0] - before) / 800
    finally:
        tracemalloc.stop()
    # The contract allows 200 MB whatever waits; the process itself needs about 60.
    assert each * correlate.MOST_RECENT < 100e6


async def test_what_is_put_just_before_a_look_ahead_is_rung_for(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    ticker = desk.app.ticker
    async with desk.slow_disk():
        taken = asyncio.create_task(desk.take({"id": "j", "not_before": moment(5.0)}))
        await desk.until(lambda: desk.app.ledger.waiting)
        look = asyncio.create_task(ticker._look_ahead(desk.at + 6.0))
        await asyncio.sleep(0.05)
    await asyncio.gather(taken, look)
    desk.at += 6.0
    await ticker._wake(desk.at)
    assert await desk.written(desk.peer(), most=2.0)
