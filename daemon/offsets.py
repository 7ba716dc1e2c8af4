"""How far each partition may be committed: past every record before which nothing is open.

Records finish in any order; the position of a partition is the offset of its oldest open record.
Only open records cost memory.  Messages are told apart by their `mid`, so that one that becomes
safe twice (in memory, and once more read back from the ledger) counts once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence

from .model import INDEX_BITS
from .packed import NOTHING, PackedInts

Place = tuple[str, int]
"""Topic and partition."""

OFFSET_BITS = 47
"""What is above them in a record's number is that of its place."""
OFFSET = (1 << OFFSET_BITS) - 1
AT_ONCE = 4_096
"""Messages that are released together: by then most of what they hold is in one piece."""


class Offsets:
    """Records of a partition must be given in rising order of their offsets.

    A slow account may have millions of them open, so each costs little: what most jobs have, one
    record and one message, is two whole numbers.
    """

    def __init__(self) -> None:
        self._next: dict[Place, int] = {}
        self._places: list[Place] = []
        self._numbers: dict[Place, int] = {}
        """Where a place stands in that list."""
        self._open: list[PackedInts] = []
        """By place, the job of each open record by the record's number."""
        self._records: PackedInts = PackedInts()
        """The first record of each job that is open."""
        self._mids: dict[int, set[int]] = {}
        """What is open of the jobs that had more than one message."""
        self._repeats: dict[int, list[int]] = {}
        """Further records of a job."""
        self._alone = 0
        """The number of the last record without messages; those of jobs are above 0."""
        self._moved: set[Place] = set()
        self._safe: list[int] = []
        """Messages that are safe, of which the records are still to be let go."""
        self._unpublished: deque[tuple[int, Sequence[int]]] = deque()
        self._published = 0

    def _number(self, place: Place) -> int:
        number = self._numbers.get(place)
        if number is None:
            number = self._numbers[place] = len(self._places)
            self._places.append(place)
            self._open.append(PackedInts())
        return number

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
        number = self._numbers.get(place)
        if number is None:
            number = self._number(place)
        record = number << OFFSET_BITS | offset
        self._open[number].put(record, job)
        if self.holds(job):
            self._repeats.setdefault(job, []).append(record)
            return
        self._records.put(job, record)
        if len(mids) > 1:
            self._mids[job] = set(mids)

    def hold_run(self, topic: str, partition: int, offset: int, job: int, count: int) -> None:
        """So many records that follow one another were taken, of as many new jobs that do, each
        with one message.
        """
        place = (topic, partition)
        if offset + count > self._next.get(place, 0):
            self._next[place] = offset + count
        number = self._number(place)
        record = number << OFFSET_BITS | offset
        self._open[number].put_run(record, job, count)
        self._records.put_run(job, record, count)

    def hold_alone(self, topic: str, partition: int, offset: int) -> int:
        """A record was taken that has no message of its own; returns what stands for one."""
        self._alone -= 1
        mid = self._alone << INDEX_BITS
        self.hold(topic, partition, offset, self._alone, (mid,))
        return mid

    def holds(self, job: int) -> bool:
        self._let_go()
        return job in self._records

    def release(self, mids: Iterable[int]) -> None:
        """These messages are safe now; does nothing for one that holds no record."""
        self._safe += mids
        if len(self._safe) >= AT_ONCE:
            self._let_go()

    def _let_go(self) -> None:
        """Of the records of what is safe."""
        if not self._safe:
            return
        jobs = self._ended() if self._mids else sorted({mid >> INDEX_BITS for mid in self._safe})
        self._safe.clear()
        records = self._records.pop_all(jobs)
        if self._repeats:
            for job in jobs:
                records += self._repeats.pop(job, ())
        records.sort()
        start, end = 0, len(records)
        while start < end:
            number = records[start] >> OFFSET_BITS
            until = bisect_left(records, (number + 1) << OFFSET_BITS, start)
            if self._open[number].pop_all(records[start:until]):
                self._moved.add(self._places[number])
            start = until

    def _ended(self) -> list[int]:
        """The jobs of what is safe of which nothing else is open."""
        jobs: list[int] = []
        safe = sorted(self._safe)
        start, end = 0, len(safe)
        while start < end:
            job = safe[start] >> INDEX_BITS
            until = bisect_left(safe, (job + 1) << INDEX_BITS, start)
            mids = self._mids.get(job)
            if mids is not None:
                mids.difference_update(safe[start:until])
                if not mids:
                    del self._mids[job]
            if not mids:
                jobs.append(job)
            start = until
        return jobs

    def release_with(self, batch: int, mids: Sequence[int]) -> None:
        """These messages are safe once this batch of the outbox is published, and all before it."""
        if batch > self._published:
            self._unpublished.append((batch, mids))
        else:
            self.release(mids)

    def published(self, batch: int) -> None:
        """Every batch of the outbox up to this one is."""
        self._published = batch
        unpublished = self._unpublished
        while unpublished and unpublished[0][0] <= batch:
            self.release(unpublished.popleft()[1])

    def forget(self, topic: str, partition: int) -> None:
        """Its open records will be taken again, by someone else or by us."""
        self._let_go()
        place = (topic, partition)
        self._next.pop(place, None)
        self._moved.discard(place)
        number = self._number(place)
        open_, self._open[number] = self._open[number], PackedInts()
        for gone, job in open_.items():
            first, *left = [
                record
                for record in (self._records.pop(job), *self._repeats.pop(job, ()))
                if record != gone
            ] or [NOTHING]
            if first == NOTHING:
                self._mids.pop(job, None)
                continue
            self._records.put(job, first)
            if left:
                self._repeats[job] = left

    def moved(self) -> dict[Place, int]:
        """The positions that changed since the last call: the next offset to read, by place."""
        self._let_go()
        positions = {}
        for place in self._moved:
            held = next(self._open[self._number(place)].items(), None)
            first = self._next.get(place) if held is None else held[0] & OFFSET
            if first is not None:
                positions[place] = first
        self._moved.clear()
        return positions

    @property
    def held(self) -> int:
        """How many records are open."""
        self._let_go()
        return sum(map(len, self._open))
