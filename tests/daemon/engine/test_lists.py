"""One submit for many recipients: each has its own verdict, whatever becomes of the list."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daemon import account as accounts
from daemon.early import Early
from daemon.ledger import Entries
from protocols.events import Accepted, Fate, Refused, Reported
from protocols.part import Part as WirePart

from .conftest import MakeDesk, MakeGroup
from .desk import Desk, Peer, Terms, Wire

NUMBERS = [f"1391234{index:04d}" for index in range(200)]
THREE = NUMBERS[:3]
PROTOCOLS = ("cmpp", "smgp", "sgip", "smpp")
IDS = {
    "cmpp": bytes.fromhex("b8f3be40000fffff"),
    "smgp": bytes.fromhex("01006111221830999999"),
    "smpp": b"4f2a9c01",
}
"""Those of CMPP and SMGP are the last of their sequence: the next one is 0."""
NEXT = {
    "cmpp": [bytes.fromhex(f"b8f3be40000f{at:04x}") for at in (0xFFFF, 0, 1)],
    "smgp": [bytes.fromhex(f"01006111221830{at:06}") for at in (999999, 0, 1)],
}


def lists(protocol: str = "cmpp", most: int = 99, **more: Any) -> Terms:
    extra = f"max_destinations = {min(most, 80) if protocol == 'sgip' else most}\n"
    if protocol == "sgip":
        extra += (
            'node_id = 3025112345\ncorp_id = "12345"\nlisten = "127.0.0.1:1"\n'
            'listen_login = "smg"\nlisten_password = "p"\nlisten_allow = ["127.0.0.0/8"]\n'
        )
    return Terms(protocol=protocol, rate=more.pop("rate", 10_000), extra=extra, **more)


def numbers(part: WirePart) -> list[str]:
    return [part.to, *part.also]


async def one(desk: Desk, peer: Peer) -> tuple[int, WirePart, Any]:
    [found] = await desk.written(peer)
    return found


async def listed(
    desk: Desk, peer: Peer, to: list[str] | None = None, **job: Any
) -> tuple[int, WirePart, Any]:
    await desk.take({"id": "j", "to": to or THREE, **job})
    return await one(desk, peer)


def spent(peer: Peer) -> None:
    """As if a part had just been written: a list of a whole second's rate is claimed, and waits."""
    peer.account.pacer.take(1, peer.now)


def states(desk: Desk, count: int = 3) -> list[list[str]]:
    return [desk.states(f"j/{index}") for index in range(count)]


async def test_recipients_of_one_job_leave_in_one_submit_and_are_accepted_each(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    sequence, part, _ = await listed(desk, peer)
    assert numbers(part) == THREE
    assert peer.wire.unanswered == 1
    peer.accepts(sequence)
    await desk.settle()
    assert states(desk) == [["accepted"]] * 3
    events = [desk.of(f"j/{index}")[0] for index in range(3)]
    assert [event["to"] for event in events] == THREE
    assert [event["bill_units"] for event in events] == [1, 1, 1]
    assert len({tuple(event["carrier_ids"]) for event in events}) == 1


async def test_a_list_has_no_more_recipients_than_the_account_allows(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists(most=99))
    peer = desk.peer()
    await desk.take({"id": "j", "to": NUMBERS})
    parts = [part for _, part, _ in await desk.written(peer, 3)]
    assert [len(numbers(part)) for part in parts] == [99, 99, 2]
    assert [to for part in parts for to in numbers(part)] == NUMBERS


async def test_without_max_destinations_every_recipient_has_a_submit(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms())
    peer = desk.peer()
    await desk.take({"id": "j", "to": THREE})
    assert [part.also for _, part, _ in await desk.written(peer, 3)] == [(), (), ()]


async def test_only_recipients_of_one_job_and_of_one_part_share_a_submit(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    long = {"id": "long", "to": NUMBERS[10:12], "text": "字" * 130}
    await desk.take({"id": "a", "to": THREE[:2]}, {"id": "b", "to": THREE[2]}, long)
    found = []
    while len(found) < 6:
        found += [numbers(part) for _, part, _ in await desk.written(peer)]
    assert found == [THREE[:2], THREE[2:], *[[to] for to in NUMBERS[10:12] for _ in range(2)]]


async def test_a_number_that_is_bad_or_there_twice_is_left_out_of_the_list(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    _, part, _ = await listed(desk, peer, [THREE[0], "12", THREE[0], THREE[1]])
    assert numbers(part) == THREE[:2]
    assert [event["code"] for event in desk.told] == ["LOCAL:BAD_NUMBER", "LOCAL:DUPLICATE"]


@pytest.mark.parametrize(
    ("protocol", "counted"),
    [*((protocol, False) for protocol in PROTOCOLS), ("cmpp", True), ("smgp", True)],
)
async def test_a_report_finds_its_recipient_by_the_lists_id_or_the_next_ones(
    make_desk: MakeDesk, protocol: str, counted: bool
) -> None:
    desk = await make_desk(lists(protocol))
    peer = desk.peer()
    sequence, _, tag = await listed(desk, peer)
    given = IDS.get(protocol) or tag.writes[0].carrier_id
    if given is None:  # what the session would have said at the write
        given = (3025112345).to_bytes(4) + bytes(7) + b"\7"
    peer.accepts(sequence, given)
    key = given[4:] if protocol == "sgip" else given
    keys = NEXT[protocol] if counted else [key] * 3
    # The last first: the order is the network's.
    for index in (2, 0, 1):
        peer.reports(keys[index], to=THREE[index])
    await desk.settle()
    assert states(desk) == [["accepted", "delivered"]] * 3


async def test_two_lists_with_the_same_recipients_may_both_wait_for_their_answers(
    make_desk: MakeDesk,
) -> None:
    """Of SGIP, where a member is known by the list's id from its write on."""
    desk = await make_desk(lists("sgip"))
    peer = desk.peer()
    ids_of = iter([bytes(11) + b"\1", bytes(11) + b"\2"])

    def submit(tag: Any, part: WirePart, now: float) -> bytes:
        Wire._submit(peer.wire, tag, part, now)
        return next(ids_of)

    peer.wire._submit = submit  # type: ignore[assignment, method-assign]
    await desk.take({"id": "j", "to": THREE}, {"id": "k", "to": THREE})
    found = await desk.written(peer, 2)
    for sequence, _, tag in found:
        peer.accepts(sequence, tag.writes[0].carrier_id)
    for _, _, tag in found:
        for write in tag.writes:
            peer.reports(write.carrier_id[4:], to=write.message.to)
    await desk.settle()
    for job in "jk":
        assert [desk.states(f"{job}/{index}") for index in range(3)] == [
            ["accepted", "delivered"]
        ] * 3


async def test_a_report_with_a_lists_id_and_a_strange_recipient_is_about_nobody(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    key = peer.accepts(sequence)
    await desk.settle()
    peer.reports(key, to=NUMBERS[99])
    peer.reports(key, to="")
    await desk.settle()
    await desk.looked_at()
    assert states(desk) == [["accepted"]] * 3
    assert desk.app.tally.unmatched["a"] == 2


async def test_an_id_that_follows_a_list_may_be_that_of_another_message(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    key = peer.accepts(sequence, bytes(7) + b"\x10")
    await desk.take({"id": "k", "to": NUMBERS[9]})
    other, _, _ = await one(desk, peer)
    peer.accepts(other, bytes(7) + b"\x11")  # the list's second, where ids are counted on
    peer.reports(bytes(7) + b"\x11", to=NUMBERS[9])
    peer.reports(key, to=THREE[1])
    await desk.settle()
    assert desk.states("k/0") == ["accepted", "delivered"]
    assert states(desk) == [["accepted"], ["accepted", "delivered"], ["accepted"]]


@pytest.mark.parametrize("protocol", ["cmpp", "smgp", "smpp"])
async def test_reports_find_their_recipients_after_a_restart(
    make_desk: MakeDesk, protocol: str
) -> None:
    desk = await make_desk(lists(protocol))
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    peer.accepts(sequence, IDS[protocol])
    fresh = await make_desk(after=desk)
    peer = fresh.peer()
    keys = NEXT.get(protocol, [IDS[protocol]] * 3)
    peer.reports(keys[1], to=THREE[1])
    await fresh.settle()
    peer.reports(IDS[protocol], to=THREE[2])
    peer.reports(IDS[protocol], to=THREE[0], code="UNDELIV", fate=Fate.FAILED)
    await fresh.settle()
    assert states(fresh) == [["undelivered"], ["delivered"], ["delivered"]]


async def test_reports_find_their_recipients_when_memory_has_let_go_of_them(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.correlate.MOST_RECENT", 1)
    desk = await make_desk(lists())
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    key = peer.accepts(sequence)
    await desk.settle()
    peer.says(*[Reported((key,), 1, Fate.DELIVERED, "DELIVRD", to, object()) for to in THREE])
    await desk.settle()
    assert states(desk) == [["accepted", "delivered"]] * 3


async def test_reports_that_come_before_the_answer_wait_for_it_each(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    for to in THREE[:2]:
        peer.reports(bytes(7) + b"\x10", to=to)
    peer.reports(bytes(7) + b"\x12", to=THREE[2])
    await desk.settle()
    fresh = await make_desk(after=desk)
    # What was kept survives a crash; here the list itself is still unanswered.
    assert len(fresh.app.engine.correlate.waiting()) == 3
    peer.accepts(sequence, bytes(7) + b"\x10")
    await desk.settle()
    assert states(desk) == [["delivered"]] * 3
    assert desk.app.engine.correlate.waiting() == []


async def test_a_report_kept_by_a_version_that_left_out_its_recipient_is_dropped_once_it_is_matched(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists())
    early = Early("a", (bytes(7) + b"\x10",), 1, "delivered", "DELIVRD", THREE[0], desk.at)
    value = msgspec.msgpack.encode(early)
    entries = Entries(keeps=[("early", b"a\0" + early.keys[0], desk.at, value)])
    desk.app.ledger.put(entries, None)
    fresh = await make_desk(after=desk)
    peer = fresh.peer()
    sequence, _, _ = await listed(fresh, peer)
    peer.accepts(sequence, early.keys[0])
    await fresh.settle()
    assert fresh.states("j/0") == ["delivered"]
    assert list(fresh.app.ledger.kept("early")) == []


async def test_a_daemon_that_takes_over_knows_the_members_of_anothers_lists(
    make_group: MakeGroup,
) -> None:
    group = make_group(lists())
    a, b = await group.make(), await group.make()
    await group.assign([0, 1], [])
    peer = a.peer()
    await group.job(id="j", to=THREE)
    [(sequence, part, _)] = await a.written(peer)
    assert numbers(part) == THREE
    peer.accepts(sequence, IDS["cmpp"])
    await group.settle()
    await group.kill(a)
    await group.assign([0, 1])
    other = b.peer()
    # Counted on from the answer's id, or the same for all.
    other.reports(NEXT["cmpp"][2], to=THREE[2])
    other.reports(IDS["cmpp"], to=THREE[1], code="UNDELIV", fate=Fate.FAILED)
    other.reports(IDS["cmpp"], to=THREE[0])
    await group.pass_(0.0)
    assert [group.states(f"j/{index}")[-1] for index in range(3)] == [
        "delivered",
        "undelivered",
        "delivered",
    ]
    assert group.committed() == 1


async def test_reports_wait_at_another_daemon_for_the_members_of_a_list(
    make_group: MakeGroup,
) -> None:
    group = make_group(lists())
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j", to=THREE)
    [(sequence, _, _)] = await a.written(peer)
    for to in THREE:
        other.reports(IDS["cmpp"], to=to)
    await group.settle()
    peer.accepts(sequence, IDS["cmpp"])
    await group.settle()
    await group.pass_(3.0)
    assert [group.states(f"j/{index}")[-1] for index in range(3)] == ["delivered"] * 3


async def test_a_list_whose_daemon_died_before_the_answer_is_sent_by_who_takes_over(
    make_group: MakeGroup,
) -> None:
    group = make_group(lists())
    a, b = await group.make(), await group.make()
    await group.assign([0], [])
    peer, other = a.peer(), b.peer()
    await group.job(id="j", to=THREE)
    assert len(await a.written(peer)) == 1
    await group.kill(a)
    await group.assign([0])
    await group.pass_(0.0)
    again = await b.written(other)
    assert sorted(to for _, part, _ in again for to in numbers(part)) == THREE
    for sequence, _, _ in again:
        other.accepts(sequence)
    await group.pass_(0.0)
    assert [group.states(f"j/{index}")[-1] for index in range(3)] == ["accepted"] * 3
    assert group.committed() == 1


async def test_an_answer_to_a_list_that_others_were_not_told_keeps_one_place(
    make_group: MakeGroup,
) -> None:
    group = make_group(lists())
    a = await group.make()
    await group.assign([0])
    peer = a.peer()
    await group.job(id="j", to=THREE)
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    assert a.app.accounts["a"].untold.answers == 1
    await group.settle()
    assert a.app.accounts["a"].untold.answers == 0


async def test_a_list_refused_for_a_number_goes_again_one_by_one(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    peer.refuses(sequence, "13")
    found = await desk.written(peer, 3)
    assert sorted(numbers(part) for _, part, _ in found) == [[to] for to in THREE]
    assert desk.told == []
    for sequence, part, write in found:
        assert write.attempt == 1
        if part.to == THREE[1]:
            peer.refuses(sequence, "13")
        else:
            peer.accepts(sequence)
    await desk.settle()
    assert states(desk) == [["accepted"], ["rejected"], ["accepted"]]
    assert desk.of("j/1")[0]["code"] == "13"
    assert [event["attempts"] for event in desk.told] == [1, 1, 1]


async def test_a_list_refused_for_what_all_have_in_common_is_rejected(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists())
    [code] = {
        row.code.rpartition(":")[2]
        for row in desk.app.engine.settle.codes.rows
        if row.code == "CMPP.RESULT:76"
    }
    meaning = desk.app.engine.settle.codes.look("mobile", "cmpp", "submit", code)
    assert meaning.cause == "content"
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    peer.refuses(sequence, code)
    await desk.settle()
    assert states(desk) == [["rejected"]] * 3
    assert not await desk.written(peer, most=0.05)


async def test_a_throttled_list_comes_back_as_a_list(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    peer.refuses(sequence, "8", throttled=True)
    sequence, part, tag = await one(desk, peer)
    assert sorted(numbers(part)) == THREE
    assert [write.attempt for write in tag.writes] == [1, 1, 1]
    peer.accepts(sequence)
    await desk.settle()
    assert states(desk) == [["accepted"]] * 3


async def test_whom_a_message_centre_did_not_take_is_named_and_the_others_are_accepted(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(lists("smpp"))
    peer = desk.peer()
    sequence, _, _ = await listed(desk, peer)
    tag = peer.wire.answers(sequence, peer.now)
    refused = (
        Refused("86" + THREE[0], 0x0B, "0x0000000B", throttled=False),
        Refused(THREE[2], 0x58, "0x00000058", throttled=True),
    )
    peer.says(Accepted(tag, b"abd", refused))
    sequence, part, _ = await one(desk, peer)
    assert numbers(part) == [THREE[2]]
    assert states(desk) == [["rejected"], ["accepted"], []]
    peer.accepts(sequence, b"abe")
    peer.reports(b"abd", to=THREE[1])
    peer.reports(b"abe", to=THREE[2])
    await desk.settle()
    assert states(desk) == [["rejected"], ["accepted", "delivered"], ["accepted", "delivered"]]
    assert desk.of("j/0")[0]["code"] == "0x0000000B"


async def test_a_list_in_doubt_is_resolved_member_by_member(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    await listed(desk, peer)
    peer.silence()
    await desk.settle()
    assert states(desk) == [["uncertain"]] * 3
    # Of an id that nobody knows, but the only one in doubt for that recipient.
    peer.reports(bytes(8), to=THREE[1])
    await desk.looked_at()
    assert desk.states("j/1") == ["uncertain", "delivered"]
    await desk.pass_(8.0)
    # One after the other, for the link is doubtful.
    again = [await one(desk, peer)]
    peer.accepts(again[0][0])
    again.append(await one(desk, peer))
    peer.accepts(again[1][0])
    assert sorted(numbers(part) for _, part, _ in again) == [[THREE[0]], [THREE[2]]]
    assert {write.attempt for _, _, write in again} == {2}
    await desk.settle()
    assert [desk.of(f"j/{index}")[-1]["attempts"] for index in range(3)] == [2, 1, 2]


async def test_a_late_yes_to_a_list_takes_the_doubt_from_all_of_it(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists())
    peer = desk.peer()
    _, _, tag = await listed(desk, peer)
    peer.silence()
    peer.says(Accepted(tag, bytes(7) + b"\1"))
    peer.reports(bytes(7) + b"\1", to=THREE[0])
    await desk.settle()
    assert states(desk)[1:] == [["uncertain", "accepted"]] * 2
    assert desk.states("j/0") == ["uncertain", "accepted", "delivered"]
    await desk.pass_(11.0)
    assert not await desk.written(peer, most=0.05)


async def test_under_wait_a_list_in_doubt_is_never_sent_again(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists(), then="wait")
    peer = desk.peer()
    await listed(desk, peer)
    peer.silence()
    await desk.pass_(11.0)
    assert not await desk.written(peer, most=0.05)
    await desk.pass_(300_000.0)
    assert states(desk) == [["uncertain", "expired"]] * 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_after_a_crash_all_of_a_list_without_an_answer_are_in_doubt(
    make_desk: MakeDesk, protocol: str
) -> None:
    desk = await make_desk(lists(protocol))
    peer = desk.peer()
    await listed(desk, peer)
    fresh = await make_desk(after=desk)
    assert states(fresh) == [["uncertain"]] * 3
    peer = fresh.peer()
    peer.reports(b"unheard", to=THREE[0])
    await fresh.looked_at()
    await fresh.pass_(8.0)
    found = await fresh.written(peer, 2)
    assert sorted(numbers(part) for _, part, _ in found) == [[to] for to in THREE[1:]]
    for sequence, _, write in found:
        assert write.attempt == 2
        peer.accepts(sequence, bytes(11) + b"\1" if protocol == "sgip" else None)
    await fresh.settle()
    assert states(fresh) == [["uncertain", "delivered"], *[["uncertain", "accepted"]] * 2]


async def test_a_list_claimed_and_not_written_when_its_bind_breaks_goes_over_another(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists(rate=2, most=2))
    peer = desk.peer()
    spent(peer)
    await desk.take({"id": "j", "to": THREE[:2]})
    assert (peer.link.reserved, peer.link.spared, peer.link.places) == (2, 1, 1)
    peer.lost()
    await desk.settle()
    assert (peer.link.reserved, peer.link.spared) == (0, 0)
    other = desk.peer()
    _, part, _ = await one(desk, other)
    assert numbers(part) == THREE[:2]
    assert (other.link.reserved, other.link.spared) == (0, 0)


async def test_what_is_stopped_before_its_list_is_written_is_left_out(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists(rate=3, most=3))
    peer = desk.peer()
    spent(peer)
    await desk.take({"id": "j", "to": THREE})
    assert peer.link.reserved == 3
    [second] = [m for m in desk.app.engine.open.values() if m.index == 1]
    desk.app.engine.wanted.refuse(second, "LOCAL:STOPPED")
    _, part, _ = await one(desk, peer)
    assert numbers(part) == [THREE[0], THREE[2]]
    assert desk.states("j/1") == ["rejected"]


async def test_a_list_that_a_lower_rate_does_not_allow_any_more_goes_one_by_one(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(lists(rate=5, most=5))
    peer = desk.peer()
    spent(peer)
    await desk.take({"id": "j", "to": NUMBERS[:5]})
    assert (peer.link.reserved, peer.link.places) == (5, 1)
    peer.account.pacer.change(4, 1)
    found: list[list[str]] = []
    while len(found) < 5:
        found += [numbers(part) for _, part, _ in await desk.written(peer)]
    assert found == [[to] for to in NUMBERS[:5]]
    assert (peer.link.reserved, peer.link.spared) == (0, 0)


async def test_a_list_counts_in_the_rate_with_every_recipient(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists(rate=40, most=20))
    peer = desk.peer()
    began = peer.now
    await desk.take({"id": "j", "to": NUMBERS[:60]})
    wrote: list[tuple[float, int]] = []
    while sum(size for _, size in wrote) < 60:
        for _, part, tag in await desk.written(peer):
            wrote.append((tag.at, len(numbers(part))))
    assert [size for _, size in wrote] == [20, 20, 20]
    for first, _ in wrote:
        assert sum(size for at, size in wrote if first <= at < first + 1.0) <= 40
    assert wrote[-1][0] - began < 1.6, "and the rate is used"


async def test_lists_keep_to_the_window(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists(most=10, window=2))
    peer = desk.peer()
    await desk.take({"id": "j", "to": NUMBERS[:50]})
    found = await desk.written(peer)
    while len(found) < 2:
        found += await desk.written(peer)
    assert not await desk.written(peer, most=0.1)
    assert [len(numbers(part)) for _, part, _ in found] == [10, 10]
    peer.accepts(found[0][0])
    assert len(numbers((await one(desk, peer))[1])) == 10


async def test_bulk_gets_its_share_beside_lists(make_desk: MakeDesk) -> None:
    desk = await make_desk(lists(most=10, rate=100))
    jobs = [{"id": f"n{n}", "to": NUMBERS[:10]} for n in range(9)]
    jobs += [{"id": f"b{n}", "to": NUMBERS[n], "priority": "bulk"} for n in range(10)]
    await desk.take(*jobs)
    peer = desk.peer()
    found: list[WirePart] = []
    while sum(len(numbers(part)) for part in found) < 100:
        for sequence, part, _ in await desk.written(peer):
            found.append(part)
            peer.accepts(sequence)
    sizes = [len(numbers(part)) for part in found]
    # One of bulk for nine normal ones: after the first list, not after nine.
    last = len(sizes) - 1 - sizes[::-1].index(10)
    assert 7 <= sizes[:last].count(1) <= 9
