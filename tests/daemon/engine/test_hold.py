"""What ends the doubt about a part before its hold is over, and what only seems to."""

from __future__ import annotations

from protocols.events import Accepted

from .conftest import MakeDesk
from .desk import Desk, Peer, Terms

LONG = "字" * 130  # two parts
KEY = b"\0" * 7 + b"\1"


async def doubted(desk: Desk, peer: Peer, **job: object) -> None:
    await desk.take({"id": "j", **job})
    assert await desk.written(peer)
    peer.silence()
    await desk.settle()
    assert desk.states("j/0") == ["uncertain"]


async def test_a_late_answer_within_the_hold_saves_the_resend(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(_, _, write)] = await desk.written(peer)
    peer.silence()
    await desk.pass_(9.0)
    peer.says(Accepted(write, KEY))
    await desk.pass_(11.0)
    assert not await desk.written(peer, most=0.05)
    assert desk.states("j/0") == ["uncertain", "accepted"]
    assert desk.of("j/0")[-1]["attempts"] == 1


async def test_after_a_restart_the_hold_runs_from_there(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    await doubted(desk, desk.peer())
    desk.at += 9.0
    fresh = await make_desk(after=desk)
    peer = fresh.peer()
    await fresh.pass_(9.0)
    assert not await fresh.written(peer, most=0.05)
    await fresh.pass_(2.0)
    assert await fresh.written(peer)


async def test_after_a_restart_the_same_parts_go_once_more(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await doubted(desk, peer, text=LONG)
    before = [part for _, part, _ in peer.wire.sent]
    fresh = await make_desk(after=desk)
    other = fresh.peer()
    await fresh.pass_(11.0)
    again = await fresh.written(other, 2)
    assert [write.attempt for _, _, write in again] == [2, 2]
    assert [part for _, part, _ in again] == before


async def test_a_report_that_came_before_its_answer_survives_a_crash(make_desk: MakeDesk) -> None:
    desk = await make_desk(then="wait")
    peer = desk.peer()
    await desk.take({"id": "j"})
    assert await desk.written(peer)
    peer.reports(KEY, to="13912345678")
    await desk.settle()
    fresh = await make_desk(after=desk)
    assert fresh.states("j/0") == ["uncertain"]
    fresh.app.engine.reports.tick(fresh.at + 2.0)
    await fresh.settle()
    assert fresh.states("j/0") == ["uncertain", "delivered"]


async def test_what_a_crash_left_in_doubt_is_held_from_the_restart(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    assert await desk.written(peer)
    desk.at += 60.0
    fresh = await make_desk(after=desk)
    other = fresh.peer()
    assert fresh.states("j/0") == ["uncertain"]
    await fresh.pass_(9.0)
    assert not await fresh.written(other, most=0.05)
    await fresh.pass_(2.0)
    assert await fresh.written(other)


async def test_a_part_that_never_left_stays_with_the_account_that_wrote_another(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(name="a", rate=4), Terms(name="b"))
    first = desk.peer("a")
    await desk.take({"id": "j", "text": LONG})
    [(_, part, _)] = await desk.written(first)
    assert (part.number, first.link.reserved) == (1, 1)
    first.lost()
    other = desk.peer("b")
    assert not await desk.written(other, most=0.1)
    again = desk.peer("a")
    [(_, second, _)] = await desk.written(again)
    assert (second.number, second.reference) == (2, part.reference)
