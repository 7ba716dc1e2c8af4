"""Lines that delay, lose and cut: packets carried between pairs of TUN devices.

    python -m bench.line FD FD [FD FD …]

Each pair of descriptors is a line.  Commands come on standard input, one JSON object each,
`{"line": 0, "delay": 0.05, "jitter": 0.01, "loss": 0.02, "cut": false}`, and are answered by a line
`ok`; the end of the input ends the process.  Delay and jitter are seconds and, like loss, apply
to each direction.  Packets keep their order, as on a real line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Sequence
from random import Random

import msgspec
import uvloop

MOST = 65_536
AT_ONCE = 64
"""Packets of one read event, so that the other lines have their turn."""
MOST_WAITING = 10_000
"""Packets on the way; further ones are lost, as in any queue."""
SEED = 20261122


class Quality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a line does to packets."""

    delay: float = 0.0
    jitter: float = 0.0
    """Standard deviation of the delay."""
    loss: float = 0.0
    """The share of packets that never arrive."""
    cut: bool = False


class Command(Quality, frozen=True, forbid_unknown_fields=True, kw_only=True):
    line: int


class Way:
    """One direction of a line; `descriptors` are those read and written."""

    def __init__(self, source: int, sink: int, chances: Random) -> None:
        self.quality = Quality()
        self._source, self._sink, self._chances = source, sink, chances
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(source, self._read)

    @property
    def waiting(self) -> int:
        """Packets on the way."""
        return len(self._waiting)

    def change(self, quality: Quality) -> None:
        """What is on the way is lost with a line that is cut."""
        self.quality = quality
        if quality.cut:
            self._waiting.clear()
            if self._timer is not None:
                self._timer.cancel()

    def _read(self) -> None:
        quality, now = self.quality, self._loop.time()
        for _ in range(AT_ONCE):
            try:
                packet = os.read(self._source, MOST)
            except BlockingIOError:
                return
            if quality.cut or (quality.loss and self._chances.random() < quality.loss):
                continue
            delay = quality.delay
            if quality.jitter:
                delay = max(0.0, self._chances.gauss(delay, quality.jitter))
            self._put(now + delay, now, packet)

    def _put(self, at: float, now: float, packet: bytes) -> None:
        waiting = self._waiting
        if not waiting:
            if at <= now:
                self._write(packet)
                return
            self._timer = self._loop.call_at(at, self._due)
        elif len(waiting) >= MOST_WAITING:
            return
        else:
            at = max(at, waiting[-1][0])
        waiting.append((at, packet))

    def _due(self) -> None:
        waiting, now = self._waiting, self._loop.time()
        while waiting and waiting[0][0] <= now:
            self._write(waiting.popleft()[1])
        if waiting:
            self._timer = self._loop.call_at(waiting[0][0], self._due)

    def _write(self, packet: bytes) -> None:
        # The device's own queue is full: there a network loses packets too.
        with contextlib.suppress(BlockingIOError):
            os.write(self._sink, packet)


async def _serve(descriptors: Sequence[int]) -> None:
    chances = Random(SEED)
    lines = [
        (Way(near, far, chances), Way(far, near, chances))
        for near, far in zip(descriptors[::2], descriptors[1::2], strict=True)
    ]
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while asked := await reader.readline():
        command = msgspec.json.decode(asked, type=Command)
        for way in lines[command.line]:
            way.change(command)
        sys.stdout.write("ok\n")
        sys.stdout.flush()


def main() -> None:
    uvloop.run(_serve([int(number) for number in sys.argv[1:]]))


if __name__ == "__main__":
    main()
