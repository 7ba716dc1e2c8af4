"""A client's session and a gateway's session joined by a wire that is two lists of octets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocols.events import Event
from protocols.gateway import GatewaySession
from protocols.session import Session


@dataclass
class Conversation:
    """`turn` carries everything that both sides have to say; events are kept per side."""

    client: Session
    gateway: GatewaySession
    now: float = 0.0
    at_client: list[Event] = field(default_factory=list)
    at_gateway: list[Event] = field(default_factory=list)

    def start(self) -> None:
        self.client.start(self.now)
        self.gateway.start(self.now)
        self.turn()

    def turn(self) -> None:
        while True:
            up, down = self.client.outgoing(), self.gateway.outgoing()
            if not up and not down:
                return
            self.at_gateway += self.gateway.receive(up, self.now)
            self.at_client += self.client.receive(down, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.at_client += self.client.tick(self.now)
        self.at_gateway += self.gateway.tick(self.now)
        self.turn()

    def told_client(self, kind: type[Any]) -> Any:
        """The one event of a kind since the last asking."""
        return _only(self.at_client, kind)

    def told_gateway(self, kind: type[Any]) -> Any:
        return _only(self.at_gateway, kind)


def _only(events: list[Event], kind: type[Any]) -> Any:
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, events
    events.clear()
    return found[0]
