"""Files of older versions: read, brought forward whole or not at all, and refused when newer."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import structlog

from daemon.backup import copying
from daemon.ledger import (
    Archiver,
    Entries,
    History,
    JobRow,
    Known,
    LedgerError,
    MessageRow,
    files,
    migrations,
)
from daemon.ledger.migrations import STEPS, VERSION, Step, migrate
from tests.daemon.ledger.content import (
    ACCOUNT,
    NOON,
    Clock,
    delivered,
    job,
    kept,
    key,
    message,
    mid,
    number,
    start,
)
from tests.daemon.ledger.golden import unpacked
from tests.daemon.ledger.test_archive import ZONE
from tests.daemon.ledger.upgrading import MANY, NEXT

ROOT = Path(__file__).parents[3]
VERSIONS = range(1, VERSION + 1)
HOUR = 3600.0


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        found: int = db.execute("pragma user_version").fetchone()[0]
    return found


def found(history: History) -> list[list[int]]:
    """Numbers of jobs, by each way to ask for one that is archived and one that is not."""
    answers = []
    for seq in (2, 3):
        for answer in (
            history.by_job(f"j-{seq}"),
            history.by_message(f"j-{seq}/1"),
            history.by_to(number(seq, 1)),
            history.by_carrier_id([(ACCOUNT, key(seq))]),
        ):
            answers.append([job.seq for job, _ in answer])
    return answers


FOUND = [[2, 2], [2], [2], [2], [3, 3], [3], [3], [3]]


@pytest.mark.parametrize("old", [3, 4, 5])
async def test_first_rows_of_before_are_read_and_taken_over(old: int, tmp_path: Path) -> None:
    """As a kill left them: in one blob messages that have no other row, and one that has."""
    state_dir = unpacked(old, tmp_path)
    [row] = [row for _, row in _rows(state_dir, "j-4") if row.mid == mid(4, 1)]
    done = _rows(state_dir, "j-3")
    stale = [message(3, index) for index in (0, 1)]
    with closing(sqlite3.connect(state_dir / files.LEDGER)) as db:
        db.execute("delete from message where mid = ?", (mid(4, 1),))
        for first, rows in ((mid(3), stale), (mid(4, 1), [tuple(row)])):
            blob = msgspec.msgpack.encode(rows)
            db.execute("insert into fresh values (?, 1795320000, ?)", (first, blob))
        db.commit()
    for _ in ("as it was found", "brought forward"):
        assert _rows(state_dir, "j-3") == done
        assert [each.mid for _, each in _rows(state_dir, "j-4")] == [mid(4), mid(4, 1)]
        copied = tmp_path / f"copy{version(state_dir / files.LEDGER)}"
        copying.database(state_dir / files.LEDGER, copied, copying.Pace(1 << 40))
        with closing(sqlite3.connect(copied)) as db:
            found = db.execute("select mid from message order by mid").fetchall()
        assert [each for (each,) in found] == [mid(3), mid(3, 1), mid(4), mid(4, 1)]
        with closing(sqlite3.connect(state_dir / files.LEDGER)) as db:
            migrate(db, state_dir / files.LEDGER, ledger=True)
    ledger = start(state_dir)
    assert [each.mid for _, each in await ledger.load([mid(4), mid(4, 1)])] == [mid(4), mid(4, 1)]
    assert [each for _, each in await ledger.load([mid(3)])] == [done[0][1]]
    await ledger.close()


def _rows(state_dir: Path, job_id: str) -> list[tuple[JobRow, MessageRow]]:
    with History.open(state_dir) as history:
        return history.by_job(job_id)


def test_the_steps_lead_from_one_version_to_the_next() -> None:
    assert [step.to for step in STEPS] == list(range(2, VERSION + 1))


@pytest.mark.parametrize("old", VERSIONS)
def test_the_record_of_every_version_can_be_traced_before_any_start(
    old: int, tmp_path: Path
) -> None:
    state_dir = unpacked(old, tmp_path)
    with History.open(state_dir) as history:
        assert found(history) == FOUND
    assert version(state_dir / files.LEDGER) == old


@pytest.mark.parametrize("old", VERSIONS)
async def test_a_ledger_of_every_version_is_taken_over_with_all_that_is_in_it(
    old: int, tmp_path: Path
) -> None:
    state_dir = unpacked(old, tmp_path)
    clock = Clock(NOON + 3 * HOUR)
    ledger = start(state_dir, clock)
    assert version(state_dir / files.LEDGER) == VERSION
    assert ledger.last_seq() == 4
    assert ledger.starts() == 2
    assert ledger.claims() == [(7, NOON + 3 * HOUR, b"claimed %d" % mid(4))]
    assert ledger.kept("told") == [(b"sms.state\x000", NOON + 3 * HOUR, b"17")]
    assert await ledger.outbox(0, 9) == [(1, [("sms.reports", b"j-3", b'{"v":1}')])]
    known = await ledger.known([f"j-{seq}" for seq in range(6)])
    assert {name: row.seq for name, row in known.items()} == {
        "j-0": None, "j-1": 1, "j-2": 2, "j-3": 3, "j-4": 4
    }  # fmt: skip
    assert known["j-4"] == Known(4, bytes(16), False)
    assert [row.to for _, row in await ledger.load([mid(4, 0)])] == [number(4, 0)]
    assert await ledger.find([(ACCOUNT, key(3))]) == {(ACCOUNT, key(3)): [(mid(3), 0)]}
    # Its archive is read as it is, until something is written to it.
    (archive,) = files.archives(state_dir)
    assert version(archive) == old
    await kept(ledger, Entries(jobs=[job(5)], messages=[message(5)]), delivered([5]))
    archiver = Archiver(ledger, zone=ZONE, archive_after=HOUR)
    assert await archiver.sweep(clock.now + 2 * HOUR) == 2
    assert version(archive) == VERSION
    with History.open(state_dir) as history:
        assert found(history) == FOUND
        assert [row.seq for row, _ in history.by_job("j-5")] == [5]
    await archiver.close()
    await ledger.close()


def test_killed_at_any_moment_it_is_the_old_one_or_the_new(tmp_path: Path) -> None:
    shutil.copytree(unpacked(VERSION, tmp_path), tmp_path / "pristine")
    command = [sys.executable, "-m", "tests.daemon.ledger.upgrading", str(tmp_path), "100000"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    said = [line.split() for line in ended.stdout.splitlines()]
    *states, last = [tuple(map(int, rest)) for what, *rest in said if what == "state"]
    old, one, both = (VERSION, 2, 0, -1), (VERSION + 1, 0, 2, 2), (VERSION + 2, 0, 2, 2 + MANY)
    assert last == both
    killed, after = states[::2], states[1::2]
    assert len(killed) > 10
    assert set(after) == {both}, "the next start goes on from there"
    assert {old, one} <= set(killed) <= {old, one, both}


@pytest.mark.parametrize("at", range(4))
def test_a_statement_that_fails_leaves_the_version_before(at: int, tmp_path: Path) -> None:
    state_dir = unpacked(VERSION, tmp_path)
    statements = [*f"{NEXT.everywhere}{NEXT.ledger}".split(";")[:-1]]
    statements.insert(at + 1, "insert into job (seq) values (null)")
    path = state_dir / files.LEDGER
    step = NEXT._replace(everywhere=";".join(statements) + ";", ledger="")
    with closing(files.connect(path)) as db, pytest.raises(LedgerError, match=r"ledger\.sqlite"):
        migrate(db, path, ledger=True, steps=(*STEPS, step))
    assert version(path) == VERSION
    with closing(sqlite3.connect(path)) as db:
        assert not db.execute("select * from sqlite_schema where name = 'extra'").fetchall()


def test_what_does_not_fit_on_the_disk_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = unpacked(VERSION, tmp_path) / files.LEDGER
    disk = SimpleNamespace(free=migrations.MARGIN + 2 * path.stat().st_size - 1)
    monkeypatch.setattr("daemon.ledger.migrations.shutil.disk_usage", lambda _: disk)
    with closing(files.connect(path)) as db:
        with pytest.raises(LedgerError, match=rf"needs {disk.free + 1} octets free .* {disk.free}"):
            migrate(db, path, ledger=True, steps=(*STEPS, NEXT))
        assert version(path) == VERSION
        disk.free += 1
        migrate(db, path, ledger=True, steps=(*STEPS, NEXT))
    assert version(path) == VERSION + 1


def test_a_long_step_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = unpacked(VERSION, tmp_path) / files.LEDGER
    monkeypatch.setattr(migrations, "_LOOK_EVERY", 1)
    clock = iter(range(0, 100_000, 4))
    with closing(files.connect(path)) as db, structlog.testing.capture_logs() as said:
        migrate(db, path, ledger=True, steps=(*STEPS, NEXT), clock=lambda: float(next(clock)))
    first, *going, last = said
    assert (first["schema"], first["octets"]) == (VERSION + 1, path.stat().st_size - 8192)
    assert first["step"] == NEXT.name
    assert len(going) > 3
    assert {line["event"] for line in going} == {"schema goes on"}
    assert last["event"] == "schema is there"


def test_steps_of_the_ledger_are_not_taken_in_archives(tmp_path: Path) -> None:
    (path,) = files.archives(unpacked(VERSION, tmp_path))
    with closing(files.connect(path)) as db:
        migrate(db, path, ledger=False, steps=(*STEPS, NEXT, Step(VERSION + 2, "no", ledger="x;")))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("select count(*) from extra").fetchone() == (0,)
    assert version(path) == VERSION + 2


def held_open() -> list[Path]:
    """Files of this process."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the directory itself
            found.append(descriptor.readlink())
    return found


async def test_a_newer_archive_is_refused_by_whoever_reads_it(tmp_path: Path) -> None:
    state_dir = unpacked(VERSION, tmp_path)
    (path,) = files.archives(state_dir)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"pragma user_version = {VERSION + 1}")
    expected = rf"{path.name}: was written by a newer carrierd \(schema {VERSION + 1}"
    with pytest.raises(LedgerError, match=expected) as refused:
        await asyncio.to_thread(History.open, state_dir)
    assert refused.tb is not None  # which would keep what it left open
    assert [each for each in held_open() if each.is_relative_to(state_dir)] == []
