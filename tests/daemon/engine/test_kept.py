"""Places in a window that bulk leaves: what is urgent waits for no answer to bulk messages."""

from __future__ import annotations

import asyncio

import pytest

from .conftest import MakeDesk, MakeGroup
from .desk import Desk, Peer, Terms
from .test_untold import answered

FAST = 100_000
"""A rate that keeps nothing waiting."""


def jobs(lane: str, count: int, **more: object) -> list[dict[str, object]]:
    return [{"id": f"{lane}{n}", "priority": lane, **more} for n in range(count)]


async def owed(desk: Desk, peer: Peer, count: int) -> list[int]:
    """Sequences of what is written and not answered, as soon as it is so many and no more."""
    await desk.until(lambda: peer.wire.unanswered >= count)
    for _ in range(3):
        await desk.settle()
        desk.pull()
    assert peer.wire.unanswered == count
    return list(peer.wire._window)


@pytest.mark.parametrize(("window", "most"), [(1, 1), (7, 7), (8, 7), (16, 15), (32, 30)])
async def test_bulk_leaves_places_in_a_window_that_has_some_to_spare(
    make_desk: MakeDesk, window: int, most: int
) -> None:
    desk = await make_desk(Terms(rate=FAST, window=window))
    peer = desk.peer()
    await desk.take(*jobs("bulk", 2 * window))
    for sequence in await owed(desk, peer, most):
        peer.accepts(sequence)
    await owed(desk, peer, min(most, 2 * window - most))


async def test_an_urgent_message_behind_bulk_waits_for_no_answer(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=FAST, window=8))
    peer = desk.peer()
    await desk.take(*jobs("bulk", 30))
    await owed(desk, peer, 7)
    peer.written()
    await desk.take({"id": "now", "priority": "urgent"})
    assert [write.message.id for _, _, write in await desk.written(peer)] == ["now/0"]


async def test_normal_messages_have_the_whole_window(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=FAST, window=8))
    peer = desk.peer()
    await desk.take(*jobs("normal", 30), *jobs("bulk", 30))
    await owed(desk, peer, 8)


@pytest.mark.parametrize("lane", ["urgent", "normal"])
async def test_bulk_goes_on_while_others_always_leave_one_place(
    make_desk: MakeDesk, lane: str
) -> None:
    desk = await make_desk(Terms(rate=FAST, window=8))
    peer = desk.peer()
    await desk.take(*jobs(lane, 7))
    flying = [sequence for sequence, _, _ in await desk.written(peer, 7)]
    await desk.take(*jobs("bulk", 100))
    names: list[str] = []
    for number in range(100):
        await desk.take({"id": f"n{number}", "priority": lane})
        while wrote := peer.written():
            for sequence, _, write in wrote:
                names.append(write.message.id)
                if names[-1].startswith("bulk"):
                    peer.accepts(sequence)
                else:
                    flying.append(sequence)
            await desk.settle()
        peer.accepts(flying.pop(0))
    bulk = sum(name.startswith("bulk") for name in names)
    assert len(names) / 12 <= bulk < len(names) / 2


async def test_when_the_last_urgent_ones_are_long_gone_bulk_leaves_places_all_the_same(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=FAST, window=16))
    peer = desk.peer()
    for number in range(30):
        await desk.take({"id": f"u{number}", "priority": "urgent"})
        [(sequence, _, _)] = await desk.written(peer)
        peer.accepts(sequence)
    await desk.take(*jobs("bulk", 30))
    await owed(desk, peer, 15)


@pytest.mark.parametrize("parts", [7, 8, 9])
async def test_a_bulk_message_of_as_many_parts_as_the_window_goes_out(
    make_desk: MakeDesk, parts: int
) -> None:
    desk = await make_desk(Terms(rate=FAST, window=8))
    peer = desk.peer()
    await desk.take(*jobs("bulk", 3, text="字" * 67 * parts))
    end = peer.now + desk.patience
    while len(peer.wire.sent) < 3 * parts and peer.now < end:
        for sequence, _, _ in await desk.written(peer, most=0.1):
            peer.accepts(sequence)
    assert len(peer.wire.sent) == 3 * parts


async def test_a_bind_that_is_just_coming_back_is_tried_with_bulk(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=FAST, window=8))
    peer = desk.peer()
    peer.link.returns(peer.now, ramping=True)
    await desk.take(*jobs("bulk", 3))
    await owed(desk, peer, 1)


async def test_status_says_that_bulk_waits_for_the_window(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=FAST, window=8))
    peer = desk.peer()
    await desk.take(*jobs("bulk", 8))
    sequences = await owed(desk, peer, 7)
    assert desk.app.status.why("a", peer.now) == "window"
    assert peer.link.why(peer.now) == "window"
    for sequence in sequences:
        peer.accepts(sequence)
    await desk.settle()
    assert desk.app.status.why("a", peer.now) is None
    assert peer.link.why(peer.now) is None


async def test_bulk_of_which_others_were_not_told_leaves_places_too(make_group: MakeGroup) -> None:
    group = make_group(Terms(rate=FAST, window=8))
    member = await group.make()
    await group.assign([0])
    member.outlet.slow = True
    peer = member.peer()
    for number in range(12):
        await group.job(id=f"b{number}", priority="bulk")
    assert len(await answered(group, peer)) == 7
    await group.job(id="now", priority="urgent")
    assert await answered(group, peer) == ["now"]


@pytest.mark.parametrize("parts", [2, 8])
async def test_no_place_is_kept_from_the_rest_of_bulk_messages_that_have_all_others(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    group = make_group(Terms(rate=FAST, window=8))
    member = await group.make()
    await group.assign([0])
    peer = member.peer()
    for number in range(10):
        await group.job(id=f"b{number}", priority="bulk", text="字" * 67 * parts)
    refused: set[tuple[str, int]] = set()
    end = peer.now + member.patience

    def accepted() -> bool:
        return all(group.states(f"b{number}/0") == ["accepted"] for number in range(10))

    while not accepted() and peer.now < end:
        await group.settle()
        for sequence, part, write in peer.written():
            which = (write.message.id, part.number)
            if part.number == part.total and which not in refused:
                refused.add(which)
                peer.refuses(sequence, "9")  # to try again in half a second
            else:
                peer.accepts(sequence)
        await asyncio.sleep(0.01)
    assert accepted()
