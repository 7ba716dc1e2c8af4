"""Several daemons of one group: what each knows of the others' messages, and takes up of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from daemon import handover, outbox, queues
from daemon.model import State

from .conftest import MakeGroup
from .desk import JOBS, Terms
from .group import Group, Member

TO = "13912345678"
OTHER = "13912345679"
LONG = "字" * 130  # two parts


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation waits for no answer."""
    monkeypatch.setattr(handover, "WITHIN", 0.05)


async def test_a_message_answered_at_one_daemon_is_reported_at_the_one_that_took_over(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0, 1], [])
    peer = a.peer()
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    key = peer.accepts(sequence)
    await group.settle()
    await group.kill(a)
    await group.assign([0, 1])
    b.peer().reports(key, to=TO)
    await group.pass_(0.0)
    assert group.states("j/0") == ["accepted", "delivered"]
    assert group.committed() == 1


async def test_a_message_whose_hold_ended_while_nobody_had_it_is_sent_by_who_takes_over(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    await group.job(id="j", not_before="2026-05-29T04:35:20+08:00")
    assert a.row("j/0")["state"] == State.HELD
    assert b.row("j/0")["state"] == State.HELD
    await group.kill(a)
    await group.pass_(3000.0)
    await group.assign([0])
    await group.pass_(0.0)
    assert len(await b.written(b.peer())) == 1


@pytest.mark.usefixtures("hurried")
async def test_an_answer_that_comes_after_the_handover_is_known_to_the_new_owner(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    await group.assign([], [0])
    key = peer.accepts(sequence)
    await group.settle()
    await group.pass_(20.0)
    assert not await b.written(other, most=0.05), "it was answered"
    other.reports(key, to=TO)
    await group.settle()
    assert group.states("j/0")[-1] == "delivered"
    assert group.committed() == 1


@pytest.mark.usefixtures("hurried")
async def test_a_part_that_had_not_left_is_sent_by_the_new_owner(make_group: MakeGroup) -> None:
    group = make_group(Terms(window=1))
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j", text=LONG)
    [(_, first, _)] = await a.written(peer)
    await group.assign([], [0])
    [(sequence, part, _)] = await b.written(other)
    assert part.number == 2
    assert part.reference == first.reference
    other.accepts(sequence)
    await group.pass_(11.0)
    [(sequence, part, write)] = await b.written(other)
    assert (part.number, write.attempt) == (1, 2)
    other.accepts(sequence)
    await group.settle()
    assert group.states("j/0") == ["uncertain", "accepted"]


@pytest.mark.parametrize("parked_first", [True, False])
async def test_what_is_parked_keeps_its_text_whatever_is_told_of_the_job_besides(
    make_group: MakeGroup, parked_first: bool
) -> None:
    group = make_group()
    group.log.parked_first = parked_first
    a = await group.make()
    await group.assign([0])
    await group.job(id="j", to=["1", TO], not_before="2026-05-29T04:35:20+08:00")
    await group.pass_(0.0)
    assert group.states("j/0") == ["rejected"]
    assert group.committed() == 1
    await group.kill(a)
    b = await group.make()
    await group.assign([0])
    await group.pass_(3000.0)
    [(_, part, _)] = await b.written(b.peer())
    assert part.content == b"hello"


async def test_what_others_do_with_their_messages_hides_none_of_ours(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MOST_IN_MEMORY", 2)
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0, 1], [])
    for name in ("k1", "k2"):
        await group.job(partition=1, id=name)
    for name in ("j1", "j2"):
        await group.job(partition=0, id=name)
    await group.assign([0], [1])
    other = b.peer()
    for sequence, _, _ in await b.written(other, 2):
        other.accepts(sequence)
    await group.settle()
    assert group.states("k2/0") == ["accepted"]
    peer = a.peer()
    names = {write.message.id for _, _, write in await a.written(peer, 2)}
    names |= {write.message.id for _, _, write in await a.written(peer, most=0.1)}
    assert names == {"j1/0", "j2/0"}


async def test_what_waits_in_the_ledger_alone_is_found_after_a_rebalance(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MOST_IN_MEMORY", 4)
    group = make_group()
    a = await group.make()
    await group.assign([0])
    for number in range(4):
        await group.job(id=f"p{number}")
    await group.pass_(61.0)
    await a.park()
    assert a.row("p0/0")["state"] == State.PARKED
    peer = a.peer()
    peer.link.paused_until = peer.now + 1000.0
    a.pull()
    while len(a.app.router.queues["mobile"].lanes) < 4:
        await group.settle()
    for number in range(4):
        await group.job(id=f"q{number}")
    await group.assign([0, 1])
    peer.link.paused_until = 0.0
    a.pull()
    names: set[str] = set()
    while len(names) < 8 and (found := await a.written(peer)):
        names |= {write.message.job.fields.id for _, _, write in found}
        for sequence, _, _ in found:
            peer.accepts(sequence)
    assert names == {f"{letter}{number}" for letter in "pq" for number in range(4)}


async def test_no_part_that_was_answered_is_sent_again_by_the_new_owner(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j", text=LONG)
    (first, _, _), (second, _, _) = await a.written(peer, 2)
    peer.accepts(first)
    peer.refuses(second, "8", throttled=True)
    await group.assign([], [0])
    found = await b.written(other)
    assert [part.number for _, part, _ in found] == [2]
    other.accepts(found[0][0])
    await group.settle()
    assert group.states("j/0") == ["accepted"]


@pytest.mark.interpreted
async def test_a_takeover_waits_for_what_is_being_taken_over(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    known = b.app.ledger.known
    held, go = asyncio.Event(), asyncio.Event()

    async def slow(*asked: Any) -> Any:
        held.set()
        await go.wait()
        return await known(*asked)

    monkeypatch.setattr(b.app.ledger, "known", slow)
    group.log.forgets = True
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    await held.wait()
    await a.settle()
    await group.assign([], [0], settle=False)
    await asyncio.sleep(0.05)
    assert not b.app.intake.ready.is_set()
    go.set()
    await group.settle()
    assert b.app.intake.ready.is_set()
    assert not await b.written(other, most=0.1)


async def test_after_a_restart_an_offset_waits_for_what_was_not_published_before(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0])
    peer = a.peer()
    a.outlet.away = True
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    await group.settle()
    state = await group.kill(a)
    a = await group.make(state, away=True)
    await group.assign([0])
    await group.pass_(1.0)
    assert group.committed() == 0
    a.outlet.away = False
    group.log.stir()
    await group.pass_(1.0)
    assert group.committed() == 1


@pytest.mark.usefixtures("hurried")
async def test_a_repeat_of_what_ended_holds_its_record_until_that_end_is_published(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    one = await group.make(away=True)
    await group.assign([0, 1])
    peer = one.peer()
    await group.job(id="j", report=False)
    [(sequence, _, _)] = await one.written(peer)
    peer.accepts(sequence)
    await group.pass_(0.5)
    again = await group.make(await group.kill(one), away=True)
    await group.assign([0, 1])
    await group.pass_(0.5)
    assert again.app.tally.jobs[JOBS, "duplicate"] == 1
    assert group.committed() == 0, "no other machine knows of the end"
    again.outlet.away = False
    group.log.stir()
    await group.pass_(0.5)
    assert group.states("j/0") == ["accepted"]
    assert group.committed() == 1


async def test_nothing_is_taken_from_a_partition_while_only_another_one_is_taken_up(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([], [1])
    peer, other = a.peer(), b.peer()
    group.log.forgets = True
    await group.assign([0], [1], settle=False)
    async with a.slow_disk():
        await asyncio.sleep(0.02)
        a.tail.stuck = True
        await group.job(partition=1, id="j", of=[b])
        [(sequence, _, _)] = await b.written(other)
        other.accepts(sequence)
        await b.settle()
        await group.assign([0, 1], [], settle=False)
    await asyncio.sleep(0.1)
    assert not a.app.intake.ready.is_set()
    a.tail.stuck = False
    await group.settle()
    assert a.app.intake.ready.is_set()
    assert not await a.written(peer, most=0.1)


@pytest.mark.interpreted
async def test_a_report_told_by_another_daemon_survives_a_kill_before_it_is_looked_up(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    key = peer.accepts(sequence)
    await group.settle()
    looked_up = asyncio.Event()

    async def never(wanted: Any) -> Any:
        looked_up.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(a.app.ledger, "find", never)
    other.reports(key, to=TO)
    await looked_up.wait()
    await a.settle()
    state = await group.kill(a)
    await group.assign([])
    await group.make(state)
    await group.assign([], [0])
    assert group.states("j/0")[-1] == "delivered"


@pytest.mark.usefixtures("hurried")
async def test_the_old_owner_says_nothing_after_the_new_ones_final_event(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j")
    await a.written(peer)
    await group.assign([], [0])
    other.reports(b"?" * 8, to=TO)
    await group.settle()
    await group.pass_(3.0)
    assert group.states("j/0") == ["uncertain", "delivered"]
    peer.silence()
    await group.settle()
    await group.pass_(100.0)
    assert group.states("j/0") == ["uncertain", "delivered"]
    assert a.row("j/0")["final"] == 1


async def test_a_message_of_which_another_daemon_tells_late_is_looked_after(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "WITHIN", 0.05)
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer = a.peer()
    await group.job(id="j")
    await a.written(peer)
    a.outlet.away = True
    peer.silence()
    await group.assign([], [0])
    a.outlet.away = False
    group.log.stir()
    await group.pass_(0.0)
    assert group.committed() == 0, "it may have to be sent again"
    other = b.peer()
    await group.pass_(11.0)
    [(sequence, _, write)] = await b.written(other)
    assert write.attempt == 2
    other.accepts(sequence)
    await group.pass_(0.0)
    assert group.states("j/0")[-1] == "accepted"
    assert group.committed() == 1


async def test_what_is_counted_as_waiting_is_ours(make_group: MakeGroup) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0, 1], [])
    await group.job(partition=0, id="j")
    await group.job(partition=1, id="k")
    await group.pass_(61.0)
    await a.park()
    await group.settle()
    assert a.app.router.parked("a") == 2
    await group.assign([0], [1])
    assert (a.app.router.parked("a"), b.app.router.parked("a")) == (1, 1)
    await group.assign([], [0, 1])
    assert (a.app.router.parked("a"), b.app.router.parked("a")) == (0, 2)


async def test_what_was_held_is_counted_until_its_time_comes(make_group: MakeGroup) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0])
    await group.job(id="j", not_before="2026-05-29T04:27:10+08:00")
    state = await group.kill(a)
    a = await group.make(state)
    await group.assign([0])
    await group.pass_(60.0)
    assert a.app.router.parked("a") == 0


async def test_a_claim_that_is_durable_after_the_handover_is_not_written(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "WITHIN", 0.05)
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    peer.link.paused_until = peer.now + 1000.0
    await group.job(id="j")
    async with a.slow_disk():
        peer.link.paused_until = 0.0
        a.pull()
        await asyncio.sleep(0.01)
        await group.assign([], [0], settle=False)
        await asyncio.sleep(0.05)
    await group.settle()
    assert len(await b.written(other)) == 1
    assert not await a.written(peer, most=0.1)


async def test_other_content_under_an_id_that_another_daemon_used_stays_ours(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [1])
    peer, other = a.peer(), b.peer()
    other.link.paused_until = other.now + 1000.0
    await group.job(partition=1, id="j", text="another")
    await group.job(partition=0, id="j")
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    await group.settle()
    other.link.paused_until = 0.0
    b.pull()
    assert len(await b.written(other)) == 1


async def test_a_job_of_which_only_a_part_was_told_is_whole_for_who_takes_over(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    await group.job(id="j", to=["1", TO])
    assert b.row("j/0")["final"] == 1
    assert await b.app.sweep.archiver.sweep(group.at + 100_000.0) == 0
    await group.kill(a)
    await group.assign([0])
    assert len(await b.written(b.peer())) == 1


@pytest.mark.interpreted
async def test_a_job_is_given_up_by_who_loses_it_while_it_looks_what_is_known_of_it(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "WITHIN", 0.05)
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    await group.job(id="j", to=["1", TO])
    await group.kill(a)
    c = await group.make()
    await group.settle()
    other = c.peer()
    load = b.app.ledger.load
    held, go = asyncio.Event(), asyncio.Event()

    async def slow(mids: Any) -> Any:
        held.set()
        await go.wait()
        return await load(mids)

    monkeypatch.setattr(b.app.ledger, "load", slow)
    await group.assign([0], [], settle=False)
    await held.wait()
    await group.assign([], [0], settle=False)
    go.set()
    await group.settle()
    [(sequence, _, _)] = await c.written(other)
    assert not b.app.engine.open
    other.accepts(sequence)
    await group.settle()
    await group.assign([0], [])
    await group.pass_(0.0)
    assert group.states("j/1") == ["accepted"]
    assert group.committed() == 1


@pytest.mark.interpreted
async def test_a_message_that_a_report_brought_into_memory_is_taken_up_all_the_same(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0])
    peer = a.peer()
    await group.job(id="j", text=LONG)
    (first, _, _), _ = await a.written(peer)
    key = peer.accepts(first)
    peer.silence()
    await group.settle()
    a = await group.make(await group.kill(a))
    peer = a.peer()
    due = a.app.ledger.due

    async def reported_first(*args: Any) -> Any:
        a.app.ledger.due = due  # type: ignore[method-assign]
        peer.reports(key, to=TO)
        await a.app.engine.reports.settled()
        return await due(*args)

    a.app.ledger.due = reported_first  # type: ignore[method-assign]
    await group.assign([0])
    assert a.app.engine.open
    await group.pass_(11.0)
    [(_, part, write)] = await a.written(peer)
    assert (part.number, write.attempt) == (2, 2)


@pytest.mark.usefixtures("hurried")
async def test_two_owners_answers_are_one_message(make_group: MakeGroup) -> None:
    group = make_group(Terms(window=1))
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j", text=LONG)
    [(first, _, _)] = await a.written(peer)
    await group.assign([], [0])
    [(second, _, _)] = await b.written(other)
    other.accepts(second)
    await group.settle()
    peer.accepts(first)
    await group.settle()
    await group.pass_(20.0)
    assert not await b.written(other, most=0.05)
    assert group.states("j/0") == ["uncertain", "accepted"]


@pytest.mark.interpreted
async def test_a_job_is_taken_once_though_another_daemon_tells_of_it_at_that_moment(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [1])
    peer, other = a.peer(), b.peer()
    known = b.app.ledger.known
    held, go = asyncio.Event(), asyncio.Event()

    async def slow(*asked: Any) -> Any:
        found = await known(*asked)
        if asyncio.current_task() is b.tasks[-1]:  # intake, not the replica
            held.set()
            await go.wait()
        return found

    monkeypatch.setattr(b.app.ledger, "known", slow)
    await group.job(partition=1, id="j", of=[])
    await held.wait()
    await group.job(partition=0, id="j", of=[a])
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    await group.settle([a])
    while not b.tail.next["sms.state", 0] or b.app.replica._busy:
        await b.settle()
    go.set()
    await group.settle()
    assert not await b.written(other, most=0.1)
    assert group.states("j/0") == ["accepted"]


@pytest.mark.interpreted
async def test_what_is_told_of_a_job_is_kept_though_it_was_taken_and_let_go_at_that_moment(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who was not heard of for a while, and has records of its old partition in hand."""
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([], [0])
    b.source.next = {}
    b.tail.stuck = True
    a.source.assign(frozenset({("sms.jobs", 0)}))
    peer, other = a.peer(), b.peer()
    await group.job(id="j", of=[a])
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    await group.settle([a])
    known = b.app.ledger.known
    held, go = asyncio.Event(), asyncio.Event()

    async def slow(*asked: Any) -> Any:
        found = await known(*asked)
        if asyncio.current_task() is not b.tasks[-1]:  # the replica, not intake
            held.set()
            await go.wait()
        return found

    monkeypatch.setattr(b.app.ledger, "known", slow)
    b.source.certain = False
    b.tail.stuck = False
    group.log.stir()
    await held.wait()
    b.source.next = {("sms.jobs", 0): 0}
    group.log.stir()
    while not b.app.engine.open:  # noqa: ASYNC110  # nothing else tells
        await asyncio.sleep(0.001)
    await b.source.revoke()
    assert not b.app.engine.open
    go.set()
    b.source.certain = True
    await group.assign([], [0])
    assert not await b.written(other, most=0.1)
    assert group.states("j/0") == ["accepted"]


async def under_way(group: Group, member: Member) -> None:
    """Something else is being published, and for as long as its broker is away."""
    before = member.app.outbox._taken
    await group.job(id="k", to="1", of=[])
    async with asyncio.timeout(30.0):
        while member.app.outbox._taken == before:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.001)


async def test_an_end_that_was_never_told_gives_way_to_that_of_who_took_over(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_UNDER_WAY", 1)
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    key = peer.accepts(sequence)
    await group.settle()
    assert group.states("j/0") == ["accepted"]
    a.outlet.away = True
    await under_way(group, a)
    group.at += 300_000.0
    await a.pass_time()
    await a.settle()
    assert a.row("j/0")["state"] == State.EXPIRED
    a.source.certain = False
    b.source.assign(frozenset({("sms.jobs", 0)}))
    await group.settle([b])
    other.reports(key, to=TO)
    await group.settle([b])
    assert group.states("j/0")[-1] == "delivered"
    await a.source.revoke()
    a.outlet.away = False
    a.source.certain = True
    group.log.stir()
    await group.assign([], [0])
    assert group.states("j/0")[-1] == "delivered"
    assert a.row("j/0")["state"] == State.DELIVERED


async def test_who_was_unsure_through_a_rebalance_catches_up_also_on_what_it_keeps(
    make_group: MakeGroup,
) -> None:
    """It let go of all partitions, was not heard of, and is given some of them again."""
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([], [0, 1])
    other = b.peer()
    await b.source.revoke()
    b.source.certain = False
    b.tail.stuck = True
    a.source.assign(frozenset({("sms.jobs", 0), ("sms.jobs", 1)}))
    peer = a.peer()
    await group.job(id="j", of=[a])
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    await group.settle([a])
    await a.source.revoke()
    a.source.assign(frozenset({("sms.jobs", 1)}))
    group.log.committed.clear()
    b.source.assign(frozenset({("sms.jobs", 0)}))
    b.source.certain = True
    await asyncio.sleep(0.05)
    b.tail.stuck = False
    group.log.stir()
    await group.settle()
    assert not await b.written(other, most=0.1)
    assert group.states("j/0") == ["accepted"]


async def test_what_another_daemon_tells_while_we_are_not_heard_of_is_left_to_that_one(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([], [0])
    other = b.peer()
    b.source.certain = False
    a.source.assign(frozenset({("sms.jobs", 0)}))
    b.source.next = {}
    peer = a.peer()
    await group.job(id="j", of=[a])
    await a.written(peer)
    peer.silence()
    await group.settle()
    assert group.states("j/0") == ["uncertain"]
    await group.pass_(0.0)
    assert not b.app.engine.open
    await b.source.revoke()
    b.source.certain = True
    await group.assign([], [0])
    assert b.app.engine.open, "now it is ours"
    await group.pass_(11.0)
    assert len(await b.written(other)) == 1
    assert group.states("j/0") == ["uncertain"]


async def test_what_was_heard_while_unsure_for_less_than_a_tick_counts(
    make_group: MakeGroup,
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0])
    peer = a.peer()
    await group.job(id="j")
    [(sequence, _, _)] = await a.written(peer)
    await group.pass_(0.1)
    a.source.certain = False
    peer.accepts(sequence)
    a.source.certain = True
    await group.pass_(0.1)
    assert group.states("j/0") == ["accepted"]


async def unsure_and_back(group: Group, member: Member) -> None:
    """The group may have given a member's partition away for a while, and gives it that again;
    what others told meanwhile is not read yet.
    """
    member.source.certain = False
    await member.source.revoke()
    member.source.assign(frozenset({(JOBS, 0)}))
    member.source.certain = True


async def test_what_is_answered_before_a_partition_is_taken_up_again_is_accepted(
    make_group: MakeGroup, hurried: None
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0])
    peer = a.peer()
    await group.job(id="j", report=False)
    [(sequence, _, _)] = await a.written(peer)
    await unsure_and_back(group, a)
    peer.accepts(sequence)
    await group.pass_(1.0)
    assert group.states("j/0") == ["accepted"]
    assert group.committed() == 1


@pytest.mark.parametrize("then", ["resend", "wait"])
async def test_what_comes_into_doubt_before_a_partition_is_taken_up_again_is_held(
    make_group: MakeGroup, hurried: None, then: str
) -> None:
    group = make_group(then=then)
    a = await group.make()
    await group.assign([0])
    peer = a.peer()
    await group.job(id="j")
    await a.written(peer)
    await unsure_and_back(group, a)
    peer.silence()
    await group.pass_(1.0)
    assert group.states("j/0") == ["uncertain"]
    assert not await a.written(peer, most=0.1)
    await group.pass_(11.0)
    assert bool(await a.written(peer, most=0.1)) == (then == "resend")


async def test_what_is_on_the_wire_is_not_sent_again_when_its_partition_comes_back_at_once(
    make_group: MakeGroup, hurried: None
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0, 1])
    peer = a.peer()
    await group.job(id="j", text=LONG)
    (first, _, _), (second, _, _) = await a.written(peer, 2)
    peer.refuses(second, "8", throttled=True)
    await group.assign([1])
    await asyncio.sleep(0.15)  # until the second may go again
    a.pull()
    await group.assign([0, 1])
    [(again, part, _)] = await a.written(peer)
    assert part.number == 2
    for sequence in (first, again):
        peer.accepts(sequence)
    await group.settle()
    assert group.states("j/0") == ["accepted"]


async def test_what_is_throttled_while_its_partition_is_away_goes_again_when_that_is_back(
    make_group: MakeGroup, hurried: None
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0, 1])
    peer = a.peer()
    await group.job(id="j", text=LONG)
    (first, _, _), (second, _, _) = await a.written(peer, 2)
    await group.assign([1])
    peer.refuses(second, "8", throttled=True)
    await group.assign([0, 1])
    [(again, part, _)] = await a.written(peer)
    assert part.number == 2
    for sequence in (first, again):
        peer.accepts(sequence)
    await group.settle()
    assert group.states("j/0") == ["accepted"]


async def test_answers_that_could_not_be_told_are_told_before_the_partition_is_let_go(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker was away for all: who has the partition next must not send them again."""
    monkeypatch.setattr(outbox, "MOST_UNDER_WAY", 1)
    group = make_group()
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    a.outlet.away = True
    await under_way(group, a)
    await group.job(id="j", of=[])
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    await a.settle()
    a.source.certain = False
    a.outlet.away = False
    group.log.stir()
    await a.source.revoke()
    assert group.facts("j/0")
    assert group.states("j/0") == [], "that is for who has it next to say"
    a.source.certain = True
    await group.assign([], [0])
    assert not await b.written(other, most=0.1)
