"""Every gateway of one configuration file, played in one process.

Nodes with the same address are one gateway with several clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daemon.config import Account as AccountSettings
from daemon.config import Config

from . import inbound
from .account import Account, Delivery, Listener, Node
from .counts import Counts
from .dialect import DIALECTS
from .gateway import SimGateway
from .loopback import is_loopback

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where to dial, not to listen


class FleetError(Exception):
    """The file's gateways cannot be played here; the text names the key."""


@dataclass(slots=True, frozen=True)
class Place:
    """A node and the gateway it is played by."""

    gateway: SimGateway
    node: Node


class Fleet:
    """Raises FleetError for addresses that are not loopback and for gateways that clash."""

    def __init__(self, config: Config, *, keep: int = 0) -> None:
        """The latest `keep` submits of every node are kept whole."""
        self.accounts: dict[str, Account] = {}
        self.places: dict[str, Place] = {}
        """By account/node."""
        self.gateways: list[SimGateway] = []
        by_address: dict[tuple[str, int], SimGateway] = {}
        for name, settings in config.accounts.items():
            account = self.accounts[name] = Account(
                name,
                settings.protocol,
                settings.login,
                settings.password.reveal(),
                version=settings.version,
                access_number=settings.access_number,
                service_id=settings.service_id,
                corp_id=settings.corp_id or "",
                udhi=settings.udhi,
                listener=_listener(name, settings),
            )
            behaviour = config.simulate.behaviour(name)
            for at, node in enumerate(settings.nodes):
                where = f"accounts.{name}.nodes[{at}]"
                _loopback(f"{where}.host", node.host)
                gateway = by_address.get((node.host, node.port))
                if gateway is None:
                    gateway = SimGateway(
                        settings.protocol,
                        node.host,
                        node.port,
                        code=len(self.gateways) + 1,
                        quirks=DIALECTS[settings.protocol].agreed(
                            settings.udhi, settings.report_id
                        ),
                    )
                    self.gateways.append(gateway)
                    by_address[node.host, node.port] = gateway
                try:
                    made = gateway.add(
                        account, behaviour, name=node.name, seed=config.simulate.seed, keep=keep
                    )
                except ValueError as exc:
                    raise FleetError(f"{where}: {node.host}:{node.port}: {exc}") from exc
                self.places[made.full_name] = Place(gateway, made)

    async def start(self) -> None:
        """Raises OSError when an address is taken; nothing is left listening then."""
        for gateway in self.gateways:
            try:
                await gateway.start()
            except OSError:
                await self.stop()
                raise

    async def stop(self) -> None:
        for gateway in self.gateways:
            await gateway.stop()

    def match(self, pattern: str) -> list[Place]:
        """`account/node`, `account` for all its nodes, `*` for all there are."""
        return [
            place
            for name, place in self.places.items()
            if pattern in ("*", name, place.node.account.name)
        ]

    def deliver(
        self,
        place: Place,
        sender: str,
        to: str,
        text: str,
        *,
        encoding: str = "auto",
        header: str = "udh8",
    ) -> int:
        """A subscriber's message by way of this node; returns in how many parts.

        Raises EncodeError for a text that the encoding does not have.
        """
        node = place.node
        parts = inbound.parts(
            node.account.protocol, sender, to, text, encoding=encoding, header=header
        )
        place.gateway.deliver([Delivery(node, part) for part in parts])
        return len(parts)

    def counts(self, *, seconds: bool = False) -> dict[str, Any]:
        """What reached the gateways, by node, by account and in all, as JSON.

        With `seconds` also the submits of every second, by account.
        """
        totals = Counts()
        nodes: dict[str, Any] = {}
        for name, place in self.places.items():
            node, gateway = place.node, place.gateway
            totals += node.counts
            nodes[name] = node.counts.show() | {
                "up": gateway.up,
                "frozen": gateway.frozen,
                "connections": len(node.receivers),
                "peak_per_second": node.meter.peak,
            }
        accounts = {name: _account(account, seconds) for name, account in self.accounts.items()}
        shown = totals.show() | {
            "strangers": sum(gateway.strangers for gateway in self.gateways),
            "connections": sum(len(place.node.receivers) for place in self.places.values()),
            "waiting": sum(len(account.outbox) for account in self.accounts.values()),
        }
        return {"totals": shown, "accounts": accounts, "nodes": nodes}


def _account(account: Account, seconds: bool) -> dict[str, Any]:
    counts = Counts()
    for node in account.nodes:
        counts += node.counts
    shown = counts.show() | {
        "distinct": account.reached.distinct,
        "waiting": len(account.outbox),
        "connections": sum(len(node.receivers) for node in account.nodes),
        "peak_per_second": account.meter.peak,
        "copies": [copy.show() for copy in account.reached.copies],
    }
    if seconds:
        shown["seconds"] = _series(account.meter.seconds)
    return shown


def _series(by_second: dict[int, int]) -> dict[str, Any]:
    if not by_second:
        return {"start": None, "submits": []}
    start, end = min(by_second), max(by_second)
    return {
        "start": start,
        "submits": [by_second.get(second, 0) for second in range(start, end + 1)],
    }


def _listener(name: str, settings: AccountSettings) -> Listener | None:
    found = settings.listener
    if found is None:
        return None
    host = ANY.get(found.address.host, found.address.host)
    _loopback(f"accounts.{name}.listen", host)
    return Listener(host, found.address.port, found.login, found.password.reveal())


def _loopback(key: str, host: str) -> None:
    if not is_loopback(host):
        raise FleetError(f"{key}: {host!r} is not loopback, the only place gateways are played")


def node_names(places: Sequence[Place]) -> list[str]:
    return [place.node.full_name for place in places]
