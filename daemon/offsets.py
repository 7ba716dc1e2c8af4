"""How far each partition may be committed: past every record before which nothing is open.

Records finish in any order; the position of a partition is the offset of its oldest open record.
Only open records cost memory.  Messages are told apart by their `mid`, so that one that becomes
safe twice (in memory, and once more read back from the ledger) counts once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from .model import INDEX_BITS

Place = tuple[str, int]
"""Topic and partition."""


class Offsets:
    """Records of a partition must be given in rising order of their offsets."""

    def __init__(self) -> None:
        self._next: dict[Place, int] = {}
        self._open: dict[Place, dict[int, int]] = {}
        self._places: dict[int, list[tuple[Place, int]]] = {}
        self._mids: set[int] = set()
        self._left: dict[int, int] = {}
        self._moved: set[Place] = set()
        self._unpublished: deque[tuple[int, Sequence[int]]] = deque()
        self._published = 0

    def taken(self, topic: str, partition: int, offset: int) -> None:
        """A record was taken of which nothing is open."""
        place = (topic, partition)
        self._next[place] = max(self._next.get(place, 0), offset + 1)
        self._moved.add(place)

    def hold(self, topic: str, partition: int, offset: int, job: int, mids: Iterable[int]) -> None:
        """A record was taken of whose job these messages are open; several may hold one job."""
        place = (topic, partition)
        self._next[place] = max(self._next.get(place, 0), offset + 1)
        self._open.setdefault(place, {})[offset] = job
        self._places.setdefault(job, []).append((place, offset))
        if job not in self._left:
            before = len(self._mids)
            self._mids.update(mids)
            self._left[job] = len(self._mids) - before

    def holds(self, job: int) -> bool:
        return job in self._left

    def release(self, mid: int) -> None:
        """The message is safe now; does nothing for one that holds no record."""
        if mid not in self._mids:
            return
        self._mids.remove(mid)
        job = mid >> INDEX_BITS
        left = self._left[job]
        if left > 1:
            self._left[job] = left - 1
            return
        del self._left[job]
        for place, offset in self._places.pop(job, ()):
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
        gone = set()
        for offset, job in self._open.pop(place, {}).items():
            places = self._places.get(job)
            if places is not None:
                places.remove((place, offset))
                if not places:
                    gone.add(job)
        for job in gone:
            del self._places[job], self._left[job]
        if gone:
            self._mids = {mid for mid in self._mids if mid >> INDEX_BITS not in gone}

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
