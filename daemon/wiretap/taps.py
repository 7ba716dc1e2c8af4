"""Who looks on at which connections, and what they are shown.

A link that nobody looks at has no tap: that is all the hot path asks.  One that somebody looks at
hands over the octets it reads and writes; they are cut into PDUs, so that what is lost can be
counted, and kept for a moment in a buffer of bounded size.  Hiding, spelling and sending happen
apart from that, so many PDUs at a time: a reader that is slow, or traffic that is more than can
be shown, loses PDUs and is told how many.  The daemon never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import orjson

from daemon.account import Account
from daemon.clock import wall
from daemon.link import Link
from protocols.explain import newest, versions
from protocols.hide import hide

from .frames import Frames

MOST_TAPS = 4
MOST_OCTETS = 1 << 20
"""Of PDUs that wait to be shown, each tap."""
MOST_AT_ONCE = 100
LOOK_EVERY = 0.05
"""Seconds between two batches of so many: 2,000 PDUs a second cost a tenth of a core."""


class TooMany(Exception):  # noqa: N818  # an answer to the operator
    """So many taps are open already."""


class Seen(NamedTuple):
    """One PDU; `at` is wall time."""

    at: float
    wire: Wire
    incoming: bool
    pdu: bytes


class Wire:
    """One connection that somebody looks at; what its link calls."""

    def __init__(self, number: int, link: Link, account: Account) -> None:
        self.number = number
        self.link = link
        self.account = account
        self.taps: list[Tap] = []
        self._in = Frames(link.session, link.session.pending)
        self._out = Frames(link.session)
        self._ends = link.ends

    def heard(self, data: bytes) -> None:
        self._passed(self._in.feed(data), True)

    def wrote(self, data: bytes) -> None:
        self._passed(self._out.feed(data), False)

    def _passed(self, pdus: list[bytes], incoming: bool) -> None:
        if self._ends[0] is None:
            self._ends = self.link.ends
        at = wall()
        for pdu in pdus:
            for tap in self.taps:
                tap.put(Seen(at, self, incoming, pdu))

    @property
    def version(self) -> str:
        """What was agreed on at the login, or is configured."""
        settings = self.account.settings
        known = versions(settings.protocol)
        for version in (self.link.session.version, settings.version):
            if version in known:
                return version
        return newest(settings.protocol)

    def show(self) -> dict[str, Any]:
        local, remote = self._ends
        listen = self.account.settings.listen
        return {
            "link": self.number,
            "node": self.link.label,
            # The carrier made it, where it came to the address that we listen at.
            "called": bool(local and listen and local[1] == listen.port),
            "local": list(local[:2]) if local else None,
            "remote": list(remote[:2]) if remote else None,
        }


class Tap:
    """What one caller of `wiretap` looks at; a `Stream` of the control socket."""

    def __init__(self, taps: Taps, account: Account, node: str | None, seconds: float) -> None:
        self.account = account
        self.node = node
        self.wires: list[Wire] = []
        self.head: dict[str, Any] = {
            "account": account.name,
            "protocol": account.protocol,
            "seconds": seconds,
        }
        self.within = seconds
        self.lost = 0
        self._taps = taps
        self._until = asyncio.get_running_loop().time() + seconds
        self._kept: deque[Seen] = deque()
        self._octets = 0
        self._known: set[int] = set()

    def covers(self, link: Link, account: Account) -> bool:
        return account is self.account and self.node in (None, link.label)

    def put(self, seen: Seen) -> None:
        if self._octets + len(seen.pdu) > MOST_OCTETS:
            self.lost += 1
            return
        self._octets += len(seen.pdu)
        self._kept.append(seen)

    async def lines(self) -> AsyncIterator[bytes]:
        """JSON, several lines at a time, until the time has passed."""
        loop = asyncio.get_running_loop()
        told = shown = 0
        while loop.time() < self._until:
            await asyncio.sleep(min(LOOK_EVERY, max(0.0, self._until - loop.time())))
            found = [self._kept.popleft() for _ in range(min(MOST_AT_ONCE, len(self._kept)))]
            self._octets -= sum(len(seen.pdu) for seen in found)
            shown += len(found)
            lines = [orjson.dumps(line) for seen in found for line in self._spell(seen)]
            if self.lost > told:
                lines.append(orjson.dumps({"lost": self.lost - told}))
                told = self.lost
            if lines:
                yield b"\n".join(lines) + b"\n"
        end = {"end": "its time has passed", "shown": shown, "lost": self.lost + len(self._kept)}
        yield orjson.dumps(end) + b"\n"

    def _spell(self, seen: Seen) -> list[dict[str, Any]]:
        wire = seen.wire
        version = wire.version
        ours = wire.account.settings.access_number
        pdu = hide(wire.account.protocol, version, seen.pdu, ours=ours)
        lines: list[dict[str, Any]] = []
        if wire.number not in self._known:
            self._known.add(wire.number)
            lines.append(wire.show())
        lines.append(
            {
                "at": seen.at,
                "link": wire.number,
                "dir": "in" if seen.incoming else "out",
                "version": version,
                "pdu": pdu.hex(),
            }
        )
        return lines

    def close(self) -> None:
        self._taps.close(self)


class Taps:
    """`of_link` has every connection and whose it is."""

    def __init__(self, of_link: Mapping[Link, Account]) -> None:
        self._of_link = of_link
        self._open: list[Tap] = []
        self._last = 0

    def open(self, account: Account, node: str | None, seconds: float) -> Tap:
        """Raises TooMany."""
        if len(self._open) >= MOST_TAPS:
            raise TooMany(f"{MOST_TAPS} wiretaps are open already")
        tap = Tap(self, account, node, seconds)
        self._open.append(tap)
        for link, owner in self._of_link.items():
            if tap.covers(link, owner):
                self._show(link, owner, tap)
        return tap

    def attached(self, link: Link, account: Account) -> None:
        """A connection begins to belong to an account."""
        for tap in self._open:
            if tap.covers(link, account):
                self._show(link, account, tap)

    def _show(self, link: Link, account: Account, tap: Tap) -> None:
        wire = link.tap
        if not isinstance(wire, Wire):
            self._last += 1
            wire = link.tap = Wire(self._last, link, account)
        wire.taps.append(tap)
        tap.wires = [each for each in tap.wires if not each.link.closed.done()]
        tap.wires.append(wire)

    def close(self, tap: Tap) -> None:
        self._open.remove(tap)
        for wire in tap.wires:
            wire.taps.remove(tap)
            if not wire.taps:
                wire.link.tap = None
