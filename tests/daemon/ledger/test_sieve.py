"""What passes for a new id is one; what was used never does."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from daemon.ledger import JobValues, Ledger, reader, runs, sieve
from daemon.ledger.files import LEDGER
from daemon.ledger.reader import Position, Slice
from daemon.ledger.rows import hash_job
from daemon.ledger.sieve import Sieve
from tests.daemon.ledger.content import Clock, delivered, job, kept, start, taken


def ids(seqs: Sequence[int]) -> list[str]:
    return [f"j-{seq}" for seq in seqs]


def jobs(seqs: Sequence[int]) -> list[JobValues]:
    return [job(seq) for seq in seqs]


class Disk:
    """Slices of ids that are given when told."""

    def __init__(self, *slices: Sequence[str]) -> None:
        self.slices = [list(map(hash_job, some)) for some in slices]
        self.turn = asyncio.Semaphore(0)

    async def read(self, position: Position) -> Slice:
        await self.turn.acquire()
        return self.slices.pop(0), (position[0] - 1, "") if self.slices else None

    async def give(self) -> None:
        self.turn.release()
        await asyncio.sleep(0.001)


def fail(exc: BaseException) -> None:
    raise exc


async def test_no_id_passes_for_new_before_the_last_slice_is_here() -> None:
    disk = Disk(ids(range(100)), ids(range(100, 200)))
    one = Sieve(disk.read, fail)
    one.fill(ids(range(200, 300)))
    one.add(jobs(range(300, 400)))
    await disk.give()
    one.add(jobs(range(400, 500)))
    assert one.doubtful(["new"]) == ["new"]
    await disk.give()
    one.add(jobs(range(500, 600)))
    assert one.doubtful(["new", *ids(range(600))]) == ids(range(600))


async def test_few_new_ids_are_in_doubt() -> None:
    disk = Disk([])
    one = Sieve(disk.read, fail)
    one.fill([])
    await disk.give()
    one.add(jobs(range(100_000)))
    new = [f"new-{number}" for number in range(10_000)]
    assert len(one.doubtful(new)) < 50


async def test_what_the_ledger_has_forgotten_is_new_again_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sieve, "FEW", 10)
    disk = Disk(ids(range(20)))
    one = Sieve(disk.read, fail)
    one.fill([])
    await disk.give()
    one.add(jobs(range(20, 40)))
    assert not one.worn
    one.add(jobs([40]))
    assert one.worn
    disk.slices = [list(map(hash_job, ids(range(10, 30))))]
    one.fill(ids(range(30, 41)))
    one.add(jobs([41]))
    assert not one.worn
    assert one.doubtful(ids(range(43))) == ids(range(42))
    await disk.give()
    one.add(jobs([42]))
    assert one.doubtful(ids(range(44))) == ids(range(10, 43))


async def test_what_cannot_be_read_is_said() -> None:
    said: list[BaseException] = []

    async def read(position: Position) -> Slice:
        raise OSError("disk")

    one = Sieve(read, said.append)
    one.fill([])
    await asyncio.sleep(0.001)
    assert [str(exc) for exc in said] == ["disk"]
    assert one.doubtful(["new"]) == ["new"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys move often, and are read a few at a time."""
    monkeypatch.setattr("daemon.ledger.ledger.RECENT_ROWS", 60)
    monkeypatch.setattr(reader, "SLICE_KEYS", 7)
    monkeypatch.setattr(reader, "SLICE_ROWS", 5)


async def filled(ledger: Ledger) -> None:
    while ledger._ids.sieve._filling is not None:  # noqa: ASYNC110  # nothing else tells
        await asyncio.sleep(0.001)


@pytest.mark.usefixtures("small")
async def test_used_ids_are_known_whatever_moves_while_the_sieve_is_filled(
    state_dir: Path, clock: Clock
) -> None:
    first = start(state_dir, clock)
    for seq in range(1, 161):
        await kept(first, taken([seq]), delivered([seq]))
    await first.close()
    again = start(state_dir, clock)
    for seq in range(161, 201):
        await kept(again, taken([seq]), delivered([seq]))
        number = (seq - 161) * 7
        for each in range(number, min(number + 7, runs.SLICES)):
            await again.run(partial(runs.rise, each, sys.maxsize))
    await filled(again)
    assert again._ids.sieve.doubtful(["new"]) == []
    assert (await again.known(["new", *ids(range(1, 201))])).keys() == set(ids(range(1, 201)))
    await again.close()


@pytest.mark.usefixtures("small")
async def test_ids_that_are_only_remembered_are_known_after_a_restart(
    state_dir: Path, clock: Clock
) -> None:
    await start(state_dir, clock).close()
    with closing(sqlite3.connect(state_dir / LEDGER)) as db, db:
        rows = [(name, bytes(16), clock.now + 60.0) for name in ids(range(20))]
        db.executemany("insert into used values (?, ?, ?)", rows)
    again = start(state_dir, clock)
    await filled(again)
    assert again._ids.sieve.doubtful(["new"]) == []
    assert (await again.known(["new", *ids(range(20))])).keys() == set(ids(range(20)))
    await again.close()
