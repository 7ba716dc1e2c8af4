"""What goes wrong at a simulated gateway, and how it is made right again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.demo.stage import Stage

Change = Mapping[str, Any]
"""A body of POST /faults without its `node`."""


@dataclass(slots=True, frozen=True)
class Fault:
    """Changes that are made one after the other, at its beginning and at its end."""

    name: str
    words: str
    begins: tuple[Change, ...]
    ends: tuple[Change, ...]
    frozen: bool = False
    """Only silence tells: it is seen after `answer_within`, not at once."""
    cuts: bool = False
    """Connections break while answers are on them: the gateway has answered, nobody has heard."""
    carrier: bool = False
    """A whole carrier's nodes at once, instead of one node of each."""
    line: Mapping[str, Any] | None = None
    """What befalls the line to the nodes instead of them; see bench.network."""

    @property
    def harmless(self) -> bool:
        """It only takes longer: nothing is ever in doubt."""
        return self.line is not None and not self.cuts

    async def begin(self, stage: Stage, nodes: Iterable[str]) -> None:
        await _make(stage, nodes, self.begins)

    async def end(self, stage: Stage, nodes: Iterable[str]) -> None:
        await _make(stage, nodes, self.ends)


async def _make(stage: Stage, nodes: Iterable[str], changes: tuple[Change, ...]) -> None:
    for node in nodes:
        for change in changes:
            await stage.fault(node, **change)


KILLED = Fault("killed", "one of two nodes dies", ({"kill": True},), ({"revive": True},), cuts=True)
DEAF = Fault(
    "deaf",
    "one of two nodes reads nothing, and is started anew",
    ({"freeze": "deaf"},),
    # What it had not read dies with it: read later it would look sent twice for no reason.
    ({"kill": True}, {"freeze": False, "revive": True}),
    frozen=True,
)
MUTE = Fault(
    "mute",
    "one of two nodes reads and says nothing, then goes on",
    ({"freeze": "mute"},),
    ({"freeze": False},),
    frozen=True,
)
REFUSING = Fault(
    "refusing",
    "one of two nodes hangs up and refuses logins",
    ({"refuse_logins": True}, {"hang_up": True}),
    ({"refuse_logins": False},),
    cuts=True,
)
THROTTLING = Fault(
    "throttling",
    "one of two nodes throttles every second submit",
    ({"throttle": 0.5},),
    ({"throttle": 0.0},),
)
SILENT = Fault(
    "unanswering",
    "one of two nodes loses a tenth of its answers",
    ({"drop_answers": 0.1},),
    ({"drop_answers": 0.0},),
)
HANGING_UP = Fault(
    "hanging up", "one of two nodes hangs up once", ({"hang_up": True},), (), cuts=True
)
GONE = Fault(
    "gone",
    "all nodes of one carrier die and come back",
    ({"kill": True},),
    ({"revive": True},),
    cuts=True,
    carrier=True,
)

CUT = Fault(
    "cut",
    "the line to one of two nodes carries nothing, either way",
    (),
    (),
    frozen=True,
    cuts=True,
    line={"cut": True},
)
SLOW = Fault(
    "slow",
    "the line to one of two nodes takes 50 ± 10 ms longer each way",
    (),
    (),
    line={"delay": 0.05, "jitter": 0.01},
)
LOSSY = Fault(
    "lossy",
    "the line to one of two nodes loses 2 % of the packets each way",
    (),
    (),
    line={"delay": 0.005, "loss": 0.02},
)

NETWORK = {fault.name: fault for fault in (CUT, SLOW, LOSSY)}
"""Of failover with a network of its own."""
FAILOVER = {fault.name: fault for fault in (KILLED, DEAF, MUTE, REFUSING, THROTTLING, GONE)}
BACKLOG = "backlog"
"""Of the same suite, and a measurement of its own."""
SOAK = (KILLED, DEAF, REFUSING, THROTTLING, MUTE, HANGING_UP, SILENT, GONE)
