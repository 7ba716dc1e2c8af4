"""The daemon in a process of its own, all four carriers simulated in this one.

One configuration file serves both ends; the gateways' counts say what reached them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon.config import load
from daemon.sim.account import Node
from daemon.sim.fleet import Fleet
from daemon.sim.gateway import SimGateway
from tests.contract.process import Daemon, toml, until
from tests.ports import free_port

PREFIXES = {"mobile": "138", "unicom": "130", "telecom": "133", "broadnet": "192"}
CARRIERS = tuple(PREFIXES)
PROTOCOLS = {
    "mobile": {"protocol": "cmpp", "version": "3.0"},
    "unicom": {"protocol": "sgip", "version": "1.2"},
    "telecom": {"protocol": "smgp", "version": "3.0"},
    "broadnet": {"protocol": "smpp", "version": "3.4"},
}


def accounts(**keys: Any) -> dict[str, dict[str, Any]]:
    """One account with one node for each carrier; `keys` go into all of them."""
    made: dict[str, dict[str, Any]] = {}
    for name, protocol in PROTOCOLS.items():
        made[name] = {
            "carrier": name, "login": "901234", "password": "secret", "access_number": "10690001",
            "rate": 1000, **protocol, **keys,
            "nodes": [{"name": f"{name}-1", "host": "127.0.0.1", "port": free_port()}],
        }  # fmt: skip
    made["unicom"] |= {
        "node_id": 3025112345, "corp_id": "12345", "listen": f"127.0.0.1:{free_port()}",
        "listen_login": "smg", "listen_password": "smgsecret", "listen_allow": ["127.0.0.0/8"],
    }  # fmt: skip
    return made


def number(carrier: str, index: int) -> str:
    return f"{PREFIXES[carrier]}{index:08d}"


async def eventually(ask: Callable[[], Awaitable[bool]], within: float, what: str) -> None:
    """Asks another process until it says yes."""
    try:
        async with asyncio.timeout(within):
            while not await ask():  # noqa: ASYNC110  # it tells nobody by itself
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within} s: {what}") from None


class System:
    """`sections` are those of the configuration beside accounts and routes."""

    def __init__(self, directory: Path, keys: dict[str, Any], sections: dict[str, Any]) -> None:
        routes = {name: [name] for name in CARRIERS}
        self.daemon = Daemon(
            directory, {"accounts": accounts(**keys), "routes": routes, **sections}
        )
        directory.mkdir(parents=True, exist_ok=True)
        self.daemon.file.write_text("\n".join(toml(self.daemon.config)) + "\n")
        self.fleet = Fleet(load(self.daemon.file), keep=10_000)

    def gateway(self, carrier: str) -> SimGateway:
        return self.fleet.places[f"{carrier}/{carrier}-1"].gateway

    def node(self, carrier: str) -> Node:
        return self.fleet.places[f"{carrier}/{carrier}-1"].node

    @property
    def nodes(self) -> list[Node]:
        return [place.node for place in self.fleet.places.values()]

    @property
    def distinct(self) -> int:
        """Parts that reached the gateways, copies counted once."""
        return sum(account.reached.distinct for account in self.fleet.accounts.values())

    @property
    def twice(self) -> int:
        return sum(node.counts.twice for node in self.nodes)

    def faults(self) -> dict[str, int]:
        """What the gateways found wrong with what they were told; ends of connections are not."""
        return {
            why: count
            for node in self.nodes
            for why, count in node.counts.faults.items()
            if not why.startswith("closed:")
        }

    async def reached(self, carrier: str, count: int, within: float = 60.0) -> None:
        node = self.node(carrier)
        await until(lambda: node.counts.submits >= count, within, f"{count} submits of {carrier}")


@asynccontextmanager
async def system(
    directory: Path, *, keys: dict[str, Any] | None = None, **sections: Any
) -> AsyncIterator[System]:
    """Gateways that listen, and a daemon that is not started; `keys` go into every account."""
    made = System(directory, keys or {}, sections)
    await made.fleet.start()
    try:
        yield made
    finally:
        await made.daemon.close()
        await made.fleet.stop()
