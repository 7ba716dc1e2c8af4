"""Messages without a row of their own yet: found like any other, and never lost."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from daemon.backup import copying
from daemon.ledger import Archiver, Entries, History, JobRow, Ledger, MessageRow, files, young
from tests.daemon.ledger.content import (
    NOON,
    Clock,
    delivered,
    finished,
    job,
    kept,
    message,
    mid,
    number,
    start,
    taken,
)
from tests.daemon.ledger.test_archive import ZONE

HOUR = 3600.0


def table(path: Path, name: str = "message") -> list[int]:
    """The keys of its rows."""
    column = {"message": "mid", "young": "lowest"}[name]
    with closing(sqlite3.connect(path)) as db:
        return [key for (key,) in db.execute(f"select {column} from {name} order by 1")]


def states(found: list[tuple[JobRow, MessageRow]]) -> list[tuple[int, int]]:
    return [(row.mid, row.state) for _, row in found]


async def test_they_are_found_by_whoever_asks_by_number(ledger: Ledger, state_dir: Path) -> None:
    await kept(ledger, taken([1, 2], recipients=2))
    await kept(ledger, Entries(messages=[finished(1, 1), message(2, 0, state=1)]))
    assert table(ledger.path) == [mid(1, 1)]
    every = [(mid(1), 0), (mid(1, 1), 9), (mid(2), 1), (mid(2, 1), 0)]
    assert states(await ledger.load([number for number, _ in every])) == every
    assert states(await ledger.load([mid(2, 1), mid(3)])) == every[3:]
    with History.open(state_dir) as history:
        assert states(history.by_job("j-1") + history.by_job("j-2")) == every
        assert states(history.by_message("j-2/1")) == every[3:]
        assert states(history.by_to(number(1, 0))) == every[:1]
        assert states(history.by_to(number(1, 1))) == every[1:2]
        assert history.by_message("j-2/2") == []
    assert table(ledger.path) == [mid(1, 1)], "nobody had to settle them for that"


async def test_they_are_found_while_they_get_rows_of_their_own(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(ledger, taken([1]))
    there, writer = young.there, ledger._writer
    between = asyncio.Event()

    def settled_between(db: sqlite3.Connection) -> bool:
        if not between.is_set():
            between.set()
            ledger._write_thread.submit(writer.settle).result(10.0)
        return there(db)

    monkeypatch.setattr(young, "there", settled_between)
    assert states(await ledger.load([mid(1)])) == [(mid(1), 0)]
    assert between.is_set()


async def test_whoever_asks_an_index_finds_them(ledger: Ledger) -> None:
    later = [message(seq, wake=NOON + seq) for seq in (1, 2, 3)]
    await kept(ledger, Entries(jobs=[job(seq) for seq in (1, 2, 3)], messages=later))
    assert await ledger.due(None, NOON + 2.0, 9) == [(NOON + 1, mid(1)), (NOON + 2, mid(2))]
    await kept(ledger, taken([4]))
    assert await ledger.queued_mids("mobile", 1, 0, mid(2), 9) == [mid(3), mid(4)]
    await kept(ledger, taken([5]))
    assert [row.mid for _, row in await ledger.queued("mobile", 1, 0, mid(3), 9)] == [
        mid(4),
        mid(5),
    ]
    await kept(ledger, taken([6]))
    assert [queue.size for queue in await ledger.queues()] == [6]


async def test_who_asks_for_deadlines_settles_nobody_before_there_is_one(ledger: Ledger) -> None:
    await kept(ledger, Entries(jobs=[job(1)], messages=[message(1, wake=NOON + 9)]))
    await kept(ledger, Entries(messages=[message(1, state=5, wake=NOON + 5)]))
    assert await ledger.due(None, NOON + 4, 9) == []
    assert table(ledger.path) == []
    assert await ledger.due(None, NOON + 5, 9) == [(NOON + 5, mid(1))]
    assert table(ledger.path) == [mid(1)]
    await kept(ledger, taken([2]))
    assert await ledger.due(None, NOON + 9, 9) == [(NOON + 5, mid(1))]
    assert table(ledger.path) == [mid(1)], "it has no deadline"


async def test_a_deadline_is_found_while_its_message_gets_its_row(ledger: Ledger) -> None:
    await kept(ledger, Entries(jobs=[job(1)], messages=[message(1, wake=NOON)]))
    settled, go = threading.Event(), threading.Event()

    def slow(_: sqlite3.Connection) -> None:
        settled.set()
        go.wait(10.0)

    asked = asyncio.create_task(ledger.due(None, NOON + 1, 9))
    chore = asyncio.create_task(ledger.run(slow))
    # Who asks goes on when the commit after that has settled all, and is not durable.
    ledger.put(taken([2]), lambda: settled.wait(10.0))
    await asyncio.wait([asked], timeout=0.1)
    go.set()
    assert await asked == [(NOON, mid(1))]
    await chore


async def test_who_waits_for_the_disk_alone_settles_nobody(ledger: Ledger) -> None:
    ledger.put(taken([1]))
    await ledger.durable()
    assert (table(ledger.path), table(ledger.path, "young")) == ([], [mid(1)])


async def test_rows_that_are_not_durable_yet_are_waited_for(ledger: Ledger) -> None:
    await kept(ledger, taken([1, 2]))
    began, go, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()

    def slow(db: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(began.set)
        go.wait(10.0)

    chore = asyncio.create_task(ledger.run(slow))
    await began.wait()
    asked = asyncio.create_task(ledger.queued_mids("mobile", 1, 0, 0, 9))
    await asyncio.sleep(0.05)
    go.set()
    assert await asked == [mid(1), mid(2)]
    await chore


async def test_a_job_is_finished_when_none_of_its_messages_waits(ledger: Ledger) -> None:
    await kept(ledger, taken([1, 2], recipients=2))

    async def unfinished() -> set[str]:
        known = await ledger.known(["j-1", "j-2"])
        assert known.keys() == {"j-1", "j-2"}
        return {name for name, row in known.items() if not row.finished}

    assert await unfinished() == {"j-1", "j-2"}
    await kept(ledger, Entries(messages=[finished(1, 0), finished(1, 1), finished(2, 0)]))
    assert await unfinished() == {"j-2"}, "although `young` still has rows of the first"
    assert table(ledger.path, "young") == [mid(1)]
    await kept(ledger, Entries(messages=[finished(2, 1)]))
    assert await unfinished() == set()


async def test_a_row_counts_whatever_is_left_of_its_young_ones(
    ledger: Ledger, state_dir: Path
) -> None:
    await kept(ledger, taken([1], recipients=2), Entries(messages=[finished(1)]))
    await kept(ledger, Entries(jobs=[job(1)], messages=[message(1, 0, state=2)]))
    expected = [(mid(1), 2), (mid(1, 1), 0)]
    assert states(await ledger.load([mid(1), mid(1, 1)])) == expected
    with History.open(state_dir) as history:
        assert states(history.by_job("j-1")) == expected
    await ledger.settled()
    assert states(await ledger.load([mid(1), mid(1, 1)])) == expected
    assert (table(ledger.path), table(ledger.path, "young")) == ([mid(1), mid(1, 1)], [])


async def test_jobs_of_the_start_before_have_no_young_rows(state_dir: Path, clock: Clock) -> None:
    ledger = start(state_dir, clock)
    await kept(ledger, taken([1]), delivered([1]))
    await ledger.close()
    ledger = start(state_dir, clock)
    again = Entries(jobs=[job(1)], messages=[message(1, 0, state=2)])
    await kept(ledger, again)
    assert states(await ledger.load([mid(1)])) == [(mid(1), 2)]
    again.messages = [message(1, 0, state=3)]
    ledger.put(again)
    await kept(ledger, taken([2]))
    assert states(await ledger.load([mid(1), mid(2)])) == [(mid(1), 3), (mid(2), 0)]
    await ledger.close()


async def test_after_a_kill_every_message_has_its_row(ledger: Ledger, state_dir: Path) -> None:
    await kept(ledger, taken([1, 2, 3]), delivered([2]))
    await kept(ledger, Entries(messages=[message(3, 0, state=1)]))
    killed = state_dir.with_name("killed")
    shutil.copytree(state_dir, killed)
    again = start(killed)
    assert table(again.path) == [mid(1), mid(2), mid(3)]
    assert table(again.path, "young") == []
    assert [row[2:4] for row in again.unfinished()] == [(0, 1), (1, 1)]
    assert states(await again.load([mid(1), mid(2), mid(3)])) == [
        (mid(1), 0),
        (mid(2), 9),
        (mid(3), 1),
    ]
    await again.close()


async def test_of_several_rows_the_last_counts_until_one_is_final(
    ledger: Ledger, state_dir: Path
) -> None:
    await kept(ledger, taken([1, 2], recipients=2))
    for state in (4, 5):
        await kept(ledger, Entries(messages=[message(1, 1, state), message(2, 0, state)]))
    every = [mid(1), mid(1, 1), mid(2), mid(2, 1)]
    expected = list(zip(every, (0, 5, 5, 0), strict=True))
    assert states(await ledger.load(every)) == expected
    assert table(ledger.path) == []
    with History.open(state_dir) as history:
        assert states(history.by_job("j-1") + history.by_job("j-2")) == expected
    await kept(ledger, Entries(messages=[finished(1, 1)]))
    assert states(await ledger.load(every))[1] == (mid(1, 1), 9)
    assert table(ledger.path) == [mid(1, 1)]
    killed = state_dir.with_name("killed")
    shutil.copytree(state_dir, killed)
    again = start(killed)
    assert table(again.path) == every
    assert [row for _, row in await again.load(every)] == [
        row for _, row in await ledger.load(every)
    ]
    await again.close()


async def test_a_ledger_that_was_closed_has_none(state_dir: Path) -> None:
    ledger = start(state_dir)
    await kept(ledger, taken([1, 2]))
    await ledger.close()
    assert (table(ledger.path), table(ledger.path, "young")) == ([mid(1), mid(2)], [])


@pytest.mark.parametrize(
    ("name", "most"), [("MOST_COMMITS", 3), ("MOST_ROWS", 6), ("MOST_YOUNG", 4)]
)
async def test_the_oldest_get_their_rows_where_there_are_many(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(young, name, most)
    for seq in range(1, 6):
        await kept(ledger, taken([seq], recipients=2))
        await kept(ledger, Entries(messages=[finished(seq)]))
    await kept(ledger, Entries())
    last = [mid(seq) for seq in (3, 4, 5)]
    assert table(ledger.path, "young") == last
    settled = [mid(1), mid(1, 1), mid(2), mid(2, 1)]
    assert table(ledger.path) == settled + last
    assert len(await ledger.load([mid(seq, n) for seq in range(1, 6) for n in (0, 1)])) == 10


async def test_what_is_done_goes(ledger: Ledger) -> None:
    for seq in range(1, 3 * young.DONE_AT_ONCE):
        await kept(ledger, taken([seq]))
        await kept(ledger, delivered([seq]))
        assert len(table(ledger.path, "young")) <= young.DONE_AT_ONCE
    assert len(table(ledger.path)) == 3 * young.DONE_AT_ONCE - 1


async def test_when_a_message_was_put_stays_known(ledger: Ledger, clock: Clock) -> None:
    await kept(ledger, taken([1]))
    clock.now += 100.0
    await ledger.settled()
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("select changed from message").fetchall() == [(int(NOON),)]


async def test_no_job_is_archived_for_having_young_rows_only(
    ledger: Ledger, state_dir: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(ledger, taken([1, 2, 3]), delivered([1, 2]))
    archiver = Archiver(ledger, zone=ZONE, archive_after=HOUR)
    clock.now += 2 * HOUR
    assert await archiver.sweep(clock.now) == 2
    await kept(ledger, taken([4]), delivered([4]))
    # Whatever comes between the settling and the look at what is finished.
    settled = ledger.settled

    async def put_then() -> None:
        await settled()
        await kept(ledger, taken([5, 6], received=NOON))

    monkeypatch.setattr(ledger, "settled", put_then)
    clock.now += 2 * HOUR
    assert await archiver.sweep(clock.now) == 1
    assert [row.mid for _, row in await ledger.load([mid(seq) for seq in range(1, 7)])] == [
        mid(3),
        mid(5),
        mid(6),
    ]
    (archive,) = files.archives(state_dir)
    assert table(archive) == [mid(1), mid(2), mid(4)]
    with closing(sqlite3.connect(archive)) as db:
        assert db.execute("select seq from job").fetchall() == [(1,), (2,), (4,)]
    await archiver.close()


async def test_in_a_backup_every_message_has_its_row(ledger: Ledger, tmp_path: Path) -> None:
    await kept(ledger, taken([1, 2, 3]), delivered([2]))
    copy = tmp_path / "copy.sqlite"
    rows = copying.database(ledger.path, copy, copying.Pace(1 << 40))
    assert rows["message"] == 3
    assert (table(copy), table(copy, "young")) == ([mid(1), mid(2), mid(3)], [])
    assert table(ledger.path) == [mid(2)]
