"""What is claimed and gives way waits again as if it had never been claimed."""

from __future__ import annotations

import asyncio

import pytest

from daemon import dealing
from daemon.changelog import Stop
from daemon.changes import Changes

from .conftest import MakeDesk
from .desk import Terms
from .test_pace import run


@pytest.fixture(autouse=True)
def _claims_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window is claimed whole, however slow the pace."""
    monkeypatch.setattr(dealing, "CLAIM_AHEAD", 60.0)


async def test_after_a_crash_what_gave_way_is_not_in_doubt(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=4, window=4))
    peer = desk.peer()
    await desk.take(*({"id": f"j{n}"} for n in range(4)))
    await desk.written(peer)
    await desk.take(*({"id": f"u{n}", "priority": "urgent"} for n in range(3)))
    assert not peer.written(), "they wait for the pace"
    fresh = await make_desk(after=desk)
    doubtful = {event["message"] for event in fresh.told if event.get("state") == "uncertain"}
    assert doubtful == {"j0/0", "u0/0", "u1/0", "u2/0"}, "no more than the window"
    assert len(fresh.app.router.queues["mobile"]) == 3, "the others wait"


async def test_the_claim_of_a_message_that_was_refused_before_it_gave_way_is_dropped(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=4, window=3))
    peer = desk.peer()
    await desk.take({"id": "slow", "text": "字" * 250})
    [(sequence, _, _)] = await desk.written(peer)
    peer.refuses(sequence, "13")
    assert peer.link.reserved == 3
    await desk.take({"id": "now", "priority": "urgent"})
    await run(desk, peer, 0.6)
    assert desk.states("slow/0") == ["rejected"]
    assert desk.states("now/0") == ["accepted"]
    await desk.settle()
    assert not desk.app.ledger.claims()


async def test_what_was_being_claimed_for_a_bind_that_broke_keeps_its_order(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    async with desk.slow_disk():
        taking = asyncio.create_task(desk.take(*({"id": f"j{n}"} for n in range(3))))
        await desk.until(lambda: peer.link.reserved == 3)
        peer.lost()
    await taking
    wrote = await desk.written(desk.peer(), 3)
    assert [write.message.id for _, _, write in wrote] == ["j0/0", "j1/0", "j2/0"]


async def test_what_is_stopped_when_it_is_claimed_and_waits_for_the_pace_is_not_written(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=4, window=4))
    peer = desk.peer()
    await desk.take(*({"id": f"j{n}"} for n in range(4)))
    [(_, _, first)] = await desk.written(peer)
    stop = Stop(what="job", name="j2", at=desk.at)
    desk.app.replica.stopping.note(stop, Changes())
    wrote = [first.message.id.partition("/")[0], *[job for _, job in await run(desk, peer, 1.5)]]
    assert wrote == ["j0", "j1", "j3"]
    assert desk.states("j2/0") == ["rejected"]
