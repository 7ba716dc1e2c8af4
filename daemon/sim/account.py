"""One account as its carrier sees it: what its nodes share, and the way back to the client.

A carrier's gateways share their store of reports and inbound messages.  What is due goes out on
the connection its submit came by, else on another of that node, else on any other of the account,
and waits in the outbox while none can take it; what the client did not take is sent again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from protocols.events import Submitted
from protocols.gateway import Report
from protocols.part import Part

from .behaviour import Behaviour, Chances
from .counts import Counts, Meter, Reached


class Receiver(Protocol):
    """A connection that reports and inbound messages can go out on."""

    @property
    def room(self) -> int:
        """How many more it takes now; 0 while it is closed, frozen or stuck."""
        ...

    def deliver(self, delivery: Delivery, now: float) -> None: ...

    def flush(self, now: float) -> None:
        """Write what `deliver` gave it."""
        ...


@dataclass(slots=True, frozen=True)
class Listener:
    """Where an SGIP client listens for its carrier, and what the carrier logs in with."""

    host: str
    port: int
    login: str
    secret: str = field(repr=False)


class Delivery:
    """A report or an inbound message on its way to the client, until that has taken it."""

    __slots__ = ("connection", "done", "elsewhere", "identity", "message", "node", "tries")

    def __init__(
        self,
        node: Node,
        message: Report | Part,
        connection: Receiver | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self.node, self.message = node, message
        self.connection = connection
        """Which it goes out on by preference, or, when `elsewhere`, by preference not."""
        self.elsewhere = elsewhere
        self.identity: bytes | None = None
        """Its own id on the wire, from its first sending on."""
        self.tries = 0
        self.done = False

    def goes_with(self, other: Delivery) -> bool:
        """Whether it goes out wherever the other one does."""
        return (
            self.connection is other.connection
            and self.node is other.node
            and self.elsewhere == other.elsewhere
        )

    def due(self, now: float) -> None:
        self.node.account.send((self,), now)


class Account:
    """Its settings are the configuration's words; `secret` is the client's password."""

    def __init__(
        self,
        name: str,
        protocol: str,
        login: str,
        secret: str,
        *,
        version: str = "",
        access_number: str = "",
        service_id: str = "",
        corp_id: str = "",
        udhi: int = 1,
        listener: Listener | None = None,
        reached: Reached | None = None,
    ) -> None:
        self.name, self.protocol, self.login, self.secret = name, protocol, login, secret
        self.version, self.access_number = version, access_number
        self.service_id, self.corp_id, self.udhi = service_id, corp_id, udhi
        self.listener = listener
        self.nodes: list[Node] = []
        self.reached = Reached() if reached is None else reached
        self.meter = Meter()
        self.outbox: deque[Delivery] = deque()
        self._touched: list[Receiver] = []

    def send(self, deliveries: Iterable[Delivery], now: float) -> None:
        """Out they go, or into the outbox behind what waits there."""
        self.outbox.extend(deliveries)
        self.drain(now)

    def drain(self, now: float) -> None:
        """Send what waits as far as there is room.  Call `flush` at the end of the turn."""
        outbox = self.outbox
        receiver, room, like = None, 0, None
        while outbox:
            delivery = outbox[0]
            if not delivery.done:
                # For one that is like the last, the choice is the same while that has room.
                if room < 1 or like is None or not delivery.goes_with(like):
                    receiver, like = self._choose(delivery), delivery
                    if receiver is None:
                        for node in self.nodes:
                            node.wake()
                        return
                    room = receiver.room
                    self.touch(receiver)
                assert receiver is not None, "there is no room without one"
                receiver.deliver(delivery, now)
                room -= 1
            outbox.popleft()

    def touch(self, receiver: Receiver) -> None:
        """It has something to write at the end of the turn."""
        if receiver not in self._touched:
            self._touched.append(receiver)

    def flush(self, now: float) -> None:
        """End of a turn."""
        if self._touched:
            touched, self._touched = self._touched, []
            for receiver in touched:
                receiver.flush(now)

    def back(self, deliveries: list[Delivery]) -> None:
        """Their connection was lost: they go before everything else, in their order."""
        self.outbox.extendleft(reversed(deliveries))

    def _choose(self, delivery: Delivery) -> Receiver | None:
        home = delivery.connection
        if home is not None and not delivery.elsewhere and home.room > 0:
            return home
        for receiver in delivery.node.receivers:
            if receiver is not home and receiver.room > 0:
                return receiver
        for node in self.nodes:
            if node is not delivery.node:
                for receiver in node.receivers:
                    if receiver.room > 0:
                        return receiver
        return home if home is not None and home.room > 0 else None


class Node:
    """One account at one gateway: how it is treated there, and what came of it.

    `wake` is called when something waits for the client and no connection takes it: SGIP's
    reporter dials then.
    """

    def __init__(
        self, account: Account, name: str, behaviour: Behaviour, *, seed: int = 0, keep: int = 0
    ) -> None:
        """The latest `keep` submits are kept whole in `submits`."""
        self.account, self.name = account, name
        self.configured = behaviour
        self.chances = Chances(behaviour, f"{seed} {account.name}/{name}")
        self.counts = Counts()
        self.meter = Meter()
        self.passed = Meter()
        """What went through `limit`."""
        self._busy_until = 0.0
        self.receivers: list[Receiver] = []
        self.submits: deque[Submitted] = deque(maxlen=keep)
        self.wake: Callable[[], None] = _nothing
        account.nodes.append(self)

    @property
    def full_name(self) -> str:
        return f"{self.account.name}/{self.name}"

    @property
    def behaviour(self) -> Behaviour:
        return self.chances.behaviour

    def turn(self, now: float) -> float:
        """Seconds until a submit that comes now has had its turn; see `Behaviour.capacity`."""
        capacity = self.behaviour.capacity
        if not capacity:
            return 0.0
        self._busy_until = max(self._busy_until, now) + 1.0 / capacity
        return self._busy_until - now


def _nothing() -> None:
    """Clients of the other protocols connect to us for everything."""
