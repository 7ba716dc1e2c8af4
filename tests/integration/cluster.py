"""Daemons of one group on one Kafka, each with a disk of its own, between independent gateways.

Every account has as many nodes as there are daemons, and each daemon logs in at one of them: a
gateway's name says who wrote a submit, and a test chooses on whose bind a report goes.  Rates are
those of the account; each daemon is given its share.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.contract.events import faults
from tests.contract.gateways import Submit, national
from tests.contract.process import Daemon, toml, until
from tests.contract.world import Account, number
from tests.ports import free_port

from .kafka import WITHIN, Topics
from .system import eventually

BEIJING = timedelta(hours=8)
PARTITIONS = 6
SESSION = 6.0
"""Seconds after which a daemon that is not heard of has left the group."""
LOAD = int(os.environ.get("CARRIERD_CLUSTER_LOAD", "1"))
"""How many times the usual number of jobs the scenes under load offer."""
AT_ONCE = int(os.environ.get("CARRIERD_CLUSTER_AT_ONCE", "4"))
"""Scenes of a module that run beside each other; each has up to three daemons."""
TEXT, LONG = "您的验证码是 836251", "测试长短信" * 30
LONG_PARTS = 3

_runs = itertools.count(1)
_names = itertools.count(1)


def job(carrier: str = "mobile", text: str = TEXT, **more: Any) -> dict[str, Any]:
    """A job with a number of its own; no id is the beginning of another one."""
    return {"id": f"c-{next(_names):06d}", "to": number(carrier), "text": text, **more}


def ahead(seconds: float) -> str:
    """So far from now, as jobs spell it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def four(nodes: int, **keys: Any) -> list[Account]:
    """An account of each carrier and protocol, named by the carrier."""
    protocols = {"mobile": "cmpp", "unicom": "sgip", "telecom": "smgp", "broadnet": "smpp"}
    return [
        Account(carrier, protocol, carrier, nodes, **{"answer_within": 3.0, **keys})
        for carrier, protocol in protocols.items()
    ]


def mobile(nodes: int, name: str = "mobile", **keys: Any) -> Account:
    """An account that is patient, so that a busy machine makes no message uncertain."""
    return Account(name, "cmpp", "mobile", nodes, **{"answer_within": 3.0, **keys})


def telecom(nodes: int, **keys: Any) -> Account:
    return Account("telecom", "smgp", "telecom", nodes, **{"answer_within": 3.0, **keys})


@dataclass(frozen=True, slots=True)
class Record:
    """As it is in the topic; what the bytes mean is the daemon's affair."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int
    """Milliseconds of the epoch."""

    def names(self, job: str) -> bool:
        """Whether it is about this job, however it is packed."""
        word = job.encode()
        return word in (self.key or b"") or word in (self.value or b"")


@dataclass(frozen=True, slots=True)
class Ground:
    """What the scenes of a module stand on."""

    bootstrap: str
    factory: pytest.TempPathFactory


class Watch:
    """Reads topics from their beginning, every time to the ends of that time."""

    def __init__(self, topics: Topics, *purposes: str) -> None:
        self.records: list[Record] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": topics.bootstrap,
                "log_level": 0,
                "group.id": f"{topics.prefix}watch",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
            }
        )
        self._next: dict[tuple[str, int], int] = {}
        for name in map(topics.name, purposes):
            found = self._consumer.list_topics(name, timeout=WITHIN).topics[name].partitions
            self._next |= {(name, partition): 0 for partition in found}
        self._consumer.assign([TopicPartition(name, p, 0) for name, p in self._next])

    def read(self) -> list[Record]:
        """All there is; may block for a moment."""
        ends = {
            place: self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=WITHIN)[1]
            for place in self._next
        }
        give_up = time.monotonic() + WITHIN
        while any(self._next[place] < end for place, end in ends.items()):
            assert time.monotonic() < give_up, f"read to {self._next} of {ends}"
            for message in self._consumer.consume(500, 0.05):
                assert message.error() is None, message.error()
                place = (message.topic(), message.partition())
                self._next[place] = message.offset() + 1
                self.records.append(
                    Record(
                        *place,
                        message.offset(),
                        message.key(),
                        message.value(),
                        tuple(message.headers() or ()),
                        message.timestamp()[1],
                    )
                )
        return self.records

    def close(self) -> None:
        self._consumer.close()


class Cluster:
    """`names`: the daemons, none of which is started; `config`: sections that all have alike."""

    def __init__(
        self,
        directory: Path,
        topics: Topics,
        accounts: Sequence[Account],
        names: Sequence[str],
        config: dict[str, Any],
    ) -> None:
        self.topics = topics
        self.accounts = {account.name: account for account in accounts}
        self.names = list(names)
        self.daemons: dict[str, Daemon] = {}
        self.divided: set[str] = set()
        """Messages that two daemons had for a while, because one was not heard of."""
        self._directory, self._config = directory, config
        self._ports: dict[tuple[str, str], int] = {}  # of SGIP accounts, where each daemon listens

    # Life

    async def open(self) -> None:
        for account in self.accounts.values():
            for gateway in account.gateways:
                await gateway.start()
        for name in self.names:
            self.daemons[name] = self._daemon(name)
        await self._make(self.topics.names())

    async def _make(self, names: Collection[str]) -> None:
        """The topics, of which those of the state are compacted."""
        admin = AdminClient({"bootstrap.servers": self.topics.bootstrap, "log_level": 0})
        kept = {"config": {"cleanup.policy": "compact"}}
        wanted = [
            NewTopic(name, PARTITIONS, 1, **(kept if "state" in name else {})) for name in names
        ]
        for future in admin.create_topics(wanted).values():
            await asyncio.to_thread(future.result, WITHIN)

        async def shown() -> bool:
            listed = await asyncio.to_thread(admin.list_topics, timeout=WITHIN)
            return set(names) <= set(listed.topics)

        await eventually(shown, WITHIN, "the topics that were made")

    def _daemon(self, name: str) -> Daemon:
        routes: dict[str, list[str]] = {}
        for account in self.accounts.values():
            routes.setdefault(account.keys["carrier"], []).append(account.name)
        sections = {"uncertain": {"hold": 0.6}, "routes": routes, **self._config}
        directory = self._directory / name
        directory.mkdir(parents=True)
        daemon = Daemon(
            directory,
            {
                **sections,
                "daemon": {"name": name, **sections.get("daemon", {})},
                "broker": self.topics.broker(**sections.get("broker", {})),
                "accounts": {a.name: self._share(a, name) for a in self.accounts.values()},
            },
        )
        daemon.file.write_text("\n".join(toml(daemon.config)) + "\n")
        return daemon

    def _share(self, account: Account, name: str) -> dict[str, Any]:
        table = account.table()
        table["nodes"] = [table["nodes"][self.names.index(name)]]
        table["rate"] //= len(self.names)
        if "listen" in table:
            port = self._ports[account.name, name] = free_port()
            table["listen"] = f"127.0.0.1:{port}"
        return table

    async def start(self, *names: str, ready: bool = True) -> None:
        """These, or all; returns when each has partitions."""
        wanted = names or tuple(self.names)
        await asyncio.gather(*(self.daemons[name].start(ready) for name in wanted))
        self._redial()
        await self.shared(len(self.alive))

    async def ready(self, within: float = 60.0) -> None:
        """Until every carrier is usable at every daemon that runs."""

        async def all_ready() -> bool:
            return all([(await self.daemons[n].get("/readyz"))[0] == 200 for n in self.alive])

        await eventually(all_ready, within, "all daemons are ready")

    async def kill(self, name: str, disk: bool = False) -> None:
        """With SIGKILL, `disk`: and nothing of its files is left."""
        await self.daemons[name].kill()
        if disk:
            shutil.rmtree(self.daemons[name].directory / "state")
        self._redial()

    async def leave(self, name: str) -> int:
        """With SIGTERM; the exit status."""
        status = await self.daemons[name].signal(within=60.0)
        self._redial()
        return status

    @property
    def alive(self) -> list[str]:
        return [
            name
            for name, daemon in self.daemons.items()
            if daemon.process is not None and daemon.process.returncode is None
        ]

    def _redial(self) -> None:
        """SGIP: the carrier calls the daemon of the node, or else one that is there."""
        alive = self.alive
        for (account, name), _ in self._ports.items():
            gateway = self.accounts[account].gateways[self.names.index(name)]
            caller = name if name in alive or not alive else alive[0]
            gateway.listen = self._ports[account, caller]

    def cross(self) -> None:
        """Reports go on the binds of the other daemon."""
        for account in self.accounts.values():
            for gateway in account.gateways:
                gateway.by = [other for other in account.gateways if other is not gateway]

    def split(self) -> None:
        """Reports of the parts of a message go on the binds of all daemons in turn."""
        for account in self.accounts.values():
            for gateway in account.gateways:
                gateway.by = account.gateways

    async def close(self) -> None:
        try:
            for daemon in self.daemons.values():
                await daemon.close()
        finally:
            for account in self.accounts.values():
                for gateway in account.gateways:
                    await gateway.close()

    # The group

    async def shared(self, count: int, within: float = 4 * SESSION) -> None:
        """Until so many daemons share all partitions of both topics of jobs."""

        found: tuple[Any, list[int]] = (None, [])

        async def settled() -> bool:
            nonlocal found
            try:
                group = await asyncio.to_thread(self._described)
            except KafkaException as exc:
                found = (exc, [])
                return False
            held = [len(member.assignment.topic_partitions) for member in group.members]
            found = (group.state, held)
            return (
                group.state == ConsumerGroupState.STABLE
                and len(held) == count
                and all(held)
                and sum(held) == 2 * PARTITIONS
            )

        try:
            await eventually(settled, within, "")
        except AssertionError:
            raise AssertionError(f"{count} daemons share no partitions, but {found}") from None

    def _described(self) -> Any:
        """By a client of its own, which may wait for a coordinator that is not there any more, and
        that goes where it came: ending it takes seconds, in which gateways would answer nothing.
        """
        admin = AdminClient({"bootstrap.servers": self.topics.bootstrap, "log_level": 0})
        try:
            (answer,) = admin.describe_consumer_groups(
                [self.topics.group], request_timeout=10.0
            ).values()
            return answer.result(WITHIN)
        finally:
            del admin  # an exception would keep it

    async def lag(self) -> int:
        """Records of both topics of jobs that the group has not put behind it."""
        return await asyncio.to_thread(self._lag)

    def _lag(self) -> int:
        asker = Consumer(
            {
                "bootstrap.servers": self.topics.bootstrap,
                "group.id": self.topics.group,
                "log_level": 0,
            }
        )
        try:
            places = [
                TopicPartition(self.topics.name(purpose), partition)
                for purpose in ("urgent", "jobs")
                for partition in range(PARTITIONS)
            ]
            behind = 0
            for place in asker.committed(places, timeout=WITHIN):
                low, high = asker.get_watermark_offsets(place, timeout=WITHIN)
                behind += high - max(place.offset, low)
            return behind
        finally:
            asker.close()

    async def caught_up(self, within: float = 60.0) -> None:
        """Until the group's offsets are at the ends of all partitions."""

        async def even() -> bool:
            return await self.lag() == 0

        await eventually(even, within, "no lag")

    async def caught_up_but(self, jobs: Collection[dict[str, Any]], within: float = 60.0) -> None:
        """Until no more than these, and what came after them, is not behind the offsets."""

        async def near() -> bool:
            return await self.lag() <= len(jobs)

        await eventually(near, within, f"a lag of {len(jobs)}")

    async def taken(self, count: int, within: float = 60.0) -> None:
        """Until the daemons that run have taken so many jobs."""

        async def enough() -> bool:
            return await self.metric("carrierd_jobs_total", outcome="taken") >= count

        await eventually(enough, within, f"{count} jobs are taken")

    async def records(self, *purposes: str) -> list[Record]:
        """All that is in these topics."""

        def read() -> list[Record]:
            watch = Watch(self.topics, *purposes)
            try:
                return watch.read()
            finally:
                watch.close()

        return await asyncio.to_thread(read)

    async def compact_state(self) -> None:
        """Puts only the last record of every key of the state topic into one that takes its place.

        It is what the broker's compaction leaves at its own time, and all daemons must be down.
        """
        records = await self.records("state")
        last = {(record.partition, record.key): record for record in records}
        name = f"{self.topics.prefix}state.compacted"
        for daemon in self.daemons.values():
            daemon.config["broker"]["topics"]["state"] = name
            daemon.file.write_text("\n".join(toml(daemon.config)) + "\n")
        await self._make([name])
        await asyncio.to_thread(self._copy, name, sorted(last.values(), key=lambda r: r.offset))

    def _copy(self, name: str, records: Iterable[Record]) -> None:
        producer = Producer({"bootstrap.servers": self.topics.bootstrap, "log_level": 0})
        for record in records:
            if record.value is not None:
                producer.produce(
                    name, record.value, record.key, record.partition,
                    timestamp=record.timestamp, headers=list(record.headers),
                )  # fmt: skip
        assert producer.flush(WITHIN) == 0

    # What is seen from outside

    async def metric(self, name: str, **labels: str) -> float:
        """The sum over the daemons that run."""
        return sum([await self.daemons[one].metric(name, **labels) for one in self.alive])

    async def counts(self, wanted: float, name: str, within: float = 60.0, **labels: str) -> None:
        """Until the metric, summed over the daemons, is as wanted."""
        found = -1.0

        async def equal() -> bool:
            nonlocal found
            found = await self.metric(name, **labels)
            return found == wanted

        try:
            await eventually(equal, within, "")
        except AssertionError:
            raise AssertionError(f"{name}{labels} is {found}, not {wanted}") from None

    async def duplicates(self, wanted: int, within: float = 60.0) -> None:
        """Until as many repeated jobs were counted, by all daemons together."""
        await self.counts(
            wanted,
            "carrierd_jobs_total",
            within,
            topic=self.topics.name("jobs"),
            outcome="duplicate",
        )

    @property
    def submits(self) -> list[Submit]:
        return [submit for account in self.accounts.values() for submit in account.far.submits]

    def sent(self) -> Counter[tuple[str, int]]:
        """How often each part, by number and place, reached gateways; refused ones not counted."""
        return Counter(
            (national(to), submit.number)
            for submit in self.submits
            if submit.answer is None or not submit.answer.result
            for to in submit.to
        )

    def twice(self, numbers: Iterable[str] | None = None) -> dict[tuple[str, int], int]:
        """The parts that were sent more than once, of these numbers or of all."""
        among = None if numbers is None else set(numbers)
        return {
            part: count
            for part, count in self.sent().items()
            if count > 1 and (among is None or part[0] in among)
        }

    def writers(self, numbers: Collection[str] | None = None) -> set[str]:
        """The daemons that submitted to these numbers, or to any."""
        return {
            self.names[account.gateways.index(gateway)]
            for account in self.accounts.values()
            for gateway in account.gateways
            for submit in account.far.submits
            if submit.node == gateway.name
            and (numbers is None or national(submit.to[0]) in numbers)
        }

    async def reached(self, jobs: Collection[dict[str, Any]], within: float = 60.0) -> None:
        """Until a gateway has a part of each of these messages."""
        wanted = {one["to"] for one in jobs}

        def missing() -> set[str]:
            return wanted - {to for to, _ in self.sent()}

        await until(lambda: not missing(), within, lambda: f"submits to {sorted(missing())[:5]}")

    async def settled(
        self, jobs: Collection[dict[str, Any]], within: float = 60.0
    ) -> list[dict[str, Any]]:
        """The final event of each message, in the order of the jobs."""
        messages = [message for one in jobs for message in messages_of(one)]

        def missing() -> list[str]:
            finals = self.topics.finals()
            return [message for message in messages if message not in finals]

        def said() -> str:
            left = missing()
            told = {one: [e["state"] for e in self.topics.events(one)] for one in left[:5]}
            return f"{len(left)} of {len(messages)} have no final event, such as {told}"

        await until(lambda: not missing(), within, said)
        finals = self.topics.finals()
        return [finals[message] for message in messages]

    async def delivered(self, jobs: Collection[dict[str, Any]], within: float = 60.0) -> None:
        """Until all of them are, with one final event each."""
        ends = await self.settled(jobs, within)
        others = [event for event in ends if event["state"] != "delivered"]
        assert others == [], f"{len(others)} of {len(ends)}: {others[:3]}"

    def once(self, jobs: Collection[dict[str, Any]]) -> None:
        """No message of these has its final event twice, which nothing but a crash explains."""
        ends = Counter(e["message"] for e in self.topics.reports() if e["final"])
        wrong = [name for one in jobs for name in messages_of(one) if ends[name] != 1]
        assert wrong == [], {name: self.topics.events(name) for name in wrong[:3]}

    def faults(self) -> list[str]:
        """What went against the contract, seen by the gateways and in what was published."""
        found = faults(self.topics.published, BEIJING, self.divided)
        for account in self.accounts.values():
            found += account.far.faults
            for gateway in account.gateways:
                for connection in (*gateway.connections, *gateway.past):
                    if len(connection.peak) > gateway.window:
                        found.append(f"{gateway.name}: submits unanswered for {connection.peak} s")
        return found

    def watch(self, *purposes: str) -> Watch:
        return Watch(self.topics, *purposes)


def messages_of(one: dict[str, Any]) -> list[str]:
    count = 1 if isinstance(one["to"], str) else len(one["to"])
    return [f"{one['id']}/{index}" for index in range(count)]


@asynccontextmanager
async def cluster(
    ground: Ground, *accounts: Account, names: Sequence[str] = ("a", "b"), **config: Any
) -> AsyncIterator[Cluster]:
    """Opens all but the daemons; at the end says what went against the contract unnoticed."""
    topics = Topics(ground.bootstrap, f"cluster{next(_runs)}.")
    made = Cluster(ground.factory.mktemp("cluster"), topics, accounts, names, config)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(made.close)
        await made.open()
        await stack.enter_async_context(topics.followed())
        yield made
    found = made.faults()
    assert found == [], "\n".join(found[:10])


async def offer(
    topics: Topics, jobs: Sequence[dict[str, Any]], rate: float, **where: Any
) -> list[tuple[int, int]]:
    """Produces them steadily, so many in a second; where each was stored."""
    places: list[tuple[int, int]] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    while len(places) < len(jobs):
        due = min(len(jobs), int((loop.time() - began) * rate) + 1)
        if due > len(places):
            places += await topics.send(*jobs[len(places) : due], **where)
        await asyncio.sleep(0.02)
    return places


class Load:
    """Jobs that come steadily until it is said that they are enough."""

    def __init__(self, topics: Topics, rate: float, make: Callable[[int], dict[str, Any]]) -> None:
        self.jobs: list[dict[str, Any]] = []
        self._topics, self._rate, self._make = topics, rate, make
        self._enough = asyncio.Event()
        self._task = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self._enough.is_set():
            due = int((loop.time() - began) * self._rate) + 1
            some = [self._make(index) for index in range(len(self.jobs), due)]
            if some:
                await self._topics.send(*some)
                self.jobs += some
            await asyncio.sleep(0.02)

    async def enough(self) -> list[dict[str, Any]]:
        """All that were produced."""
        self._enough.set()
        await self._task
        return self.jobs


async def over_partitions(topics: Topics, jobs: Sequence[dict[str, Any]]) -> None:
    """One after the other to every partition in turn, so that all daemons have their share."""
    for partition in range(PARTITIONS):
        await topics.send(*jobs[partition::PARTITIONS], partition=partition)


async def to_every_partition(topics: Topics, jobs: Sequence[dict[str, Any]]) -> None:
    """Each of them to each partition, so that every daemon sees all of them."""
    for partition in range(PARTITIONS):
        await topics.send(*jobs, partition=partition)


async def stays(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """That it holds for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), what
        await asyncio.sleep(0.02)


async def quiet(ask: Callable[[], int], seconds: float) -> None:
    """Until the number has not changed for so long."""
    last, since = ask(), time.monotonic()
    while time.monotonic() - since < seconds:
        await asyncio.sleep(0.02)
        if ask() != last:
            last, since = ask(), time.monotonic()
