"""Keys on their way up: found at every moment, whatever has moved and whatever stops it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from daemon import sweep
from daemon.config import Daemon
from daemon.ledger import Archiver, Entries, History, Ledger, files, keys, reader, runs, volume
from daemon.ledger import ledger as ledger_module
from daemon.ledger.files import LEDGER
from tests.daemon.ledger.content import (
    ACCOUNT,
    NOON,
    Clock,
    delivered,
    kept,
    key,
    mid,
    number,
    start,
    taken,
)

HOUR = 3600.0
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels that fill within a few hundred jobs."""
    for module in (keys, ledger_module):
        monkeypatch.setattr(module, "RECENT_ROWS", 60)
    monkeypatch.setattr(keys, "NEWER_KEYS", 150)
    monkeypatch.setattr(runs, "MOST_RUNS", 3)
    monkeypatch.setattr(volume, "FEW_ROWS", 20)


def levels(path: Path) -> tuple[int, int, int]:
    """Keys that are gathered, in runs and in the table."""
    with closing(sqlite3.connect(path)) as db:
        asked = (
            "select coalesce(sum(length(hashes)), 0) / 4 from gathered",
            "select coalesce(sum(length(hashes)), 0) / 4 from run",
            "select count(*) from lookup",
        )
        gathered, in_runs, old = (db.execute(sql).fetchone()[0] for sql in asked)
        return gathered, in_runs, old


def levels_of_archive(path: Path) -> tuple[int, int, int]:
    """Keys that are recent, newer and old."""
    with closing(sqlite3.connect(path)) as db:
        asked = (
            "select count(*) from (select distinct hash, ref from recent)",
            f"select count(*) from lookup where hash >= {keys.NEWER}",
            f"select count(*) from lookup where hash < {keys.NEWER}",
        )
        recent, newer, old = (db.execute(sql).fetchone()[0] for sql in asked)
        return recent, newer, old


async def all_found(ledger: Ledger, seqs: range) -> bool:
    known = await ledger.known([f"j-{seq}" for seq in seqs])
    found = await ledger.find([(ACCOUNT, key(seq)) for seq in seqs])
    return {row.seq for row in known.values()} == set(seqs) and found == {
        (ACCOUNT, key(seq)): [(mid(seq), 0)] for seq in seqs
    }


def traced(state_dir: Path, seqs: range) -> bool:
    with History.open(state_dir) as history:
        lookups: list[Callable[[int], list[tuple[object, object]]]] = [
            lambda seq: history.by_job(f"j-{seq}"),
            lambda seq: history.by_message(f"j-{seq}/0"),
            lambda seq: history.by_to(number(seq)),
            lambda seq: history.by_carrier_id([(None, key(seq))]),
        ]
        return all(len(look(seq)) == 1 for look in lookups for seq in seqs)


async def test_every_key_is_found_while_it_moves_up(ledger: Ledger, state_dir: Path) -> None:
    seen = set()
    for seq in range(1, 161):
        await kept(ledger, taken([seq]), delivered([seq]))
        gathered, in_runs, old = levels(state_dir / LEDGER)
        seen.add((gathered > 60, in_runs > 0))
        assert old == 0
        if seq % 5 == 0:
            assert await all_found(ledger, range(1, seq + 1))
            assert traced(state_dir, range(max(1, seq - 40), seq + 1))
    # Some were both gathered and in a run, and some had been moved.
    assert {(True, True), (False, True)} <= seen
    assert traced(state_dir, range(1, 161))


async def test_no_commit_moves_more_than_a_slice(ledger: Ledger, state_dir: Path) -> None:
    before = levels(state_dir / LEDGER)
    most = 0
    for seq in range(1, 161):
        await kept(ledger, taken([seq]), delivered([seq]))
        after = levels(state_dir / LEDGER)
        most = max(most, after[1] - before[1], before[0] - after[0])
        before = after
    assert 0 < most < 40


async def test_a_move_that_falls_behind_is_ended_when_the_next_is_due(
    ledger: Ledger, state_dir: Path
) -> None:
    for first in range(1, 601, 40):
        seqs = range(first, first + 40)
        await kept(ledger, Entries(taken(seqs).jobs, delivered(seqs).messages))
        assert levels(state_dir / LEDGER)[0] <= 4 * 80
    assert (await ledger.known([f"j-{seq}" for seq in range(1, 601)])).keys() == {
        f"j-{seq}" for seq in range(1, 601)
    }


async def test_a_move_that_a_crash_cut_off_begins_again(
    state_dir: Path, tmp_path: Path, clock: Clock
) -> None:
    ledger = start(state_dir, clock)
    seq = 0
    cut = None
    while cut is None:
        seq += 1
        await kept(ledger, taken([seq]), delivered([seq]))
        gathered, in_runs, _ = levels(state_dir / LEDGER)
        if gathered > 60 and in_runs > 20:
            cut = tmp_path / "cut"
            shutil.copytree(state_dir, cut)  # as the disk is at that moment, log and all
    await ledger.close()
    again = start(cut, clock)
    assert await all_found(again, range(1, seq + 1))
    for more in range(seq + 1, seq + 80):
        await kept(again, taken([more]), delivered([more]))
    assert await all_found(again, range(1, seq + 80))
    await again.close()


@pytest.mark.parametrize("commits", [1, 3])
async def test_keys_that_come_while_few_commits_move_stay_on_the_disk(
    tmp_path: Path, clock: Clock, commits: int
) -> None:
    """Also where nothing else has gathered since: their row is not taken for one that has moved."""
    for step in range(1, runs.STEPS):
        directory, killed = tmp_path / f"{step}", tmp_path / f"{step}-killed"
        ledger = start(directory, clock)
        for commit in range(commits):
            size = 30 // commits
            await kept(ledger, taken(range(commit * size + 1, commit * size + size + 1)))
        for _ in range(1, step):
            await kept(ledger, Entries(claims=[(1, NOON, b"")]))
        await kept(ledger, taken([31]), delivered([31]))
        assert traced(directory, range(31, 32)), step
        shutil.copytree(directory, killed)
        await ledger.close()
        again = start(killed, clock)
        assert await all_found(again, range(31, 32)), step
        await again.close()


async def test_a_sweep_moves_many_runs_to_the_table(
    ledger: Ledger, state_dir: Path, clock: Clock
) -> None:
    for seq in range(1, 241):
        await kept(ledger, taken([seq]), delivered([seq]))
    assert levels(state_dir / LEDGER)[1] >= 150
    archiver = Archiver(ledger, zone=SHANGHAI, archive_after=HOUR)
    await archiver.sweep(NOON)  # nothing is old enough to be archived
    assert levels(state_dir / LEDGER)[2] > 300
    with closing(sqlite3.connect(state_dir / LEDGER)) as db:
        assert runs.count(db) < runs.MOST_RUNS, "these are not worth it"
    assert await all_found(ledger, range(1, 241))
    assert traced(state_dir, range(1, 241))
    for seq in range(241, 271):
        await kept(ledger, taken([seq]), delivered([seq]))
    assert levels(state_dir / LEDGER)[1] > 0
    assert await all_found(ledger, range(1, 271)), "in the table, in a run and gathered"
    await archiver.close()


async def test_keys_are_found_at_every_moment_of_their_way_to_the_table(
    ledger: Ledger, state_dir: Path
) -> None:
    for seq in range(1, 81):
        await kept(ledger, taken([seq]), delivered([seq]))
    halves = set()
    for slice_ in range(runs.SLICES):
        await ledger.run(partial(runs.rise, slice_, sys.maxsize))
        _, in_runs, old = levels(state_dir / LEDGER)
        halves.add((in_runs > 0, old > 0))
        if slice_ % 32 == 0:
            assert await all_found(ledger, range(1, 81))
            assert traced(state_dir, range(1, 81))
    assert (True, True) in halves
    assert levels(state_dir / LEDGER)[1] == 0


async def test_no_commit_waits_for_more_runs_than_go_to_the_table_together(
    ledger: Ledger, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seq in range(1, 401):
        await kept(ledger, taken([seq]), delivered([seq]))
    rise, sizes = runs.rise, set()

    def counted(number: int, last: int, db: sqlite3.Connection) -> None:
        (rows,) = db.execute("select count(*) from run").fetchone()
        rise(number, last, db)
        sizes.add(rows - db.execute("select count(*) from run").fetchone()[0])

    with closing(sqlite3.connect(state_dir / LEDGER)) as db:
        assert runs.count(db) > 2 * runs.MOST_RUNS
        monkeypatch.setattr(runs, "rise", counted)
        archiver = Archiver(ledger, zone=SHANGHAI, archive_after=HOUR)
        await archiver.raise_keys()
        await archiver.close()
        assert max(sizes) == runs.MOST_RUNS
        assert runs.count(db) < runs.MOST_RUNS
    assert await all_found(ledger, range(1, 401))


async def test_runs_do_not_wait_for_the_next_sweep(
    ledger: Ledger, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "RAISE_EVERY", 0.01)
    for seq in range(1, 201):
        await kept(ledger, taken([seq]), delivered([seq]))
    work = sweep.Sweep(ledger, Daemon(), HOUR)
    with closing(sqlite3.connect(state_dir / LEDGER)) as db:
        assert runs.count(db) >= runs.MOST_RUNS
        sweeping = asyncio.create_task(work.run())
        async with asyncio.timeout(20.0):
            while runs.count(db) >= runs.MOST_RUNS:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    sweeping.cancel()
    await asyncio.wait([sweeping])
    await work.close()


async def test_a_key_that_moves_while_it_is_looked_for_is_found(
    ledger: Ledger, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is asked before the file: what has left the one by then is in the other."""
    await kept(ledger, taken([1]), delivered([1]))
    writer, looks = ledger._writer, []

    def then_moves(look: Callable[..., set[int]]) -> Callable[..., set[int]]:
        def looked(*args: object) -> set[int]:
            found = look(*args)
            looks.append(len(found))
            if len(looks) == 1:
                writer._db.execute("begin immediate")
                writer.runs.begin()
                for _ in range(runs.STEPS):
                    writer.runs.step()
                writer._db.execute("commit")
                writer.runs.gathered.moved()
            return found

        return looked

    memory = SimpleNamespace(refs=then_moves(writer.runs.gathered.refs))
    monkeypatch.setattr(reader, "refs", then_moves(reader.refs))
    with closing(files.connect(state_dir / LEDGER)) as db:
        found = reader.Reader(db, state_dir, memory).find([(ACCOUNT, key(1))])  # type: ignore[arg-type]
    assert found == {(ACCOUNT, key(1)): [(mid(1), 0)]}
    assert looks == [1, 1], "it was in memory, and is in the file"


async def test_keys_with_one_hash_lead_to_all_of_theirs(ledger: Ledger) -> None:
    """Also where the octets of two hashes make up a third."""
    gathered = runs.Gathered()
    hashes = [0x01020304, 0x01050102, 0x01020304, 0x01040105]
    gathered.add(hashes, [10, 20, 30, 1 << 50])
    assert gathered.refs([0x01020304]) == {10, 30}
    assert gathered.refs([0x01040105, 7]) == {1 << 50}
    gathered.add([0x01010102, 0x01010101], [50, 60])
    assert gathered.refs([0x01010101]) == {60}
    gathered.begin()
    gathered.add([0x01020304], [40])
    assert gathered.refs([0x01020304]) == {10, 30, 40}

    def put(db: sqlite3.Connection) -> set[int]:
        row = (1 << 8 | 1, *gathered.moving(1))
        db.execute("insert into run values (?, ?, ?)", row)
        return runs.refs(db, [0x01020304])

    assert await ledger.run(put) == {10, 30}
    gathered.moved()
    assert gathered.refs([0x01020304]) == {40}


async def test_keys_move_up_in_archives_and_few_stay_behind_when_the_period_is_over(
    ledger: Ledger, state_dir: Path, clock: Clock
) -> None:
    archiver = Archiver(ledger, zone=SHANGHAI, archive_after=HOUR)
    month = state_dir / "archive" / "2026-11.sqlite"
    for first in range(1, 121, 40):
        seqs = range(first, first + 40)
        await kept(ledger, taken(seqs), delivered(seqs))
        assert await archiver.sweep(NOON + 2 * HOUR) == 40
    assert levels_of_archive(month) == (0, 120, 240)
    seqs = range(121, 132)
    await kept(ledger, taken(seqs), delivered(seqs))
    assert await archiver.sweep(NOON + 2 * HOUR) == 11
    assert levels_of_archive(month) == (33, 120, 240)
    clock.now += 30 * 24 * HOUR
    await kept(ledger, taken([132]), delivered([132]))
    assert await archiver.sweep(clock.now + 2 * HOUR) == 1
    assert levels_of_archive(month) == (0, 0, 396)
    assert traced(state_dir, range(1, 133))
    await archiver.close()


async def test_keys_of_the_version_before_are_taken_over(state_dir: Path, clock: Clock) -> None:
    """Recent ones, newer ones and old ones."""
    ledger = start(state_dir, clock)
    await kept(ledger, taken(range(1, 31)), delivered(range(1, 31)))
    await ledger.close()
    with closing(sqlite3.connect(state_dir / LEDGER)) as db:
        found = [
            (int.from_bytes(hashes[at : at + 4], "little"), refs[2 * at : 2 * at + 8])
            for hashes, refs in db.execute("select hashes, refs from gathered")
            for at in range(0, len(hashes), 4)
        ]
        rows = [(hash_, int.from_bytes(ref, "little")) for hash_, ref in found]
        assert len(rows) == 90
        db.executemany("insert into recent values (?, ?)", rows[::3])
        db.executemany("insert into lookup values (? + 4294967296, ?)", rows[1::3])
        db.executemany("insert into lookup values (?, ?)", rows[2::3])
        db.executescript(
            "drop table gathered; drop table run; drop table young;"
            " create table fresh (first integer primary key, changed integer, rows blob);"
            " pragma user_version = 3;"
        )
    assert traced(state_dir, range(1, 31))
    again = start(state_dir, clock)
    assert await all_found(again, range(1, 31))
    assert levels(state_dir / LEDGER)[0] == 30
    archiver = Archiver(again, zone=SHANGHAI, archive_after=HOUR)
    await archiver.sweep(NOON)
    assert await all_found(again, range(1, 31))
    assert traced(state_dir, range(1, 31))
    assert levels_of_archive(state_dir / LEDGER) == (0, 0, 60)
    await archiver.close()
    await again.close()
    with closing(sqlite3.connect(state_dir / LEDGER)) as db:
        assert db.execute("pragma user_version").fetchone()[0] == files.VERSION
