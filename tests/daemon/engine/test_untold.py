"""What other daemons were not told of keeps its place in the window."""

from __future__ import annotations

import asyncio

import pytest

from daemon import account as accounts

from .conftest import MakeGroup
from .desk import Peer, Terms
from .group import Group, Member

LONG = "字" * 200  # three parts


async def one(make_group: MakeGroup, terms: Terms) -> tuple[Group, Member, Peer]:
    """A daemon of a group whose broker is there, and takes nothing for now."""
    group = make_group(terms)
    member = await group.make()
    await group.assign([0])
    member.outlet.slow = True
    return group, member, member.peer()


async def answered(group: Group, peer: Peer) -> list[str]:
    """The messages of which parts are written, each answered, until no more are."""
    names = []
    quiet = 0
    while quiet < 20:
        await group.settle()
        group.at += 0.01
        wrote = peer.written()
        quiet = 0 if wrote else quiet + 1
        for sequence, _, write in wrote:
            names.append(write.message.id.partition("/")[0])
            peer.accepts(sequence)
    return names


@pytest.mark.parametrize("text", ["short", LONG], ids=["short", "long"])
async def test_no_more_is_sent_than_the_window_before_others_were_told(
    make_group: MakeGroup, text: str
) -> None:
    group, member, peer = await one(make_group, Terms(window=4))
    for number in range(8):
        await group.job(id=f"j{number}", text=text)
    first = await answered(group, peer)
    assert len(first) == 4
    member.outlet.slow = False
    group.log.stir()
    rest = await answered(group, peer)
    assert len(first + rest) == 8 * (3 if text == LONG else 1)
    assert all(group.states(f"j{number}/0") == ["accepted"] for number in range(8))


async def test_the_parts_of_a_message_keep_their_places_until_all_are_answered_and_told(
    make_group: MakeGroup,
) -> None:
    group, member, peer = await one(make_group, Terms(window=4))
    await group.job(id="long", text=LONG)
    first, second, third = [sequence for sequence, _, _ in await member.written(peer, 3)]
    peer.accepts(first)
    peer.accepts(second)
    for number in range(4):
        await group.job(id=f"j{number}")
    assert await answered(group, peer) == ["j0"]
    peer.accepts(third)
    assert await answered(group, peer) == []
    member.outlet.slow = False
    group.log.stir()
    assert await answered(group, peer) == ["j1", "j2", "j3"]


async def test_a_message_longer_than_the_window_goes_out_and_others_after_it_was_told(
    make_group: MakeGroup,
) -> None:
    group, member, peer = await one(make_group, Terms(window=4))
    await group.job(id="long", text="字" * 600)
    await group.job(id="next")
    assert await answered(group, peer) == ["long"] * 9
    member.outlet.slow = False
    group.log.stir()
    assert await answered(group, peer) == ["next"]


async def test_the_answered_parts_of_a_refused_message_keep_their_places_until_it_was_told(
    make_group: MakeGroup,
) -> None:
    group, member, peer = await one(make_group, Terms(window=4))
    for number in range(6):
        await group.job(id=f"j{number}", text=LONG)

    async def taken() -> int:
        """Parts, until no more are written; the last of each message is refused."""
        count = quiet = 0
        while quiet < 20:
            await group.settle()
            wrote = peer.written()
            quiet = 0 if wrote else quiet + 1
            for sequence, part, _ in wrote:
                if part.number < part.total:
                    peer.accepts(sequence)
                    count += 1
                else:
                    peer.refuses(sequence, "13")
        return count

    assert await taken() == 4
    member.outlet.slow = False
    group.log.stir()
    assert await taken() == 8
    assert all(group.states(f"j{number}/0") == ["rejected"] for number in range(6))


async def test_no_message_is_begun_while_the_answered_parts_of_others_have_all_places(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: low)
    group, member, peer = await one(make_group, Terms(window=4))
    for number in range(6):
        await group.job(id=f"j{number}", text=LONG)
    names = []
    until = peer.now + 0.3
    while peer.now < until:
        await group.settle()
        for sequence, part, write in peer.written():
            if part.number < part.total:
                names.append(write.message.id)
                peer.accepts(sequence)
            else:
                peer.refuses(sequence, "9")  # to try again in half a second
    assert names == ["j0/0", "j0/0", "j1/0", "j1/0"]
    member.outlet.slow = False
    until = peer.now + member.patience
    while peer.now < until and not all(group.states(f"j{number}/0") for number in range(6)):
        await answered(group, peer)
        await asyncio.sleep(0.02)
    assert all(group.states(f"j{number}/0") == ["accepted"] for number in range(6))


async def test_an_urgent_message_goes_before_a_claim_that_has_the_last_place(
    make_group: MakeGroup,
) -> None:
    group, member, peer = await one(make_group, Terms(window=2, rate=1))
    for number in range(3):
        await group.job(id=f"j{number}")
    [(sequence, _, _)] = await member.written(peer)
    peer.accepts(sequence)
    await group.settle()
    assert peer.link.reserved == 1, "the second waits for the pace"
    await group.job(id="now", priority="urgent")
    [(sequence, _, write)] = await member.written(peer)
    assert write.message.id == "now/0"
    peer.accepts(sequence)
    member.outlet.slow = False
    group.log.stir()
    [(_, _, write)] = await member.written(peer)
    assert write.message.id == "j1/0"


async def test_a_long_urgent_message_goes_before_claims_that_leave_it_too_few_places(
    make_group: MakeGroup,
) -> None:
    group, member, peer = await one(make_group, Terms(window=7, rate=2))
    await group.job(id="told-later", text=LONG)
    for _ in range(3):
        [(sequence, _, _)] = await member.written(peer)
        peer.accepts(sequence)
    await group.job(id="slow", text=LONG)
    await group.settle()
    assert peer.link.reserved >= 2, "it waits for the pace"
    await group.job(id="now", priority="urgent", text=LONG)
    [(_, _, write)] = await member.written(peer)
    wrote = [write.message.id, (await member.written(peer))[0][2].message.id]
    assert "now/0" in wrote, "one of the other may have been written while it came"


async def test_nothing_is_claimed_over_and_over_beside_an_urgent_message_that_has_to_wait(
    make_group: MakeGroup,
) -> None:
    """The rest of it waits for a bind that was throttled; what is claimed for the other stays."""
    group, member, peer = await one(make_group, Terms(window=3, rate=4))
    peers = [peer, member.peer()]
    await group.job(id="now", priority="urgent", text=LONG)
    while sum(len(each.wire.sent) for each in peers) < 2:
        await member.settle()
    [first] = [each for each in peers if each.wire.sent]
    first.refuses(first.written()[0][0], "8", throttled=True)
    first.link.paused_until = peer.now + 60.0
    for number in range(9):
        await group.job(id=f"j{number}")
    until = peer.now + 2.0
    while peer.now < until:
        for each in peers:
            for sequence, _, write in each.written():
                if write.message.id != "now/0":
                    each.accepts(sequence)
        await asyncio.sleep(0.002)
    [now] = [message for message in member.app.engine.open.values() if message.id == "now/0"]
    assert first.link.again.waiting[now.lane] == 1
    made = member.app.engine.claiming.claims.make(1) & 0xFFFFFFFF
    assert made <= 20


async def test_a_message_that_was_claimed_and_goes_over_another_account_has_its_places_there(
    make_group: MakeGroup,
) -> None:
    group = make_group(Terms(window=4, rate=0.01), Terms(name="b"))
    member = await group.make()
    await group.assign([0])
    peer = member.peer("a")
    await group.job(id="long", text="字" * 600)
    assert peer.link.reserved == 9, "it waits for the pace"
    peer.lost()
    wrote = await member.written(member.peer("b"), 9)
    other = member.up["b"][0]
    for sequence, _, _ in wrote[:-1]:
        other.accepts(sequence)
    account = member.peer("a").account
    assert account.untold is not None
    assert account.untold.places() == 4


async def test_what_was_begun_does_not_give_way_to_an_urgent_message_that_may_not_begin(
    make_group: MakeGroup,
) -> None:
    group, member, peer = await one(make_group, Terms(window=2, rate=4))
    await group.job(id="long", text="字" * 250)
    for _ in range(2):
        [(sequence, _, _)] = await member.written(peer)
        peer.accepts(sequence)
    await group.job(id="now", priority="urgent")
    for _ in range(2):
        [(sequence, _, write)] = await member.written(peer)
        assert write.message.id == "long/0"
        peer.accepts(sequence)
    member.outlet.slow = False
    group.log.stir()
    assert [write.message.id for _, _, write in await member.written(peer)] == ["now/0"]
    made = member.app.engine.claiming.claims.make(1) & 0xFFFFFFFF
    assert made <= 10
