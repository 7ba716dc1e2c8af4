"""Parts in doubt: late answers, broken links, claims, and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from daemon import account as accounts
from daemon.ledger import Entries
from protocols.events import Accepted, Rejected

from .conftest import MakeDesk
from .desk import Desk, Peer, Terms

LONG = "字" * 130  # two parts


@pytest.mark.parametrize("then", ["resend", "wait"])
async def test_a_late_refusal_of_the_only_attempt_rejects_the_message(
    make_desk: MakeDesk, then: str
) -> None:
    desk = await make_desk(then=then)
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(_, _, write)] = await desk.written(peer)
    peer.silence()
    peer.says(Rejected(write, 13, "13", False))
    await desk.settle()
    assert desk.states("j/0") == ["uncertain", "rejected"]
    await desk.pass_(300_000.0)
    assert not await desk.written(peer, most=0.05)


@pytest.mark.parametrize("then", ["resend", "wait"])
async def test_what_was_throttled_late_is_sent_again(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(then=then)
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(_, _, write)] = await desk.written(peer)
    peer.silence()
    peer.says(Rejected(write, 8, "8", True))
    [(sequence, _, second)] = await desk.written(peer)
    assert second.attempt == 1
    peer.accepts(sequence)
    await desk.settle()
    assert desk.states("j/0")[-1] == "accepted"


async def test_a_part_answered_late_while_it_waits_at_a_link_is_not_sent_when_that_breaks(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=2))
    peer = desk.peer()
    await desk.take({"id": "j", "report": False})
    [(_, _, write)] = await desk.written(peer)
    peer.silence()
    await desk.pass_(0.1)
    # Claimed again; the pace does not let it out yet.
    assert peer.link.reserved == 1
    peer.says(Accepted(write, b"\0" * 7 + b"\1"))
    peer.lost()
    other = desk.peer()
    assert not await desk.written(other, most=1.2)
    assert desk.states("j/0") == ["uncertain", "accepted"]


async def accepted_late(desk: Desk) -> Peer:
    """The peer takes j/0, written once and claimed again; the pace does not let it out yet."""
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(_, _, write)] = await desk.written(peer)
    peer.silence()
    await desk.pass_(11.0)
    assert peer.link.reserved == 1
    peer.says(Accepted(write, b"\0" * 7 + b"\1"))
    return peer


async def test_an_accepted_part_that_waits_at_a_link_is_not_sent_again_when_that_breaks(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=2))
    peer = await accepted_late(desk)
    peer.lost()
    other = desk.peer()
    assert not await desk.written(other, most=1.2)
    assert desk.states("j/0") == ["uncertain", "accepted"]


async def test_a_part_answered_late_while_it_waits_for_the_pace_is_passed_over(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=2))
    peer = await accepted_late(desk)
    await desk.take({"id": "k"})
    [(_, _, next_)] = await desk.written(peer)
    assert next_.message.id == "k/0"
    assert desk.states("j/0") == ["uncertain", "accepted"]
    assert peer.link.reserved == 0


async def test_what_a_lost_link_gave_back_unwritten_is_not_in_doubt_after_a_clean_stop(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=0.05))
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    assert peer.link.reserved == 2
    peer.lost()
    await desk.settle()
    desk.app.handover.unload()
    await desk.settle()
    fresh = await make_desk(after=desk)
    assert fresh.told == []
    assert fresh.row("j/0")["state"] == 0


async def test_a_throttled_part_is_not_in_doubt_after_a_crash(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    # Claimed together, for they come together.
    await desk.take({"id": "j"}, {"id": "k"})
    wrote = await desk.written(peer)
    while len(wrote) < 2:
        wrote += await desk.written(peer)
    peer.refuses(wrote[0][0], "8", throttled=True)
    await desk.settle()
    fresh = await make_desk(after=desk)
    assert [event["job"] for event in fresh.told] == ["k"]


async def test_a_part_in_doubt_before_the_crash_is_still_sent_once_more_after_it(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    _first, second = await desk.written(peer, 2)
    # Only the first is out of time so far.
    later = peer.now + 5.0
    peer.wire._window[second[0]] = (later + 5.0, second[2])
    peer.wire._answered_at = later
    peer.says(*peer.wire.tick(later + 0.1))
    await desk.settle()
    fresh = await make_desk(after=desk)
    other = fresh.peer()
    await fresh.pass_(11.0)
    assert [part.number for _, part, _ in await fresh.written(other, 2)] == [1, 2]


async def test_under_wait_a_part_never_written_still_goes_out_after_a_restart(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(then="wait")
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    _first, second = await desk.written(peer, 2)
    peer.refuses(second[0], "8", throttled=True)
    peer.silence()
    await desk.settle()
    assert desk.states("j/0") == ["uncertain"]
    fresh = await make_desk(after=desk)
    other = fresh.peer()
    await fresh.pass_(11.0)
    assert [part.number for _, part, _ in await fresh.written(other)] == [2]


async def test_the_claim_holds_while_another_part_of_the_message_is_on_the_wire(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=4))
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    wrote = await desk.written(peer)
    while len(wrote) < 2:
        wrote += await desk.written(peer)
    peer.silence()
    await desk.pass_(11.0)
    again = await desk.written(peer)
    assert again[0][1].number == 1
    assert peer.link.reserved == 1
    # The second part's first attempt is answered after all, so it stays here.
    peer.says(Accepted(wrote[1][2], b"\0" * 7 + b"\2"))
    while peer.link.reserved:
        await asyncio.sleep(0.02)
        desk.pull()
    await desk.take({"id": "k", "to": "1"})  # whatever writes next
    assert not peer.written()
    fresh = await make_desk(after=desk)
    # The first part may be at the gateway twice.
    assert [(e["state"], e["attempts"]) for e in fresh.of("j/0")] == [("uncertain", 2)]
    other = fresh.peer()
    await fresh.pass_(11.0)
    assert not await fresh.written(other, most=0.3)


async def test_a_part_that_came_into_doubt_after_the_hold_of_another_is_resent_too(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=2))
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    wrote = await desk.written(peer)
    while len(wrote) < 2:
        wrote += await desk.written(peer)
    _first, second = wrote
    later = peer.now + 5.0
    peer.wire._window[second[0]] = (later + 5.0, second[2])
    peer.wire._answered_at = later
    peer.says(*peer.wire.tick(later + 0.1))
    await desk.pass_(11.0)
    # The first waits its turn; the second's answer does not come either.
    peer.silence(12.0)
    numbers = []
    for _ in range(4):
        await desk.pass_(11.0)
        for sequence, part, _ in await desk.written(peer, most=1.0):
            numbers.append(part.number)
            peer.accepts(sequence)
    assert sorted(numbers) == [1, 2]
    assert desk.states("j/0")[-1] == "accepted"


@pytest.mark.interpreted
async def test_what_is_claimed_once_more_is_on_the_disk_as_resent_before_its_claim(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    await desk.written(peer)
    peer.silence()
    await desk.settle()
    puts: list[str] = []
    put = desk.app.ledger.put

    def noted(entries: Entries, then: Callable[[], None] | None = None) -> None:
        puts.extend("row" for _ in entries.messages)
        puts.extend("claim" for _ in entries.claims)
        put(entries, then)

    monkeypatch.setattr(desk.app.ledger, "put", noted)
    await desk.pass_(11.0)
    assert await desk.written(peer)
    # The other way round a crash between the two would take the second attempt for the first.
    assert puts[:2] == ["row", "claim"]


async def test_the_hold_runs_from_the_uncertain_event(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    _first, second = await desk.written(peer, 2)
    later = peer.now + 5.0
    peer.wire._window[second[0]] = (later + 5.0, second[2])
    peer.wire._answered_at = later
    peer.says(*peer.wire.tick(later + 0.1))
    await desk.pass_(4.0)
    peer.silence(12.0)
    await desk.pass_(6.5)
    assert [part.number for _, part, _ in await desk.written(peer, 2)] == [1, 2]
    assert desk.states("j/0") == ["uncertain"]
