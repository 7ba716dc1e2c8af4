"""Memory that is there when a run needs it.

A virtual machine gets a page from its host when it first touches it, and some hosts take back what
is not used: such a page takes 10 µs where another takes 0.2.  A daemon that has run for a day on a
machine of its own writes to pages that were used before; one that is measured for seconds would pay
for new ones with every file that grows, up to an eighth of all its CPU.  So the bench takes what a
run will write, and gives it back while the run goes on: what was given back last is used first.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MIB = 1 << 20
PIECE = 64 * MIB
PER_SECOND = 256 * MIB
"""More than a daemon, its broker's files and the gateways' log take at their fastest."""
MOST_OF_FREE = 2
"""One octet in so many, of what is free."""
FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE


@asynccontextmanager
async def touched(seconds: float) -> AsyncIterator[float]:
    """For a run of so many seconds; yields how many µs a page took at its first touch."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    octets = min(round(seconds * PER_SECOND), free // MOST_OF_FREE)
    held: list[mmap.mmap] = []
    took = 0.0
    try:
        for _ in range(octets // PIECE):
            began = time.perf_counter()
            held.append(mmap.mmap(-1, PIECE, flags=FLAGS))
            took += time.perf_counter() - began
            await asyncio.sleep(0)
        pages = len(held) * PIECE // mmap.PAGESIZE
        giving = asyncio.create_task(_give_back(held))
        try:
            yield took * 1e6 / max(1, pages)
        finally:
            giving.cancel()
            await asyncio.wait([giving])
    finally:
        for piece in held:
            piece.close()


async def _give_back(held: list[mmap.mmap]) -> None:
    while held:
        held.pop().close()
        await asyncio.sleep(PIECE / PER_SECOND)
