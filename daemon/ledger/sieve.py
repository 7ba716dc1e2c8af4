"""In memory, which job ids were certainly never used: those need not be looked up on the disk.

Nearly every id that comes is new.  An id's hash leads to one bit of eight million octets: while it
is not set the id is new, and where it is the ledger has to look.  With a million ids that is so for
one new id in sixty, with nine million for one in eight.

All is done on the loop.  After a start the keys of the ledger are read in slices, beside all else,
and until the last is here no id passes for new.  Bits are not taken out.  Once as many ids have
come as there were, what the ledger still knows is read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from daemon.ledger.reader import FIRST, Position, Slice
from daemon.ledger.rows import JobValues, hash_job

BITS: Final = 63_999_979
"""A prime: ids that differ in a few digits have hashes that do so in a few bits, and any of those
bits alone would have all of one day's ids meet those of another, or none.
"""
FEW: Final = BITS // 8
"""Ids that are no reason to read all again."""


class Sieve:
    """`add` every job that is put; `fill` it once, and again when it is `worn`.

    `failed` is told why it could not be filled.
    """

    __slots__ = ("_added", "_bits", "_failed", "_filled", "_filling", "_read", "_task")

    def __init__(
        self, read: Callable[[Position], Awaitable[Slice]], failed: Callable[[BaseException], None]
    ) -> None:
        self._read = read
        self._failed = failed
        self._bits: bytearray | None = None
        """None until it was filled for the first time."""
        self._filling: bytearray | None = None
        """What takes the place of that."""
        self._task: asyncio.Task[None] | None = None
        self._added = 0
        """Ids since it was filled."""
        self._filled = 0

    def doubtful(self, ids: Sequence[str]) -> Sequence[str]:
        """Those of `ids` that may have been used before."""
        bits = self._bits
        if bits is None:
            return ids
        found = []
        for job_id in ids:
            at = hash_job(job_id) % BITS
            if bits[at >> 3] >> (at & 7) & 1:
                found.append(job_id)
        return found

    def add(self, jobs: Sequence[JobValues]) -> None:
        self._added += len(jobs)
        hashes = [hash_job(row[1]) for row in jobs]
        for bits in (self._bits, self._filling):
            if bits is not None:
                _set(bits, hashes)

    @property
    def worn(self) -> bool:
        """Whether most of what it has may have been forgotten."""
        return self._filling is None and self._added > max(self._filled, FEW)

    def fill(self, lately: Iterable[str]) -> None:
        """`lately` are the ids of which the keys may be in no slice."""
        self._filling = bytearray(BITS // 8 + 1)
        self._added = self._filled = 0
        _set(self._filling, map(hash_job, lately))
        self._task = asyncio.get_running_loop().create_task(self._fill(self._filling))
        self._task.add_done_callback(self._ended)

    async def _fill(self, bits: bytearray) -> None:
        position: Position | None = FIRST
        while position is not None:
            hashes, position = await self._read(position)
            _set(bits, hashes)
            self._filled += len(hashes)
        self._bits, self._filling = bits, None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._failed(exc)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _set(bits: bytearray, hashes: Iterable[int]) -> None:
    for hash_ in hashes:
        at = hash_ % BITS
        bits[at >> 3] |= 1 << (at & 7)
