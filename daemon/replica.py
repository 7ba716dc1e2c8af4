"""What other daemons told, taken over into our ledger as it comes.

Every daemon reads all of `topics.state` and `topics.parked`.  When it is given a partition, all it
has to know of that partition's messages is then in its own ledger already, save for the last
moments: `caught_up` waits for those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

import msgspec
import structlog

from . import jobs, lists
from .broker.base import BrokerError, Place, Record, Tail
from .changelog import Fact, Orphan, Parked, Stop, Taken, message_of, unpack
from .changes import Changes
from .clock import wall
from .engine import Engine
from .ledger.rows import JobValues, Known
from .model import ELSEWHERE, INDEX_BITS, UNSAFE, WAITS, Job, Message, PartState, State
from .recall import revive_all
from .recovery import adopt, durable
from .router import Router
from .stopping import Stopping

log = structlog.get_logger()

KIND = "told"
"""Of the ledger's small things: how far the topics were read, by place."""
MOST_AT_ONCE = 1_000
WAIT = 0.5
LOOK_EVERY = 0.02


class Replica:
    """`next_seq()` gives a job its number; `own(value)` knows what this daemon told itself."""

    def __init__(
        self,
        *,
        tail: Tail,
        engine: Engine,
        stopping: Stopping,
        router: Router,
        next_seq: Callable[[], int],
        own: Callable[[bytes], bool],
    ) -> None:
        self.tail = tail
        self.engine = engine
        self.stopping = stopping
        self.router = router
        self.next_seq = next_seq
        self.own = own
        self._read = asyncio.Event()
        self._busy = False
        self._aside = False
        """Whether something was set aside that may be ours, and nobody has looked yet."""
        self._noted: dict[Place, int] = {}
        """How far the topics were read, as the ledger has it."""
        self._failure: BaseException | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises BrokerError, which names every topic that is missing."""
        self._noted = {_place(key): int(v) for key, _, v in self.engine.ledger.kept(KIND)}
        await self.tail.start(self._noted)

    async def run(self) -> None:
        """Take over what comes, until cancelled."""
        try:
            while True:
                records = await self.tail.take(MOST_AT_ONCE, WAIT)
                self._busy = True
                await self._take_over(records)
                if self._aside and not self.engine.paused:
                    self._aside = False
                    await adopt(self.engine.ledger, self.engine, self.router)
                self._busy = False
                self._read.set()
        except BaseException as exc:
            self._failure = exc
            self._read.set()
            raise

    async def caught_up(self) -> None:
        """Until everything that others have told by now is in the ledger."""
        ends = await self.tail.ends()
        # What was taken from the tail last may be on its way into the ledger still.
        while not await self.tail.reached(ends) or self._busy:
            if self._failure is not None:
                raise BrokerError(f"reading what others told ended: {self._failure}")
            self._read.clear()
            with suppress(TimeoutError):  # what we told ourselves is passed over without a word
                async with asyncio.timeout(LOOK_EVERY):
                    await self._read.wait()
        await durable(self.engine.ledger)

    async def close(self) -> None:
        """To be called when `run` has ended."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self.tail.close()

    async def _take_over(self, records: Sequence[Record]) -> None:
        facts = []
        for record in records:
            if record.value and not self.own(record.value):
                fact = _read(record)
                if fact is not None:
                    facts.append(fact)
        taken = [fact for fact in facts if isinstance(fact, Taken)]
        stops = [fact for fact in facts if isinstance(fact, Stop)]
        orphans = [fact for fact in facts if isinstance(fact, Orphan)]
        if taken:
            await self._messages(taken)
        if orphans:
            known = [orphan for orphan in orphans if orphan.account in self.engine.accounts]
            await self.engine.reports.strange(known)
        # Last: until all of it is in the ledger, a start reads it again.
        c = Changes()
        for stop in stops:
            self.stopping.note(stop, c)
        self._note_places(c)
        self.engine.keeping.commit(c)
        for stop in stops:
            self._start(self.stopping.carry_out(stop))

    def _note_places(self, c: Changes) -> None:
        at, noted = wall(), self._noted
        for place, offset in self.tail.places().items():
            if noted.get(place) != offset:
                noted[place] = offset
                topic, partition = place
                key = f"{topic}\0{partition}".encode()
                c.entries.keeps.append((KIND, key, at, str(offset).encode()))

    # Messages

    async def _messages(self, taken: Sequence[Taken]) -> None:
        engine = self.engine
        c = Changes()
        new: set[str] = set()
        async with engine.memory.reading():
            jobs, there = await self._look_up(taken)
            for fact in taken:
                known = jobs.get(fact.id)
                if known is None:
                    known = Known(self.next_seq(), fact.digest, finished=False, partial=True)
                    new.add(fact.id)
                jobs[fact.id] = known
                if known.seq is None:
                    continue  # so long ago that only the id is left
                if known.digest != fact.digest:
                    log.warning("id used twice with other content", job=fact.id)
                    continue
                try:
                    message = message_of(fact, known.seq)
                except (ValueError, TypeError, msgspec.MsgspecError) as exc:
                    log.error("message not understood", job=fact.id, error=str(exc))
                    continue
                before = engine.memory.held(message.mid) or there.get(message.mid)
                if before is None and not known.partial:
                    continue  # a job of our own that is in the archive
                if self._completes(fact, known, before, new):
                    c.entries.jobs.append(_job_row(message.job))
                if self._overtakes(fact, message, before, c):
                    there[message.mid] = message
                    if before is not None and not message.final:
                        _keep_overheard(before, message)
                    self._put(fact, message, before, c)
                    if not message.final and engine.homes.mine(message.job):
                        message.wake = ELSEWHERE
                        self._aside = True
            engine.keeping.commit(c)

    async def _look_up(self, taken: Sequence[Taken]) -> tuple[dict[str, Known], dict[int, Message]]:
        """The jobs that are known here, by id, and what the ledger has of the messages, by mid."""
        ledger = self.engine.ledger
        ids = list({fact.id for fact in taken})
        while True:
            await durable(ledger)
            jobs = await ledger.known(ids)
            mids = [
                known.seq << INDEX_BITS | fact.index
                for fact in taken
                if (known := jobs.get(fact.id)) is not None and known.seq is not None
            ]
            there = {m.mid: m for m in revive_all(await ledger.load(mids))}
            # A job may have been taken here meanwhile, and memory may have let go of it since.
            if not any(id not in jobs and ledger.recent(id) is not None for id in ids):
                return jobs, there

    def _completes(self, fact: Taken, known: Known, before: Message | None, new: set[str]) -> bool:
        """Whether the ledger knows less of the job than this; it may have its text already."""
        if fact.id in new:
            new.discard(fact.id)
            return True
        whole = before is not None and before.job.whole
        return isinstance(fact, Parked) and known.partial and not whole

    def _overtakes(self, fact: Taken, message: Message, before: Message | None, c: Changes) -> bool:
        """Whether what another daemon says goes before what we know; then memory lets go of it."""
        engine = self.engine
        if before is None:
            return True
        mine = engine.homes.mine(before.job)
        if before.final and message.final and (not mine or engine.homes.silent):
            # It had it after us, and heard nothing of our end: that was never told.
            return message.state is not before.state
        if isinstance(fact, Parked) or before.final or _rank(message) < _rank(before):
            return False
        if before.out or (mine and before.written and not message.final):
            # Both have written it: what each was told of its own attempts is true.
            engine.settle.learn(before, message, wall(), c)
            self._register(message, before, set(), c)
            return False
        if engine.open.get(message.mid) is before:
            engine.memory.let_go(before)
        elif before.state in WAITS and mine:
            self.router.left(before)  # only what is ours was counted
        return True

    def _put(self, fact: Taken, message: Message, before: Message | None, c: Changes) -> None:
        if before is not None and before.job.whole:
            job, message.job = before.job, before.job
            if fact.received < job.received:
                job.received = fact.received  # the first taking
                c.entries.jobs.append(_job_row(job))
        if message.state in (State.WAITING, State.UNCERTAIN) and not message.final:
            _doubt(message)
        c.touch(message)
        if message.state not in UNSAFE or message.parked:
            c.safe.append(message)
        known = _carrier_ids(before) if before is not None else set()
        self._register(message, message, known, c)

    def _register(
        self, told: Message, message: Message, known: set[tuple[int, bytes]], c: Changes
    ) -> None:
        """Reports may come here under these ids, too, and may have come."""
        account = self.engine.accounts.get(told.account or "")
        if account is None:
            return
        for number, carrier_id in sorted(_carrier_ids(told) - known):
            if number <= len(message.parts):
                c.carrier_id(told, number, account.protocol, carrier_id)
                part = message.parts[number - 1]
                for key, exact in lists.keys(told, account.protocol, carrier_id):
                    self.engine.reports.answered_elsewhere(
                        account.name, key, message, part, c, member=not exact
                    )

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            context = {"message": "carrying out a stop", "exception": exc}
            task.get_loop().call_exception_handler(context)


def _doubt(message: Message) -> None:
    """What was on the wire there is in doubt here; `adopt` looks after it if it becomes ours."""
    for part in message.parts:
        if part.state is PartState.WRITTEN:
            part.state = PartState.IN_DOUBT
            part.doubts += 1
            part.flying = 0
        elif part.state is PartState.UNSENT and part.doubts:
            part.state = PartState.IN_DOUBT  # it was to be sent again
    if any(part.state is PartState.IN_DOUBT for part in message.parts):
        message.state = State.UNCERTAIN
    message.wake = ELSEWHERE


def _job_row(job: Job) -> JobValues:
    """With an offset below 0 where other daemons alone have seen the job's record."""
    topic, partition, offset = job.source
    if not all(job.fields.to):
        offset = -1 - offset
    fields = jobs.pack(job.fields)
    return (
        job.seq,
        job.fields.id,
        job.digest,
        topic,
        partition,
        offset,
        job.produced,
        job.received,
        fields,
    )


def _carrier_ids(message: Message) -> set[tuple[int, bytes]]:
    """Parts, and what reports about them may quote."""
    return {
        (part.number, carrier_id)
        for part in message.parts
        for carrier_id in (*part.carrier_ids, part.written_id)
        if carrier_id
    }


def _keep_overheard(before: Message, message: Message) -> None:
    """Reports that its daemon had not heard of when it told this."""
    for old, new in zip(before.parts, message.parts, strict=False):
        verdict = old.state in (PartState.DELIVERED, PartState.FAILED)
        if verdict and new.state not in (PartState.DELIVERED, PartState.FAILED):
            new.state, new.code, new.failed_ids = old.state, old.code, old.failed_ids
            message.wake = ELSEWHERE


def _rank(message: Message) -> int:
    """How much is known of a message."""
    if message.final:
        return 3
    if message.state is State.ACCEPTED:
        return 2
    return 0 if message.state in WAITS and not message.written else 1


def _place(key: bytes) -> Place:
    topic, _, partition = key.decode().partition("\0")
    return topic, int(partition)


def _read(record: Record) -> Fact | None:
    try:
        return unpack(record.value)
    except msgspec.MsgspecError as exc:
        log.error(
            "record not understood",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            error=str(exc),
        )
        return None
