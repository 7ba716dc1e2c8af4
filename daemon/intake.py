"""Jobs in: from a broker's batch to messages that wait on their routes.

A batch is decoded, checked against the ids that were used before, cut into messages, and put into
the ledger in one piece.  The messages are queued at once: nothing is written to a carrier before
its claim is durable, and the ledger makes things durable in the order it was given them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog

from protocols.text.split import bill_units

from . import jobs
from .admission import Admission
from .broker.base import Record, Source
from .changes import Changes
from .clock import wall
from .engine import Engine
from .jobs import Job as JobFields
from .jobs import JobError
from .ledger.rows import JobRow, Known
from .model import INDEX_BITS, Job, Message
from .repeats import Repeats, Unsure
from .router import Router
from .tally import Tally

log = structlog.get_logger()

MOST_AT_ONCE = 500
"""Records of one batch."""
MOST_MESSAGES = 1_000
"""Of one batch, about, where jobs have many: the loop does nothing else meanwhile, and more than
wait here would go to the ledger and be read back.
"""
WAIT = 0.5
"""Seconds that an empty `take` may last."""
HIGH, LOW = 1_500, 500
"""Messages that wait for us at which taking stops for a while, and goes on again.  More than fills
many windows is no use: what waits long has left the processor's caches when its turn comes.
"""
LOOK_EVERY = 0.05
SOON = 5.0
"""Seconds in which a queue that is worth waiting for would be empty."""
HUNGRY_AFTER = 0.02
"""Seconds for which an account may have nothing to write while others have more than enough."""
LATELY = 1.0
"""Seconds."""


Sound = tuple[Record, JobFields, bytes, bytes]
"""A record that is a job, the job, its digest, and how the ledger keeps it."""


class Intake:
    """`seq` is the number of the next job; `later_topics` are all jobs topics but the first."""

    def __init__(
        self,
        *,
        source: Source,
        engine: Engine,
        router: Router,
        admission: Admission,
        tally: Tally,
        dead_topic: str,
        later_topics: Sequence[str],
        seq: int,
    ) -> None:
        self.source = source
        self.engine = engine
        self.router = router
        self.admission = admission
        self.tally = tally
        self.repeats = Repeats(engine=engine, router=router, admission=admission, tally=tally)
        self.dead_topic = dead_topic
        self.stopping = False
        self.ready = asyncio.Event()
        """Set while what is assigned to us is ours: until then nothing is taken from it."""
        self._seq = seq
        self._most = MOST_AT_ONCE
        """Records of the next batch, by how many messages those of the last one had."""
        self._later = later_topics
        self._fed: dict[str, float] = {}
        """When each account was last given new jobs."""

    async def run(self) -> None:
        """Take until told to stop."""
        loop = asyncio.get_running_loop()
        while not self.stopping:
            records = await self.source.take(self._most, WAIT)
            began = loop.time()
            if records:
                await self.take(records)
                await asyncio.sleep(0)  # new jobs alone need not be waited for
            if self._ours(loop.time()) > HIGH:
                await self._make_room(loop.time() - began)

    def _ours(self, now: float) -> int:
        """Messages in memory that wait for nothing but us, as far as we can tell.

        What no account can take, or only at its pace, would wait as long in the broker, and the
        jobs of others behind it.
        """
        accounts, count = self.router.accounts, 0
        for route, queue in self.router.queues.items():
            if size := len(queue.lanes):
                serving = self.router.serving.get(route)
                if serving is not None and not accounts[serving].at_its_pace(now):
                    count += size
        return count

    async def _make_room(self, busy: float) -> None:
        """Let the queues drain, where that is a matter of moments.

        Taking more than is written costs: it goes to the ledger and is read back.  But what waits
        for a slow account must not keep the jobs of others from being taken: when the queues drain
        slowly, taking goes on after a pause as long as the batch before it took (`busy` seconds),
        and soon when an account that had jobs lately has none left.
        The first topic's jobs are taken all the while.
        """
        loop = asyncio.get_running_loop()
        self.source.pause(self._later)
        try:
            began = at = loop.time()
            size = self._ours(at)
            while size > LOW and not self.stopping:
                if self._later and (records := await self.source.take(self._most, 0.002)):
                    await self.take(records)
                else:
                    await asyncio.sleep(0.002)
                now = loop.time()
                if now >= began + HUNGRY_AFTER and self._hungry(now):
                    return
                if now < at + LOOK_EVERY:
                    continue
                left = self._ours(now)
                drained = size - left
                if drained <= 0 or left / drained * (now - at) > SOON:
                    await asyncio.sleep(busy)
                    return
                size, at = left, now
        finally:
            self.source.resume(self._later)

    def _hungry(self, now: float) -> bool:
        """Whether an account that was given jobs lately has none, while others have too many."""
        accounts = self.router.accounts
        self._fed = {name: at for name, at in self._fed.items() if now < at + LATELY}
        return any(
            name in accounts and accounts[name].links and not accounts[name].has_waiting()
            for name in self._fed
        )

    def stop(self) -> None:
        """Take no more: `run` ends soon."""
        self.stopping = True
        self.ready.set()

    def next_seq(self) -> int:
        """A number for a job, taken here or told of by another daemon."""
        self._seq += 1
        return self._seq - 1

    async def take(self, records: Sequence[Record]) -> None:
        """One batch; returns when it is in memory and on its way to the disk."""
        homes = self.engine.homes
        generation = homes.generation
        await self.ready.wait()
        at = wall()
        sound, refused = _read(records, at)
        ids = [fields.id for _, fields, _, _ in sound]
        ledger = self.engine.ledger
        put = ledger.jobs_put
        known = await ledger.known(ids, _given(records))
        if homes.generation != generation:
            return  # these will be given again, to us or to another
        c = Changes()
        unsure: Unsure = {}
        if refused or known or len(set(ids)) < len(ids) or ledger.jobs_put != put:
            messages = self._sort_out(records, sound, refused, known, at, unsure, c)
        else:
            messages = self._fresh(sound, at, c)
        if self.engine.stored_is_safe:
            mids = [message.mid for message in messages]
            c.then.append(partial(self.engine.offsets.release, mids))
        if messages:
            self._most = min(MOST_AT_ONCE, MOST_MESSAGES * len(records) // len(messages) + 1)
        accounts = self.admission.admit(messages, at, c)
        self.engine.keeping.commit(c)
        now = asyncio.get_running_loop().time()
        for name in accounts:
            self._fed[name] = now
            self.router.accounts[name].pull(now)
        if unsure:
            await self.repeats.ascertain(unsure, at)

    def _sort_out(
        self,
        records: Sequence[Record],
        sound: Sequence[Sound],
        refused: Mapping[int, JobError],
        known: Mapping[str, Known],
        at: float,
        unsure: Unsure,
        c: Changes,
    ) -> list[Message]:
        """Not all of the records are new jobs; the messages of those that are."""
        seen = {name: (_number(job), job.digest) for name, job in known.items()}
        messages: list[Message] = []
        fresh: list[Sound] = []
        following = iter(sound)
        # One pass in the order of the records: offsets are held in that order.
        for place, record in enumerate(records):
            if (error := refused.get(place)) is not None:
                messages += self._fresh(fresh, at, c)
                fresh = []
                self._dead(record, error, c)
                continue
            _, fields, digest, _ = job = next(following)
            before = seen.get(fields.id) or self._told(fields.id)
            if before is None:
                seen[fields.id] = (self._seq + len(fresh), digest)
                fresh.append(job)
                continue
            messages += self._fresh(fresh, at, c)
            fresh = []
            if before[1] != digest:
                error = JobError("id", f"{fields.id!r} was used before, with other content")
                self._dead(record, error, c)
            else:
                self.repeats.taken(record, fields, digest, before[0], unsure, c)
        return messages + self._fresh(fresh, at, c)

    def _told(self, job: str) -> tuple[int, bytes] | None:
        """What another daemon told of the job while the ledger was asked."""
        known = self.engine.ledger.recent(job)
        return None if known is None else (_number(known), known.digest)

    def _dead(self, record: Record, error: JobError, c: Changes) -> None:
        self.tally.jobs[record.topic, "dead"] += 1
        c.event(self.dead_topic, (record.key, jobs.dead_letter(record, error)))
        # Until the dead letter is published.
        held = self.engine.offsets.hold_alone(record.topic, record.partition, record.offset)
        c.then.append(partial(self.engine.keeping.safe, (held,)))
        log.warning("job refused", topic=record.topic, offset=record.offset, field=error.field)

    def _fresh(self, sound: Sequence[Sound], at: float, c: Changes) -> list[Message]:
        """New jobs, in the order of their records; returns their messages."""
        seq = self._seq
        self._seq += len(sound)
        jobs, admission = c.entries.jobs, self.admission
        messages: list[Message] = []
        # Records that follow one another, of jobs with one message each, are held together.
        run, count, follows = ("", 0), 0, 0
        for record, fields, digest, body in sound:
            topic, partition, offset = place = (record.topic, record.partition, record.offset)
            produced = record.timestamp
            units = bill_units(fields.text, fields.signature)
            job = Job(seq, fields, produced, at, place, units, digest)
            jobs.append((seq, fields.id, digest, topic, partition, offset, produced, at, body))
            to = fields.to
            if len(to) > 1 or offset != follows or (topic, partition) != run:
                self._hold_run(run, follows, seq, count)
                run, count = (topic, partition), 0
            follows = offset + 1
            seq += 1
            if len(to) == 1:
                count += 1
                messages.append(admission.message(job, 0, to[0]))
            else:
                of_job = admission.messages(job)
                messages += of_job
                first = job.seq << INDEX_BITS
                mids = range(first, first + len(to))
                self.engine.offsets.hold(topic, partition, offset, job.seq, mids)
                self.tally.jobs[topic, "taken"] += 1
        self._hold_run(run, follows, seq, count)
        return messages

    def _hold_run(self, place: tuple[str, int], offset: int, seq: int, count: int) -> None:
        """So many records in front of `offset`, of jobs in front of `seq`."""
        if count:
            topic, partition = place
            self.engine.offsets.hold_run(topic, partition, offset - count, seq - count, count)
            self.tally.jobs[topic, "taken"] += count


def _read(records: Sequence[Record], at: float) -> tuple[list[Sound], dict[int, JobError]]:
    """Those that are jobs, in order, and by their place why the others are none."""
    sound: list[Sound] = []
    refused: dict[int, JobError] = {}
    for record in records:
        try:
            fields = jobs.decode(record.value, record.content_type, at)
        except JobError as exc:
            refused[len(sound) + len(refused)] = exc
            continue
        body = jobs.pack(fields)
        sound.append((record, fields, jobs.digest(fields, body), body))
    return sound, refused


def _given(records: Sequence[Record]) -> Callable[[JobRow], bool]:
    """Whether one of the records is a job's own: the broker gives again what lies behind a record
    that is held, however old the jobs are by then.
    """
    places: set[tuple[str, int, int, float]] = set()

    def given(job: JobRow) -> bool:
        if not places:  # asked only of ids that were forgotten
            places.update((r.topic, r.partition, r.offset, r.timestamp) for r in records)
        offset = job.offset if job.offset >= 0 else -1 - job.offset
        return (job.topic, job.partition, offset, job.produced) in places

    return given


def _number(known: Known) -> int:
    """The number of a job that is not finished; -1 for one that is, or is only remembered."""
    if known.seq is None or (known.finished and not known.partial):
        return -1
    return known.seq
