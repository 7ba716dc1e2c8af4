from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.ledger import Entries, Event, JobRow, Ledger, LedgerError, MessageRow, files
from daemon.ledger.files import LEDGER
from daemon.ledger.keys import RECENT_ROWS
from tests.daemon.ledger.content import (
    ACCOUNT,
    NOON,
    Clock,
    delivered,
    ignore,
    job,
    kept,
    key,
    message,
    mid,
    number,
    start,
    taken,
)


async def test_callbacks_run_after_the_commit_in_the_order_of_puts(
    ledger: Ledger, state_dir: Path
) -> None:
    seen: list[tuple[int, int]] = []
    outside = sqlite3.connect(state_dir / LEDGER)

    def look(seq: int) -> None:
        seen.append((seq, outside.execute("select max(seq) from job").fetchone()[0]))

    for seq in range(1, 101):
        ledger.put(taken([seq]), lambda seq=seq: look(seq))
    await kept(ledger, Entries())
    outside.close()
    assert [seq for seq, _ in seen] == list(range(1, 101))
    assert all(durable >= seq for seq, durable in seen)


async def test_what_gathers_during_a_commit_goes_in_one_with_the_next(state_dir: Path) -> None:
    commits: list[float] = []
    ledger = Ledger.open(state_dir, on_events=ignore, on_commit=commits.append, clock=Clock())
    ledger.put(taken([1]))
    await asyncio.sleep(0)  # the first commit is on its way
    for seq in range(2, 501):
        ledger.put(taken([seq]))
    await ledger.close()
    assert len(commits) == 2
    assert all(seconds > 0 for seconds in commits)


async def test_what_one_turn_of_the_loop_puts_is_one_commit(state_dir: Path) -> None:
    commits: list[float] = []
    ledger = Ledger.open(state_dir, on_events=ignore, on_commit=commits.append, clock=Clock())
    for seq in range(1, 501):
        ledger.put(taken([seq]))
    await ledger.close()
    assert len(commits) == 1


async def test_callbacks_may_put(ledger: Ledger) -> None:
    order: list[str] = []
    done = asyncio.get_running_loop().create_future()

    def second() -> None:
        order.append("answer")
        done.set_result(None)

    def first() -> None:
        order.append("job")
        ledger.put(delivered([1]), second)

    ledger.put(taken([1]), first)
    await done
    assert order == ["job", "answer"]
    assert (await ledger.load([mid(1)]))[0][1].account == ACCOUNT


async def test_a_put_without_content_waits_for_those_before_it(ledger: Ledger) -> None:
    order: list[int] = []
    ledger.put(taken([1]), lambda: order.append(1))
    ledger.put(Entries(), lambda: order.append(2))
    await kept(ledger, Entries())
    assert order == [1, 2]


async def test_closing_writes_and_calls_back_everything(state_dir: Path) -> None:
    ledger = start(state_dir)
    called: list[int] = []
    for seq in range(1, 11):
        ledger.put(taken([seq]), lambda seq=seq: called.append(seq))
    await ledger.close()
    assert called == list(range(1, 11))
    again = start(state_dir)
    assert again.last_seq() == 10
    await again.close()


async def test_rows_come_back_as_they_were_put(ledger: Ledger) -> None:
    await kept(ledger, Entries(jobs=[job(7)], messages=[message(7, 2, wake=NOON + 0.1)]))
    assert await ledger.load([mid(7, 2), mid(8)]) == [
        (JobRow(*job(7)), MessageRow(*message(7, 2, wake=NOON + 0.1)))
    ]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SECONDS = st.floats(0, 1e11)


@given(
    job_id=TEXT.filter(bool),
    to=TEXT,
    digest=st.binary(min_size=16, max_size=16),
    times=st.tuples(SECONDS, SECONDS, st.none() | SECONDS),
    blobs=st.tuples(st.binary(max_size=300), st.binary(max_size=300)),
    account=st.none() | TEXT,
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_content_comes_back_to_the_last_digit(
    ledger: Ledger,
    job_id: str,
    to: str,
    digest: bytes,
    times: tuple[float, float, float | None],
    blobs: tuple[bytes, bytes],
    account: str | None,
) -> None:
    produced, received, wake = times
    body, life = blobs
    seq = ledger.last_seq() + 1
    put = JobRow(seq, job_id, digest, "sms.jobs", 3, 1 << 40, produced, received, body)
    row = MessageRow(mid(seq, 999), to, "default", 2, account, 1, 0, wake, life)
    await kept(ledger, Entries(jobs=[put], messages=[row]))
    assert await ledger.load([mid(seq, 999)]) == [(put, row)]


async def test_the_number_of_a_message_stays(ledger: Ledger) -> None:
    await kept(ledger, taken([1]))
    await ledger.settled()
    await kept(ledger, Entries(messages=[(mid(1), "139", "mobile", 1, None, 9, 1, None, b"")]))
    ((_, row),) = await ledger.load([mid(1)])
    assert (row.to, row.state) == (number(1), 9)


async def test_a_later_row_replaces_the_earlier_also_within_a_commit(ledger: Ledger) -> None:
    await kept(ledger, taken([1]), taken([2]), delivered([1]), delivered([2]))
    assert [row.state for _, row in await ledger.load([mid(1), mid(2)])] == [9, 9]


async def test_a_later_row_of_a_job_replaces_the_earlier_whatever_others_say(
    ledger: Ledger,
) -> None:
    """As a daemon that reads what others told puts it: the job without its text, then whole."""
    others = [job(seq, received=NOON - 60.0) for seq in range(2, 12)]
    whole = job(1, received=NOON - 60.0)
    await kept(ledger, taken([1]), Entries(jobs=[*others, (*whole[:8], b"whole")]))
    ((row, _),) = await ledger.load([mid(1)])
    assert (row.body, row.received) == (b"whole", NOON - 60.0)


async def test_a_used_id_is_known_before_and_after_its_commit(ledger: Ledger) -> None:
    ledger.put(taken([1]))
    ledger.put(taken([2]))
    early = ledger.recent("j-2")
    assert early is not None
    assert early.seq == 2
    assert (await ledger.known(["j-2", "j-3"])).keys() == {"j-2"}
    await kept(ledger, delivered([1]))
    known = await ledger.known(["j-1", "j-2"])
    assert {name: (row.seq, row.finished) for name, row in known.items()} == {
        "j-1": (1, True),
        "j-2": (2, False),
    }
    assert known["j-1"].digest == bytes(16)


async def test_a_used_id_is_known_after_a_restart(state_dir: Path) -> None:
    ledger = start(state_dir)
    await kept(ledger, taken([1]))
    await ledger.close()
    again = start(state_dir)
    assert again.recent("j-1") is not None
    assert (await again.known(["j-1"]))["j-1"].seq == 1
    await again.close()


async def test_an_id_is_forgotten_in_time_unless_it_is_under_way(
    ledger: Ledger, clock: Clock
) -> None:
    await kept(ledger, taken([1, 2]), delivered([1]))
    clock.now += 86400.0
    assert (await ledger.known(["j-1", "j-2"])).keys() == {"j-2"}


async def test_an_id_used_again_later_means_the_later_job(ledger: Ledger, clock: Clock) -> None:
    await kept(ledger, taken([1]), delivered([1]))
    clock.now += 100_000.0
    await kept(ledger, Entries(jobs=[job(2, "j-1", clock.now)], messages=[message(2)]))
    assert (await ledger.known(["j-1"]))["j-1"].seq == 2


async def test_keys_are_found_after_they_were_sorted_in(ledger: Ledger, state_dir: Path) -> None:
    jobs = RECENT_ROWS // 3 + 1
    for first in range(1, jobs + 1, 1000):
        seqs = range(first, min(first + 1000, jobs + 1))
        ledger.put(taken(seqs))
        ledger.put(delivered(seqs))
    await kept(ledger, taken([jobs + 1]))
    with sqlite3.connect(state_dir / LEDGER) as outside:
        assert outside.execute("select count(*) from run").fetchone()[0] > 0
    outside.close()
    wanted = [f"j-{seq}" for seq in (1, 500, jobs, jobs + 1, jobs + 2)]
    assert (await ledger.known(wanted)).keys() == set(wanted[:-1])
    assert await ledger.find([(ACCOUNT, key(500))]) == {(ACCOUNT, key(500)): [(mid(500), 0)]}


async def test_carrier_ids_are_found_by_account_newest_first(ledger: Ledger) -> None:
    rows = [
        (ACCOUNT, b"id", mid(1), 0),
        (ACCOUNT, b"id", mid(3), 1),
        ("xz-telecom", b"id", mid(2), 0),
        (ACCOUNT, b"other", mid(1), 1),
    ]
    await kept(ledger, taken([1, 2, 3]), Entries(carrier_ids=rows))
    assert await ledger.find([(ACCOUNT, b"id"), ("xz-unicom", b"id")]) == {
        (ACCOUNT, b"id"): [(mid(3), 1), (mid(1), 0)]
    }


async def test_a_queue_is_read_in_pieces_oldest_first(ledger: Ledger) -> None:
    await kept(ledger, taken([3, 1, 2, 5, 4]), Entries(messages=[message(4, state=5)]))
    after = 0
    found = []
    while rows := await ledger.queued("mobile", 1, 0, after, 2):
        found += [row.seq for row, _ in rows]
        after = rows[-1][1].mid
    assert found == [1, 2, 3, 5]
    assert await ledger.queued("mobile", 2, 0, 0, 10) == []
    assert await ledger.queued("unicom", 1, 0, 0, 10) == []


async def test_deadlines_come_in_order_and_in_pieces(ledger: Ledger) -> None:
    wakes = [NOON + 2.0, NOON + 1.0, NOON + 1.0, NOON + 3.0, None]
    rows = [message(seq, wake=wake) for seq, wake in enumerate(wakes, 1)]
    await kept(ledger, Entries(jobs=[job(seq) for seq in range(1, 6)], messages=rows))
    first = await ledger.due(None, NOON + 2.0, 2)
    assert first == [(NOON + 1.0, mid(2)), (NOON + 1.0, mid(3))]
    assert await ledger.due(first[0], NOON + 2.0, 9) == [
        (NOON + 1.0, mid(3)),
        (NOON + 2.0, mid(1)),
    ]
    await kept(ledger, delivered([1]))
    assert await ledger.due(first[1], NOON + 2.0, 9) == []


async def test_lookups_use_their_indexes(ledger: Ledger, state_dir: Path) -> None:
    await kept(ledger, taken([1]))
    outside = sqlite3.connect(state_dir / LEDGER)
    plans = {
        "message_waiting": "select * from message m where m.route = ? and m.lane = ? and"
        " m.state = ? and m.mid > ? and m.state < 4 order by m.mid limit ?",
        "message_wake": "select * from message m where m.final = 0 and m.wake is not null and"
        " m.wake <= ? and m.wake >= ? and (m.wake > ? or m.mid > ?) order by m.wake, m.mid limit ?",
    }
    for index, sql in plans.items():
        steps = outside.execute(f"explain query plan {sql}", (1, 1, 1, 1, 1)).fetchall()
        assert any(f"USING INDEX {index}" in step[3] for step in steps)
        assert not any("TEMP B-TREE" in step[3] for step in steps)
    outside.close()


async def test_a_large_batch_of_drops_reads_only_what_it_drops(ledger: Ledger) -> None:
    keys = [b"%d" % n for n in range(1000)]
    await kept(ledger, Entries(keeps=[("early", key, NOON, b"") for key in keys]))
    await kept(ledger, Entries(drops=[("early", key) for key in keys[1:]]))
    assert [key for key, _, _ in ledger.kept("early")] == keys[:1]
    texts: list[str] = []

    async def traced() -> None:
        await ledger.run(lambda db: db.set_trace_callback(texts.append))
        await kept(ledger, Entries(drops=[("early", keys[0])]))
        await ledger.run(lambda db: db.set_trace_callback(None))

    def explain(db: sqlite3.Connection) -> list[str]:
        (text,) = [text for text in texts if text.startswith("delete from keep")]
        return [row[3] for row in db.execute(f"explain query plan {text}")]

    await traced()
    assert (await ledger.run(explain))[0].startswith("SEARCH keep USING PRIMARY KEY")


async def test_claims_stay_until_they_are_taken_back(state_dir: Path) -> None:
    ledger = start(state_dir)
    await kept(
        ledger,
        Entries(claims=[(1, NOON, b"one"), (2, NOON, b"two")]),
        Entries(unclaims=[1]),
        Entries(claims=[(3, NOON, b"three")], unclaims=[3]),
    )
    await ledger.close()
    again = start(state_dir)
    assert again.claims() == [(2, NOON, b"two"), (3, NOON, b"three")]
    await again.close()


async def test_small_things_are_kept_by_kind_and_the_last_word_counts(state_dir: Path) -> None:
    ledger = start(state_dir)
    ledger.put(Entries(keeps=[("early", b"a", NOON, b"1"), ("early", b"b", NOON, b"2")]))
    ledger.put(Entries(drops=[("early", b"a")]))
    ledger.put(Entries(keeps=[("early", b"a", NOON + 1, b"3"), ("part", b"a", NOON, b"4")]))
    ledger.put(Entries(drops=[("early", b"b"), ("none", b"")]))
    await ledger.close()
    again = start(state_dir)
    assert again.kept("early") == [(b"a", NOON + 1, b"3")]
    assert again.kept("part") == [(b"a", NOON, b"4")]
    await again.close()


async def test_unfinished_messages_are_counted_by_queue(state_dir: Path) -> None:
    ledger = start(state_dir)
    assert ledger.last_seq() == 0
    await kept(ledger, taken([1, 2, 3], recipients=2), delivered([1]), delivered([2], 2))
    await ledger.close()
    again = start(state_dir)
    (waiting,) = again.unfinished()
    assert (waiting.route, waiting.lane, waiting.state, waiting.size) == ("mobile", 1, 0, 3)
    assert waiting.oldest == mid(1, 1)
    await again.close()


# Events


def report(text: str) -> Event:
    return ("reports", b"j-1", text.encode())


async def test_events_go_out_after_their_commit_and_before_the_callbacks(state_dir: Path) -> None:
    order: list[object] = []
    ledger = Ledger.open(state_dir, on_events=lambda n, events: order.append((n, events)))
    ledger.put(Entries(events=[report("1")]), lambda: order.append("then 1"))
    await asyncio.sleep(0)  # the first commit is on its way
    ledger.put(Entries(events=[report("2")]), lambda: order.append("then 2"))
    ledger.put(Entries(events=[("dead", None, b"x"), report("3")]))
    assert order == []
    await ledger.close()
    assert order == [
        (1, [report("1")]),
        "then 1",
        (2, [report("2"), ("dead", None, b"x"), report("3")]),
        "then 2",
    ]


async def test_events_that_were_not_told_come_again_after_a_restart(state_dir: Path) -> None:
    ledger = start(state_dir)
    for text in "abc":
        await kept(ledger, Entries(events=[report(text)]))
    ledger.told(1)
    await ledger.close()
    again = start(state_dir)
    assert await again.outbox(0, 9) == [(2, [report("b")]), (3, [report("c")])]
    assert await again.outbox(0, 1) == [(2, [report("b")])]
    assert await again.outbox(2, 9) == [(3, [report("c")])]
    await kept(again, Entries(events=[report("d")]))
    again.told(4)
    await again.close()
    last = start(state_dir)
    assert await last.outbox(0, 9) == []
    await last.close()


# Trouble


async def test_two_daemons_cannot_share_a_directory(ledger: Ledger, state_dir: Path) -> None:
    with pytest.raises(LedgerError, match=r"in use by another carrierd \(pid [0-9]+\)"):
        start(state_dir)
    await kept(ledger, taken([1]))


async def test_who_finds_a_directory_in_use_is_told_by_which_process_and_instance(
    state_dir: Path,
) -> None:
    ledger = Ledger.open(state_dir, on_events=ignore, name="xz-a")
    with pytest.raises(LedgerError, match=rf"carrierd \(pid {os.getpid()}, instance xz-a\)"):
        start(state_dir)
    await ledger.close()


def test_a_lock_that_a_killed_daemon_left_holds_nobody_up(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / files.LOCK).write_text("1 instance xz-a\n")
    os.close(files.lock(state_dir, "again"))
    assert (state_dir / files.LOCK).read_text() == f"{os.getpid()} again\n"


async def test_where_a_restore_did_not_end_nothing_starts(state_dir: Path) -> None:
    (state_dir / files.RESTORING).mkdir(parents=True)
    with pytest.raises(LedgerError, match="a restore did not come to its end"):
        start(state_dir)
    assert not (state_dir / files.LEDGER).exists()


async def test_a_closed_ledger_lets_the_next_one_in_and_takes_nothing(state_dir: Path) -> None:
    ledger = start(state_dir)
    await ledger.close()
    with pytest.raises(LedgerError, match="is closed"):
        ledger.put(taken([1]))
    await start(state_dir).close()


async def test_files_are_for_the_owner_alone(ledger: Ledger, state_dir: Path) -> None:
    await kept(ledger, taken([1]))
    found = modes(state_dir)
    assert found.pop(state_dir.name) == 0o700
    assert found.keys() >= {LEDGER, f"{LEDGER}-wal"}
    assert set(found.values()) == {0o600}


def modes(directory: Path) -> dict[str, int]:
    paths = [directory, *directory.iterdir()]
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}


async def test_a_newer_schema_is_refused(state_dir: Path) -> None:
    await start(state_dir).close()
    with sqlite3.connect(state_dir / LEDGER) as outside:
        outside.execute("pragma user_version = 99")
    outside.close()
    with pytest.raises(LedgerError, match=r"newer carrierd \(schema 99"):
        start(state_dir)


async def test_a_file_that_is_no_ledger_is_refused(state_dir: Path) -> None:
    os.mkdir(state_dir)
    (state_dir / LEDGER).write_bytes(b"no such thing " * 1000)
    with pytest.raises(LedgerError, match="not an SQLite file"):
        start(state_dir)


async def test_a_place_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="state_dir must be a directory"):
        start(tmp_path / "file")


async def test_a_full_disk_fails_the_ledger_and_calls_nobody_back(
    ledger: Ledger, state_dir: Path
) -> None:
    await kept(ledger, taken([1]))

    def fill(db: sqlite3.Connection) -> None:
        pages = db.execute("pragma page_count").fetchone()[0]
        db.execute(f"pragma max_page_count = {pages + 1}")

    await ledger.run(fill)
    called: list[int] = []
    ledger.put(Entries(jobs=[(*job(2)[:-1], bytes(1 << 20))]), lambda: called.append(2))
    ledger.put(taken([3]), lambda: called.append(3))
    with pytest.raises(LedgerError, match=r"ledger\.sqlite: the disk .* is full"):
        await ledger.failed
    ledger.put(taken([4]), lambda: called.append(4))
    with pytest.raises(LedgerError, match="has failed"):
        await ledger.run(fill)
    await ledger.close()
    assert called == []
    again = start(state_dir)
    assert again.last_seq() == 1
    await again.close()


async def test_a_callback_that_raises_stops_the_ledger(state_dir: Path) -> None:
    ledger = start(state_dir)
    called: list[int] = []

    def bug() -> None:
        raise KeyError("bug")

    ledger.put(taken([1]), bug)
    ledger.put(taken([2]), lambda: called.append(2))
    with pytest.raises(KeyError):
        await ledger.failed
    await ledger.close()
    assert called == []


async def test_the_log_does_not_grow_without_bound(ledger: Ledger, state_dir: Path) -> None:
    body = bytes(64 << 10)
    for round_ in range(40):
        seqs = range(round_ * 32 + 1, round_ * 32 + 33)
        await kept(ledger, Entries(jobs=[(*job(seq)[:-1], body) for seq in seqs]))
    assert (state_dir / LEDGER).stat().st_size > 64 << 20
    assert (state_dir / f"{LEDGER}-wal").stat().st_size < 48 << 20
