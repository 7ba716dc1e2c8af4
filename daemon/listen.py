"""Where carriers connect to us: SGIP's reports and inbound messages arrive on such connections.

An address outside the allow-lists is closed unanswered.  Accounts may share an address and port;
the login says whose connection it is, and is welcome from that account's own networks alone.  What
may be held before the login is bounded in time, in octets (one frame) and in number.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address

import structlog

from protocols.events import Bound, Event
from protocols.session import Session

from .account import Account
from .link import Link, Owner
from .model import Write
from .pacing import Pacer

log = structlog.get_logger()

MOST_CONNECTIONS = 64
"""At one listening address; a carrier's side opens a handful."""

REFUSALS = ("address", "crowd", "login")
"""Why a connection is turned away: where it comes from, that there are too many, or that it ended
without a login that we accept.
"""


class Door(asyncio.Protocol):
    """Refuses at once whoever may not connect, and hands the others to a Link."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.link: Link | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.link = self.listener.make_link(transport.get_extra_info("peername"))
        if self.link is None:
            transport.abort()  # type: ignore[attr-defined]
            return
        self.link.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.link is not None:
            self.link.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.link is not None:
            self.link.connection_lost(exc)

    def pause_writing(self) -> None:
        if self.link is not None:
            self.link.pause_writing()

    def resume_writing(self) -> None:
        if self.link is not None:
            self.link.resume_writing()


class Listener:
    """One address.  `accounts` are those that share it, by the name the carrier logs in with;
    `make` gives a session that admits these of them.
    """

    def __init__(
        self,
        host: str,
        port: int,
        accounts: Mapping[str, Account],
        make: Callable[[Iterable[str]], Session],
        engine: Owner,
        attach: Callable[[Link, Account], None],
        detach: Callable[[Link], None],
        inherited: socket.socket | None = None,
    ) -> None:
        """`inherited` is a socket that listens at the address already."""
        self.host = host
        self.port = port
        self.accounts = accounts
        self.make = make
        self.engine = engine
        self.wanted = engine.wanted
        self.attach = attach
        self.detach = detach
        self.links: set[Link] = set()
        self.refused = dict.fromkeys(REFUSALS, 0)
        """Connections that were turned away, by why."""
        self._logins: dict[Link, str] = {}
        """Of those that are logged in."""
        self._inherited = inherited
        self._server: asyncio.Server | None = None

    def welcome(self, host: str) -> list[str]:
        """The login names that carriers may use from there, as the settings say now."""
        address = ip_address(host.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return [
            name
            for name, account in self.accounts.items()
            if any(address in network for network in account.settings.listen_allow or ())
        ]

    async def start(self) -> None:
        """Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        door = partial(Door, self)
        if self._inherited is not None:
            self._server = await loop.create_server(door, sock=self._inherited)
        else:
            self._server = await loop.create_server(door, self.host, self.port)

    def dismiss(self, login: str) -> None:
        """`accounts` has this name no more: who logged in with it, or still may, hears goodbye."""
        for link in list(self.links):
            if self._logins.get(link, login) == login:
                link.close()

    async def stop(self) -> None:
        """No new connections; say goodbye on the others."""
        if self._server is not None:
            self._server.close()
        links = list(self.links)
        for link in links:
            link.close()
        for link in links:
            await link.closed

    def make_link(self, peer: tuple[str, int] | None) -> Link | None:
        """For a connection from there; None for one that is not let in."""
        if not peer:
            return None
        if len(self.links) >= MOST_CONNECTIONS:
            self.refused["crowd"] += 1
            log.warning("connection refused", listen=self.port, reason="too many connections")
            return None
        names = self.welcome(peer[0])
        if not names:
            self.refused["address"] += 1
            log.warning("connection refused", listen=self.port, peer=peer[0], reason="not allowed")
            return None
        link = Link("", self.make(names), self, _NO_PACE, writes=False, on_closed=self._closed)
        self.links.add(link)
        return link

    def _closed(self, link: Link) -> None:
        self.links.discard(link)
        self._logins.pop(link, None)
        self.detach(link)

    # Owner: like a bind's link, but it belongs to nobody until its login.

    def heard(self, link: Link, events: Sequence[Event], now: float) -> None:
        for event in events:
            if isinstance(event, Bound):
                account = self.accounts[event.login]
                self._logins[link] = event.login
                link.label = account.settings.nodes[0].name
                self.attach(link, account)
                log.info("carrier logged in", account=account.name, listen=self.port)
        if link.label:
            self.engine.heard(link, events, now)
        elif events and link.reason:
            self.refused["login"] += 1
            log.warning("carrier connection closed", listen=self.port, reason=link.reason)

    def wrote(self, link: Link, writes: Sequence[Write], now: float) -> None:
        raise AssertionError("nothing is submitted on a carrier's connection")


_NO_PACE = Pacer(1.0, 1.0, 0.0)
