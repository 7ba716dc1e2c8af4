"""A daemon between gateways: what most tests here begin with."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from tests.ports import free_port

from .cmpp import CmppGateway
from .events import faults
from .gateways import Carrier, Gateway, Pulse
from .process import Daemon
from .sgip import SgipGateway
from .smgp import SmgpGateway
from .smpp import SmppGateway

PREFIXES = {"mobile": "138", "unicom": "130", "telecom": "133", "broadnet": "192"}
_numbers = itertools.count(1)
_names = itertools.count(1)


def number(carrier: str = "mobile") -> str:
    """A number that no other test uses."""
    return f"{PREFIXES[carrier]}{next(_numbers):08d}"


def job(to: str | list[str], text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"id": f"j-{next(_names)}", "to": to, "text": text, **more}


def node(gateway: Gateway, **keys: Any) -> dict[str, Any]:
    return {"name": gateway.name, "host": "127.0.0.1", "port": gateway.port, **keys}


class Account:
    """One account with its gateways; `keys` override what the configuration says of it."""

    def __init__(self, name: str, protocol: str, carrier: str, nodes: int = 1, **keys: Any) -> None:
        login, password = {
            "cmpp": ("901234", "secret-1"),
            "sgip": ("spuser", "secret-2"),
            "smgp": ("85001234", "secret-3"),
            "smpp": ("esme", "secret4"),
        }[protocol]
        self.name = name
        self.protocol = protocol
        access = keys.pop("access_number", f"1065{crc32(name.encode()) % 10**6:06d}")
        login = keys.pop("login", login)
        password = keys.pop("password", password)
        self.node_keys: list[dict[str, Any]] = keys.pop("node_keys", [{}] * nodes)
        version = {"cmpp": "3.0", "sgip": "1.2", "smgp": "3.0", "smpp": "3.4"}[protocol]
        self.far = Carrier(login, password, access)
        self.keys: dict[str, Any] = {
            "carrier": carrier, "protocol": protocol, "version": version, "login": login,
            "password": password, "access_number": access, "rate": 1000, "answer_within": 3.0,
            **keys,
        }  # fmt: skip
        if protocol == "sgip":
            self.keys = {
                "node_id": 3025112345, "corp_id": "12345", "listen_login": "smg",
                "listen_password": "smgpass", "listen_allow": ["127.0.0.0/8"], **self.keys,
            }  # fmt: skip
            self.keys.setdefault("listen", f"127.0.0.1:{free_port()}")
        window = self.keys.get("window", 16)
        self.gateways: list[Any] = [
            self._gateway(f"{name}-{i + 1}", window) for i in range(len(self.node_keys))
        ]
        for gateway in self.gateways:
            gateway.given_up = self.keys["answer_within"] * 0.95

    def _gateway(self, name: str, window: int) -> Gateway:
        if self.protocol == "cmpp":
            return CmppGateway(self.far, name, self.keys["version"], window)
        if self.protocol == "smgp":
            return SmgpGateway(self.far, name, window)
        if self.protocol == "smpp":
            return SmppGateway(self.far, name, window)
        port = int(self.keys["listen"].rpartition(":")[2])
        return SgipGateway(
            self.far, name, port, self.keys["listen_login"], self.keys["listen_password"],
            self.keys["node_id"], window,
        )  # fmt: skip

    @property
    def gateway(self) -> Any:
        return self.gateways[0]

    def table(self) -> dict[str, Any]:
        nodes = [
            node(gateway, **keys)
            for gateway, keys in zip(self.gateways, self.node_keys, strict=True)
        ]
        return {**self.keys, "nodes": nodes}


class World:
    """Accounts by name and the daemon between."""

    def __init__(self, directory: Path, accounts: list[Account], config: dict[str, Any]) -> None:
        self.accounts = {account.name: account for account in accounts}
        self._directory, self._config = directory, config
        self.daemon: Daemon
        self.offset = timedelta(hours=8)
        self.pulse = Pulse()

    def __getattr__(self, name: str) -> Account:
        try:
            return self.__dict__["accounts"][name]
        except KeyError:
            raise AttributeError(name) from None

    async def open(self, ready: bool = True) -> None:
        self.pulse.start()
        for account in self.accounts.values():
            account.far.pulse = self.pulse
            for gateway in account.gateways:
                await gateway.start()
        routes: dict[str, list[str]] = {}
        for account in self.accounts.values():
            routes.setdefault(account.keys["carrier"], []).append(account.name)
        self.daemon = Daemon(
            self._directory,
            {
                "uncertain": {"hold": 0.6},
                "routes": routes,
                **self._config,
                "accounts": {name: a.table() for name, a in self.accounts.items()},
            },
        )
        await self.daemon.start(ready)
        await self.daemon.follow()

    async def close(self) -> None:
        try:
            await self.daemon.close()
        finally:
            await self.pulse.stop()
            for account in self.accounts.values():
                for gateway in account.gateways:
                    await gateway.close()

    def faults(self) -> list[str]:
        """What the daemon did wrong so far, seen by gateways and in what it published."""
        found = faults(self.daemon.published, self.offset)
        for account in self.accounts.values():
            found += account.far.faults
            for gateway in account.gateways:
                for connection in (*gateway.connections, *gateway.past):
                    if len(connection.peak) > gateway.window:
                        found.append(f"{gateway.name}: submits unanswered for {connection.peak} s")
        return found


@asynccontextmanager
async def world(
    directory: Path, *accounts: Account, ready: bool = True, check: bool = True, **config: Any
) -> AsyncIterator[World]:
    """Opens everything, and at the end says what went against the contract unnoticed."""
    opened = World(directory, list(accounts), config)
    try:
        await opened.open(ready)
        yield opened
    finally:
        await opened.close()
    if check:
        assert opened.faults() == []
