"""Jobs in: from a broker's batch to messages that wait on their routes.

A batch is decoded, checked against the ids that were used before, cut into messages, and put into
the ledger in one piece.  The messages are queued at once: nothing is written to a carrier before
its claim is durable, and the ledger makes things durable in the order it was given them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import structlog

from protocols.text.split import bill_units, with_signature

from . import jobs
from .broker.base import Record, Source
from .changes import Changes
from .clock import wall
from .engine import Engine
from .jobs import Job as JobFields
from .jobs import JobError
from .ledger.rows import JobRow, Known, MessageRow
from .model import INDEX_BITS, UNSAFE, Job, Message, State, is_parked
from .numbers.normalise import normalise
from .numbers.plan import Plan
from .offsets import Run
from .parking import Parking
from .prepare import Refusal, fits
from .queues import RouteQueue
from .recovery import durable, send_rest
from .router import Router
from .stops import STOPPED
from .tally import Tally

log = structlog.get_logger()

MOST_AT_ONCE = 500
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


class Intake:
    """`seq` is the number of the next job; `later_topics` are all jobs topics but the first."""

    def __init__(
        self,
        *,
        source: Source,
        engine: Engine,
        router: Router,
        plan: Plan,
        tally: Tally,
        parking: Parking,
        dead_topic: str,
        later_topics: Sequence[str],
        seq: int,
    ) -> None:
        self.source = source
        self.engine = engine
        self.router = router
        self.plan = plan
        self.tally = tally
        self.parking = parking
        self.dead_topic = dead_topic
        self.stopping = False
        self.ready = asyncio.Event()
        """Set while what is assigned to us is ours: until then nothing is taken from it."""
        self._seq = seq
        self._later = later_topics
        self._dead_seq = 0
        self._fed: dict[str, float] = {}
        """When each account was last given new jobs."""

    async def run(self) -> None:
        """Take until told to stop."""
        loop = asyncio.get_running_loop()
        while not self.stopping:
            records = await self.source.take(MOST_AT_ONCE, WAIT)
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
                if self._later and (records := await self.source.take(MOST_AT_ONCE, 0.002)):
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
        read = [self._read(record, at) for record in records]
        ids = [fields.id for fields, _, _ in read if not isinstance(fields, JobError)]
        seen: dict[str, tuple[int, bytes]] = {}
        if ids:
            known_ids = await self.engine.ledger.known(ids, _given(records))
            for job, known in known_ids.items():
                seen[job] = (_number(known), known.digest)
        if homes.generation != generation:
            return  # these will be given again, to us or to another
        c = Changes()
        messages: list[Message] = []
        unsure: dict[int, _Again] = {}
        run = Run(self.engine.offsets)
        # One pass in the order of the records: offsets are held in that order.
        for record, (fields, digest, body) in zip(records, read, strict=True):
            if isinstance(fields, JobError):
                run.hold()
                self._dead(record, fields, c)
            elif (before := seen.get(fields.id) or self._told(fields.id)) is None:
                seq = self.next_seq()
                seen[fields.id] = (seq, digest)
                messages += self._fresh(record, fields, digest, body, seq, at, run, c)
            else:
                run.hold()
                if before[1] != digest:
                    error = JobError("id", f"{fields.id!r} was used before, with other content")
                    self._dead(record, error, c)
                else:
                    self._repeat(record, fields, digest, before[0], unsure, c)
        run.hold()
        if self.engine.stored_is_safe:
            c.then.append(partial(self._stored, messages))
        accounts: set[str] = set()
        doors: dict[str, _Door] = {}
        for message in messages:
            self._admit(message, at, c, accounts, doors)
        self.engine.commit(c)
        now = asyncio.get_running_loop().time()
        for name in accounts:
            self._fed[name] = now
            self.router.accounts[name].pull(now)
        if unsure:
            await self._ascertain(unsure, at)

    def _told(self, job: str) -> tuple[int, bytes] | None:
        """What another daemon told of the job while the ledger was asked."""
        known = self.engine.ledger.recent(job)
        return None if known is None else (_number(known), known.digest)

    def _read(self, record: Record, at: float) -> tuple[JobFields | JobError, bytes, bytes]:
        """The job, its digest, and how the ledger keeps it."""
        try:
            fields = jobs.decode(record.value, record.content_type, at)
        except JobError as exc:
            return exc, b"", b""
        body = jobs.pack(fields)
        return fields, jobs.digest(fields, body), body

    def _dead(self, record: Record, error: JobError, c: Changes) -> None:
        self.tally.jobs[record.topic, "dead"] += 1
        c.event(self.dead_topic, (record.key, jobs.dead_letter(record, error)))
        # Until the dead letter is published.
        c.then.append(partial(self.engine.safe, (self._hold(record),)))
        log.warning("job refused", topic=record.topic, offset=record.offset, field=error.field)

    def _hold(self, record: Record) -> int:
        """Hold a record as a job does, under a number that no job has; returns that."""
        self._dead_seq -= 1
        mid = self._dead_seq << INDEX_BITS
        place = (record.topic, record.partition, record.offset)
        self.engine.offsets.hold(*place, self._dead_seq, (mid,))
        return mid

    def _fresh(
        self,
        record: Record,
        fields: JobFields,
        digest: bytes,
        body: bytes,
        seq: int,
        at: float,
        run: Run,
        c: Changes,
    ) -> list[Message]:
        topic, partition, offset = place = (record.topic, record.partition, record.offset)
        produced = record.timestamp
        units = bill_units(with_signature(fields.text, fields.signature))
        job = Job(seq, fields, produced, at, place, units, digest)
        c.entries.jobs.append(
            (seq, fields.id, digest, topic, partition, offset, produced, at, body)
        )
        self.tally.jobs[topic, "taken"] += 1
        messages = self._messages(job)
        if len(messages) == 1:
            run.add(topic, partition, offset, seq)
        else:
            run.hold()
            self.engine.offsets.hold(topic, partition, offset, seq, [m.mid for m in messages])
        return messages

    def _repeat(
        self,
        record: Record,
        fields: JobFields,
        digest: bytes,
        seq: int,
        unsure: dict[int, _Again],
        c: Changes,
    ) -> None:
        """A record of a known job holds its offset for as long as that job is not safe."""
        self.tally.jobs[record.topic, "duplicate"] += 1
        place = (record.topic, record.partition, record.offset)
        offsets = self.engine.offsets
        if seq < 0 and self.engine.stored_is_safe:
            offsets.taken(*place)
            return
        if seq < 0:
            # What became of it may be among what was not published before a restart.
            c.then.append(partial(self.engine.safe, (self._hold(record),)))
            return
        if not offsets.holds(seq):
            unsure.setdefault(seq, _Again(record, fields, digest))
        first = seq << INDEX_BITS
        offsets.hold(*place, seq, range(first, first + len(fields.to)))

    def _messages(self, job: Job) -> list[Message]:
        """One for each recipient; a number that cannot be sent to has its code already."""
        to = job.fields.to
        if len(to) == 1:
            return [self._message(job, 0, to[0])]
        found = []
        numbers: set[str] = set()
        for index, raw in enumerate(to):
            message = self._message(job, index, raw)
            if message.code is None:
                if message.to in numbers:
                    message.code = "LOCAL:DUPLICATE"
                numbers.add(message.to)
            found.append(message)
        return found

    def _message(self, job: Job, index: int, raw: str) -> Message:
        number = normalise(raw)
        lane = job.fields.priority
        if isinstance(number, str):
            return Message(job, index, number, self.plan.carrier(number), lane)
        message = Message(job, index, raw, None, lane)
        message.code = number.value
        return message

    def _admit(
        self, m: Message, at: float, c: Changes, accounts: set[str], doors: dict[str, _Door]
    ) -> None:
        """To its route, or to its end; `doors` has what was found of routes for this batch."""
        engine = self.engine
        engine.open[m.mid] = m
        c.touch(m)
        code = m.code or self._routed(m)
        if code is not None:
            engine.settle.refused(m, code, at, c)
            return
        door = doors.get(m.route)
        if door is None:
            door = doors[m.route] = self._door(m, at)
        queue = door.queue
        fields = m.job.fields
        if engine.stops.any and engine.stops.cover(m):
            engine.settle.refused(m, STOPPED, at, c)
            return
        if fields.expires_at is not None and engine.settle.gone(m, at):
            engine.settle.expired(m, "LOCAL:QUEUE_EXPIRED", at, c)
            return
        not_before = fields.not_before
        if not_before is not None and not_before > at:
            m.state = State.HELD
            expires = fields.expires_at
            m.wake = not_before if expires is None else min(not_before, expires)
            queue.held += 1
            if self.parking.far(m, at):
                self.parking.hold(m, c)
            del engine.open[m.mid]
            return
        m.wake = engine.settle.waiting_until(m, door.patience)
        if door.parks:
            self.parking.park(m, queue, c)
            del engine.open[m.mid]
            return
        if not queue.offer(m):
            del engine.open[m.mid]
        if door.serving is not None:
            accounts.add(door.serving)

    def _door(self, m: Message, at: float) -> _Door:
        router = self.router
        queue = router.queues[m.route]
        parks = self.parking.takes(queue, at)
        return _Door(queue, router.patience(m), parks, router.serving.get(m.route))

    def _routed(self, m: Message) -> str | None:
        """Set the route; returns a LOCAL code when there is none."""
        fields = m.job.fields
        if m.carrier is None:
            self.tally.unknown_prefix += 1
        queue = self.router.choose(m.carrier, fields.account)
        if queue is None:
            return "LOCAL:ACCOUNT"
        m.route = queue.name
        if not queue.accounts:
            return "LOCAL:NO_ROUTE"
        if not fields.ext:
            return None  # an access number alone fits
        try:
            fits(m, self.router.accounts[self.router.first(queue)].settings)
        except Refusal as exc:
            return exc.code
        return None

    def unhold(self, m: Message) -> None:
        """Its `not_before` has come."""
        queue = self.router.queues.get(m.route)
        if queue is not None:
            queue.held = max(0, queue.held - 1)
        if queue is None or not queue.accounts:
            # Its account was taken out of the configuration meanwhile.
            code = "LOCAL:ACCOUNT" if m.job.fields.account is not None else "LOCAL:NO_ROUTE"
            self.engine.refuse(m, code)
            return
        if not queue.admit(m):
            self.engine.open.pop(m.mid, None)
            return
        serving = self.router.serving.get(m.route)
        if serving is not None:
            self.router.accounts[serving].nudge()

    def _stored(self, messages: Sequence[Message]) -> None:
        self.engine.offsets.release([message.mid for message in messages])

    async def _ascertain(self, unsure: dict[int, _Again], at: float) -> None:
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
        accounts: set[str] = set()
        doors: dict[str, _Door] = {}
        fresh: list[Message] = []
        async with engine.reading():
            rows = await engine.ledger.load(mids)
            if engine.homes.generation != generation:
                return  # the records will be given again, to us or to another
            there = {row.mid: row for _, row in rows}
            jobs_there = {job.seq: job for job, _ in rows}
            for seq, again in unsure.items():
                job = jobs_there.get(seq)
                if job is not None and _from(again.record, job):
                    fresh += self._complete(seq, again, job, there, c)
        for message in fresh:
            self._admit(message, at, c, accounts, doors)
        made = {message.mid for message in fresh}
        safe = [mid for mid in mids if mid not in made]
        if not engine.stored_is_safe:
            safe = [mid for mid in safe if mid not in there or _is_safe(there[mid])]
        c.then.append(partial(engine.safe, safe))
        if engine.stored_is_safe:
            c.then.append(partial(self._stored, fresh))
        engine.commit(c)
        for name in accounts:
            self.router.accounts[name].nudge()

    def _complete(
        self, seq: int, again: _Again, row: JobRow, there: Mapping[int, MessageRow], c: Changes
    ) -> list[Message]:
        """The record has what its first taker did not tell: the text, and what else was asked for.

        Returns the messages that were not told of.
        """
        record, fields = again.record, again.fields
        place = (record.topic, record.partition, record.offset)
        units = bill_units(with_signature(fields.text, fields.signature))
        job = Job(seq, fields, row.produced, row.received, place, units, again.digest)
        c.entries.jobs.append(
            (seq, row.id, row.digest, *place, row.produced, row.received, jobs.pack(fields))
        )
        at = wall()
        fresh = []
        for message in self._messages(job):
            known = self.engine.held(message.mid)
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


class _Door(NamedTuple):
    """What all messages of a batch that take one route meet there."""

    queue: RouteQueue
    patience: float
    """Seconds that they may wait."""
    parks: bool
    """Whether they are parked at once."""
    serving: str | None
    """The account that they go to now."""


class _Again(NamedTuple):
    """A record of a job that is known already."""

    record: Record
    fields: JobFields
    digest: bytes


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


def _from(record: Record, job: JobRow) -> bool:
    """Whether a job that another daemon told of came from this very record."""
    place = (record.topic, record.partition, -1 - record.offset)
    return place == (job.topic, job.partition, job.offset)


def _is_safe(row: MessageRow) -> bool:
    """Whether what the ledger says of a message is enough for its record's offset to move."""
    return row.state not in UNSAFE or is_parked(row.life)


def _number(known: Known) -> int:
    """The number of a job that is not finished; -1 for one that is, or is only remembered."""
    if known.seq is None or (known.finished and not known.partial):
        return -1
    return known.seq
