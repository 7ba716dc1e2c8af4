"""The plain way of a message through the engine."""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType

import pytest

from daemon.ledger import Entries
from daemon.link import ENOUGH
from protocols.events import Accepted, Event, Fate, Rejected, Reported

from .conftest import MakeDesk
from .desk import Peer, Terms

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


@pytest.mark.parametrize(("before", "pauses"), [(ENOUGH - 1, 4), (ENOUGH, 1)])
async def test_answers_of_one_read_are_taken_in_their_order_and_counted_one_by_one(
    make_desk: MakeDesk, before: int, pauses: int
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take(*[{"id": f"j{n}"} for n in range(before + 3)])
    tags = [peer.wire.answers(n, peer.now) for n, _, _ in await desk.written(peer, before + 3)]
    answers = [Accepted(tag, next(Peer.ids).to_bytes(8)) for tag in tags]
    events: list[Event] = [*answers[:before], Rejected(tags[before], 8, "8", True)]
    report = Reported((answers[0].carrier_id,), 1, Fate.DELIVERED, "DELIVRD", TO, object())
    peer.link.pauses = 3
    peer.says(*events, answers[-1], report, answers[-2])
    await desk.settle()
    assert peer.link.pauses == pauses, "what was answered behind the no counts before it"
    tally = desk.app.tally
    counts = {outcome: tally.submits["a", "n1", outcome] for outcome in ("ok", "throttled")}
    assert counts == {"ok": before + 2, "throttled": 1}
    assert tally.answer["a", "n1"].count == before + 3
    assert tally.queue["a"].count == tally.age["sms.jobs"].count == before + 3
    states = [desk.states(f"j{n}/0") for n in range(before + 3)]
    assert states == [["delivered"], *[["accepted"]] * (before - 1), [], *[["accepted"]] * 2]


@pytest.mark.interpreted
async def test_rows_hold_only_what_sqlite_takes_without_looking_for_an_adapter(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await make_desk()
    put = desk.app.ledger.put
    kinds: set[type] = set()

    def watched(entries: Entries, then: Callable[[], None] | None = None) -> None:
        for rows in (entries.jobs, entries.messages, entries.carrier_ids, entries.claims):
            kinds.update(type(value) for row in rows for value in row)
        put(entries, then)

    monkeypatch.setattr(desk.app.ledger, "put", watched)
    peer = desk.peer()
    await desk.take({"id": "j", "priority": "urgent"}, {"id": "refused", "to": "12"})
    [(sequence, _, _)] = await desk.written(peer)
    peer.reports(peer.accepts(sequence), to=TO)
    await desk.settle()
    assert desk.states("j/0")[-1] == "delivered"
    assert kinds == {int, float, str, bytes, NoneType}
