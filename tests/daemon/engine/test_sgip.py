"""SGIP: a bind that its gateway closed idle is usable until a connect fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from daemon.bind import Bind
from protocols.events import Event

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
        self.connections: list[asyncio.StreamWriter] = []

    async def came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()


@asynccontextmanager
async def up(desk: Desk) -> AsyncIterator[tuple[Bind, Gateway]]:
    """The desk's bind, logged in at a gateway of its own."""
    gateway = Gateway()
    server = await asyncio.start_server(gateway.came, "127.0.0.1", 0)
    [bind] = desk.app.pool.binds["a"]
    bind.node = type(bind.node)(
        name="n1", host="127.0.0.1", port=server.sockets[0].getsockname()[1]
    )
    bind.make = lambda mode: Wire(16)  # type: ignore[assignment]
    desk.app.router.usable = desk.app.pool.usable
    running = asyncio.create_task(bind.run())
    await until(lambda: bind.link is not None and bool(gateway.connections))
    assert bind.link is not None
    assert isinstance(bind.link.session, Wire)
    wire = bind.link.session
    wire._bound("1.2", asyncio.get_running_loop().time())
    events: list[Event] = wire._take_events()
    desk.app.engine.heard(bind.link, events, asyncio.get_running_loop().time())
    assert bind.state == "bound"
    try:
        yield bind, gateway
    finally:
        running.cancel()
        if bind.link is not None:
            bind.link.abort()
            await bind.link.closed
        server.close()
        await server.wait_closed()
        await asyncio.gather(running, return_exceptions=True)


async def until(true: object, seconds: float = 1.0) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not true():  # type: ignore[operator]
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


def sgip() -> Terms:
    return Terms(protocol="sgip", extra=EXTRA)


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
