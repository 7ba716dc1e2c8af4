"""How far each partition may be committed: past every record before which nothing is open.

Records finish in any order; the position of a partition is the offset of its oldest open record.
Only open records cost memory.  Messages are told apart by their `mid`, so that one that becomes
safe twice (in memory, and once more read back from the ledger) counts once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .model import INDEX_BITS

Place = tuple[str, int]
"""Topic and partition."""


class Offsets:
    """Records of a partition must be given in rising order of their offsets."""

    def __init__(self) -> None:
        self._next: dict[Place, int] = {}
        self._open: dict[Place, dict[int, int]] = {}
        self._jobs: dict[int, tuple[set[int] | None, Place, int]] = {}
        """By job, what is open of its messages, and its first record.  Most jobs have one message,
        which needs no set.
        """
        self._repeats: dict[int, list[tuple[Place, int]]] = {}
        """Further records of a job."""
        self._moved: set[Place] = set()
        self._unpublished: deque[tuple[int, Sequence[int]]] = deque()
        self._published = 0

    def taken(self, topic: str, partition: int, offset: int) -> None:
        """A record was taken of which nothing is open."""
        place = (topic, partition)
        self._next[place] = max(self._next.get(place, 0), offset + 1)
        self._moved.add(place)

    def hold(self, topic: str, partition: int, offset: int, job: int, mids: Sequence[int]) -> None:
        """A record was taken of whose job these messages are open; several may hold one job."""
        place = (topic, partition)
        if offset >= self._next.get(place, 0):
            self._next[place] = offset + 1
        held = self._open.get(place)
        if held is None:
            held = self._open[place] = {}
        held[offset] = job
        if job in self._jobs:
            self._repeats.setdefault(job, []).append((place, offset))
        else:
            self._jobs[job] = (set(mids) if len(mids) > 1 else None, place, offset)

    def holds(self, job: int) -> bool:
        return job in self._jobs

    def release(self, mid: int) -> None:
        """The message is safe now; does nothing for one that holds no record."""
        job = mid >> INDEX_BITS
        known = self._jobs.get(job)
        if known is None:
            return
        mids, place, offset = known
        if mids is not None:
            mids.discard(mid)
            if mids:
                return
        del self._jobs[job]
        self._let_go(place, offset)
        for place, offset in self._repeats.pop(job, ()):
            self._let_go(place, offset)

    def _let_go(self, place: Place, offset: int) -> None:
        held = self._open.get(place)
        if held is not None and held.pop(offset, None) is not None:
            self._moved.add(place)

    def release_with(self, batch: int, mids: Sequence[int]) -> None:
        """These messages are safe once this batch of the outbox is published, and all before it."""
        if batch > self._published:
            self._unpublished.append((batch, mids))
        else:
            for mid in mids:
                self.release(mid)

    def published(self, batch: int) -> None:
        """Every batch of the outbox up to this one is."""
        self._published = batch
        unpublished = self._unpublished
        while unpublished and unpublished[0][0] <= batch:
            for mid in unpublished.popleft()[1]:
                self.release(mid)

    def forget(self, topic: str, partition: int) -> None:
        """Its open records will be taken again, by someone else or by us."""
        place = (topic, partition)
        self._next.pop(place, None)
        self._moved.discard(place)
        for offset, job in self._open.pop(place, {}).items():
            mids, first, at = self._jobs.pop(job)
            records = [(first, at), *self._repeats.pop(job, ())]
            left = [record for record in records if record != (place, offset)]
            if left:
                self._jobs[job] = (mids, *left[0])
            if len(left) > 1:
                self._repeats[job] = left[1:]

    def moved(self) -> dict[Place, int]:
        """The positions that changed since the last call: the next offset to read, by place."""
        positions = {}
        for place in self._moved:
            held = self._open.get(place)
            # Held in rising order, and a dict keeps its order.
            first = next(iter(held)) if held else self._next.get(place)
            if first is not None:
                positions[place] = first
        self._moved.clear()
        return positions

    @property
    def held(self) -> int:
        """How many records are open."""
        return sum(len(held) for held in self._open.values())
