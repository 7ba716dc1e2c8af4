"""What SQLite keeps for a moment stays in memory, and is small whatever the ledger holds."""

from __future__ import annotations

import os

from daemon.ledger import Entries, Ledger
from daemon.ledger.rows import Queued

from .content import job, kept, message, mid, taken

MANY = 3_000


def unnamed(_: object) -> list[str]:
    """Files of this process that SQLite made somewhere and took the name off."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue  # of the listing itself
        if "etilqs" in path:
            found.append(path)
    return found


async def large_commit(ledger: Ledger) -> list[str]:
    """The files that are there in its transaction, before it ends."""
    seqs = range(1, MANY + 1)
    await kept(ledger, taken(seqs))
    await ledger.settled()
    ledger.put(Entries(messages=[message(seq, state=1) for seq in seqs]))
    return await ledger.run(unnamed)


async def test_a_large_commit_makes_no_temporary_file(ledger: Ledger) -> None:
    assert await large_commit(ledger) == []


async def test_a_large_commit_would_make_one_by_default(ledger: Ledger) -> None:
    """So the test above sees what it looks for."""
    ledger._db.execute("pragma temp_store = default")
    assert len(await large_commit(ledger)) == 1


async def test_what_waits_is_counted_by_queue_and_partition_every_time_anew(
    ledger: Ledger,
) -> None:
    jobs = [(*job(seq)[:4], seq % 2, *job(seq)[5:]) for seq in range(1, 9)]
    waiting = [message(seq, state=0 if seq < 7 else 3) for seq in range(1, 9)]
    await kept(ledger, Entries(jobs=jobs, messages=waiting))
    expected = [
        Queued("mobile", 1, 0, "sms.jobs", 0, 3),
        Queued("mobile", 1, 0, "sms.jobs", 1, 3),
        Queued("mobile", 1, 3, "sms.jobs", 0, 1),
        Queued("mobile", 1, 3, "sms.jobs", 1, 1),
    ]
    assert sorted(await ledger.queues()) == expected
    assert sorted(await ledger.queues()) == expected
    sent = [(mid(seq), *message(seq, state=4)[1:]) for seq in range(1, 9)]
    await kept(ledger, Entries(messages=sent))
    assert await ledger.queues() == []


async def test_counting_what_waits_sorts_nothing(ledger: Ledger) -> None:
    """A sorter would hold a row for each message that waits, all in memory."""
    await kept(ledger, taken([1]))
    statements: list[str] = []
    ledger._read_db.set_trace_callback(statements.append)
    await ledger.queues()
    ledger._read_db.set_trace_callback(None)
    plans = [
        row[3]
        for statement in statements
        if statement.startswith(("insert", "select"))
        for row in ledger._read_db.execute(f"explain query plan {statement}")
    ]
    assert any("message_waiting" in step for step in plans)
    assert not any("TEMP B-TREE" in step for step in plans)
