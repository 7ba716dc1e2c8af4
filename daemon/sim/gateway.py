"""A simulated gateway: one address, the clients that log in there, and its moods.

One timer per gateway drives everything that happens later; nothing is made per message but what
is remembered of it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

from protocols.events import (
    BindRefused,
    Bound,
    Closed,
    Event,
    LoginAsked,
    Malformed,
    Submitted,
    Taken,
    Unanswered,
)
from protocols.session import Clock, Limits, State

from .account import Account, Delivery, Node
from .agenda import Agenda
from .behaviour import Behaviour
from .connection import Connection, Idle
from .deliveries import Deliveries
from .dialect import DIALECTS, Dialect, reporter
from .loopback import is_loopback
from .reporter import Reporter
from .submits import Desk

Freeze = Literal["deaf", "mute"]
"""`deaf`: accepts connections and reads nothing; `mute`: reads and counts, and writes nothing."""

BIND_WITHIN = 30.0


class SimGateway:
    """`protocol` is one of cmpp, sgip, smgp, smpp; port 0 takes a free one.

    Raises ValueError for a host that is not loopback: a simulated gateway says yes to everyone.
    """

    def __init__(
        self,
        protocol: str,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        keepalive: float | None = 60.0,
        code: int = 1,
        quirks: dict[str, Any] | None = None,
    ) -> None:
        """`keepalive` is the silence after which the gateway probes; `code` goes into its ids.

        `quirks` are fields of the dialect's Quirks; msgspec.ValidationError for others.
        """
        if not is_loopback(host):
            raise ValueError(
                f"host: {host!r} is not loopback; a simulated gateway takes 127.*, ::1 or localhost"
            )
        self.protocol, self.host, self.port = protocol, host, port
        self.dialect: Dialect = DIALECTS[protocol]
        self.keepalive = keepalive
        self._ids = self.dialect.ids(code)
        self.configured = quirks or {}
        """The quirks it began with."""
        self.bend(self.configured)
        self.nodes: dict[str, Node] = {}
        self.agenda = Agenda()
        self._deliveries = Deliveries(self.agenda)
        self.frozen: Freeze | None = None
        self.strangers = 0
        """Logins refused because nobody here has that name."""
        self._connections: dict[Connection, None] = {}
        self._reporters: dict[str, Reporter] = {}
        self._up = False
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def add(
        self,
        account: Account,
        behaviour: Behaviour | None = None,
        *,
        name: str = "n1",
        seed: int = 0,
        keep: int = 0,
    ) -> Node:
        """Admit this account; `seed` and `keep` are Node's.

        Raises ValueError when it does not fit here.
        """
        if account.protocol != self.protocol:
            raise ValueError(f"{account.name}: speaks {account.protocol}, not {self.protocol}")
        if account.login in self.nodes:
            raise ValueError(f"{account.name}: login {account.login!r} is here already")
        self.dialect.check(behaviour or Behaviour())
        node = Node(account, name, behaviour or Behaviour(), seed=seed, keep=keep)
        self.nodes[account.login] = node
        if account.listener is not None:
            dialler = Reporter(account.listener, lambda: self._reporting(node))
            self._reporters[account.login] = dialler
            node.wake = dialler.wake
        return node

    @property
    def deaf(self) -> bool:
        return self.frozen == "deaf"

    @property
    def mute(self) -> bool:
        return self.frozen is not None

    @property
    def up(self) -> bool:
        """Whether it is alive: killed ones are not."""
        return self._up

    @property
    def connections(self) -> int:
        """Open now, logged in or not, reporters included."""
        return len(self._connections)

    # Life and moods

    async def start(self) -> int:
        """Listen; returns the port.  Raises OSError when the address is taken."""
        self._loop = asyncio.get_running_loop()
        self.clock = Clock(time.time() - self._loop.time())
        self._desk = Desk(self.dialect, self._ids, self.agenda, self.clock.epoch)
        for node in self.nodes.values():
            for meter in (node.meter, node.account.meter):
                meter.epoch = self.clock.epoch
        await self.revive()
        return self.port

    async def stop(self) -> None:
        """Like `kill`, and nothing is left running."""
        self.kill()
        for dialler in self._reporters.values():
            await dialler.stop()
        if self._connections:
            self._empty.clear()
            await self._empty.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def kill(self) -> None:
        """Stop listening and drop every connection, as a process that dies.

        What its clients have not taken yet stays with the carrier.
        """
        self._up = False
        if self._server is not None:
            self._server.close()
            self._server = None
        for dialler in self._reporters.values():
            dialler.enabled = False
        self.hang_up()

    async def revive(self) -> None:
        """Listen again on the same port."""
        if self._up:
            return
        self._up = True
        try:
            self._server = await self._loop.create_server(self._accept, self.host, self.port)
        except OSError:
            self._up = False
            raise
        self.port = self._server.sockets[0].getsockname()[1]
        for dialler in self._reporters.values():
            dialler.enabled = not self.frozen
        self._drain(self._loop.time())

    def freeze(self, kind: Freeze | None = "deaf") -> None:
        """None thaws: what arrived meanwhile is read, what was due meanwhile leaves."""
        if kind == self.frozen:
            return
        was, self.frozen = self.frozen, kind
        for dialler in self._reporters.values():
            dialler.enabled = kind is None and self.up
        for connection in list(self._connections):
            if kind == "deaf":
                connection.read(False)
            elif was == "deaf":
                connection.read(True)
        if kind is None:
            now = self._loop.time()
            for connection in list(self._connections):
                connection.due(now)
                connection.flush(now)
            self._drain(now)
            self._tick()

    def hang_up(self, node: Node | None = None) -> None:
        """Drop the connections of one client, or all, at once."""
        for connection in list(self._connections):
            if node is None or connection.node is node:
                connection.hang_up()

    def farewell(self, node: Node | None = None) -> None:
        """Take leave of one client, or all, as the protocol wants it."""
        now = self._loop.time()
        for connection in list(self._connections):
            if connection.admitted and (node is None or connection.node is node):
                connection.farewell(now)

    def change(self, node: Node, changes: dict[str, Any]) -> None:
        """Change fields of a client's behaviour from now on.

        Raises ValueError (msgspec.ValidationError is one) naming the field and what is allowed.
        """
        behaviour = node.behaviour.changed(changes)
        self.dialect.check(behaviour)
        node.chances.change(behaviour)

    def bend(self, quirks: dict[str, Any]) -> None:
        """Of connections from now on.  Raises msgspec.ValidationError."""
        self._quirks = self.dialect.bend(quirks)
        self._ids.bend(self._quirks)

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Inbound messages for clients of this gateway."""
        now = self._loop.time()
        for delivery in deliveries:
            delivery.node.account.send((delivery,), now)
        self._flush(now)

    # What connections call

    def identity(self, now: float) -> bytes:
        return self._ids.identity(now + self.clock.epoch)

    def made(self, connection: Connection, now: float) -> None:
        self._connections[connection] = None
        if not self._up:  # accepted by the system just before the end
            connection.hang_up()
        elif connection.node is not None:
            connection.node.counts.connections_made += 1

    def lost(self, connection: Connection, now: float) -> None:
        self._connections.pop(connection, None)
        if not self._connections:
            self._empty.set()
        node = connection.node
        if node is not None and connection in node.receivers:
            node.receivers.remove(connection)
            node.account.drain(now)
            node.account.flush(now)

    def heard(self, connection: Connection, events: list[Event], now: float) -> None:
        node = connection.node
        submits = 0
        for event in events:
            if type(event) is Submitted:
                assert node is not None, "a session hears submits only after the login"
                submits += len(event.to)
                self._desk.take(connection, node, event, now)
            elif type(event) is Taken:
                self._deliveries.taken(event.tag, event.result, now)
            else:
                self._on_rare(connection, event, now)
                node = connection.node
        if node is None:
            return
        if connection.session.state is State.CLOSED:
            self._on_closed(connection, node, events)
        if submits:
            node.meter.add(now, submits)
            node.account.meter.add(now, submits)
        node.account.drain(now)
        node.account.flush(now)
        self.arm(self.agenda.next())

    def arm(self, at: float | None) -> None:
        if at is None or self.frozen:
            return
        if self._timer is not None:
            # Later costs nothing: let it fire early, look again then.
            if at >= self._timer_at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._tick)

    def login(self, connection: Connection, node: Node, event: LoginAsked, now: float) -> None:
        """Say yes or no to a login."""
        session = connection.session
        if session.state is not State.BINDING:
            return
        status = event.status or self._objection(node)
        if status:
            node.counts.logins_refused += 1
            session.refuse(event.ticket, status)
        else:
            self.dialect.knows(session, node.account)
            session.admit(event.ticket, now)
            # A client without a listener is told everything on its own connection.
            both = self.dialect.dials_back and node.account.listener is None
            self._admitted(connection, node, "trx" if both else event.mode, now)
        node.account.touch(connection)

    # Behind these

    def _accept(self) -> Connection:
        some = next(iter(self.nodes.values()), None)
        limits = self._limits(some.behaviour if some is not None else Behaviour())
        words = self.dialect.words(self._quirks)
        session = self.dialect.gateway(limits, self.clock, self._secret, **words)
        return Connection(self, session)

    def _reporting(self, node: Node) -> Connection:
        """SGIP: a connection that logs in at the client's listener."""
        assert node.account.listener is not None, "only these have a reporter"
        limits = self._limits(node.behaviour)
        session = reporter(limits, self.clock, node.account.listener, self._quirks)
        return Connection(self, session, node, mode="rx")

    def _limits(self, behaviour: Behaviour) -> Limits:
        return Limits(
            window=behaviour.report_window,
            answer_within=behaviour.redeliver_after,
            bind_within=BIND_WITHIN,
            keepalive=self.keepalive if self.dialect.keepalive else None,
        )

    def _secret(self, login: str) -> str | None:
        node = self.nodes.get(login)
        return None if node is None else node.account.secret

    def _objection(self, node: Node) -> int:
        behaviour = node.behaviour
        if behaviour.refuse_logins is not False:
            asked = behaviour.refuse_logins
            return self.dialect.busy if asked is True else int(asked)
        if behaviour.max_connections and len(node.receivers) >= behaviour.max_connections:
            return self.dialect.full
        return 0

    def _admitted(self, connection: Connection, node: Node, mode: str, now: float) -> None:
        connection.admitted = True
        connection.mode = mode
        connection.session.limits = self._limits(node.behaviour)
        node.counts.logins += 1
        node.receivers.append(connection)
        if node.behaviour.idle_close:
            self.agenda.add(now + node.behaviour.idle_close, Idle(connection, node))

    def _on_rare(self, connection: Connection, event: Event, now: float) -> None:
        node = connection.node
        if isinstance(event, LoginAsked):
            node = self.nodes.get(event.login)
            if node is None:
                self.strangers += 1
                connection.session.refuse(event.ticket, event.status or self.dialect.stranger)
                return
            connection.node = node
            node.counts.connections_made += 1
            delay = node.behaviour.login_delay
            if delay:
                self.agenda.add(now + delay, _Login(self, connection, node, event))
                self.arm(now + delay)
            else:
                self.login(connection, node, event, now)
        elif isinstance(event, Bound):
            # A client's login was admitted by us; only the reporter's own is news.
            if connection.dialled and node is not None:
                self._admitted(connection, node, connection.mode, now)
                self._reporters[node.account.login].settled()
        elif isinstance(event, BindRefused):
            if node is not None:
                node.counts.logins_refused += 1
        elif isinstance(event, Malformed):
            if node is not None:
                node.counts.malformed += 1
                node.counts.fault(f"malformed: {event.error}")
        elif isinstance(event, Unanswered) and connection.session.state is not State.CLOSED:
            self._deliveries.unanswered(event.tag, now)
        elif isinstance(event, Closed) and connection.dialled and node is not None:
            self._reporters[node.account.login].settled()

    def _on_closed(self, connection: Connection, node: Node, events: list[Event]) -> None:
        back = []
        for event in events:
            if isinstance(event, Unanswered):
                event.tag.tries -= 1  # the connection's failure, not the client's
                back.append(event.tag)
            elif isinstance(event, Closed) and event.error and connection.admitted:
                node.counts.closed_in_error += 1
                node.counts.fault(f"closed: {event.reason}")
        node.account.back(back)
        connection.admitted = False

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.frozen:
            return
        now = self._loop.time()
        for item in self.agenda.take(now):
            item.due(now)
        for connection in list(self._connections):
            connection.tick(now)
        self._flush(now)
        self.arm(self.agenda.next())
        for connection in self._connections:
            self.arm(connection.session.deadline())

    def _drain(self, now: float) -> None:
        for node in self.nodes.values():
            node.account.drain(now)
        self._flush(now)

    def _flush(self, now: float) -> None:
        for node in self.nodes.values():
            node.account.flush(now)


class _Login:
    """A login that is answered later."""

    __slots__ = ("connection", "event", "gateway", "node")

    def __init__(
        self, gateway: SimGateway, connection: Connection, node: Node, event: LoginAsked
    ) -> None:
        self.gateway, self.connection, self.node, self.event = gateway, connection, node, event

    def due(self, now: float) -> None:
        self.gateway.login(self.connection, self.node, self.event, now)
