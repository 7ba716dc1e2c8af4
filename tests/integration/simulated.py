"""A simulated gateway with one account, for clients that somebody else wrote."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from daemon.sim import inbound
from daemon.sim.account import Account, Delivery, Listener, Node
from daemon.sim.behaviour import Behaviour
from daemon.sim.gateway import SimGateway
from protocols.events import Submitted

LOGIN, PASSWORD = "901234", "secret"
ACCESS = "10690001"
# A pair of surrogates, though not where a client that counts octets would cut.
LONG = "长" * 60 + "😀" + "尾" * 90
LONG_ASCII = "long ASCII, " * 30
CODECS = {0: "ascii", 8: "utf-16-be", 15: "gbk"}
_phones = itertools.count(1)


def phone() -> str:
    """A number that no other test uses, as it is on the wire."""
    return f"86139{next(_phones):08d}"


@asynccontextmanager
async def gateway(
    protocol: str, *, listener: Listener | None = None, **behaviour: float
) -> AsyncIterator[tuple[SimGateway, Node]]:
    """A simulated gateway with one account, and that account's node there."""
    account = Account(
        "peer", protocol, LOGIN, PASSWORD, access_number=ACCESS, corp_id="12345", listener=listener
    )
    made = SimGateway(protocol)
    node = made.add(account, Behaviour(**behaviour), keep=1000)  # type: ignore[arg-type]
    await made.start()
    try:
        yield made, node
    finally:
        await made.stop()


def deliver(node: Node, made: SimGateway, sender: str, text: str, header: str = "udh8") -> int:
    """A subscriber's message for the client; returns in how many parts."""
    parts = inbound.parts(made.protocol, sender, ACCESS, text, header=header)
    made.deliver([Delivery(node, part) for part in parts])
    return len(parts)


def submits(node: Node, to: str) -> list[Submitted]:
    """What reached the gateway for this number, in the order of the parts."""
    # Some sessions tell the number as it was written, some without 86.
    mine = [s for s in node.submits if [n.removeprefix("86") for n in s.to] == [to[2:]]]
    return sorted(mine, key=lambda s: s.number)


def text(parts: Sequence[Submitted]) -> str:
    """Joined here, octet by octet, without the project's own reading of texts."""
    octets = b"".join(p.content[1 + p.content[0] :] if p.udh else p.content for p in parts)
    return octets.decode(CODECS[parts[0].coding])


def agrees(node: Node, parts: int) -> None:
    """The gateway's counts after `parts` flawless parts of different messages."""
    counts = node.counts
    assert dict(counts.faults) == {}
    assert (counts.submits, counts.parts, counts.accepted) == (parts, parts, parts)
    assert (counts.answered, counts.twice, counts.malformed) == (parts, 0, 0)
    assert (counts.reports, counts.reports_taken) == (parts, parts)
    assert node.account.reached.distinct == parts
