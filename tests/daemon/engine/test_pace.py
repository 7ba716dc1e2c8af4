"""Rate, window and lanes between them: nothing waits for more than it has to."""

from __future__ import annotations

import asyncio

import pytest

from daemon import account as accounts
from daemon import dealing

from .conftest import MakeDesk
from .desk import Desk, Peer, Terms

LONG = "字" * 200  # three parts


async def run(
    desk: Desk, peer: Peer, seconds: float, round_trip: float = 0.0
) -> list[tuple[float, str]]:
    """What is written in so many seconds, each part answered after `round_trip`."""
    began, wrote, owed = peer.now, [], []
    while peer.now < began + seconds:
        await desk.settle()
        for sequence, _, write in peer.written():
            wrote.append((peer.now - began, write.message.id.partition("/")[0]))
            owed.append((peer.now + round_trip, sequence))
        while owed and owed[0][0] <= peer.now:
            peer.accepts(owed.pop(0)[1])
        await asyncio.sleep(0.002)
    return wrote


async def test_long_messages_use_the_rate_though_answers_take_their_time(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=20))
    peer = desk.peer()
    await desk.take(*({"id": f"j{n}", "text": LONG} for n in range(30)))
    wrote = await run(desk, peer, 2.5, round_trip=0.5)
    # 50 parts may go, the window of 16 would let 80: at least four fifths of that.
    assert len(wrote) >= 40


async def test_long_bulk_messages_get_their_share_beside_short_normal_ones(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=200))
    peer = desk.peer()
    await desk.take(*({"id": f"n{n}"} for n in range(450)))
    await desk.take(*({"id": f"b{n}", "text": LONG, "priority": "bulk"} for n in range(50)))
    wrote = await run(desk, peer, 1.5, round_trip=0.05)
    bulk = sum(name.startswith("b") for _, name in wrote)
    assert bulk >= len(wrote) / 12


async def test_an_urgent_message_goes_before_parts_that_are_claimed_and_not_written(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=10))
    peer = desk.peer()
    await desk.take({"id": "slow", "text": "字" * 500})
    await desk.written(peer)
    await desk.take({"id": "now", "priority": "urgent"})
    peer.written()  # while it came
    wrote = await run(desk, peer, 0.45)
    assert "now" in [name for _, name in wrote[:2]]


async def test_a_pace_timer_that_is_due_is_not_put_off_by_a_later_one(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 30.0)
    desk = await make_desk(Terms(rate=20))
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    peer.refuses(sequence, "8", throttled=True)
    await desk.take({"id": "k"}, {"id": "l"})
    account = desk.app.accounts["a"]
    # A turn of the loop that took long: when it looks at the pace, the next moment has passed.
    account.pull(peer.now - 0.06)
    await desk.settle()
    account.pull(peer.now - 0.06)
    found = await desk.written(peer, most=1.0)
    assert found


async def test_an_urgent_message_goes_before_claimed_parts_that_fill_the_window(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=10, window=8))
    peer = desk.peer()
    await desk.take({"id": "slow", "text": "字" * 500})
    await desk.written(peer)
    await desk.take({"id": "now", "priority": "urgent"})
    peer.written()  # while it came
    wrote = await run(desk, peer, 0.45)
    assert "now" in [name for _, name in wrote[:2]]


async def test_a_message_whose_parts_were_throttled_one_by_one_waits_once(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(Terms(rate=20))
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    wrote = await desk.written(peer)
    while len(wrote) < 3:
        wrote += await desk.written(peer)
    for sequence, _, _ in wrote:
        peer.refuses(sequence, "8", throttled=True)
    account = desk.app.accounts["a"]
    waiting = account.own_waiting
    assert len(await run(desk, peer, 0.6)) == 3
    assert desk.states("j/0") == ["accepted"]
    assert not account.has_waiting()
    assert account.own_waiting == 0
    assert waiting <= 1


async def test_short_bulk_messages_get_their_share_beside_long_normal_ones(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=200, window=50))
    peer = desk.peer()
    await desk.take(*({"id": f"b{n}", "priority": "bulk"} for n in range(100)))
    await desk.take(*({"id": f"n{n}", "text": "字" * 600} for n in range(50)))
    wrote = await run(desk, peer, 1.5, round_trip=0.02)
    names = [name for at, name in wrote if at > 0.3]
    bulk = sum(name.startswith("b") for name in names)
    assert len(names) >= 200
    # Nine parts each: of the messages one in ten is one part in eighty.
    assert len(names) / 12 <= bulk <= len(names) / 5


async def test_an_urgent_message_goes_before_the_one_that_is_claimed_in_a_window_of_one(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=4, window=1))
    peer = desk.peer()
    await desk.take({"id": "first"}, {"id": "second"}, {"id": "third"})
    [(sequence, _, _)] = await desk.written(peer)
    peer.accepts(sequence)
    await desk.settle()
    assert peer.link.reserved == 1, "the second waits for the pace"
    await desk.take({"id": "now", "priority": "urgent"})
    wrote = await run(desk, peer, 1.2)
    assert [name for _, name in wrote] == ["now", "second", "third"]


@pytest.mark.parametrize("text", ["now", LONG], ids=["short", "long"])
async def test_an_urgent_message_goes_before_the_rest_of_one_that_is_longer_than_the_window(
    make_desk: MakeDesk, text: str
) -> None:
    desk = await make_desk(Terms(rate=20, window=4))
    peer = desk.peer()
    await desk.take({"id": "slow", "text": "字" * 600})
    owed = await desk.written(peer)
    before = len(owed)
    await desk.take({"id": "now", "priority": "urgent", "text": text})
    owed += peer.written()
    for sequence, _, _ in owed:
        peer.accepts(sequence)
    names = [write.message.id.partition("/")[0] for _, _, write in owed]
    names += [name for _, name in await run(desk, peer, 1.2)]
    assert names.index("now") <= before + 1, "one may have been written while it came"
    assert names.count("slow") == 9
    parts = names.count("now")
    assert names[names.index("now") :][:parts] == ["now"] * parts
    assert desk.states("slow/0") == desk.states("now/0") == ["accepted"]


async def test_a_long_urgent_message_goes_before_the_rest_of_one_that_is_claimed(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=4, window=4))
    peer = desk.peer()
    await desk.take({"id": "slow", "text": LONG})
    [(sequence, _, _)] = await desk.written(peer)
    await desk.take({"id": "now", "priority": "urgent", "text": LONG})
    peer.accepts(sequence)
    wrote = await run(desk, peer, 1.5)
    assert [name for _, name in wrote] == ["now"] * 3 + ["slow"] * 2


async def test_what_gave_way_has_its_turn_before_bulk_of_another_route(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "CLAIM_AHEAD", 60.0)
    desk = await make_desk(Terms(rate=4, window=4))
    peer = desk.peer()
    await desk.take({"id": "slow", "text": LONG, "account": "a"})
    [(sequence, _, _)] = await desk.written(peer)
    peer.accepts(sequence)
    urgent = {"id": "now", "priority": "urgent", "text": LONG}
    await desk.take(urgent, {"id": "b", "priority": "bulk"})
    [waits] = [m for m in desk.app.engine.open.values() if m.id == "b/0"]
    assert not waits.out, "the last place is none for two parts, and not for bulk before them"
    assert peer.link.reserved_urgent >= 2, "it went before"


async def test_what_gave_way_of_a_message_goes_over_the_bind_that_had_its_first_part(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=10, window=4))
    peers = [desk.peer(), desk.peer()]
    await desk.take({"id": "slow", "text": "字" * 600})
    await desk.until(lambda: any(peer.wire.sent for peer in peers))
    for number in range(4):
        for peer in peers:
            for sequence, _, _ in peer.written():
                peer.accepts(sequence)
        await desk.take({"id": f"now{number}", "priority": "urgent"})
    await asyncio.gather(*(run(desk, peer, 1.4) for peer in peers))
    binds = {
        number
        for number, peer in enumerate(peers)
        for _, _, write in peer.wire.sent
        if write.message.id == "slow/0"
    }
    assert desk.states("slow/0") == ["accepted"]
    assert len(binds) == 1


@pytest.mark.parametrize("why", ["throttled", "full"])
async def test_nothing_gives_way_on_a_bind_that_takes_nothing_new(
    make_desk: MakeDesk, why: str
) -> None:
    desk = await make_desk(Terms(rate=1, window=2))
    peer = desk.peer()
    await desk.take({"id": "first"}, {"id": "second"})
    await desk.written(peer)
    assert peer.link.reserved == 1, "the second waits for the pace"
    if why == "throttled":
        peer.link.paused_until = peer.now + 60.0
    else:
        peer.link.pause_writing()
    await desk.take({"id": "now", "priority": "urgent"})
    out = {m.id: m.out for m in desk.app.engine.open.values()}
    assert out == {"first/0": 1, "second/0": 1, "now/0": 0}


@pytest.mark.parametrize("text", [LONG, "字" * 600], ids=["three", "nine"])
async def test_a_long_message_goes_out_beside_a_stream_of_urgent_ones(
    make_desk: MakeDesk, text: str
) -> None:
    """Of which two are always unanswered, so that there is never room for three parts."""
    desk = await make_desk(Terms(window=4, extra="answer_within = 1.0"))
    peer = desk.peer()
    names: list[str] = []
    owed: list[int] = []
    urgent = 0
    end = peer.now + desk.patience
    while names.count("next") == 0 and peer.now < end:
        await desk.take({"id": f"u{urgent}", "priority": "urgent"})
        urgent += 1
        if urgent == 3:
            await desk.take({"id": "slow", "text": text}, {"id": "next"})
        for sequence, _, write in peer.written():
            names.append(write.message.id.partition("/")[0])
            owed.append(sequence)
        while len(owed) > 2:
            peer.accepts(owed.pop(0))
        await asyncio.sleep(0.002)
    assert names.count("slow") == len(text) // 67 + 1
    assert names.count("next") == 1


async def test_a_long_message_does_not_profit_from_what_one_before_it_has_waited(
    make_desk: MakeDesk,
) -> None:
    """That went over the other bind.  No more than the window is in doubt after a crash."""
    desk = await make_desk(Terms(window=4, extra="answer_within = 0.5"))
    peers = [desk.peer(), desk.peer()]

    async def single(name: str) -> None:
        before = sum(len(peer.wire.sent) for peer in peers)
        await desk.take({"id": name})
        await desk.until(lambda: sum(len(peer.wire.sent) for peer in peers) > before)

    async def unanswered(*most: int) -> None:
        """So many short messages."""
        for number in range(100):
            for peer, count in zip(peers, most, strict=True):
                for sequence in list(peer.wire._window)[count:]:
                    peer.accepts(sequence)
            if [peer.wire.unanswered for peer in peers] == list(most):
                break
            await single(f"{most[1]}-{number}")

    await unanswered(2, 2)
    await desk.take({"id": "before", "text": LONG})
    peers[0].accepts(next(iter(peers[0].wire._window)))
    await desk.until(lambda: peers[0].wire.unanswered == 4)
    await unanswered(0, 0)
    await asyncio.sleep(0.5)
    await unanswered(2, 3)
    await desk.take({"id": "long", "text": LONG})
    assert [peer.wire.unanswered + peer.link.reserved for peer in peers] == [2, 3]
