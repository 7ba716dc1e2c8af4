"""Records whose job is known already: what they hold, and what they still bring.

A record of a known job holds its offset for as long as that job is not safe.  What was taken before
a restart, or by another daemon, is in the ledger and not in memory: the ledger is asked what of
it is safe, once what is on its way there has arrived.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from protocols.text.split import bill_units

from . import jobs
from .admission import Admission
from .broker.base import Record
from .changes import Changes
from .clock import wall
from .engine import Engine
from .jobs import Job as JobFields
from .ledger.rows import JobRow, MessageRow
from .model import INDEX_BITS, UNSAFE, Job, Message, State, is_parked
from .recovery import durable, send_rest
from .router import Router
from .tally import Tally


class Again(NamedTuple):
    """A record of a job that is known already."""

    record: Record
    fields: JobFields
    digest: bytes


Unsure = dict[int, Again]
"""By the numbers of their jobs, of which memory does not say whether they are safe."""


class Repeats:
    def __init__(
        self, *, engine: Engine, router: Router, admission: Admission, tally: Tally
    ) -> None:
        self.engine = engine
        self.router = router
        self.admission = admission
        self.tally = tally

    def taken(
        self,
        record: Record,
        fields: JobFields,
        digest: bytes,
        seq: int,
        unsure: Unsure,
        c: Changes,
    ) -> None:
        """`seq` is the number of its job, below 0 when that is finished."""
        self.tally.jobs[record.topic, "duplicate"] += 1
        place = (record.topic, record.partition, record.offset)
        offsets = self.engine.offsets
        if seq < 0 and self.engine.stored_is_safe:
            offsets.taken(*place)
            return
        if seq < 0:
            # What became of it may be among what was not published before a restart.
            c.then.append(partial(self.engine.keeping.safe, (offsets.hold_alone(*place),)))
            return
        if not offsets.holds(seq):
            unsure.setdefault(seq, Again(record, fields, digest))
        first = seq << INDEX_BITS
        offsets.hold(*place, seq, range(first, first + len(fields.to)))

    async def ascertain(self, unsure: Unsure, at: float) -> None:
        """Jobs of before a restart, or of another daemon, hold their record whole; the ledger says
        what is safe of them.

        What becomes safe meanwhile is released twice, which counts once.
        """
        engine = self.engine
        generation = engine.homes.generation
        mids = [
            mid
            for seq, again in unsure.items()
            for mid in range(seq << INDEX_BITS, (seq << INDEX_BITS) + len(again.fields.to))
        ]
        await durable(engine.ledger)
        c = Changes()
        fresh: list[Message] = []
        async with engine.memory.reading():
            rows = await engine.ledger.load(mids)
            if engine.homes.generation != generation:
                return  # the records will be given again, to us or to another
            there = {row.mid: row for _, row in rows}
            jobs_there = {job.seq: job for job, _ in rows}
            for seq, again in unsure.items():
                job = jobs_there.get(seq)
                if job is not None and _from(again.record, job):
                    fresh += self._complete(seq, again, job, there, c)
        fresh.sort(key=attrgetter("mid"))
        accounts = self.admission.admit(fresh, at, c, new=False)
        made = {message.mid for message in fresh}
        safe = [mid for mid in mids if mid not in made]
        if not engine.stored_is_safe:
            safe = [mid for mid in safe if mid not in there or _is_safe(there[mid])]
        c.then.append(partial(engine.keeping.safe, safe))
        if engine.stored_is_safe:
            c.then.append(partial(engine.offsets.release, made))
        engine.keeping.commit(c)
        for name in accounts:
            self.router.accounts[name].nudge()

    def _complete(
        self, seq: int, again: Again, row: JobRow, there: Mapping[int, MessageRow], c: Changes
    ) -> list[Message]:
        """The record has what its first taker did not tell: the text, and what else was asked for.

        Returns the messages that were not told of.
        """
        record, fields = again.record, again.fields
        place = (record.topic, record.partition, record.offset)
        units = bill_units(fields.text, fields.signature)
        job = Job(seq, fields, row.produced, row.received, place, units, again.digest)
        c.entries.jobs.append(
            (seq, row.id, row.digest, *place, row.produced, row.received, jobs.pack(fields))
        )
        at = wall()
        fresh = []
        for message in self.admission.messages(job):
            known = self.engine.memory.held(message.mid)
            if known is None:
                if message.mid not in there:
                    fresh.append(message)
            elif not known.job.whole:
                known.job.fields = fields
                if known.state is State.UNCERTAIN:
                    self.engine.settle.hold_from(known, at)
                    c.touch(known)
                send_rest(self.engine, known)
        return fresh


def _from(record: Record, job: JobRow) -> bool:
    """Whether a job that another daemon told of came from this very record."""
    place = (record.topic, record.partition, -1 - record.offset)
    return place == (job.topic, job.partition, job.offset)


def _is_safe(row: MessageRow) -> bool:
    """Whether what the ledger says of a message is enough for its record's offset to move."""
    return row.state not in UNSAFE or is_parked(row.life)
