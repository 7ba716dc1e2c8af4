"""The plain way of a message through the engine."""

from __future__ import annotations

from .conftest import MakeDesk
from .desk import Terms

TO = "13912345678"


async def test_a_message_is_written_accepted_and_delivered(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, part, _)] = await desk.written(peer)
    assert part.to == TO
    key = peer.accepts(sequence)
    await desk.settle()
    peer.reports(key, to=TO)
    await desk.settle()
    assert desk.states("j/0") == ["accepted", "delivered"]
    assert desk.row("j/0")["final"] == 1
    assert desk.app.offsets.moved() == {("sms.jobs", 0): 1}
    assert not desk.app.ledger.claims()


async def test_a_message_in_doubt_is_written_once_more_after_its_hold(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=100))
    peer = desk.peer()
    await desk.take({"id": "j"})
    await desk.written(peer)
    peer.silence()
    await desk.pass_(9.0)
    assert desk.states("j/0") == ["uncertain"]
    assert not await desk.written(peer, most=0.05), "its hold is not over"
    await desk.pass_(2.0)
    [(sequence, _, write)] = await desk.written(peer)
    assert write.attempt == 2
    peer.accepts(sequence)
    await desk.settle()
    assert desk.states("j/0") == ["uncertain", "accepted"]
    assert desk.of("j/0")[-1]["attempts"] == 2
