"""SGIP: a bind that its gateway closed idle is usable until a connect fails."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec import structs

from daemon.bind import Bind
from daemon.ledger import History
from protocols import ids
from protocols.events import Event
from protocols.part import Part as WirePart

from .conftest import MakeDesk
from .desk import Desk, Terms, Wire

EXTRA = """
node_id = 3025112345
corp_id = "12345"
listen = "127.0.0.1:1"
listen_login = "smg"
listen_password = "secret"
listen_allow = ["127.0.0.0/8"]
"""


class Gateway:
    """Accepts connections and says nothing."""

    def __init__(self) -> None:
        self.server: asyncio.Server
        self.connections: list[asyncio.StreamWriter] = []

    async def came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()


@asynccontextmanager
async def up(desk: Desk) -> AsyncIterator[tuple[Bind, Gateway]]:
    """The desk's bind, logged in at a gateway of its own."""
    async with all_up(desk) as [(bind, gateway)]:
        yield bind, gateway


@asynccontextmanager
async def all_up(desk: Desk) -> AsyncIterator[list[tuple[Bind, Gateway]]]:
    """The desk's binds, each logged in at a gateway of its own."""
    desk.app.router.usable = desk.app.pool.usable
    found = []
    async with AsyncExitStack() as stack:
        for bind in desk.app.pool.binds["a"]:
            gateway = Gateway()
            server = await asyncio.start_server(gateway.came, "127.0.0.1", 0)
            gateway.server = server
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
            bind.node = structs.replace(bind.node, host="127.0.0.1", port=port)
            bind.make = lambda mode: Wire(16)  # type: ignore[assignment]
            stack.push_async_callback(ended, bind, asyncio.create_task(bind.run()))
            await until(lambda: bind.link is not None and bool(gateway.connections))  # noqa: B023
            log_in(desk, bind)
            found.append((bind, gateway))
        yield found


async def ended(bind: Bind, running: asyncio.Task[None]) -> None:
    running.cancel()
    if bind.link is not None:
        bind.link.abort()
        await bind.link.closed
    await asyncio.gather(running, return_exceptions=True)


def wire_of(bind: Bind) -> Wire:
    assert bind.link is not None
    assert isinstance(bind.link.session, Wire)
    return bind.link.session


def log_in(desk: Desk, bind: Bind) -> None:
    """The gateway answers the login."""
    wire_of(bind)._bound("1.2", asyncio.get_running_loop().time())
    events: list[Event] = wire_of(bind)._take_events()
    desk.app.engine.heard(bind.link, events, asyncio.get_running_loop().time())  # type: ignore[arg-type]
    assert bind.state == "bound"


async def until(true: object, seconds: float = 20.0) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not true():  # type: ignore[operator]
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


def sgip(*priorities: int) -> Terms:
    """An account with a node of each of these priorities."""
    nodes = [(f"n{number}", priority) for number, priority in enumerate(priorities or (1,), 1)]
    return Terms(protocol="sgip", extra=EXTRA, nodes=nodes)


async def test_a_connection_closed_while_nothing_was_owed_leaves_the_bind_usable(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(sgip())
    async with up(desk) as (bind, gateway):
        gateway.connections[0].close()
        assert await until(lambda: bind.state != "bound")
        assert bind.state == "idle"
        assert desk.app.pool.usable("a")
        assert desk.app.router.serving["mobile"] == "a"


async def test_an_idle_bind_stays_usable_while_it_connects_again(make_desk: MakeDesk) -> None:
    desk = await make_desk(sgip())
    async with up(desk) as (bind, gateway):
        bind.link.session._end("the peer said goodbye", error=False)  # type: ignore[union-attr]
        events = bind.link.session._take_events()  # type: ignore[union-attr]
        desk.app.engine.heard(bind.link, events, asyncio.get_running_loop().time())  # type: ignore[arg-type]
        bind.link.abort()  # type: ignore[union-attr]
        assert await until(lambda: bind.state == "idle")
        await desk.take({"id": "j"})
        assert await until(lambda: len(gateway.connections) == 2)
        # Connected, its login not answered yet.
        assert bind.state in ("connecting", "login")
        desk.app.router.changed()
        assert desk.app.pool.usable("a")
        assert desk.app.router.serving["mobile"] == "a"


async def test_an_idle_bind_whose_login_is_not_answered_is_not_usable_any_more(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(sgip())
    async with up(desk) as (bind, gateway):
        gateway.connections[0].close()
        assert await until(lambda: bind.state == "idle")
        await desk.take({"id": "j"})
        assert await until(lambda: len(gateway.connections) == 2 and bind.state == "login")
        link, wire = bind.link, wire_of(bind)
        later = asyncio.get_running_loop().time() + wire.limits.bind_within
        link._heard(wire.tick(later), later)  # type: ignore[union-attr]
        assert await until(lambda: bind.state == "backoff")
        assert not desk.app.pool.usable("a")
        assert desk.app.router.serving["mobile"] is None


async def test_a_bind_that_was_closed_idle_goes_before_a_node_of_a_larger_priority(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(sgip(2, 1))
    async with all_up(desk) as [(second, _), (first, gateway)]:
        gateway.connections[0].close()
        assert await until(lambda: first.state == "idle")
        await desk.take({"id": "j"})
        assert await until(lambda: len(gateway.connections) == 2 and first.state == "login")
        log_in(desk, first)
        assert await until(lambda: bool(wire_of(first).sent))
        assert wire_of(second).sent == []


async def test_a_node_of_a_larger_priority_takes_over_when_an_idle_bind_cannot_connect(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(sgip(1, 2))
    async with all_up(desk) as [(first, gateway), (second, _)]:
        gateway.connections[0].close()
        gateway.server.close()
        assert await until(lambda: first.state == "idle")
        await desk.take({"id": "j"})
        assert await until(lambda: bool(wire_of(second).sent))
        assert first.state == "backoff"


async def test_a_node_of_a_larger_priority_does_not_wait_long_for_one_that_swallows_connects(
    make_desk: MakeDesk,
) -> None:
    terms = sgip(1, 2)
    terms.extra += "answer_within = 0.3\n"
    desk = await make_desk(terms)
    with ExitStack() as sockets:
        hole = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):  # its queue is full: what comes now gets no answer at all
            crowd = sockets.enter_context(socket.socket())
            crowd.setblocking(False)
            crowd.connect_ex(hole.getsockname())
        async with all_up(desk) as [(first, gateway), (second, _)]:
            gateway.connections[0].close()
            assert await until(lambda: first.state == "idle")
            first.node = structs.replace(first.node, port=hole.getsockname()[1])
            await desk.take({"id": "j"})
            assert first.state != "idle", "it is tried first"
            assert await until(lambda: bool(wire_of(second).sent))
            assert first.state == "backoff"


async def test_an_idle_bind_comes_back_to_share_the_load_of_its_priority(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(sgip(1, 1))
    async with all_up(desk) as [(first, gateway), (second, _)]:
        gateway.connections[0].close()
        assert await until(lambda: first.state == "idle")
        await desk.take({"id": "j"})
        assert await until(lambda: len(gateway.connections) == 2)
        assert await until(lambda: bool(wire_of(second).sent))


async def test_the_next_idle_bind_is_tried_when_one_cannot_connect(make_desk: MakeDesk) -> None:
    desk = await make_desk(sgip(1, 2))
    async with all_up(desk) as [(first, dead), (second, gateway)]:
        for each in (dead, gateway):
            each.connections[0].close()
        dead.server.close()
        assert await until(lambda: first.state == second.state == "idle")
        await desk.take({"id": "j"})
        assert await until(lambda: len(gateway.connections) == 2)


async def test_the_id_that_a_rejected_messages_event_shows_leads_to_the_message(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequence = bytes.fromhex("b44f69e1432dcf5500000007")

    def submit(self: Wire, tag: Any, part: WirePart, now: float) -> bytes:
        real(self, tag, part, now)
        return sequence

    real = Wire._submit
    monkeypatch.setattr(Wire, "_submit", submit)
    desk = await make_desk(sgip())
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(number, _, _)] = await desk.written(peer)
    peer.refuses(number, "29")
    await desk.settle()
    [event] = desk.of("j/0")
    assert (event["state"], event["carrier_ids"]) == ("rejected", ["3025103329:1127075669:7"])
    with History.open(desk.state) as history:
        keys = [(None, key) for key in ids.spoken(event["carrier_ids"][0])]
        assert [row.mid for _, row in history.by_carrier_id(keys)] == [1 << 10]
