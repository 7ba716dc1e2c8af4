"""Ports on loopback for what tests start, so that runs and workers beside each other share none.

They are below those that the system gives to whoever asks for any port.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from functools import cache

FIRST, SIZE, BLOCKS = 21000, 500, 22


def free_port() -> int:
    """One of this process's own block that nobody uses now; the longest unused comes first.

    Raises RuntimeError when the blocks of the machine are all claimed, or the own one is in use.
    """
    ports = _ports()
    for port in itertools.islice(ports, SIZE):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"all {SIZE} ports of this process are in use")


@cache
def _ports() -> Iterator[int]:
    # Some way in, since whatever ended a moment ago may have left clients that still call.
    own = os.getpid()
    block = FIRST + SIZE * _claim(own)
    return (block + number % SIZE for number in itertools.count(own))


def _claim(first: int) -> int:
    """A block that no other process has, until this one ends: an abstract name goes with it."""
    for number in range(BLOCKS):
        block = (first + number) % BLOCKS
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0carrierd-tests-ports-{block}")
        except OSError:
            name.close()
            continue
        name.detach()
        return block
    raise RuntimeError(f"{BLOCKS} processes that run tests are at work on this machine already")
