"""Reports that come twice, early, late, or under another spelling."""

from __future__ import annotations

import asyncio

import pytest

from daemon import correlate, queues
from daemon.changelog import Orphan
from protocols import ids
from protocols.events import Accepted, Fate, Reported

from .conftest import MakeDesk
from .desk import Desk, Peer, Terms

TO = "13912345678"
LONG = "字" * 130  # two parts


async def accepted(desk: Desk, peer: Peer, **job: object) -> list[bytes]:
    await desk.take({"id": "j", **job})
    keys = [peer.accepts(sequence) for sequence, _, _ in await desk.written(peer)]
    await desk.settle()
    return keys


async def test_a_report_given_twice_in_one_read_gives_one_final_event(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    [key] = await accepted(desk, peer)
    async with desk.slow_disk():
        peer.says(
            Reported((key,), 1, Fate.DELIVERED, "DELIVRD", TO, object()),
            Reported((key,), 1, Fate.DELIVERED, "DELIVRD", TO, object()),
        )
        await asyncio.sleep(0.05)
    assert desk.states("j/0") == ["accepted", "delivered"]


async def test_a_second_verdict_hard_on_the_first_changes_nothing(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    [key] = await accepted(desk, peer)
    async with desk.slow_disk():
        peer.reports(key, to=TO)
        peer.reports(key, to=TO, code="UNDELIV", fate=Fate.FAILED)
        await asyncio.sleep(0.05)
    assert desk.states("j/0") == ["accepted", "delivered"]
    assert desk.app.tally.lates["a"] == 1


async def test_a_wake_time_hard_on_the_verdict_changes_nothing(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(extra="report_within = 60"))
    peer = desk.peer()
    [key] = await accepted(desk, peer)
    desk.at += 61.0
    await desk.app.ticker._look_ahead(desk.at)
    async with desk.slow_disk():
        peer.reports(key, to=TO)
        await asyncio.wait([asyncio.create_task(desk.app.ticker._wake(desk.at))], timeout=0.05)
    assert desk.states("j/0") in (["accepted", "delivered"], ["accepted", "expired"])


async def test_parts_of_which_memory_has_let_go_of_one_still_give_one_verdict(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlate, "MOST_RECENT", 1)
    desk = await make_desk()
    peer = desk.peer()
    first, second = await accepted(desk, peer, text=LONG)
    peer.reports(second, to=TO)
    await desk.settle()
    peer.reports(first, to=TO)
    await desk.settle()
    assert desk.states("j/0") == ["accepted", "delivered"]


async def test_a_message_that_memory_lets_go_of_while_its_row_is_written_keeps_its_report(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlate, "MOST_RECENT", 2)
    desk = await make_desk()
    peer = desk.peer()
    first, second = await accepted(desk, peer, text=LONG)
    await desk.take({"id": "k"})
    [(sequence, _, _)] = await desk.written(peer)
    async with desk.slow_disk():
        peer.reports(first, to=TO)
        peer.accepts(sequence)
        assert list(desk.app.engine.open) == [2 << 10], "there was no room for the first"
        peer.reports(second, to=TO)
        await asyncio.sleep(0.05)
    assert desk.states("j/0") == ["accepted", "delivered"]


async def test_nothing_follows_the_end_of_a_message_that_memory_let_go_of_in_part(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlate, "MOST_RECENT", 1)
    desk = await make_desk(Terms(extra="report_within = 60"))
    peer = desk.peer()
    first, second = await accepted(desk, peer, text=LONG)
    peer.reports(first, to=TO)
    await desk.settle()
    await desk.pass_(61.0)
    assert desk.states("j/0")[-1] == "expired"
    peer.reports(second, to=TO)
    await desk.settle()
    assert desk.states("j/0") == ["accepted", "expired"]


@pytest.mark.parametrize("says", [b"255", b"0ff", b"FF"])
async def test_an_early_report_finds_its_answer_in_the_other_spelling_too(
    make_desk: MakeDesk, says: bytes
) -> None:
    desk = await make_desk(Terms(protocol="smpp"))
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    keys, exact = ids.smpp_keys(says, "auto")
    peer.says(Reported(keys, exact, Fate.DELIVERED, "DELIVRD", TO, object()))
    await desk.settle()
    peer.accepts(sequence, b"FF")
    await desk.settle()
    assert desk.states("j/0") == ["delivered"]


async def test_an_early_report_of_another_number_under_an_inexact_spelling_is_not_taken(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(protocol="smpp"))
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    keys, exact = ids.smpp_keys(b"255", "auto")
    peer.says(Reported(keys, exact, Fate.DELIVERED, "DELIVRD", "13800000000", object()))
    await desk.settle()
    peer.accepts(sequence, b"FF")
    await desk.settle()
    assert desk.states("j/0") == ["accepted"]


async def resent(desk: Desk, peer: Peer) -> tuple[bytes, int]:
    """A message of which attempt 1 was answered too late, attempt 2 is on the wire."""
    await desk.take({"id": "j"})
    [(_sequence, _, write)] = await desk.written(peer)
    peer.silence()
    await desk.pass_(11.0)
    [(again, _, _)] = await desk.written(peer)
    key = next(Peer.ids).to_bytes(8)
    peer.says(Accepted(write, key))
    await desk.settle()
    return key, again


async def test_a_failure_of_the_first_attempt_waits_for_the_second_that_is_on_the_wire(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    first, again = await resent(desk, peer)
    peer.reports(first, to=TO, code="UNDELIV", fate=Fate.FAILED)
    await desk.settle()
    second = peer.accepts(again)
    await desk.settle()
    peer.reports(second, to=TO)
    await desk.settle()
    assert desk.states("j/0")[-1] == "delivered"
    assert "undelivered" not in desk.states("j/0")


async def test_a_failure_given_twice_is_the_failure_of_one_attempt(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    first, again = await resent(desk, peer)
    second = peer.accepts(again)
    await desk.settle()
    for _ in range(2):
        peer.reports(first, to=TO, code="UNDELIV", fate=Fate.FAILED)
        await desk.settle()
    peer.reports(second, to=TO)
    await desk.settle()
    assert desk.states("j/0")[-1] == "delivered"
    assert "undelivered" not in desk.states("j/0")


async def test_a_report_for_one_part_does_not_keep_the_other_from_being_sent_after_a_restart(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MOST_IN_MEMORY", 10_000)
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    first, second = await desk.written(peer, 2)
    key = peer.accepts(first[0])
    peer.refuses(second[0], "8", throttled=True)
    await desk.settle()
    fresh = await make_desk(after=desk)
    assert fresh.row("j/0")["state"] == 0, "neither in doubt nor answered whole"
    # The report comes before there is a bind to read the queue back for.
    listener = fresh.peer()
    fresh.app.accounts["a"].links.remove(listener.link)
    fresh.app.router.queues["mobile"].refilling[1] = False
    listener.reports(key, to=TO)
    await fresh.settle()
    other = fresh.peer()
    await fresh.settle()
    refill = fresh.app.refill
    while not refill._asked.empty():
        queue, lane = refill._asked.get_nowait()
        await refill._fill(queue, lane)
    fresh.pull()
    assert [part.number for _, part, _ in await fresh.written(other)] == [2]


async def test_a_report_that_could_be_about_either_part_is_never_about_the_one_left(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j", "text": LONG})
    assert len(await desk.written(peer, 2)) == 2
    peer.silence()
    await desk.settle()
    peer.says(Reported((b"?" * 8,), 1, Fate.DELIVERED, "DELIVRD", TO, "r1"))
    await desk.settle()
    await desk.pass_(3.0)
    desk.app.engine.reports.tick(desk.at)
    await desk.pass_(8.0)
    again = await desk.written(peer, 2)
    assert [part.number for _, part, _ in again] == [1, 2]
    key = peer.accepts(again[0][0])
    peer.silence()
    await desk.settle()
    peer.says(Reported((key,), 1, Fate.DELIVERED, "DELIVRD", TO, "r2"))
    await desk.looked_at(3.0)
    assert "delivered" not in desk.states("j/0")


@pytest.mark.parametrize("crash", [False, True], ids=["link lost", "crash"])
@pytest.mark.parametrize("again", [False, True], ids=["came once", "came again"])
async def test_a_report_is_never_about_a_part_that_was_written_after_it_came(
    make_desk: MakeDesk, crash: bool, again: bool
) -> None:
    desk = await make_desk(then="wait")
    peer = desk.peer()
    strange = Reported((b"?" * 8,), 1, Fate.DELIVERED, "DELIVRD", TO, "r")
    peer.says(strange)
    await desk.settle()
    await desk.pass_(1.0)
    await desk.take({"id": "j"})
    assert await desk.written(peer)
    if again:
        peer.says(strange)
        await desk.settle()
    if crash:
        desk = await make_desk(after=desk)
    else:
        peer.lost()
        await desk.settle()
    await desk.looked_at(3.0)
    assert desk.states("j/0") == ["uncertain"]


@pytest.mark.parametrize("since", [0.0, 1.5], ids=["before the write", "after the write"])
async def test_a_report_that_another_daemon_passed_on_is_as_old_as_when_that_got_it(
    make_desk: MakeDesk, since: float
) -> None:
    desk = await make_desk(then="wait")
    peer = desk.peer()
    came = desk.at + since
    await desk.pass_(1.0)
    await desk.take({"id": "j"})
    assert await desk.written(peer)
    await desk.pass_(1.0)
    orphan = Orphan(
        by=1,
        account="a",
        keys=(b"?" * 8,),
        exact=1,
        fate="delivered",
        code="DELIVRD",
        to=TO,
        at=came,
    )
    await desk.app.engine.reports.strange([orphan])
    peer.lost()
    await desk.settle()
    desk = await make_desk(after=desk)
    await desk.looked_at(3.0)
    assert ("delivered" in desk.states("j/0")) == (since > 1.0)


async def test_a_report_that_stood_for_one_message_never_stands_for_the_next(
    make_desk: MakeDesk,
) -> None:
    """A gateway says it again on its next connection when the acknowledgement was lost."""
    desk = await make_desk(then="wait")
    strange = Reported((b"?" * 8,), 1, Fate.DELIVERED, "DELIVRD", TO, "r")
    for job in ("j", "k"):
        peer = desk.peer()
        await desk.take({"id": job})
        assert await desk.written(peer)
        peer.says(strange)
        peer.lost()
        await desk.looked_at(3.0)
    assert [desk.states(f"{job}/0")[-1] for job in ("j", "k")] == ["delivered", "uncertain"]
    assert desk.app.tally.lates["a"] == 1


async def test_a_lists_id_that_stood_for_one_recipient_is_not_the_ids_of_that_alone(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(then="wait")
    others = ("13912345678", "13912345679")
    peer = desk.peer()
    await desk.take(*({"id": to, "to": to} for to in others))
    assert len(await desk.written(peer, 2)) == 2
    peer.lost()
    peer = desk.peer()
    for to in others:
        peer.reports(b"?" * 8, to=to)
        await desk.settle()
        await desk.looked_at(3.0)
    assert [desk.states(f"{to}/0")[-1] for to in others] == ["delivered", "delivered"]


async def test_a_trace_says_that_a_part_was_claimed_when_a_crash_hid_its_write(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(_, _, write)] = await desk.written(peer)
    peer.silence()
    await desk.settle()
    fresh = await make_desk(after=desk)
    assert [s.step for s in fresh.message(write.message.mid).steps] == ["written", "unanswered"]
    await fresh.pass_(11.0)
    assert await fresh.written(fresh.peer())
    last = await make_desk(after=fresh)
    message = last.message(write.message.mid)
    steps = [(s.step, s.part, s.attempt, s.node) for s in message.steps]
    assert steps == [
        ("written", 1, 1, "n1"),
        ("unanswered", 1, 1, "n1"),
        ("claimed", 1, 2, "n1"),
    ]


@pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
async def test_the_ids_shown_are_of_the_last_attempt_whichever_was_answered_last(
    make_desk: MakeDesk, late: bool
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(_, _, write)] = await desk.written(peer)
    peer.silence()
    await desk.pass_(11.0)
    [(again, _, _)] = await desk.written(peer)
    answer = Accepted(write, next(Peer.ids).to_bytes(8))
    if not late:
        peer.says(answer)
    second = peer.accepts(again)
    if late:
        peer.says(answer)
    await desk.settle()
    peer.reports(answer.carrier_id, to=TO)
    await desk.settle()
    assert desk.states("j/0")[-1] == "delivered"
    assert desk.of("j/0")[-1]["attempts"] == 2
    assert desk.of("j/0")[-1]["carrier_ids"] == [f"0x{second.hex()}"]


async def test_a_report_said_twice_with_its_answer_is_late_and_not_unknown(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, part, _)] = await desk.written(peer)
    key = bytes(7) + b"\1"
    twice = [Reported((key,), 1, Fate.DELIVERED, "DELIVRD", part.to, object()) for _ in range(2)]
    async with desk.slow_disk():
        peer.says(Accepted(peer.wire.answers(sequence, peer.now), key), *twice)
        await asyncio.sleep(0.05)
    assert desk.states("j/0") == ["delivered"]
    assert desk.app.tally.lates["a"] == 1
    assert desk.app.correlate.waiting() == []


async def test_a_report_said_twice_of_what_left_memory_is_late_and_not_unknown(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    with monkeypatch.context() as patch:
        patch.setattr(correlate, "MOST_RECENT", 0)
        [key] = await accepted(desk, peer)
    assert not desk.app.engine.open
    peer.says(
        *[Reported((key,), 1, Fate.DELIVERED, "DELIVRD", TO, object()) for _ in range(2)],
    )
    await desk.settle()
    assert desk.states("j/0") == ["accepted", "delivered"]
    assert desk.app.tally.lates["a"] == 1
    assert desk.app.correlate.waiting() == []


OTHER = "13912345679"


async def named_alike(desk: Desk, peer: Peer) -> bytes:
    """Messages to two numbers, which the gateway gave one id."""
    await desk.take({"id": "j"}, {"id": "k", "to": OTHER})
    first, second = await desk.written(peer, 2)
    key = bytes(7) + b"\1"
    for sequence, _, _ in (first, second):
        peer.accepts(sequence, key)
    await desk.settle()
    return key


async def test_of_two_messages_with_one_id_a_report_is_about_its_own_recipients(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    key = await named_alike(desk, peer)
    for _ in range(2):
        peer.reports(key, to=TO)
        await desk.settle()
    assert desk.states("j/0") == ["accepted", "delivered"]
    assert desk.app.tally.lates["a"] == 1
    assert desk.states("k/0") == ["accepted"]
    peer.reports(key, to=OTHER, code="UNDELIV", fate=Fate.FAILED)
    await desk.settle()
    assert desk.states("k/0") == ["accepted", "undelivered"]


async def test_a_report_for_a_number_that_is_none_of_ours_goes_by_the_id_alone(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    key = await named_alike(desk, peer)
    peer.reports(key, to="13800000000")
    await desk.settle()
    assert desk.states("j/0") == ["accepted"]
    assert desk.states("k/0") == ["accepted", "delivered"], "it has the id since"


async def test_a_report_for_no_number_at_all_is_not_looked_up(make_desk: MakeDesk) -> None:
    desk = await make_desk()
    peer = desk.peer()
    [key] = await accepted(desk, peer)
    peer.reports(key, to="139****5678")
    assert not desk.app.engine.reports._lookups
    await desk.settle()
    assert desk.states("j/0") == ["accepted", "delivered"]


@pytest.mark.parametrize("to", [OTHER, "139****5678"])
async def test_a_report_under_a_strange_number_within_the_commit_of_its_answer_is_late(
    make_desk: MakeDesk, to: str
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, part, _)] = await desk.written(peer)
    key = bytes(7) + b"\1"
    async with desk.slow_disk():
        answer = Accepted(peer.wire.answers(sequence, peer.now), key)
        peer.says(answer, Reported((key,), 1, Fate.DELIVERED, "DELIVRD", part.to, object()))
        peer.reports(key, to=to)
        await asyncio.sleep(0.05)
    assert desk.states("j/0") == ["delivered"]
    assert desk.app.tally.lates["a"] == 1
    assert desk.app.correlate.waiting() == []


async def test_a_report_said_twice_just_before_its_answer_is_late_and_not_unknown(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, part, _)] = await desk.written(peer)
    key = bytes(7) + b"\1"
    async with desk.slow_disk():
        peer.says(
            *[Reported((key,), 1, Fate.DELIVERED, "DELIVRD", part.to, object()) for _ in range(2)]
        )
        peer.accepts(sequence, key)
        await asyncio.sleep(0.05)
    assert desk.states("j/0")[-1] == "delivered"
    assert desk.app.tally.lates["a"] == 1
    assert desk.app.correlate.waiting() == []
