"""The lines of the bench's own network, with sockets that keep packets apart for TUN devices."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Iterator
from random import Random

import pytest

from bench.line import Quality, Way
from tests.daemon.sim.sp import until

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket, Pair]]:
    """Where packets go in, where they come out, and the line's own ends."""
    into, source = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sink, out = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for one in (into, source, sink, out):
        one.setblocking(False)
    yield into, out, (source, sink)
    for one in (into, source, sink, out):
        one.close()


def way(line: Pair, **quality: float) -> Way:
    source, sink = line
    made = Way(source.fileno(), sink.fileno(), Random(1))
    made.change(Quality(**quality))
    return made


async def came(out: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(out, 2000), 30.0)


async def test_packets_keep_their_order_whatever_the_delay(
    ends: tuple[socket.socket, socket.socket, Pair],
) -> None:
    into, out, line = ends
    way(line, delay=0.03, jitter=0.02)
    sent = [b"%d" % number for number in range(50)]
    for packet in sent:
        into.send(packet)
    assert [await came(out) for _ in sent] == sent


async def test_a_delay_is_as_long_as_it_was_asked_to_be(
    ends: tuple[socket.socket, socket.socket, Pair],
) -> None:
    into, out, line = ends
    way(line, delay=0.05)
    began = time.monotonic()
    into.send(b"x")
    assert await came(out) == b"x"
    assert time.monotonic() - began >= 0.05


async def test_a_line_that_is_cut_loses_what_is_on_it_and_works_again(
    ends: tuple[socket.socket, socket.socket, Pair],
) -> None:
    into, out, line = ends
    one = way(line, delay=0.05)
    into.send(b"on the line")
    await until(lambda: one.waiting > 0)
    one.change(Quality(cut=True))
    into.send(b"during")
    await drained(line[0])
    one.change(Quality(delay=0.01))
    into.send(b"after")
    assert await came(out) == b"after"


async def test_a_share_of_the_packets_is_lost(
    ends: tuple[socket.socket, socket.socket, Pair],
) -> None:
    into, out, line = ends
    way(line, loss=0.5)
    arrived = 0
    for number in range(1000):
        into.send(b"%d" % number)
        await drained(line[0])
        try:
            out.recv(100)
        except BlockingIOError:
            continue
        arrived += 1
    assert 400 < arrived < 600


async def drained(source: socket.socket) -> None:
    """Until the line has taken what was sent."""
    await until(lambda: not select.select([source], [], [], 0)[0])
