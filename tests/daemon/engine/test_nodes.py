"""Nodes of several priorities: what waits at one that is not used any more still goes out."""

from __future__ import annotations

import asyncio

import pytest

from daemon import account as accounts

from .conftest import MakeDesk
from .desk import Terms

TWO = (("best", 1), ("spare", 2))


async def test_parts_claimed_for_the_spare_node_go_out_after_the_best_one_is_back(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=8, nodes=TWO))
    spare = desk.peer(node="spare")
    await desk.take({"id": "j", "text": "字" * 200})
    assert spare.link.reserved >= 2
    best = desk.peer(node="best")
    await desk.take({"id": "k"})
    wrote: list[str] = []
    end = best.now + 20.0
    while len(wrote) < 4 and best.now < end:
        await desk.settle()
        for peer in (spare, best):
            for sequence, _, write in peer.written():
                wrote.append(write.message.id)
                peer.accepts(sequence)
        await asyncio.sleep(0.005)
    assert sorted(wrote) == ["j/0", "j/0", "j/0", "k/0"]


async def test_a_part_throttled_at_the_spare_node_goes_to_the_best_one_when_that_is_back(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(Terms(nodes=TWO))
    spare = desk.peer(node="spare")
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(spare)
    best = desk.peer(node="best")
    spare.refuses(sequence, "8", throttled=True)
    assert await desk.written(best)
