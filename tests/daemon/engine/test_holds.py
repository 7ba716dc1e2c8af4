"""A bind that is dealt to no more: what was on its way to it goes to another."""

from __future__ import annotations

import asyncio

from .conftest import MakeDesk
from .desk import Terms


async def test_what_is_being_claimed_for_a_bind_when_it_is_held_goes_to_another(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(nodes=(("n1", 1), ("n2", 1))))
    held = desk.peer(node="n1")
    async with desk.slow_disk():
        taken = asyncio.create_task(desk.take({"id": "j"}))
        await desk.until(lambda: held.link.reserved == 1)
        assert held.account.left(held.link) == []
        other = desk.peer(node="n2")
    await taken
    assert [write.message.id for _, _, write in await desk.written(other)] == ["j/0"]
    assert held.written() == []
    assert held.link.reserved == 0
