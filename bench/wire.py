"""The bare wire: `python -m bench.wire`, told by bench.worker which `config` file to play.

It logs in on every bind of the file's accounts with the daemon's own sessions, and leaves these
then: submits are frames made beforehand, in which only the sequence and the recipient's number
are changed; answers are counted by their command and reports are replied to by copying.  Nothing
is looked up, kept or told, so this is what loop, sockets and gateways leave room for.  What one
read brings is answered in one write, as with the daemon's links.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

from daemon.carriers import listener, maker
from daemon.config import Account, Listener, load
from daemon.demo.settings import LINES
from daemon.demo.traffic import ONE_PART
from protocols.events import Bound, Event
from protocols.part import Part
from protocols.session import Clock, Session

HEAD = struct.Struct("!II")
"""Of all four protocols: octets of the PDU, and what it is."""
SEQUENCE = struct.Struct("!I")
NUMBER = b"97531864"
"""In the place of the recipient's number, its first three digits apart."""
EACH = 6_000_000
"""Numbers of one bind; 16 of them fit into eight digits."""
BOUND_WITHIN, ENDED_WITHIN = 20.0, 5.0
LOOK_EVERY = 0.02


@dataclass(slots=True, frozen=True)
class Spelling:
    """Where one protocol has what is looked at; offsets are in octets from the PDU's beginning."""

    sequence: int
    """Of the four octets that count submits."""
    answer: int
    """The command of an answer to a submit."""
    report: int
    """And of a report."""
    reply: bytes
    """The beginning of what is replied to that."""
    copied: slice
    """What of the report follows it."""
    rest: bytes
    """And what follows then."""


SPELLINGS = {
    "cmpp": Spelling(8, 0x80000004, 5, HEAD.pack(24, 0x80000005), slice(8, 20), bytes(4)),
    "sgip": Spelling(16, 0x80000003, 5, HEAD.pack(29, 0x80000005), slice(8, 20), bytes(9)),
    "smgp": Spelling(8, 0x80000002, 3, HEAD.pack(26, 0x80000003), slice(8, 22), bytes(4)),
    "smpp": Spelling(
        12, 0x80000004, 5, HEAD.pack(17, 0x80000005) + bytes(4), slice(12, 16), bytes(1)
    ),
}


class Total:
    """Of all binds."""

    def __init__(self) -> None:
        self.wanted = self.bound = 0
        """Binds that submit."""
        self.submits = self.answers = self.reports = 0
        self.over = False
        """Nothing new is submitted."""
        self.lost: str | None = None
        """Why a connection ended that must not."""


class Wire(asyncio.Protocol):
    """One connection; `part` is what it submits again and again, None where it only listens."""

    def __init__(
        self, session: Session, spelling: Spelling, total: Total, part: Part | None, first: int
    ) -> None:
        """`first` is the number of its first recipient."""
        self._session, self._spelling, self._total = session, spelling, total
        self._part = part
        self._next = first
        self._bound = False
        self._frames: list[bytearray] = []
        self._number_at = 0
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._session.start(self._loop.time())
        self._transport.write(self._session.outgoing())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._total.over:
            self._total.lost = str(exc or "a gateway closed the connection")

    def data_received(self, data: bytes) -> None:
        if self._bound:
            self._read(data)
            return
        events = self._session.receive(data, self._loop.time())
        self._transport.write(self._session.outgoing())
        self._log_in(events)

    def submit(self) -> None:
        """The whole window, at the beginning."""
        self._transport.write(b"".join(self._submits(len(self._frames))))

    def _log_in(self, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, Bound):
                self._total.lost = f"not logged in: {event}"
                return
            self._bound = True
            if self._part is not None:
                self._prebuild(self._part)
                self._total.bound += 1

    def _prebuild(self, part: Part) -> None:
        session = self._session
        for _ in range(session.limits.window):
            session.submit(None, part, self._loop.time())
            self._frames.append(bytearray(session.outgoing()))
        frame = self._frames[0]
        assert frame.count(NUMBER) == 1, "the number stands there once"
        self._number_at = frame.index(NUMBER)

    def _read(self, data: bytes) -> None:
        buffer, spelling = self._buffer, self._spelling
        buffer += data
        answer, report, copied = spelling.answer, spelling.report, spelling.copied
        out: list[bytes | bytearray] = []
        at, end, answers = 0, len(buffer), 0
        while end - at >= HEAD.size:
            length, command = HEAD.unpack_from(buffer, at)
            if end - at < length:
                break
            if command == answer:
                answers += 1
            elif command == report:
                out += (
                    spelling.reply,
                    buffer[at + copied.start : at + copied.stop],
                    spelling.rest,
                )
                self._total.reports += 1
            at += length
        del buffer[:at]
        self._total.answers += answers
        if answers and not self._total.over:
            out += self._submits(answers)
        if out:
            self._transport.write(b"".join(out))

    def _submits(self, count: int) -> list[bytearray]:
        frames, number = self._frames[:count], self._next
        at, end, sequence = self._number_at, self._number_at + len(NUMBER), self._spelling.sequence
        for frame in frames:
            frame[at:end] = b"%08d" % number
            SEQUENCE.pack_into(frame, sequence, number + 1)
            number += 1
        self._next = number
        self._total.submits += len(frames)
        return frames


async def _play(path: Path) -> dict[str, int]:
    config = load(path)
    loop = asyncio.get_running_loop()
    epoch = time.time() - loop.time()
    total = Total()
    wires: list[Wire] = []
    servers: list[asyncio.Server] = []
    for name, account in config.accounts.items():
        clock = partial(Clock, epoch, config.daemon.timezone)
        if (its := account.listener) is not None:
            servers.append(await _listen(account, its, clock, total))
        make = maker(account, clock)
        part = _part(account, LINES[name].prefix)
        for node in account.nodes:
            for _ in range(node.binds):
                wire = Wire(
                    make("trx"), SPELLINGS[account.protocol], total, part, len(wires) * EACH
                )
                wires.append(wire)
                await loop.create_connection(partial(_same, wire), node.host, node.port)
    total.wanted = len(wires)
    await _until(lambda: total.bound == total.wanted, total, BOUND_WITHIN)
    print('{"up": true}', flush=True)
    for wire in wires:
        wire.submit()
    closed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), closed.set)
    await closed.wait()
    total.over = True
    await _until(lambda: total.submits == total.answers == total.reports, total, ENDED_WITHIN)
    for server in servers:
        server.close()
    return {"submits": total.submits, "answers": total.answers, "reports": total.reports}


def _same(wire: Wire) -> Wire:
    return wire


def _part(account: Account, prefix: str) -> Part:
    text, signature = ONE_PART[0]
    content = f"【{signature}】{text}".encode("utf-16-be")
    return Part(prefix + NUMBER.decode(), account.access_number, content)


async def _listen(
    account: Account, its: Listener, clock: Callable[[], Clock], total: Total
) -> asyncio.Server:
    make = listener({its.login: (its.password.reveal(), None)}, account, clock)
    spelling = SPELLINGS[account.protocol]
    return await asyncio.get_running_loop().create_server(
        lambda: Wire(make((its.login,)), spelling, total, None, 0), *its.address
    )


async def _until(true: Callable[[], bool], total: Total, within: float) -> None:
    """Returns as well when the time is over: who reads the figures sees what is missing."""
    give_up = time.monotonic() + within
    while not true() and time.monotonic() < give_up:
        if total.lost is not None:
            raise ConnectionError(total.lost)
        await asyncio.sleep(LOOK_EVERY)


def main() -> None:
    task = json.loads(sys.stdin.readline())
    try:
        told: dict[str, object] = dict(uvloop.run(_play(Path(task["config"]))))
    except (OSError, ValueError) as exc:
        told = {"error": f"the bare wire: {exc}"}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
