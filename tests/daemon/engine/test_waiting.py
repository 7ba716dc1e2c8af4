"""What waits long is parked, and what is stopped ends, wherever it waits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from daemon.changelog import Stop
from daemon.changes import Changes
from daemon.model import State

from .conftest import MakeDesk
from .desk import START, Desk, Peer, Terms

PLACE = ("sms.jobs", 0)


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


async def park(desk: Desk) -> None:
    """What the daemon does every half a second."""
    parking, router = desk.app.parking, desk.app.router
    for queue in router.queues.values():
        if len(queue) and router.unserved(queue, desk.at) >= parking.after:
            await parking._clear(queue, desk.at)
    await desk.settle()


async def everything(desk: Desk, peer: Peer) -> list[str]:
    """What goes out, each answered at once, what the ledger has included."""
    refill = desk.app.refill
    wrote: list[str] = []
    while True:
        found = await desk.next(peer, lambda: not refill._asked.empty())
        for sequence, _, write in found:
            wrote.append(write.message.id)
            peer.accepts(sequence)
        if not found and refill._asked.empty():
            await desk.settle()
            return wrote
        while not refill._asked.empty():
            queue, lane = refill._asked.get_nowait()
            await refill._fill(queue, lane)
            queue.refilling[lane] = False
            desk.pull(peer.account.name)


async def stop(desk: Desk, what: Literal["job", "tenant", "account"], name: str) -> None:
    stopping = desk.app.replica.stopping
    one = Stop(what=what, name=name, at=desk.at)
    c = Changes()
    stopping.note(one, c)
    desk.app.engine.keeping.commit(c)
    await stopping.carry_out(one)
    await desk.settle()


async def test_what_waits_a_minute_for_an_account_leaves_memory_and_holds_no_offset(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    await desk.take({"id": "j"}, {"id": "k"})
    await desk.pass_(59.0)
    await park(desk)
    assert len(desk.app.engine.open) == 2
    assert desk.app.offsets.moved() == {}
    await desk.pass_(2.0)
    await park(desk)
    assert desk.app.engine.open == {}
    assert [desk.row(f"{name}/0")["state"] for name in "jk"] == [State.PARKED] * 2
    assert desk.app.offsets.moved() == {PLACE: 2}
    assert await everything(desk, desk.peer()) == ["j/0", "k/0"]
    assert (desk.states("j/0"), desk.states("k/0")) == (["accepted"], ["accepted"])


async def test_what_is_parked_survives_a_crash_and_goes_out_once(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    await desk.take({"id": "j"})
    await desk.pass_(61.0)
    await park(desk)
    fresh = await make_desk(after=desk)
    assert fresh.told == []
    assert await everything(fresh, fresh.peer()) == ["j/0"]
    assert fresh.states("j/0") == ["accepted"]


async def test_what_may_not_go_for_more_than_a_minute_holds_no_offset_and_goes_in_its_time(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "far", "not_before": moment(120.0)})
    assert desk.app.offsets.moved() == {PLACE: 1}
    await desk.take({"id": "near", "not_before": moment(30.0)})
    assert desk.app.offsets.moved() == {}
    assert await everything(desk, peer) == []
    await desk.pass_(31.0)
    assert await everything(desk, peer) == ["near/0"]
    assert desk.app.offsets.moved() == {PLACE: 2}
    await desk.pass_(90.0)
    assert await everything(desk, peer) == ["far/0"]


async def test_a_message_whose_account_can_be_used_is_never_parked(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=1))
    desk.peer()
    await desk.take(*({"id": f"j{n}"} for n in range(5)))
    await desk.pass_(3600.0)
    await park(desk)
    assert len(desk.app.engine.open) == 5


async def test_what_is_parked_still_expires(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    await desk.take({"id": "j", "expires_at": moment(90.0)})
    await desk.pass_(61.0)
    await park(desk)
    assert desk.states("j/0") == []
    await desk.pass_(30.0)
    assert [(e["state"], e["code"]) for e in desk.of("j/0")] == [("expired", "LOCAL:QUEUE_EXPIRED")]
    assert await everything(desk, desk.peer()) == []


async def test_a_stop_ends_what_waits_in_memory_parked_and_held_and_leaves_what_was_written(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(name="a"), Terms(name="slow", rate=1), Terms(name="down"))
    peer, slow = desk.peer("a"), desk.peer("slow")
    mine: dict[str, Any] = {"tenant": "shop"}
    await desk.take({"id": "written", **mine})
    [(sequence, _, _)] = await desk.written(peer)
    await desk.take({"id": "parked", "account": "down", **mine})
    await desk.pass_(61.0)
    await park(desk)
    await desk.take(*({"id": name, "account": "slow", **mine} for name in ("claimed", "waits")))
    assert (slow.link.reserved, desk.app.router.waiting("slow")) == (1, 1)
    await desk.take({"id": "held", "not_before": moment(500.0), **mine})
    await desk.take({"id": "other", "account": "down"})
    assert desk.row("parked/0")["state"] == State.PARKED
    await stop(desk, "tenant", "shop")
    for name in ("parked", "claimed", "waits", "held"):
        ends = [(e["state"], e["code"]) for e in desk.of(f"{name}/0")]
        assert ends == [("rejected", "LOCAL:STOPPED")], name
    assert desk.states("other/0") == []
    peer.accepts(sequence)
    await desk.settle()
    assert desk.states("written/0") == ["accepted"]
    assert await everything(desk, desk.peer("down")) == ["other/0"]
    assert not await desk.written(slow, most=1.2)
    assert slow.link.reserved == 0


async def test_a_stop_reaches_jobs_that_are_taken_after_it_and_not_those_produced_after_it(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    await stop(desk, "tenant", "shop")
    # The desk's records were produced a second before they are taken.
    await desk.take({"id": "before", "tenant": "shop"})
    assert [(e["state"], e["code"]) for e in desk.told] == [("rejected", "LOCAL:STOPPED")]
    fresh = await make_desk(after=desk)
    fresh.app.replica.stopping.restore()
    await fresh.take({"id": "still", "tenant": "shop"})
    assert fresh.states("still/0") == ["rejected"], "a restart forgets no stop"
    fresh.at += 5.0
    await fresh.take({"id": "after", "tenant": "shop"})
    assert await everything(fresh, fresh.peer()) == ["after/0"]
