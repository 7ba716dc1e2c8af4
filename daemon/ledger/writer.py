"""The thread side of the ledger: one batch, one transaction.

How rows go in decides everything beside a busy loop.  Measured on 2 cores of a shared cloud machine
(Python 3.11, SQLite 3.40), message rows in commits of 1,000, as µs of CPU per row and rows per
second with the loop idle / half busy / always busy:

    multi-row values   1.7   452,000 / 289,000 / 80,000 (141,000)
    json_each(?)       3.3   268,000 / 169,000 / 62,000 (104,000)
    executemany        2.5   340,000 / 213,000 /  1,800 (108,000)

In brackets with `sys.setswitchinterval(0.0005)`, see SWITCH_SECONDS in `ledger.py`.  A message's
whole life (five rows, three keys, two events) takes 16 to 18 µs over all threads, loop included:
`python -m bench.ledger`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from zlib import crc32

from daemon.ledger.events import pack
from daemon.ledger.rows import (
    INDEX_BITS,
    JOB_INDEX,
    Event,
    JobValues,
    MessageValues,
)
from daemon.ledger.runs import Runs
from daemon.ledger.statement import Alike, Bulk
from daemon.ledger.young import NEVER, Young


@dataclass(slots=True)
class Batch:
    """What gathers on the loop while the batch before it is on its way to the disk."""

    jobs: list[JobValues] = field(default_factory=list)
    messages: list[MessageValues] = field(default_factory=list)
    carrier_ids: list[tuple[str, bytes, int, int]] = field(default_factory=list)
    claims: dict[int, tuple[int, float, bytes] | None] = field(default_factory=dict)
    keeps: dict[tuple[str, bytes], tuple[str, bytes, float, bytes] | None] = field(
        default_factory=dict
    )
    events: list[Event] = field(default_factory=list)
    number: int = 0
    """Of the outbox row, when there are events."""
    told: int | None = None
    begins: bool = False
    """Whether the keys that have gathered with this batch begin to move into a run."""
    steps: int = 0
    """So many steps of that move are taken."""
    settled: bool = False
    """Whether the last one is."""
    changed: int = 0
    soonest: float = NEVER
    """Set by the writer: `Young.soonest` once the batch is durable."""
    chores: list[Callable[[sqlite3.Connection], None]] = field(default_factory=list)
    then: list[Callable[[], None]] = field(default_factory=list)

    def rows(self) -> int:
        return len(self.jobs) + len(self.messages) + len(self.carrier_ids)

    def writes(self) -> bool:
        """Whether there is anything that has to be written soon: `told` alone has time."""
        return bool(
            self.jobs
            or self.messages
            or self.carrier_ids
            or self.claims
            or self.keeps
            or self.events
            or self.chores
        )


class Writer:
    """Writes batches; used by one thread at a time."""

    __slots__ = (
        "_carrier_ids",
        "_claims",
        "_db",
        "_drops",
        "_jobs",
        "_keeps",
        "_messages",
        "_unclaims",
        "runs",
        "young",
    )

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.young = Young(db)
        self.runs = Runs(db)
        self._jobs = Alike(
            "insert or replace into job",
            (
                "seq",
                "id",
                "digest",
                "topic",
                "partition",
                '"offset"',
                "produced",
                "received",
                "body",
            ),
            ("topic", "partition", "received"),
        )
        # The number of a message never changes.  The rest does, and every index named here costs.
        self._messages = Alike(
            "insert into message",
            ("mid", '"to"', "route", "lane", "account", "state", "final", "wake", "life"),
            ("route", "lane", "account", "state", "final", "wake"),
            "on conflict (mid) do update set route = excluded.route, lane = excluded.lane,"
            " account = excluded.account, state = excluded.state, final = excluded.final,"
            " wake = excluded.wake, life = excluded.life, changed = excluded.changed",
            shared=("changed",),
        )
        self._carrier_ids = Alike(
            "insert or replace into carrier_id",
            ("account", "key", "mid", "part"),
            ("account", "part"),
        )
        self._claims = Bulk("insert or replace into claim", 3)
        self._unclaims = Bulk("delete from claim where id in (", 1, ")")
        self._keeps = Bulk("insert or replace into keep", 4)
        # Not `(kind, key) in (…)`: SQLite reads the whole table for a pair.
        self._drops = Bulk("delete from keep where kind = ? and key in (", 1, ")")

    def write(self, batch: Batch) -> float:
        """Make `batch` durable; returns the seconds it took.  Raises sqlite3.Error, undone."""
        began = perf_counter()
        if batch.writes() or batch.told is not None:
            db = self._db
            db.execute("begin immediate")
            try:
                self._apply(db, batch)
                db.execute("commit")
            except BaseException:
                # A full disk may have rolled back already.
                if db.in_transaction:
                    db.execute("rollback")
                raise
            if batch.settled:
                self.runs.gathered.moved()
        batch.soonest = self.young.soonest
        return perf_counter() - began

    def settle(self) -> None:
        """As a transaction of its own: every message gets its row (`young`)."""
        self._db.execute("begin immediate")
        self.young.settle()
        self._db.execute("commit")

    def _apply(self, db: sqlite3.Connection, batch: Batch) -> None:
        # Written twice within a batch: the later row is the one to keep.
        messages = {row[0]: row for row in batch.messages}
        jobs = batch.jobs
        new = {job[0] for job in jobs}
        if len(new) < len(jobs):
            jobs = list({job[0]: job for job in jobs}.values())
        if jobs:
            self._jobs.run(db, jobs)
        arrived = [row for row in messages.values() if row[0] >> INDEX_BITS in new] if new else []
        if messages:
            rows = self.young.take(arrived, messages, batch.changed)
            self._messages.run(db, rows, batch.changed)
        if batch.carrier_ids:
            self._carrier_ids.run(db, batch.carrier_ids)
        if jobs or batch.carrier_ids:
            self.runs.add(*keys(jobs, arrived, batch.carrier_ids))
        if batch.begins:
            self.runs.begin()
        for _ in range(batch.steps):
            self.runs.step()
        if batch.claims:
            self._unclaims.run(db, [(key,) for key, row in batch.claims.items() if row is None])
            self._claims.run(db, [row for row in batch.claims.values() if row is not None])
        if batch.keeps:
            drops: dict[str, list[tuple[bytes]]] = {}
            for (kind, key), kept in batch.keeps.items():
                if kept is None:
                    drops.setdefault(kind, []).append((key,))
            for kind, dropped in drops.items():
                self._drops.run(db, dropped, (kind,))
            self._keeps.run(db, [row for row in batch.keeps.values() if row is not None])
        if batch.events:
            row = (batch.number, pack(batch.events))
            db.execute("insert into outbox values (?, ?)", row)
        if batch.told is not None:
            db.execute("delete from outbox where n <= ?", (batch.told,))
        if batch.chores:
            # They may look at what they like.
            self.young.settle()
        for chore in batch.chores:
            chore(db)


def keys(
    jobs: Sequence[JobValues],
    arrived: Sequence[MessageValues],
    carrier_ids: Sequence[tuple[str, bytes, int, int]],
) -> tuple[list[int], list[int]]:
    """The hashes of these rows, and what they lead to.

    A message's number comes only once, with its job: `arrived` are those messages.
    """
    # As `hash_job` and its like, without a call for each.
    hashes = [crc32(job[1].encode(), 1) for job in jobs]
    hashes += [crc32(row[1].encode(), 2) for row in arrived]
    hashes += [crc32(row[1], 3) for row in carrier_ids]
    refs = [job[0] << INDEX_BITS | JOB_INDEX for job in jobs]
    refs += [row[0] for row in arrived]
    refs += [row[2] for row in carrier_ids]
    return hashes, refs
