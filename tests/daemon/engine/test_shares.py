"""One account over several nodes: the pace is one, the windows are each link's own."""

from __future__ import annotations

import asyncio

import pytest

from daemon import account as accounts
from daemon.bind import Bind
from daemon.link import Link
from protocols.events import Bound

from .conftest import MakeDesk
from .desk import Peer, Terms, Wire

TWO = (("n1", 1), ("n2", 1))
LONG = "字" * 130  # two parts


async def written(
    *peers: Peer, seconds: float, least: int = 0, answer: bool = True
) -> list[tuple[float, Peer]]:
    """When, and at whom, in so many seconds, or until there are so many; answered at once."""
    began: float = peers[0].now
    wrote: list[tuple[float, Peer]] = []
    while (now := peers[0].now) < began + seconds or len(wrote) < least:
        for peer in peers:
            for sequence, _, _ in peer.written():
                wrote.append((now, peer))
                if answer:
                    peer.accepts(sequence)
        await asyncio.sleep(0.001)
    return wrote


async def test_all_links_of_an_account_together_keep_its_rate(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=40, nodes=TWO))
    peers = desk.peer(node="n1"), desk.peer(node="n2")
    await desk.take(*({"id": f"j{n}"} for n in range(100)))
    wrote = await written(*peers, seconds=1.2, least=60)
    for first, _ in wrote:
        # A write is seen up to a turn of this test after it was made.
        assert sum(first <= at < first + 0.95 for at, _ in wrote) <= 40
    assert {peer.link.label for _, peer in wrote} == {"n1", "n2"}


async def test_no_link_has_more_unanswered_than_its_window(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=100_000, window=4, nodes=TWO))
    peers = desk.peer(node="n1"), desk.peer(node="n2")
    await desk.take(*({"id": f"j{n}"} for n in range(40)))
    assert len(await written(*peers, seconds=0.1, least=8, answer=False)) == 8
    assert [peer.link.session.unanswered for peer in peers] == [4, 4]
    assert [peer.link.reserved for peer in peers] == [0, 0], "claimed though no window has room"
    # What is uncertain leaves the window, one at a time while nothing is answered.
    peers[0].silence()
    await desk.settle()
    assert len(await written(*peers, seconds=0.1, least=1, answer=False)) == 1


async def test_all_parts_of_a_message_go_over_one_bind(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(rate=30, window=5, nodes=TWO))
    peers = desk.peer(node="n1"), desk.peer(node="n2")
    await desk.take(*({"id": f"j{n}", "text": LONG} for n in range(12)))
    places: dict[str, set[str]] = {}
    end = peers[0].now + 20.0
    parts = 0
    while parts < 24 and peers[0].now < end:
        for peer in peers:
            for sequence, _, write in peer.written():
                places.setdefault(write.message.id, set()).add(peer.link.label)
                parts += 1
                peer.accepts(sequence)
        await asyncio.sleep(0.001)
    assert parts == 24
    assert {len(nodes) for nodes in places.values()} == {1}
    assert set.union(*places.values()) == {"n1", "n2"}


async def test_no_more_is_claimed_for_a_link_than_its_window_while_the_disk_is_slow(
    make_desk: MakeDesk,
) -> None:
    """What is claimed is in doubt after a crash, whether it was written or not."""
    desk = await make_desk(Terms(rate=100_000, window=4))
    peer = desk.peer()
    async with desk.slow_disk():
        taking = [asyncio.create_task(desk.take({"id": f"j{n}"})) for n in range(6)]
        await desk.until(lambda: peer.link.reserved == 4)
        await asyncio.sleep(0.1)
        desk.pull()
        assert peer.link.reserved == 4
    await asyncio.gather(*taking)


async def test_what_is_left_of_a_message_waits_for_the_bind_that_has_the_rest(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(Terms(nodes=TWO))
    peers = desk.peer(node="n1"), desk.peer(node="n2")
    places: dict[str, list[str]] = {}
    for n in range(6):
        await desk.take({"id": f"j{n}", "text": LONG})
    end = peers[0].now + 20.0
    while sum(map(len, places.values())) < 18 and peers[0].now < end:
        for peer in peers:
            for sequence, part, write in peer.written():
                seen = places.setdefault(write.message.id, [])
                seen.append(peer.link.label)
                if part.number == 2 and len(seen) == 2:
                    peer.refuses(sequence, "8", throttled=True)
                else:
                    peer.accepts(sequence)
        await asyncio.sleep(0.001)
    assert [len(nodes) for nodes in places.values()] == [3] * 6
    assert {len(set(nodes)) for nodes in places.values()} == {1}


async def test_a_larger_priority_is_dealt_nothing_while_a_smaller_one_is_there(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(nodes=(("best", 1), ("spare", 2))))
    spare, best = desk.peer(node="spare"), desk.peer(node="best")
    await desk.take(*({"id": f"j{n}"} for n in range(20)))
    wrote = await written(spare, best, seconds=0.2, least=20)
    assert {peer.link.label for _, peer in wrote} == {"best"}
    assert len(wrote) == 20
    best.lost()
    await desk.take({"id": "k"})
    assert await desk.written(spare)


class Told:
    """What a bind tells the pool."""

    def bind_opened(self, bind: Bind, link: Link) -> None: ...
    def bind_up(self, bind: Bind, link: Link) -> None: ...
    def bind_down(self, bind: Bind, link: Link | None) -> None: ...


async def test_a_bind_that_comes_back_ramps_up_only_while_others_carry_its_share(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(nodes=TWO))
    account = desk.app.accounts["a"]
    node = account.settings.nodes[1]
    bind = Bind(account, node, 1, "trx", lambda mode: Wire(4), desk.app.engine, Told())

    def comes_up() -> bool:
        link = bind._make_link()
        bind.on_event(link, Bound("3.0", ""), 0.0)
        return link.ramping

    other = desk.peer(node="n1")
    assert not comes_up(), "at start everything is well"
    assert comes_up()
    other.lost()
    assert not comes_up(), "there is nobody else"


async def test_a_link_that_came_back_has_one_until_it_answers_and_all_after_ten_seconds(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(nodes=TWO, window=10))
    desk.peer(node="n1")
    back = desk.peer(node="n2")
    link, since = back.link, back.now
    link.ramping = True
    assert [link.room(since + passed) for passed in (0.0, 5.0)] == [1, 1]
    link.took([since])
    rooms = [link.room(since + passed) for passed in (0.0, 2.5, 5.0, 9.9, 10.0)]
    assert rooms == [1, 2, 5, 9, 10]


async def test_what_one_node_throttles_flows_through_the_other_at_the_full_rate(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(Terms(rate=500, nodes=TWO, extra="adapt = false"))
    slow, well = desk.peer(node="n1"), desk.peer(node="n2")
    await desk.take(*({"id": f"j{n}"} for n in range(60)))
    done, refused = 0, 0
    end = slow.now + 30.0
    while done < 60 and slow.now < end:
        for sequence, _, _ in slow.written():
            refused += 1
            slow.refuses(sequence, "8", throttled=True)
        for sequence, _, _ in well.written():
            done += 1
            well.accepts(sequence)
        await asyncio.sleep(0.001)
    await desk.settle()
    assert (done, refused > 0) == (60, True)
    assert refused < 60, "it was asked again and again"
    assert desk.app.accounts["a"].pacer.pace == 500
    assert [desk.states(f"j{n}/0") for n in range(60)] == [["accepted"]] * 60


async def test_a_message_that_one_node_throttled_goes_over_the_other(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(Terms(nodes=TWO))
    slow = desk.peer(node="n1")
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(slow)
    well = desk.peer(node="n2")
    slow.refuses(sequence, "8", throttled=True)
    [(again, _, write)] = await desk.written(well)
    assert write.attempt == 1
    well.accepts(again)
    await desk.settle()
    assert desk.states("j/0") == ["accepted"]


async def test_an_account_that_is_throttled_everywhere_slows_down_alone(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(name="a"), Terms(name="b"))
    peers = desk.peer("a"), desk.peer("b")
    await desk.take({"id": "j"}, {"id": "k", "account": "b"})
    [(sequence, _, _)] = await desk.written(peers[0])
    peers[0].refuses(sequence, "8", throttled=True)
    await desk.settle()
    paces = [desk.app.accounts[name].pacer.pace for name in "ab"]
    assert paces[0] < 1000
    assert paces[1] == 1000
    assert await desk.written(peers[1])


async def test_routes_of_an_account_take_turns_whatever_the_number_of_its_links(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=30, nodes=TWO))
    peers = desk.peer(node="n1"), desk.peer(node="n2")
    await desk.take(*({"id": f"{n}", **({"account": "a"} if n < 30 else {})} for n in range(60)))
    routes: list[str] = []
    end = peers[0].now + 20.0
    while len(routes) < 20 and peers[0].now < end:
        for peer in peers:
            for sequence, _, write in peer.written():
                routes.append(write.message.route)
                peer.accepts(sequence)
        await asyncio.sleep(0.001)
    assert 8 <= routes.count("mobile") <= 12
