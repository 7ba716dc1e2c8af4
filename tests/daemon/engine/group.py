"""Several desks in one group, with a log in memory in the broker's place.

Everything of a daemon but its sockets is real: the log keeps what is published in order, gives
each partition of the jobs to one desk, and is read by all desks' replicas.  A rebalance is what the
test says it is: all partitions are revoked, and every desk is told what it has now.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from daemon.app import App
from daemon.broker.base import Place, Placed, Record, Released, Topic
from daemon.changelog import Outcome, unpack
from daemon.config import examine
from daemon.ledger import files
from daemon.model import Message, State
from daemon.recovery import durable, recover

from .desk import JOBS, START, Desk, Terms, configured, stand_still

REPORTS, STATE, PARKED = "sms.reports", "sms.state", "sms.parked"
PARTITIONS = 2


class Log:
    """What the broker has: records by topic and partition, and how far the group has come."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.records: dict[Place, list[Record]] = {}
        self.committed: dict[Place, int] = {}
        self.forgets = False
        """No commit arrives: every record is given again."""
        self.parked_first = False
        """In which order a tail gives what is in both of its topics."""
        self.news = asyncio.Event()

    def append(
        self, topic: str, partition: int, key: bytes | None, value: bytes, at: float | None = None
    ) -> Record:
        records = self.records.setdefault((topic, partition), [])
        at = self.now() if at is None else at
        record = Record(topic, partition, len(records), key, value, None, at)
        records.append(record)
        self.stir()
        return record

    def stir(self) -> None:
        """Whoever waits looks again."""
        news, self.news = self.news, asyncio.Event()
        news.set()

    def of(self, topic: str) -> list[Record]:
        return self.records.get((topic, 0), [])

    async def wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(min(seconds, 0.05)):
                await self.news.wait()
        except TimeoutError:
            pass


class LogOutlet:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.away = False
        """Nothing that this desk publishes gets anywhere while this holds."""
        self.slow = False
        """Nor while this does, though the broker is there."""

    @property
    def connected(self) -> bool:
        return not self.away

    @property
    def keeps(self) -> bool:
        """Whether what was published is still on its way."""
        return self.away or self.slow

    async def start(self) -> None:
        return None

    async def publish(
        self,
        records: Sequence[tuple[str, bytes | None, bytes | None]],
        content_type: str | None = None,
    ) -> None:
        while self.keeps:
            await self.log.news.wait()
        for topic, key, value in records:
            self.log.append(topic, 0, key, value or b"")

    async def close(self) -> None:
        return None


class LogTail:
    def __init__(self, log: Log, topics: Sequence[str]) -> None:
        self.log = log
        self.topics = topics
        self.next: dict[Place, int] = {(topic, 0): 0 for topic in topics}
        self.stuck = False
        """Nothing comes while this holds."""

    async def start(self, at: int | Mapping[Place, int] | None = 0) -> None:
        if isinstance(at, Mapping):
            self.next |= at

    async def take(self, most: int, wait: float) -> list[Record]:
        found = self._some(most)
        if not found:
            await self.log.wait(wait)
            found = self._some(most)
        return found

    def _some(self, most: int) -> list[Record]:
        if self.stuck:
            return []
        found: list[Record] = []
        for place, start in sorted(self.next.items(), reverse=not self.log.parked_first):
            found += self.log.records.get(place, [])[start : start + most - len(found)]
        for record in found:
            self.next[record.topic, record.partition] = record.offset + 1
        return found

    async def came(self) -> None:
        """Until all there is was taken."""
        while not await self.reached(await self.ends()):
            await self.log.wait(0.01)

    def places(self) -> dict[Place, int]:
        return dict(self.next)

    async def ends(self) -> dict[Place, int]:
        return {place: len(self.log.records.get(place, [])) for place in self.next}

    async def reached(self, ends: Mapping[Place, int]) -> bool:
        return all(self.next[place] >= end for place, end in ends.items())

    async def finished(self) -> bool:
        return True

    async def close(self) -> None:
        return None


class LogSource:
    def __init__(
        self, log: Log, topics: Sequence[str], on_assigned: Placed, on_revoked: Released
    ) -> None:
        self.log = log
        self.topics = topics
        self.on_assigned, self.on_revoked = on_assigned, on_revoked
        self.next: dict[Place, int] = {}
        self.certain = True
        self.given = False
        """Whether the records that were asked for last are being taken in."""
        self._may_commit = False

    async def start(self) -> None:
        return None

    async def take(self, most: int, wait: float) -> list[Record]:
        self.given = False
        found = self._some(most)
        if not found:
            await self.log.wait(wait)
            found = self._some(most)
        self.given = bool(found)
        return found

    def _some(self, most: int) -> list[Record]:
        found: list[Record] = []
        for place, start in self.next.items():
            found += self.log.records.get(place, [])[start : start + most - len(found)]
        for record in found:
            self.next[record.topic, record.partition] = record.offset + 1
        return found

    def commit(self, positions: Mapping[Place, int]) -> None:
        if self._may_commit and not self.log.forgets:
            for place, offset in positions.items():
                if place in self.next:
                    self.log.committed[place] = offset

    def sure(self) -> bool:
        return self.certain

    def pause(self, topics: Sequence[str] = ()) -> None:
        return None

    def resume(self, topics: Sequence[str] = ()) -> None:
        return None

    def lag(self) -> dict[Place, int]:
        return {}

    async def close(self) -> None:
        return None

    # What the group does

    async def revoke(self) -> None:
        had, places = self.next, frozenset(self.next)
        self.next = {}
        if places:
            self.next, stopped = {}, had
            # Offsets may be committed until the end of it, records are not given any more.
            self._committing(stopped)
            await self.on_revoked(places)
        self._may_commit = False
        self.next = {}

    def _committing(self, places: Mapping[Place, int]) -> None:
        log = self.log

        def commit(positions: Mapping[Place, int]) -> None:
            if self._may_commit and not log.forgets:
                log.committed.update({p: o for p, o in positions.items() if p in places})

        self.commit = commit  # type: ignore[method-assign]

    def assign(self, places: frozenset[Place]) -> None:
        self.__dict__.pop("commit", None)
        self.next = {place: self.log.committed.get(place, 0) for place in sorted(places)}
        self._may_commit = True
        self.on_assigned(places)


class LogBroker:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.made: LogSource | None = None

    def source(
        self,
        topics: Sequence[str],
        *,
        on_assigned: Placed | None = None,
        on_revoked: Released | None = None,
        instance: str | None = None,
    ) -> LogSource:
        assert on_assigned is not None
        assert on_revoked is not None
        self.made = LogSource(self.log, topics, on_assigned, on_revoked)
        return self.made

    def outlet(self, topics: Sequence[str], packed: object = ()) -> LogOutlet:
        return LogOutlet(self.log)

    def tail(self, *topics: str, others: bool = False) -> LogTail:
        return LogTail(self.log, topics)

    async def topics(self, names: Sequence[str]) -> dict[str, int | None]:
        return dict.fromkeys(names, 1)

    async def create(self, topics: Sequence[Topic]) -> None:
        return None


class Member(Desk):
    """A desk of a group."""

    group: Group
    source: LogSource
    dead = False
    away_at_start = False

    def open(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        file = self.state.parent / f"{self.state.name}.toml"
        file.write_text(self.text.replace("{state}", str(self.state)))
        broker = LogBroker(self.group.log)
        self.app = App(examine(file, environ={}).config, broker)
        assert broker.made is not None
        self.source = broker.made
        ledger = self.app.ledger
        ledger._clock = ledger._ids._clock = lambda: self.group.at
        self.app.router.usable = lambda name: bool(self.up.get(name))
        self.app.router.changed()
        self.outlet.away = self.away_at_start
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.open()
        app = self.app
        await app.replica.start()
        await recover(app.ledger, app.engine, app.inbound)
        app.replica.stopping.restore()
        for work in (app.replica.run, app.outbox.run, app.takeover.run, app.refill.run):
            self._run(work())
        await app.replica.caught_up()
        self._run(app.intake.run())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    def failed(self) -> BaseException | None:
        """What ended a task that must not end."""
        if self.app.tasks.bug is not None:
            return self.app.tasks.bug
        if self.app.ledger.failed.done():
            return self.app.ledger.failed.exception()
        for task in self.tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way between this desk and the log."""
        app = self.app
        log = self.group.log
        tail = self.tail
        read = all(tail.next[p] >= len(log.records.get(p, [])) for p in tail.next)
        taken = all(at >= len(log.records.get(p, [])) for p, at in self.source.next.items())
        return (
            (read or tail.stuck)
            and not (app.replica._busy or app.takeover._busy or app.takeover._due.is_set())
            and not self.source.given
            and (taken or not app.intake.ready.is_set())
            and (app.outbox.waiting == 0 or self.outlet.keeps)
            and not app.ledger._writing
            and not app.ledger._owes()
        )

    @property
    def tail(self) -> LogTail:
        tail = self.app.replica.tail
        assert isinstance(tail, LogTail)
        return tail

    @property
    def outlet(self) -> LogOutlet:
        outlet = self.app.outlet
        assert isinstance(outlet, LogOutlet)
        return outlet

    async def pass_time(self) -> None:
        """What is due by now happens."""
        ticker = self.app.ticker
        ticker._follow_group()
        await ticker._look_ahead(self.group.at)
        await ticker._wake(self.group.at)
        self.app.engine.reports.tick(self.group.at)
        ticker.commit_offsets()

    async def park(self) -> None:
        """What has waited for too long is parked."""
        parking, router = self.app.parking, self.app.router
        for queue in router.queues.values():
            if len(queue) and router.unserved(queue, self.group.at) >= parking.after:
                await parking._clear(queue, self.group.at)

    async def die(self) -> None:
        """Killed; its file has what was durable at that moment."""
        self.dead = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for account in self.app.accounts.values():
            account.stop()
            account.links.clear()
        self.app.engine.of_link.clear()
        await self.app.replica.close()
        await self.app.pool.stop()
        await self.app.sweep.close()
        await self.app.ledger.close()

    async def close(self) -> None:
        if not self.dead:
            await self.die()


class Group:
    """`make` adds a desk; none has a partition before `assign`."""

    def __init__(self, directory: Path, monkeypatch: Any, *terms: Terms, **settings: Any) -> None:
        self.directory = directory
        self.at = START
        self.log = Log(lambda: self.at)
        text = configured(*(terms or (Terms(),)), **settings)
        self.text = text.replace('kind = "local"', 'kind = "kafka"\nbootstrap = ["127.0.0.1:9"]')
        self.members: list[Member] = []
        self._names = 0
        stand_still(monkeypatch, self)

    async def make(self, state: Path | None = None, *, away: bool = False) -> Member:
        """A desk, with a ledger of its own or that of one that died; `away` is its broker."""
        if state is None:
            self._names += 1
            state = self.directory / f"d{self._names}"
        member = Member(state, self.text)
        member.group = self
        member.away_at_start = away
        self.members.append(member)
        await member.start()
        return member

    async def kill(self, member: Member) -> Path:
        """Kill -9; returns the state directory as the kill left it."""
        self._names += 1
        state = self.directory / f"d{self._names}"
        state.mkdir()
        with (
            closing(sqlite3.connect(member.state / files.LEDGER)) as source,
            closing(sqlite3.connect(state / files.LEDGER)) as target,
        ):
            source.backup(target)
            target.execute("pragma journal_mode = wal")
        self.members.remove(member)
        # What it had under way reaches nobody.
        for task in member.tasks:
            task.cancel()
        await member.die()
        return state

    async def assign(self, *shares: Sequence[int], settle: bool = True) -> None:
        """Partitions of the jobs topic for each member, in their order."""
        await asyncio.gather(*(member.source.revoke() for member in self.members))
        for member, share in zip(self.members, shares, strict=True):
            member.source.assign(frozenset((JOBS, number) for number in share))
        if settle:
            await self.settle()

    async def job(
        self, partition: int = 0, of: Sequence[Member] | None = None, **fields: Any
    ) -> None:
        """A job comes; returns when nothing is under way at the desks `of`, or at all."""
        value = json.dumps({"to": "13912345678", "text": "hello", **fields}).encode()
        self.log.append(JOBS, partition, None, value, self.at - 1.0)
        await self.settle(of)

    async def settle(self, of: Sequence[Member] | None = None) -> None:
        """Until nothing is under way at these desks, or anywhere."""
        quiet = 0
        members = self.members if of is None else of
        give_up = time.monotonic() + 30.0
        while time.monotonic() < give_up:
            for member in members:
                await member.settle()
                if (failure := member.failed()) is not None:
                    raise failure
            await asyncio.sleep(0)
            quiet = quiet + 1 if all(member.idle for member in members) else 0
            if quiet >= 3:
                return
        raise AssertionError("something is under way for ever")

    async def pass_(self, seconds: float) -> None:
        """Wall time goes on; what is due happens."""
        await self.settle()
        self.at += seconds
        for member in self.members:
            await member.pass_time()
        await self.settle()
        for member in self.members:
            member.app.ticker.commit_offsets()

    @property
    def told(self) -> list[dict[str, Any]]:
        return [orjson.loads(record.value) for record in self.log.of(REPORTS)]

    def states(self, message: str) -> list[str]:
        return [event["state"] for event in self.told if event["message"] == message]

    def facts(self, message: str) -> list[Any]:
        """What was told of a message in `topics.state`."""
        facts = [unpack(record.value) for record in self.log.of(STATE)]
        return [f for f in facts if isinstance(f, Outcome) and f"{f.id}/{f.index}" == message]

    def committed(self, partition: int = 0) -> int:
        return self.log.committed.get((JOBS, partition), 0)


__all__ = ["Group", "Member", "Message", "State", "durable"]
