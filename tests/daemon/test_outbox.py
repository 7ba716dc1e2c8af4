"""Published in order, forgotten only then, and bounded in memory while the broker is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from daemon import outbox as module
from daemon.broker.base import RecordsRefused
from daemon.ledger.rows import Event
from daemon.outbox import Batch, Outbox


def events(n: int, count: int = 1) -> list[Event]:
    return [("sms.reports", b"k", b"%d-%d" % (n, i)) for i in range(count)]


class Ledger:
    """What the outbox needs of the ledger: rows that were put and not told."""

    def __init__(self) -> None:
        self.rows: dict[int, list[Event]] = {}
        self.reads = 0

    def told(self, number: int) -> None:
        self.rows = {n: row for n, row in self.rows.items() if n > number}

    async def more(self, after: int, limit: int) -> Sequence[Batch]:
        self.reads += 1
        await asyncio.sleep(0)
        return [(n, row) for n, row in sorted(self.rows.items()) if n > after][:limit]


class Outlet:
    """Takes records while `open` is set."""

    connected = True

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.published: list[bytes] = []
        self.refuse: set[bytes] = set()

    async def start(self) -> None: ...

    async def publish(self, records: Sequence[Event], content_type: str = "") -> None:
        await self.open.wait()
        refused = {i: "too large" for i, (_, _, v) in enumerate(records) if v in self.refuse}
        self.published += [v for _, _, v in records if v not in self.refuse]
        if refused:
            raise RecordsRefused(refused)

    async def close(self) -> None: ...


class Desk:
    def __init__(self, *, silent: bool = False) -> None:
        self.ledger, self.outlet = Ledger(), Outlet()
        self.silent = silent
        self.overtaken: set[bytes] = set()
        """What another daemon has said more of since."""
        self.outbox = Outbox(
            self.outlet,
            self.ledger.told,
            self.ledger.more,
            self.still_meant,
            silent=lambda: self.silent,
        )
        self.task = asyncio.create_task(self.outbox.run())

    async def still_meant(self, found: Sequence[Event]) -> Sequence[Event]:
        await asyncio.sleep(0)
        return [event for event in found if event[2] not in self.overtaken]

    def put(self, n: int, count: int = 1) -> None:
        self.ledger.rows[n] = events(n, count)
        self.outbox.put(n, self.ledger.rows[n])

    async def flushed(self) -> None:
        async with asyncio.timeout(5):
            await self.outbox.flushed()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_batches_are_published_in_order_and_told() -> None:
    desk = Desk()
    for n in range(1, 40):
        desk.put(n)
        if n % 7 == 0:
            await asyncio.sleep(0)
    await desk.flushed()
    assert desk.outlet.published == [b"%d-0" % n for n in range(1, 40)]
    assert desk.ledger.rows == {}
    assert desk.outbox.waiting == 0


async def test_what_was_not_told_before_a_restart_comes_first() -> None:
    desk = Desk()
    for n in (3, 4):
        desk.ledger.rows[n] = events(n, 2)
    desk.put(5)
    await desk.flushed()
    assert desk.outlet.published == [b"3-0", b"3-1", b"4-0", b"4-1", b"5-0"]
    assert desk.outbox.waiting == 0


async def test_while_the_broker_is_away_memory_is_bounded_and_nothing_is_lost() -> None:
    desk = Desk()
    await asyncio.sleep(0.01)
    desk.outlet.open.clear()
    for n in range(1, 101):
        desk.put(n, 500)
        await asyncio.sleep(0)
    in_memory = sum(len(row) for _, row in desk.outbox._batches)
    assert desk.outbox.waiting == 50_000
    assert in_memory <= module.MOST_IN_MEMORY + 500
    desk.outlet.open.set()
    await desk.flushed()
    assert desk.outlet.published == [b"%d-%d" % (n, i) for n in range(1, 101) for i in range(500)]
    assert desk.ledger.rows == {}


async def test_a_refused_record_holds_up_nobody() -> None:
    desk = Desk()
    desk.outlet.refuse = {b"2-0"}
    for n in (1, 2, 3):
        desk.put(n)
    await desk.flushed()
    assert desk.outlet.published == [b"1-0", b"3-0"]
    assert desk.ledger.rows == {}


@pytest.mark.parametrize("silent", [False, True])
async def test_of_what_was_not_told_before_a_restart_the_overtaken_is_left_out(
    silent: bool,
) -> None:
    desk = Desk(silent=silent)
    desk.ledger.rows[3] = events(3, 2)
    desk.overtaken = {b"3-0"}
    await asyncio.sleep(0.02)  # a daemon that starts says nothing before it has its partitions
    assert silent == (desk.outlet.published == [])
    desk.silent = False
    await asyncio.sleep(2 * module.HUSH)
    assert desk.outlet.published == [b"3-1"]
    desk.put(4)
    await desk.flushed()
    assert desk.outlet.published == [b"3-1", b"4-0"]
    assert desk.outbox.waiting == 0
    assert desk.ledger.rows == {}


async def test_after_a_silence_what_waited_is_looked_at_again() -> None:
    desk = Desk()
    desk.put(1)
    await asyncio.sleep(0.02)
    desk.silent = True
    desk.put(2, 3)
    await asyncio.sleep(0.02)
    assert desk.outlet.published == [b"1-0"]
    desk.overtaken = {b"2-1"}
    desk.silent = False
    await desk.flushed()
    assert desk.outlet.published == [b"1-0", b"2-0", b"2-2"]
    assert desk.outbox.waiting == 0
    assert desk.ledger.rows == {}
