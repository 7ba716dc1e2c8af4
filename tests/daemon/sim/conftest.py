"""One simulated gateway with one account, on a free port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from daemon.sim.account import Account, Node
from daemon.sim.behaviour import Behaviour
from daemon.sim.gateway import SimGateway

from .sp import CREDENTIALS, OPENED

Make = Callable[..., Awaitable[tuple[SimGateway, Node]]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Everything here runs on both loops: they differ in what a pause and a close do."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
async def closing() -> AsyncIterator[None]:
    """No client outlives its test."""
    yield
    while OPENED:
        await OPENED.pop().end()


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Starts a gateway whose client is treated as the keywords say; all are stopped afterwards."""
    gateways = []

    async def made(
        protocol: str = "cmpp",
        *,
        account: Account | None = None,
        name: str = "n1",
        seed: int = 0,
        **behaviour: Any,
    ) -> tuple[SimGateway, Node]:
        if account is None:
            login, secret = CREDENTIALS[protocol]
            account = Account("a", protocol, login, secret, access_number="1065")
        gateway = SimGateway(protocol)
        node = gateway.add(account, Behaviour(**behaviour), name=name, seed=seed, keep=1000)
        await gateway.start()
        gateways.append(gateway)
        return gateway, node

    yield made
    for gateway in gateways:
        await gateway.stop()
