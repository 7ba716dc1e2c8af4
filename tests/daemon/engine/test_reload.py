"""Another configuration while messages are under way."""

from __future__ import annotations

import asyncio
import struct

import pytest

from daemon import account as accounts
from daemon.bind import Bind
from daemon.config import Node, examine
from daemon.link import Link

from .conftest import MakeDesk
from .desk import Desk, Terms, Wire, configured, stand_still


def reload(desk: Desk, *terms: Terms) -> None:
    file = desk.state.parent / "next.toml"
    file.write_text(configured(*terms).replace("{state}", str(desk.state)))
    desk.app.reload(examine(file, environ={}).config)


async def test_an_account_that_is_gone_with_messages_to_write_again_stops_nothing(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    desk = await make_desk(Terms(name="a"), Terms(name="b"))
    peer = desk.peer("a")
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    reload(desk, Terms(name="b"))
    peer.refuses(sequence, "8", throttled=True)
    peer.lost()
    await asyncio.sleep(0.02)
    desk.pull("a")
    desk.app.ticker._count_blocked(0.1, peer.now)
    desk.app.status.show()
    other = desk.peer("b")
    await desk.take({"id": "k"})
    assert await desk.written(other)
    await desk.pass_(259_201.0)
    assert desk.states("j/0")[-1] == "expired"


class Told:
    """What a bind tells, noted."""

    def __init__(self) -> None:
        self.up: list[Link] = []

    def bind_opened(self, bind: Bind, link: Link) -> None: ...

    def bind_up(self, bind: Bind, link: Link) -> None:
        self.up.append(link)

    def bind_down(self, bind: Bind, link: Link | None) -> None: ...


async def test_a_bind_that_ends_while_it_connects_does_not_come_up(make_desk: MakeDesk) -> None:

    server = await asyncio.start_server(_read_only, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    desk = await make_desk()
    account = desk.app.accounts["a"]
    node = Node(name="n1", host="127.0.0.1", port=port)
    bind = Bind(account, node, 1, "trx", lambda mode: Wire(4), desk.app.engine, Told())
    running = asyncio.create_task(bind.run())
    await asyncio.sleep(0)
    await bind.retire()
    done, _ = await asyncio.wait([running], timeout=20.0)
    running.cancel()
    if bind.link is not None:
        bind.link.abort()
        await bind.link.closed
    server.close()
    await server.wait_closed()
    assert done, "the connection was made and is kept"


async def _read_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_nothing_is_lost_when_an_account_gets_other_nodes(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(rate=0.05))
    peer = desk.peer()
    await desk.take({"id": "j", "text": "字" * 130})
    assert peer.link.reserved == 2
    reload(desk, Terms(rate=1000, nodes=(("n2", 1),)))
    for message in desk.app.accounts["a"].left(peer.link):
        desk.app.router.requeue(message)
    other = desk.peer(node="n2")
    found = await desk.written(other, 2)
    assert [part.number for _, part, _ in found] == [1, 2]


async def test_a_message_of_an_account_that_is_gone_after_a_restart_ends_and_stops_nothing(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SGIP: an event shows ids that no answer brought, and those are spelled by protocol."""
    sequence = struct.pack("!III", 3025112345, 1122083000, 7)
    desk = await make_desk(Terms(name="a"), Terms(name="b"))
    peer = desk.peer("a")
    await desk.take({"id": "lost"}, {"id": "taken"})
    [(_, _, lost), (answered, _, taken)] = await desk.written(peer)
    lost.part.written_id = taken.part.written_id = sequence
    peer.accepts(answered, sequence)
    fresh = await desk.crash()
    fresh.text = configured(Terms(name="b"))
    stand_still(monkeypatch, fresh)
    await fresh.start()
    try:
        await fresh.pass_(259_300.0)
        ends = {name: fresh.of(f"{name}/0")[-1] for name in ("lost", "taken")}
    finally:
        await fresh.close()
    assert [(end["state"], end["code"]) for end in ends.values()] == [
        ("expired", "LOCAL:NO_RESP"),
        ("expired", "LOCAL:NO_REPORT"),
    ]
