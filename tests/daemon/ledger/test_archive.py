from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from daemon.ledger import (
    Archiver,
    Entries,
    History,
    Known,
    Ledger,
    LedgerError,
    Period,
    files,
    purge,
    runs,
)
from daemon.ledger import archive as archive_module
from daemon.ledger.files import LEDGER, archives
from daemon.ledger.rows import JobRow
from tests.daemon.ledger.content import (
    ACCOUNT,
    NOON,
    Clock,
    delivered,
    finished,
    job,
    kept,
    key,
    message,
    mid,
    number,
    start,
    taken,
)

ZONE = ZoneInfo("Asia/Shanghai")
HOUR = 3600.0


@pytest.fixture
async def archiver(ledger: Ledger) -> AsyncIterator[Archiver]:
    archiver = Archiver(ledger, zone=ZONE, archive_after=HOUR)
    yield archiver
    await archiver.close()


@pytest.fixture
def history(ledger: Ledger, state_dir: Path) -> Iterator[History]:
    with History.open(state_dir) as history:
        yield history


def rows(path: Path, table: str) -> int:
    db = sqlite3.connect(path)
    count: int = db.execute(f"select count(*) from {table}").fetchone()[0]
    db.close()
    return count


def everything(history: History, seq: int) -> list[list[tuple[int, str, int]]]:
    """What each way of asking finds for a job with one message."""
    ways = (
        history.by_job(f"j-{seq}"),
        history.by_message(f"j-{seq}/0"),
        history.by_to(number(seq)),
        history.by_carrier_id([(ACCOUNT, key(seq))]),
        history.by_carrier_id([(None, key(seq)), ("xz-unicom", b"nothing")]),
    )
    return [[(job.seq, row.to, row.state) for job, row in found] for found in ways]


async def test_finished_jobs_move_and_are_found_in_every_way_before_and_after(
    ledger: Ledger, archiver: Archiver, history: History, state_dir: Path
) -> None:
    await kept(ledger, taken([1, 2, 3]), delivered([1, 2]))
    before = everything(history, 1)
    assert before == [[(1, number(1), 9)]] * 5
    assert await archiver.sweep(NOON + HOUR - 1) == 0
    assert await archiver.sweep(NOON + HOUR + 1) == 2
    assert [path.name for path in archives(state_dir)] == ["2026-11.sqlite"]
    assert rows(state_dir / LEDGER, "job") == 1
    assert rows(state_dir / LEDGER, "message") == 1
    assert rows(state_dir / LEDGER, "carrier_id") == 0
    assert everything(history, 1) == before
    assert everything(history, 3)[0] == [(3, number(3), 0)]
    assert await ledger.load([mid(1), mid(3)]) == history.by_job("j-3")


async def test_a_job_waits_for_the_last_of_its_messages(
    ledger: Ledger, archiver: Archiver, clock: Clock
) -> None:
    await kept(ledger, taken([1], recipients=3), Entries(messages=[finished(1, 0), finished(1, 2)]))
    assert await archiver.sweep(NOON + 9 * HOUR) == 0
    clock.now += 5 * HOUR
    await kept(ledger, Entries(messages=[finished(1, 1)]))
    assert await archiver.sweep(clock.now + HOUR - 1) == 0
    assert await archiver.sweep(clock.now + HOUR + 1) == 1


async def test_months_begin_in_the_zone_of_the_daemon(
    ledger: Ledger, archiver: Archiver, state_dir: Path
) -> None:
    turn = datetime(2026, 12, 1, tzinfo=ZONE).timestamp()
    await kept(
        ledger,
        Entries(jobs=[job(1, received=turn - 1), job(2, received=turn)]),
        delivered([1, 2]),
    )
    assert await archiver.sweep(turn + 2 * HOUR) == 2
    assert [path.stem for path in archives(state_dir)] == ["2026-11", "2026-12"]


async def test_a_period_may_be_a_day(ledger: Ledger, state_dir: Path) -> None:
    await kept(ledger, taken([1]), delivered([1]))
    archiver = Archiver(ledger, zone=ZONE, archive_after=0.0, period=Period.DAY)
    assert await archiver.sweep(NOON + HOUR) == 1
    assert [path.stem for path in archives(state_dir)] == ["2026-11-22"]
    midnight = datetime(2026, 11, 23, tzinfo=ZONE).timestamp()
    assert await archiver.drop_archives(midnight - 1, midnight) == []
    (dropped,) = await archiver.drop_archives(midnight, midnight)
    assert dropped.path == state_dir / "archive" / "2026-11-22.sqlite"
    assert dropped.octets >= 4096
    assert not dropped.path.exists()
    await archiver.close()


async def test_many_jobs_move_in_slices_while_others_are_put(
    ledger: Ledger, archiver: Archiver, clock: Clock, history: History
) -> None:
    count = archive_module.SLICE_JOBS * 3 + 7
    for seq in range(1, count + 1, 2):
        ledger.put(taken([seq, seq + 1], recipients=2))
        ledger.put(delivered([seq, seq + 1], recipients=2))
    await kept(ledger, Entries())
    clock.now += 2 * HOUR
    sweeping = asyncio.create_task(archiver.sweep(clock.now))
    seq = 10_000
    while not sweeping.done():
        seq += 1
        await kept(ledger, taken([seq], received=clock.now))
    assert await sweeping == count + count % 2
    assert [row.mid for _, row in history.by_job("j-600")] == [mid(600, 0), mid(600, 1)]
    assert len(await ledger.queued("mobile", 1, 0, 0, 10_000)) == seq - 10_000


async def test_one_job_with_many_recipients_is_a_slice_of_its_own(
    ledger: Ledger, archiver: Archiver, history: History
) -> None:
    await kept(ledger, taken([1, 2, 3], recipients=1000), delivered([1, 2, 3], recipients=1000))
    assert await archiver.sweep(NOON + 2 * HOUR) == 3
    assert len(history.by_job("j-2")) == 1000
    assert history.by_message("j-2/999")[0][1].mid == mid(2, 999)


async def test_a_crash_between_the_two_files_leaves_nothing_twice_and_the_next_sweep_cleans(
    state_dir: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = start(state_dir, clock)
    await kept(ledger, taken([1, 2]), delivered([1, 2]))
    archiver = Archiver(ledger, zone=ZONE, archive_after=HOUR)

    def crash(seqs: list[int], cutoff: int, db: sqlite3.Connection) -> int:
        raise sqlite3.OperationalError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(archive_module, "_delete", crash)
        with pytest.raises(LedgerError):
            await archiver.sweep(NOON + 2 * HOUR)
    await archiver.close()
    await ledger.close()
    assert isinstance(ledger.failed.exception(), LedgerError)
    assert rows(archives(state_dir)[0], "job") == rows(state_dir / LEDGER, "job") == 2

    with History.open(state_dir) as history:
        assert everything(history, 1) == [[(1, number(1), 9)]] * 5
        again = start(state_dir, clock)
        archiver = Archiver(again, zone=ZONE, archive_after=HOUR)
        assert await archiver.sweep(NOON + 2 * HOUR) == 2
        assert rows(state_dir / LEDGER, "job") == 0
        assert everything(history, 1) == [[(1, number(1), 9)]] * 5
        await archiver.close()
        await again.close()


async def test_a_message_that_changes_while_it_is_copied_stays(
    ledger: Ledger, archiver: Archiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(ledger, taken([1]), delivered([1]))
    clock.now += 2 * HOUR
    late = (*finished(1)[:-1], b"late report")
    copy = Archiver._copy

    def copy_and_change(self: Archiver, jobs: list[tuple[int, float]], now: float) -> None:
        copy(self, jobs, now)
        ledger._loop.call_soon_threadsafe(ledger.put, Entries(messages=[late]))

    monkeypatch.setattr(Archiver, "_copy", copy_and_change)
    assert await archiver.sweep(clock.now) == 0
    assert (await ledger.load([mid(1)]))[0][1].life == b"late report"


async def test_ids_of_archived_jobs_stay_known_for_their_time(
    ledger: Ledger, archiver: Archiver, clock: Clock
) -> None:
    await kept(ledger, taken([1]), delivered([1]))
    clock.now += 2 * HOUR
    await archiver.sweep(clock.now)
    assert (await ledger.known(["j-1", "j-2"])) == {"j-1": Known(1, bytes(16), True)}
    clock.now = NOON + 86400.0
    assert await ledger.known(["j-1"]) == {}


async def test_a_record_given_again_is_its_job_s_however_old_the_id(
    ledger: Ledger, archiver: Archiver, clock: Clock
) -> None:
    def second(row: JobRow) -> bool:
        return row.seq == 2

    await kept(ledger, taken([1, 2, 3]), delivered([1, 2]))
    clock.now += 86400.0
    ids, found = ["j-1", "j-2"], {"j-2": Known(2, bytes(16), True)}
    assert await ledger.known(ids) == {}
    assert await ledger.known(ids, second) == found
    assert await archiver.sweep(clock.now) == 2
    assert await ledger.known(ids, second) == found


async def test_ids_of_archived_jobs_stay_known_over_a_restart(
    state_dir: Path, clock: Clock
) -> None:
    """Also where so few come that their keys were not sorted in."""
    ledger = start(state_dir, clock)
    await kept(ledger, taken([1, 2]), delivered([1]))
    archiver = Archiver(ledger, zone=ZONE, archive_after=HOUR)
    clock.now += 2 * HOUR
    assert await archiver.sweep(clock.now) == 1
    await archiver.close()
    await ledger.close()
    again = start(state_dir, clock)
    assert await again.known(["j-1", "j-2", "j-3"]) == {
        "j-1": Known(1, bytes(16), True),
        "j-2": Known(2, bytes(16), False),
    }
    recent = again.recent("j-1")
    assert recent is not None
    assert recent.seq == 1
    await again.close()


async def test_ids_outlive_a_dropped_archive_and_are_forgotten_in_time(
    ledger: Ledger, archiver: Archiver, clock: Clock, state_dir: Path
) -> None:
    turn = datetime(2026, 12, 1, tzinfo=ZONE).timestamp()
    old, young = turn - 86400.0, turn - 10.0
    jobs = [job(1, received=old), job(2, received=young)]
    await kept(ledger, Entries(jobs=jobs), delivered([1, 2]))
    clock.now = turn + 2 * HOUR
    await archiver.sweep(clock.now)
    dropped = await archiver.drop_archives(clock.now, clock.now)
    assert [each.path.stem for each in dropped] == ["2026-11"]
    assert archives(state_dir) == []
    assert not list((state_dir / "archive").iterdir())
    assert await ledger.known(["j-1", "j-2"]) == {"j-2": Known(None, bytes(16), True)}
    clock.now = young + 86400.0
    assert await ledger.known(["j-2"]) == {}
    await archiver.sweep(clock.now)
    assert rows(state_dir / LEDGER, "used") == 0


async def test_numbers_of_archived_jobs_are_not_given_again(state_dir: Path, clock: Clock) -> None:
    ledger = start(state_dir, clock)
    await kept(ledger, taken([41, 42]), delivered([41, 42]))
    archiver = Archiver(ledger, zone=ZONE, archive_after=HOUR)
    await archiver.sweep(NOON + 2 * HOUR)
    await archiver.close()
    await ledger.close()
    again = start(state_dir, clock)
    assert again.last_seq() == 42
    await again.close()


def raise_keys(ledger: Ledger, db: sqlite3.Connection) -> None:
    """All that gathered moves to the table."""
    ledger._writer.runs.begin()
    for _ in range(runs.STEPS):
        ledger._writer.runs.step()
    for each in range(runs.SLICES):
        runs.rise(each, sys.maxsize, db)


async def test_dead_keys_are_purged_but_not_those_of_remembered_ids(
    ledger: Ledger,
    archiver: Archiver,
    clock: Clock,
    history: History,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(purge, "AT_LEAST", 10)
    monkeypatch.setattr(purge, "PASS_ROWS", 7)
    seqs = range(1, 51)
    await kept(ledger, taken([*seqs, 99]), delivered(seqs))
    await ledger.run(partial(raise_keys, ledger))
    clock.now += 2 * HOUR
    assert await archiver.sweep(clock.now) == 50
    assert rows(state_dir / LEDGER, "lookup") == 50 + 2
    assert len(await ledger.known([f"j-{seq}" for seq in seqs])) == 50
    assert everything(history, 50) == [[(50, number(50), 9)]] * 5
    assert everything(history, 99)[2] == [(99, number(99), 0)]

    # Nothing in this archive is remembered any longer: with the next pass its keys go.
    clock.now = datetime(2027, 1, 1, tzinfo=ZONE).timestamp()
    seqs = range(101, 131)
    await kept(ledger, taken(seqs, received=clock.now), delivered(seqs))
    assert await archiver.sweep(clock.now + 2 * HOUR) == 30
    await ledger.run(partial(raise_keys, ledger))
    assert await archiver.sweep(clock.now + 2 * HOUR) == 0
    assert rows(state_dir / LEDGER, "lookup") == 30 + 2


async def test_keys_that_die_before_they_get_into_the_table_are_purged_from_there(
    ledger: Ledger,
    archiver: Archiver,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(purge, "AT_LEAST", 10)
    seqs = range(1, 51)
    await kept(ledger, taken([*seqs, 99]), delivered(seqs))
    assert await archiver.sweep(NOON + 2 * HOUR) == 50
    await ledger.run(partial(raise_keys, ledger))
    assert rows(state_dir / LEDGER, "lookup") == 3 * 50 + 2
    await archiver.sweep(NOON + 2 * HOUR)
    assert rows(state_dir / LEDGER, "lookup") == 50 + 2
    assert await ledger.run(purge.dead) == 0, "and there is no need to look again"


async def test_an_id_in_common_leads_to_every_member_of_its_list_also_from_an_archive(
    ledger: Ledger, archiver: Archiver, history: History
) -> None:
    ids = [(ACCOUNT, b"list", mid(1, 1), -2), (ACCOUNT, b"own", mid(1, 2), 0)]
    ids.append((ACCOUNT, b"list", mid(1, 3), 0))  # which the first of them leads to as well
    rows = [finished(1, index) for index in range(5)]
    await kept(ledger, taken([1], recipients=5), Entries(messages=rows, carrier_ids=ids))
    assert await ledger.find([(ACCOUNT, b"list"), (ACCOUNT, b"own")]) == {
        (ACCOUNT, b"list"): [(mid(1, 3), 0), (mid(1, 2), 0), (mid(1, 1), 0)],
        (ACCOUNT, b"own"): [(mid(1, 2), 0)],
    }

    def traced() -> list[int]:
        return [row.mid for _, row in history.by_carrier_id([(ACCOUNT, b"list")])]

    assert traced() == [mid(1, 1), mid(1, 2), mid(1, 3)]
    assert await archiver.sweep(NOON + 2 * HOUR) == 1
    assert await ledger.find([(ACCOUNT, b"list")]) == {}
    assert traced() == [mid(1, 1), mid(1, 2), mid(1, 3)]


async def test_an_archive_is_one_closed_file_between_sweeps(
    ledger: Ledger, archiver: Archiver, state_dir: Path
) -> None:
    await kept(ledger, taken([1]), delivered([1]))
    await archiver.sweep(NOON + 2 * HOUR)
    (state_dir / "archive" / "backup.sqlite").write_text("somebody's")
    assert {path.name for path in (state_dir / "archive").iterdir()} == {
        "2026-11.sqlite",
        "backup.sqlite",
    }
    assert [path.name for path in files.archives(state_dir)] == ["2026-11.sqlite"]


# History


async def test_a_number_has_its_messages_newest_last_over_all_files(
    ledger: Ledger, archiver: Archiver, history: History
) -> None:
    for seq in (1, 2, 3):
        row = (*message(seq)[:1], "13912345678", *message(seq)[2:])
        await kept(ledger, Entries(jobs=[job(seq)], messages=[row]))
    row = (*finished(2)[:1], "13912345678", *finished(2)[2:])
    await kept(ledger, Entries(messages=[row]))
    assert await archiver.sweep(NOON + 2 * HOUR) == 1
    assert [job.seq for job, _ in history.by_to("13912345678")] == [1, 2, 3]
    assert history.by_to("13900000000") == []


@pytest.mark.parametrize("message_id", ["", "j-1", "j-1/", "j-1/x", "j-1/²", "j-1/1000", "j-1/5"])
async def test_what_is_no_message_is_not_found(
    ledger: Ledger, history: History, message_id: str
) -> None:
    await kept(ledger, taken([1]))
    assert history.by_message(message_id) == []


async def test_ids_may_have_slashes(ledger: Ledger, history: History) -> None:
    await kept(ledger, Entries(jobs=[job(1, "a/b/0")], messages=[message(1)]))
    assert [row.mid for _, row in history.by_message("a/b/0/0")] == [mid(1)]


async def test_keys_of_one_hash_are_told_apart(ledger: Ledger, history: History) -> None:
    # CRC-32 of "plumless" and "buckeroo" is the same.
    await kept(
        ledger,
        Entries(jobs=[job(1, "plumless"), job(2, "buckeroo")], messages=[message(1), message(2)]),
    )
    assert [job.seq for job, _ in history.by_job("plumless")] == [1]
    assert [job.seq for job, _ in history.by_job("buckeroo")] == [2]
    assert {name: row.seq for name, row in (await ledger.known(["plumless"])).items()} == {
        "plumless": 1
    }


def test_a_directory_without_a_ledger_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"has no ledger\.sqlite"):
        History.open(tmp_path)
