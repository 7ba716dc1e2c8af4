"""A whole daemon without its sockets: the real ledger, engine, intake, and links to speak for.

Connections are real `Link`s over a session whose wire is a list.  Wall time stands still until a
test moves it; what waits for the disk waits for the real one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import struct
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol

import orjson

from daemon import clock
from daemon.app import App
from daemon.broker.base import Record
from daemon.config import examine
from daemon.ledger import INDEX_BITS, Ledger, reader
from daemon.ledger.rows import Event as OutEvent
from daemon.link import Link
from daemon.model import Message, Write
from daemon.recovery import durable, recover
from protocols import session as sessions
from protocols.events import Accepted, Bound, Event, Fate, Rejected, Reported
from protocols.part import Part as WirePart

START = 1_780_000_000.0
JOBS = "sms.jobs"

ACCOUNT = """
[accounts.{name}]
carrier = "mobile"
protocol = "{protocol}"
version = "{version}"
login = "901234"
password = "secret"
access_number = "10657525"
rate = {rate}
window = {window}
{extra}
"""
NODE = """
[[accounts.{name}.nodes]]
name = "{node}"
host = "127.0.0.1"
port = 1
priority = {priority}
"""
HEAD = """
[daemon]
name = "desk"
state_dir = "{state}"
[broker]
kind = "local"
commit = "answered"
topics.jobs = ["sms.jobs.urgent", "sms.jobs"]
[routes]
mobile = {route}
[uncertain]
hold = {hold}
then = "{then}"
"""
VERSIONS = {"cmpp": "3.0", "smpp": "3.4", "smgp": "3.0", "sgip": "1.2"}


@dataclass
class Terms:
    """An account of the desk; `nodes` are names and priorities."""

    name: str = "a"
    protocol: str = "cmpp"
    rate: float = 1000
    window: int = 16
    nodes: Sequence[tuple[str, int]] = (("n1", 1),)
    extra: str = ""

    def text(self) -> str:
        values = {k: getattr(self, k) for k in ("name", "protocol", "rate", "window", "extra")}
        nodes = [NODE.format(name=self.name, node=n, priority=p) for n, p in self.nodes]
        return ACCOUNT.format(version=VERSIONS[self.protocol], **values) + "".join(nodes)


class Wire(sessions.Session):
    """A session whose peer is the test: it knows windows and deadlines, and spells nothing."""

    header = struct.Struct("!I")
    longest = 4

    def __init__(self, window: int, answer_within: float = 5.0) -> None:
        limits = sessions.Limits(window=window, answer_within=answer_within)
        super().__init__(limits, sessions.Clock())
        self.sent: list[tuple[int, WirePart, Write]] = []

    def open(self, now: float) -> None:
        self._go(sessions.State.BINDING)
        self._bound("test", now)
        self._take_events()

    def answers(self, sequence: int, now: float) -> Write:
        tag: Write = self._answered(sequence, now)
        assert tag is not None, "nothing waits for this answer"
        return tag

    def _bind(self, now: float) -> None:
        """The peer says when."""

    def _submit(self, tag: Any, part: WirePart, now: float) -> None:
        sequence = self._next_sequence()
        self._expect(sequence, tag, now)
        self.sent.append((sequence, part, tag))

    def _probe(self, now: float) -> None:
        raise AssertionError("no test is that long")

    def _farewell(self, now: float) -> None:
        self._end("closed by us", error=False)

    def _acknowledge(self, receipts: Sequence[Any]) -> None:
        return None


class Peer:
    """What a test says in a gateway's place, on one link."""

    ids = itertools.count(0x8B16B4A3C0DE0001)

    def __init__(self, desk: Desk, account: str, node: str) -> None:
        self.desk = desk
        self.account = desk.app.accounts[account]
        settings = self.account.settings
        self.wire = Wire(settings.window, settings.answer_within)
        self.link = Link(node, self.wire, desk.app.engine, self.account.pacer)
        desk.app.engine.attach(self.link, self.account)
        now = self.now
        self.wire.open(now)
        self.link.bound_at = now
        self.account.joined(self.link)
        desk.up.setdefault(account, []).append(self)
        for gained in desk.app.router.changed():
            gained.pull(now)
        self.account.pull(now)
        self._seen = 0

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def written(self) -> list[tuple[int, WirePart, Write]]:
        """Submits since the last call."""
        found = self.wire.sent[self._seen :]
        self._seen = len(self.wire.sent)
        return found

    def says(self, *events: Event) -> None:
        self.desk.app.engine.heard(self.link, events, self.now)

    def accepts(self, sequence: int, carrier_id: bytes | None = None) -> bytes:
        found = next(self.ids).to_bytes(8) if carrier_id is None else carrier_id
        self.says(Accepted(self.wire.answers(sequence, self.now), found))
        return found

    def refuses(self, sequence: int, code: str = "9", *, throttled: bool = False) -> None:
        write = self.wire.answers(sequence, self.now)
        self.says(Rejected(write, int(code, 0), code, throttled))

    def silence(self, seconds: float = 6.0) -> None:
        """So long nothing was answered in time, though the connection is alive."""
        later = self.now + seconds
        self.wire._answered_at = later
        self.says(*self.wire.tick(later))

    def reports(
        self, *keys: bytes, to: str, code: str = "DELIVRD", fate: Fate = Fate.DELIVERED
    ) -> Reported:
        event = Reported(keys, 1, fate, code, to, object())
        self.says(event)
        return event

    def lost(self) -> None:
        """The connection breaks."""
        app = self.desk.app
        self.desk.up[self.account.name].remove(self)
        events = self.wire.lost("reset")
        app.engine.heard(self.link, [e for e in events if type(e).__name__ != "Closed"], self.now)
        for message in self.account.left(self.link):
            app.router.requeue(message)
        app.engine.detach(self.link)
        for gained in app.router.changed():
            gained.nudge()


@dataclass
class Desk:
    patience: ClassVar[float] = 20.0
    """Seconds for what has to happen: a busy machine needs a part of them, a mutation all."""
    state: Path
    text: str
    app: App = field(init=False)
    up: dict[str, list[Peer]] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    at: float = START
    _offset: int = 0

    def open(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        file = self.state.parent / f"{self.state.name}.toml"
        file.write_text(self.text.replace("{state}", str(self.state)))
        self.app = App(examine(file, environ={}).config)
        self.app.outbox = self  # type: ignore[assignment]
        # Usable is what the test's peers say, for no bind of the pool runs here.
        self.app.router.usable = lambda name: bool(self.up.get(name))

    # In the outbox's place

    def put(self, n: int, events: Sequence[OutEvent]) -> None:
        for topic, _, value in events:
            self.told.append({**orjson.loads(value), "on": topic})
        self.app.ledger.told(n)

    # What a test does

    def peer(self, account: str = "a", node: str = "n1") -> Peer:
        return Peer(self, account, node)

    async def take(self, *jobs: dict[str, Any], topic: str = JOBS) -> list[int]:
        """Jobs come; returns the offsets of their records."""
        records = []
        for job in jobs:
            value = json.dumps({"to": "13912345678", "text": "hello", **job}).encode()
            records.append(Record(topic, 0, self._offset, None, value, None, self.at - 1.0))
            self._offset += 1
        await self.app.intake.take(records)
        await self.settle()
        return [record.offset for record in records]

    async def settle(self) -> None:
        """Until what was put is durable, and what waited for it has been called."""
        for _ in range(4):
            await durable(self.app.ledger)
            await self.app.engine.reports.settled()
            await asyncio.sleep(0)

    @asynccontextmanager
    async def slow_disk(self) -> AsyncIterator[None]:
        """Within, the commit under way does not end; lookups see what was before it."""
        held, go = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def wait(_: object) -> None:
            loop.call_soon_threadsafe(held.set)
            go.wait(60.0)

        commit = asyncio.create_task(self.app.ledger.run(wait))
        await held.wait()
        try:
            yield
        finally:
            go.set()
            await commit
            await self.settle()

    def pull(self, account: str = "a") -> None:
        self.app.accounts[account].pull(asyncio.get_running_loop().time())

    async def written(
        self, peer: Peer, count: int = 1, most: float | None = None
    ) -> list[tuple[int, WirePart, Write]]:
        """The next submits on a peer, as soon as there are `count`; fewer after `most` seconds.

        The pace may let the first go before the others.
        """
        deadline = peer.now + (self.patience if most is None else most)
        found: list[tuple[int, WirePart, Write]] = []
        while len(found) < count and peer.now < deadline:
            await self.settle()
            found += peer.written()
            if len(found) < count:
                await asyncio.sleep(0.002)
        return found

    async def next(
        self, peer: Peer, other: Callable[[], object]
    ) -> list[tuple[int, WirePart, Write]]:
        """The next submits on a peer; none when there is something other to do, or nothing."""
        deadline = peer.now + 0.5
        while peer.now < deadline and not other():
            if found := await self.written(peer, most=0.01):
                return found
        return []

    async def until(self, condition: Callable[[], object]) -> None:
        """Until this holds; nothing tells when."""
        async with asyncio.timeout(self.patience):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def pass_(self, seconds: float) -> None:
        """Wall time goes on; what is due happens."""
        await self.settle()
        self.at += seconds
        await self.app.ticker._look_ahead(self.at)
        await self.app.ticker._wake(self.at)
        await self.settle()

    async def looked_at(self, seconds: float = 2.5) -> None:
        """Time goes on; two seconds on a report without a match is counted, or guessed about."""
        await self.pass_(seconds)
        self.app.engine.reports.tick(self.at)
        await self.settle()

    def of(self, message: str) -> list[dict[str, Any]]:
        """Events of one message, in order."""
        return [event for event in self.told if event.get("message") == message]

    def states(self, message: str) -> list[str]:
        return [event["state"] for event in self.of(message)]

    def message(self, mid: int) -> Message:
        return self.app.engine.open[mid]

    def row(self, message: str) -> dict[str, Any]:
        """The durable row of `<job>/<index>`: state, final and wake."""
        job, _, index = message.rpartition("/")
        db = self.app.ledger._db
        (seq,) = db.execute("select seq from job where id = ?", (job,)).fetchone()
        (found,) = reader.messages(db, [seq << INDEX_BITS | int(index)])
        return {"state": found.state, "final": found.final, "wake": found.wake}

    async def crash(self) -> Desk:
        """What a start finds after a power cut, everything put until now being on the disk."""
        await self.settle()
        fresh = Desk(self.state.parent / f"{self.state.name}x", self.text, at=self.at)
        fresh._offset = self._offset
        shutil.copytree(self.state, fresh.state)
        return fresh

    async def start(self) -> None:
        self.open()
        app = self.app
        await recover(app.ledger, app.engine, app.inbound)
        await app.takeover.adopt(frozenset())
        await self.settle()

    async def close(self) -> None:
        for account in self.app.accounts.values():
            account.stop()
        await self.app.pool.stop()
        await self.app.sweep.close()
        await self.app.ledger.close()


def configured(*accounts: Terms, hold: float = 10.0, then: str = "resend") -> str:
    route = json.dumps([terms.name for terms in accounts])
    head = HEAD.format(state="{state}", hold=hold, then=then, route=route)
    return head + "".join(terms.text() for terms in accounts)


class Timed(Protocol):
    at: float


def stand_still(monkeypatch: Any, desk: Timed) -> None:
    """Wall time is what the desk says."""
    at = SimpleNamespace(time=lambda: desk.at, monotonic=lambda: desk.at)
    monkeypatch.setattr(clock, "time", at)
    monkeypatch.setattr(clock, "_anchor", 0.0)


__all__ = ["Bound", "Desk", "Fate", "Ledger", "Message", "Peer", "Terms", "configured"]
