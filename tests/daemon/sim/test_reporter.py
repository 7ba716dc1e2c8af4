"""SGIP's other direction: the simulated gateway dials the client's listener."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from daemon.sim import inbound
from daemon.sim.account import Account, Delivery, Listener
from protocols.events import Accepted, Bound, Received, Reported
from protocols.session import Limits
from protocols.sgip.listener import SgipListener

from .conftest import Make
from .sp import CREDENTIALS, Sp, bound, client, clock, part, until


class Listening:
    """An SP's listening side: every connection of the carrier is an Sp."""

    def __init__(self) -> None:
        self.connections: list[Sp] = []
        self.password = "gatepass"
        self.port = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(self._accept, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.server.close()
        for sp in self.connections:
            if not sp.closed:
                sp.hang_up()
        self.connections.clear()

    def _accept(self) -> Sp:
        logins = {"smg": (self.password, None)}
        self.connections.append(Sp(SgipListener(logins, Limits(keepalive=None), clock())))
        return self.connections[-1]

    def account(self) -> Account:
        login, secret = CREDENTIALS["sgip"]
        listener = Listener("127.0.0.1", self.port, "smg", "gatepass")
        return Account("u", "sgip", login, secret, access_number="1065", listener=listener)


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    side = Listening()
    await side.start()
    yield side
    side.stop()


async def test_reports_and_inbound_messages_come_on_a_connection_of_the_carrier(
    make: Make, listening: Listening
) -> None:
    gateway, node = await make("sgip", account=listening.account())
    sp = await bound(client("sgip"), gateway.port)
    assert listening.connections == []  # nothing to tell, nobody dials
    sp.submit(part(1))
    (answer,) = await sp.got(Accepted)
    await until(lambda: bool(listening.connections))
    (carrier,) = listening.connections
    (report,) = await carrier.got(Reported)
    assert report.keys[0] == answer.carrier_id[4:12]
    assert carrier.of(Bound)
    assert sp.of(Reported) == []
    made = inbound.parts("sgip", "13012345678", "106512", "TD")
    gateway.deliver([Delivery(node, one) for one in made])
    (received,) = await carrier.got(Received)
    assert (received.sender, received.to, received.content) == ("8613012345678", "106512", b"TD")
    await until(lambda: node.counts.inbound_taken == node.counts.reports_taken == 1)
    assert len(listening.connections) == 1


async def test_the_carrier_dials_until_the_client_listens_again(
    make: Make, listening: Listening
) -> None:
    gateway, node = await make("sgip", account=listening.account())
    listening.stop()
    sp = await bound(client("sgip"), gateway.port)
    sp.submit(part(1), part(2))
    await sp.got(Accepted, 2)
    await until(lambda: len(node.account.outbox) == 2)
    await listening.start()
    await until(lambda: node.counts.reports_taken == 2)


async def test_the_carrier_dials_again_after_a_lost_connection(
    make: Make, listening: Listening
) -> None:
    gateway, node = await make("sgip", account=listening.account())
    sp = await bound(client("sgip"), gateway.port)
    sp.submit(part(1))
    await until(lambda: node.counts.reports_taken == 1)
    listening.connections[0].hang_up()
    await until(lambda: gateway.connections == 1)
    sp.submit(part(2))
    await until(lambda: node.counts.reports_taken == 2)
    assert len(listening.connections) == 2


async def test_a_refused_carrier_tries_again(make: Make, listening: Listening) -> None:
    listening.password = "changed"
    gateway, node = await make("sgip", account=listening.account())
    sp = await bound(client("sgip"), gateway.port)
    sp.submit(part(1))
    await until(lambda: node.counts.logins_refused == 1)
    listening.password = "gatepass"
    await until(lambda: node.counts.reports_taken == 1)


async def test_a_dead_gateway_dials_nobody(make: Make, listening: Listening) -> None:
    gateway, node = await make("sgip", account=listening.account(), report_delay=0.02)
    sp = await bound(client("sgip"), gateway.port)
    sp.submit(part(1))
    await sp.got(Accepted)
    gateway.kill()
    await until(lambda: len(node.account.outbox) == 1)
    assert listening.connections == []
    await gateway.revive()
    await until(lambda: node.counts.reports_taken == 1)


async def test_the_carrier_hangs_up_a_silent_connection_and_dials_when_needed(
    make: Make, listening: Listening
) -> None:
    gateway, node = await make("sgip", account=listening.account(), idle_close=0.03)
    sp = await bound(client("sgip"), gateway.port)
    sp.submit(part(1))
    await until(lambda: node.counts.reports_taken == 1)
    await until(lambda: gateway.connections == 0)
    assert node.counts.closed_idle == 2
    sp = await bound(client("sgip"), gateway.port)
    sp.submit(part(2))
    await until(lambda: node.counts.reports_taken == 2)
