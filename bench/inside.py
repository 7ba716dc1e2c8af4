"""Daemon and gateways in one process, without sockets: for counting what the daemon's code does.

Connections are two lists of octets on one loop, the broker is a list of records, and the ledger's
threads take turns with the loop instead of running beside it.  Time is the loop's: a millisecond
for each turn, and when nothing is ready it jumps to the next timer.  So nothing depends on how
fast or how busy the machine is.  All else is the daemon's own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from daemon import clock
from daemon.app import App
from daemon.broker.base import Place, Placed, Record, Released, Topic
from daemon.config import load
from daemon.demo.settings import Settings
from daemon.demo.traffic import Traffic
from daemon.sim.fleet import Fleet

UP_WITHIN = 60.0
DONE_WITHIN = 300.0
"""Of the loop's seconds, as everything here."""
LOOK_EVERY = 0.005
TURN = 0.001
"""Seconds."""
START = 1_780_000_000.0
"""When the loop's clock is at 0, in seconds since 1970."""
COMMIT_TURNS = 4
"""Of the loop, that a commit takes."""
PORT = 20_000
"""The first of the ports that nobody listens on in truth."""

T = TypeVar("T")
Factory = Callable[[], asyncio.BaseProtocol]


class Loop(asyncio.SelectorEventLoop):
    """Its clock counts turns, and who listens on a port of his own choice is reached without a
    socket.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._listening: dict[int, Factory] = {}

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        loop: Any = self
        self._now += TURN
        if not loop._ready and loop._scheduled:
            self._now = max(self._now, loop._scheduled[0].when())
        super()._run_once()  # type: ignore[misc]  # the one place where a turn can be counted

    async def create_server(self, factory: Any, *args: Any, **more: Any) -> Any:  # type: ignore[override]
        host, port = args
        if not port:
            return await super().create_server(factory, host, port, **more)
        self._listening[port] = factory
        address = SimpleNamespace(getsockname=lambda: (host, port))
        return SimpleNamespace(sockets=[address], close=lambda: self._listening.pop(port, None))

    async def create_connection(self, factory: Any, *args: Any, **more: Any) -> Any:  # type: ignore[override]
        _, port = args
        accept = self._listening.get(port)
        if accept is None:
            raise ConnectionRefusedError(f"nobody listens on {port}")
        near, far = Pipe(self), Pipe(self)
        near.peer, far.peer = far, near
        for end, made in ((near, factory()), (far, accept())):
            end.protocol = made
        for end in (near, far):
            end.protocol.connection_made(end)
        return near, near.protocol


class Pipe(asyncio.Transport):
    """One end of a connection; what is written arrives in the loop's next turn, whole."""

    peer: Pipe
    protocol: Any

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop
        self._closing = False

    def write(self, data: Any) -> None:
        if not self._closing:
            self._loop.call_soon(self.peer.arrived, data)

    def arrived(self, data: bytes) -> None:
        if not self._closing:
            self.protocol.data_received(data)

    def close(self) -> None:
        for end in (self, self.peer):
            if not end._closing:
                end._closing = True
                self._loop.call_soon(end.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", PORT) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered."""

    def pause_reading(self) -> None:
        """Asked for only by who has a full buffer."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""


class Lists:
    """A broker: jobs are put into a list, and of what is published the final events are counted."""

    def __init__(self) -> None:
        self.final = 0
        self.octets = 0
        """Published, keys not counted."""
        self._jobs: deque[Record] = deque()
        self._there = asyncio.Event()
        self._offset = 0

    def put(self, topic: str, jobs: Sequence[tuple[bytes, bytes]]) -> None:
        now = clock.host()
        for key, value in jobs:
            self._jobs.append(Record(topic, 0, self._offset, key, value, None, now))
            self._offset += 1
        self._there.set()

    # As the daemon's broker

    def source(
        self,
        topics: Sequence[str],
        *,
        on_assigned: Placed | None = None,
        on_revoked: Released | None = None,
        instance: str | None = None,
    ) -> Lists:
        return self

    def outlet(self, topics: Sequence[str], packed: Collection[str] = ()) -> Lists:
        return self

    def tail(self, *topics: str, others: bool = False) -> _Silent:
        return _Silent()

    async def topics(self, names: Sequence[str]) -> dict[str, int | None]:
        return dict.fromkeys(names, 1)

    async def create(self, topics: Sequence[Topic]) -> None:
        """They are there."""

    # As its source

    async def start(self) -> None:
        """Nothing is opened."""

    async def take(self, most: int, wait: float) -> list[Record]:
        if not self._jobs:
            self._there.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._there.wait()
            except TimeoutError:
                return []
        return [self._jobs.popleft() for _ in range(min(most, len(self._jobs)))]

    def commit(self, positions: Mapping[Place, int]) -> None:
        """Nobody asks again."""

    def sure(self) -> bool:
        return True

    def pause(self, topics: Sequence[str] = ()) -> None:
        """There is never more than is wanted."""

    def resume(self, topics: Sequence[str] = ()) -> None:
        """See `pause`."""

    def lag(self) -> dict[Place, int]:
        return {}

    # As its outlet

    @property
    def connected(self) -> bool:
        return True

    async def publish(
        self,
        records: Sequence[tuple[str, bytes | None, bytes | None]],
        content_type: str | None = None,
    ) -> None:
        for _, _, value in records:
            if value is not None:
                self.octets += len(value)
                self.final += b'"final":true' in value

    async def close(self) -> None:
        """Nothing was opened."""


class _Silent:
    """A tail of topics that nobody writes."""

    async def start(self, at: int | Mapping[Place, int] | None = 0) -> None:
        """From nowhere."""

    async def take(self, most: int, wait: float) -> list[Record]:
        await asyncio.sleep(wait)
        return []

    def places(self) -> dict[Place, int]:
        return {}

    async def ends(self) -> dict[Place, int]:
        return {}

    async def reached(self, ends: Mapping[Place, int]) -> bool:
        return True

    async def finished(self) -> bool:
        return True

    async def close(self) -> None:
        """Nothing was opened."""


class Turns(Executor):
    """In a thread's place: the work is done at once, and is said to be done some turns later.

    That is what lets commits gather what comes meanwhile, as with a disk.
    """

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._loop = asyncio.get_running_loop()

    def submit(self, work: Callable[..., T], /, *args: Any, **more: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            result = work(*args, **more)
        except BaseException as exc:
            self._later(partial(done.set_exception, exc), self._turns)
        else:
            self._later(partial(done.set_result, result), self._turns)
        return done

    def _later(self, then: Callable[[], None], turns: int) -> None:
        if turns:
            self._loop.call_soon(self._later, then, turns - 1)
        else:
            then()


class Inside:
    """Everything is up; `work` has messages go the whole way."""

    def __init__(self, app: App, fleet: Fleet, broker: Lists, traffic: Traffic) -> None:
        self.app, self.fleet, self.broker, self.traffic = app, fleet, broker, traffic
        self.sent = 0
        """Messages."""

    async def work(self, count: int) -> None:
        """Returns when all messages of so many jobs are final.  Raises TimeoutError."""
        topic = self.app.config.broker.topics.jobs[-1]
        recipients = self.traffic.recipients
        first = self.sent // recipients
        jobs = [self.traffic.job(index) for index in range(first, first + count)]
        self.sent += count * recipients
        self.broker.put(topic, jobs)
        await _until(lambda: self.broker.final >= self.sent, DONE_WITHIN)


@asynccontextmanager
async def inside(directory: Path, settings: Settings, recipients: int = 1) -> AsyncIterator[Inside]:
    """On a `Loop`, with so many recipients in every job.

    The settings' own broker is not used; the state directory is in `directory`.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop), "connections and clocks need one"
    clocks: Any = clock
    were = clocks.time, clocks._anchor
    its = SimpleNamespace(time=lambda: START + loop.time(), monotonic=loop.time)
    clocks.time, clocks._anchor = its, START
    ports = [0, *range(PORT, PORT + settings.ports - 1)]
    config = load(settings.write(directory, ports))
    broker = Lists()
    fleet = Fleet(config)
    await fleet.start()
    app = App(config, cast(Any, broker))
    ledger: Any = app.ledger
    of = ((ledger, "_write_thread"), (ledger, "_read_thread"), (ledger._checkpoints, "_executor"))
    for owner, thread in of:
        getattr(owner, thread).shutdown()
        setattr(owner, thread, Turns(COMMIT_TURNS))
    try:
        await app.start()
        pool = app.pool
        nodes = [(name, node.name) for name, a in config.accounts.items() for node in a.nodes]
        await _until(lambda: all(pool.up(*node) == settings.binds for node in nodes), UP_WITHIN)
        yield Inside(
            app, fleet, broker, Traffic("inside", settings.carriers, recipients=recipients)
        )
    finally:
        await app.drain()
        await fleet.stop()
        clocks.time, clocks._anchor = were


async def _until(true: Callable[[], bool], within: float) -> None:
    async with asyncio.timeout(within):
        while True:
            if true():
                return
            await asyncio.sleep(LOOK_EVERY)
