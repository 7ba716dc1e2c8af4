"""Links and accounts that go away, with messages at every stage."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from protocols.events import Fate, Reported

from .conftest import MakeDesk
from .desk import START, Terms

TO = "13912345678"
LONG = "字" * 130  # two parts
AB = (Terms(name="a"), Terms(name="b"))


async def test_a_message_follows_its_route_until_its_first_part_is_written(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(name="a", rate=0.05), Terms(name="b"))
    first = desk.peer("a")
    await desk.take({"id": "j"})
    assert first.link.reserved == 1
    first.lost()
    assert desk.app.router.waiting("a") == 1
    second = desk.peer("b")
    [(sequence, _, _)] = await desk.written(second)
    second.accepts(sequence)
    await desk.settle()
    assert [(e["state"], e["account"], e["attempts"]) for e in desk.told] == [("accepted", "b", 1)]


async def test_a_claim_that_becomes_durable_after_its_link_broke_writes_nothing_there(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(*AB)
    first = desk.peer("a")
    await asyncio.sleep(0.02)
    async with desk.slow_disk():
        taking = asyncio.create_task(desk.take({"id": "j"}))
        await desk.until(lambda: first.link.reserved == 1)
        first.lost()
    await taking
    assert first.link.reserved == 0
    assert not first.written()
    second = desk.peer("b")
    assert len(await desk.written(second)) == 1
    message = next(iter(desk.app.engine.open.values()))
    assert message.out == 1
    assert message.account == "b"


async def test_a_message_of_which_a_part_was_written_stays_with_its_account(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(*AB)
    first = desk.peer("a")
    await desk.take({"id": "j", "text": LONG})
    wrote = await desk.written(first, 2)
    first.lost()
    other = desk.peer("b")
    await desk.settle()
    assert desk.states("j/0") == ["uncertain"]
    await desk.pass_(11.0)
    assert not await desk.written(other, most=0.1)
    again = desk.peer("a")
    found = await desk.written(again, 2)
    assert [part.number for _, part, _ in found] == [1, 2]
    assert {part.reference for _, part, _ in found} == {part.reference for _, part, _ in wrote}
    for sequence, _, _ in found:
        again.accepts(sequence)
    await desk.settle()
    assert desk.states("j/0") == ["uncertain", "accepted"]


async def test_only_the_part_without_an_answer_goes_once_more(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    first = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    one, _ = await desk.written(first, 2)
    first.accepts(one[0])
    first.lost()
    other = desk.peer()
    await desk.pass_(11.0)
    [(sequence, part, write)] = await desk.written(other)
    assert (part.number, write.attempt) == (2, 2)
    other.accepts(sequence)
    await desk.settle()
    [event] = [e for e in desk.told if e["state"] == "accepted"]
    assert event["attempts"] == 2
    assert len(event["carrier_ids"]) == 2


async def test_after_two_attempts_without_an_answer_it_ends_without_a_third(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    for _ in range(2):
        peer = desk.peer()
        if not desk.told:
            await desk.take({"id": "j"})
        assert await desk.written(peer)
        peer.lost()
        await desk.pass_(11.0)
    peer = desk.peer()
    await desk.pass_(11.0)
    assert not await desk.written(peer, most=0.1)
    await desk.pass_(259_200.0)
    assert [(e["state"], e["attempts"], e["code"]) for e in desk.of("j/0")] == [
        ("uncertain", 1, None),
        ("uncertain", 2, None),
        ("expired", 2, "LOCAL:NO_RESP"),
    ]


async def test_under_wait_nothing_is_sent_again(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "on_uncertain": "wait"})
    await desk.written(peer)
    peer.lost()
    other = desk.peer()
    await desk.pass_(259_100.0)
    assert not await desk.written(other, most=0.1)
    await desk.pass_(101.0)
    assert [(e["state"], e["code"]) for e in desk.of("j/0")][-1] == ("expired", "LOCAL:NO_RESP")


async def test_without_reports_there_is_nothing_to_hold_for(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "report": False})
    await desk.written(peer)
    peer.lost()
    other = desk.peer()
    await desk.pass_(0.01)
    [(sequence, _, _)] = await desk.written(other)
    other.accepts(sequence)
    await desk.settle()
    assert [(e["state"], e["final"]) for e in desk.told] == [
        ("uncertain", False),
        ("accepted", True),
    ]


async def test_what_is_in_doubt_is_not_resent_past_its_expiry(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    expires = datetime.fromtimestamp(START + 5.0, UTC).isoformat()
    await desk.take({"id": "j", "expires_at": expires})
    await desk.written(peer)
    peer.lost()
    other = desk.peer()
    await desk.pass_(11.0)
    assert not await desk.written(other, most=0.1)
    await desk.pass_(259_200.0)
    assert desk.states("j/0") == ["uncertain", "expired"]


@pytest.mark.parametrize(("jobs", "matched"), [(1, True), (2, False)])
async def test_an_unmatched_report_stands_for_the_only_part_in_doubt(
    make_desk: MakeDesk, jobs: int, matched: bool
) -> None:
    desk = await make_desk(then="wait")
    peer = desk.peer()
    await desk.take(*({"id": f"j{n}"} for n in range(jobs)))
    found = await desk.written(peer)
    while len(found) < jobs:
        found += await desk.written(peer)
    peer.lost()
    other = desk.peer()
    other.says(Reported((b"\7" * 8,), 1, Fate.DELIVERED, "DELIVRD", TO, object()))
    await desk.settle()
    for seconds in (1.5, 1.0):
        desk.at += seconds
        desk.app.engine.reports.tick(desk.at)
        await desk.settle()
        assert (desk.states("j0/0")[-1] == "delivered") == (matched and desk.at >= START + 2.0)


async def test_after_a_crash_only_what_was_claimed_is_in_doubt(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=50, window=2))
    peer = desk.peer()
    await desk.take(*({"id": f"j{n}"} for n in range(20)))
    wrote = await desk.written(peer)
    while len(wrote) < 2:
        wrote += await desk.written(peer)
    peer.accepts(wrote[0][0])
    await desk.settle()
    out = len(wrote) - 1 + len(peer.written()) + peer.link.reserved
    fresh = await make_desk(after=desk)
    assert len(fresh.told) == out
    assert {event["state"] for event in fresh.told} == {"uncertain"}
    assert fresh.app.router.waiting("a") == 20 - 1 - out


async def test_what_waits_to_be_resent_and_never_is_does_not_count_as_resent(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    expires = datetime.fromtimestamp(START + 30.0, UTC).isoformat()
    await desk.take({"id": "j", "expires_at": expires}, {"id": "k"})
    await desk.written(peer)
    peer.lost()
    await desk.pass_(11.0)
    assert desk.app.tally.resents == {}, "both wait for a bind"
    await desk.pass_(30.0)
    other = desk.peer()
    [(sequence, _, write)] = await desk.written(other)
    assert write.message.id == "k/0"
    assert desk.app.tally.resents == {"a": 1}
    other.refuses(sequence, "8", throttled=True)
    assert await desk.written(other), "the same attempt"
    assert desk.app.tally.resents == {"a": 1}
