"""Archives as they are after months, made by streaming rows through the code that archives.

What is copied comes from tables in memory instead of a ledger; all else, the files, their keys and
how these are sorted, is `daemon.ledger.volume`'s own work.  Rows have the sizes and the content of
one-part messages that were delivered; every number in them follows from the job's sequence number.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, tzinfo
from importlib import resources
from pathlib import Path

from daemon.jobs import Job as JobFields
from daemon.jobs import pack
from daemon.ledger import INDEX_BITS, JobValues, MessageValues
from daemon.ledger.files import ARCHIVE, LEDGER, create
from daemon.ledger.keys import NEWER
from daemon.ledger.statement import Bulk
from daemon.ledger.volume import Volume
from daemon.model import Job, Message, Part, PartState, State, pack_life
from daemon.steps import Step

ACCOUNT, PROTOCOL, CARRIER, NODE = "mobile", "cmpp", "mobile", "mobile-1"
NUMBERS = 10_000_000
"""Subscribers, who take turns."""
AT_ONCE = 20_000
CACHE_KB = 64_000
REPORT_WITHIN = 259_200.0
_KEY = bytes(range(1, 9))
"""Stands for the carrier's id in a life that is filled in later."""
_TEXT = "您的验证码是 836251，五分钟内有效。如非本人操作，请忽略本短信。"


@dataclass(slots=True, frozen=True)
class Filled:
    """Jobs 1 to `messages`, one message each, in `months` files."""

    messages: int
    months: int
    seconds: float
    octets: int


def job_id(seq: int) -> str:
    return f"otp-20261122-{seq:010d}"


def number(seq: int) -> str:
    return f"138{seq * 7_919 % NUMBERS:08d}"


def carrier_id(seq: int) -> bytes:
    """As a CMPP gateway gives them: a time, the gateway, a counter."""
    return (seq * 0x9E3779B97F4A7C15 & (1 << 64) - 1).to_bytes(8, "big")


class Rows:
    """Rows of messages in one state, received at a given time and told the story of one."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.final = state is State.DELIVERED
        self._before, found, self._behind = self._life().partition(_KEY)
        assert found, "a life has the carrier's id"

    def _life(self) -> bytes:
        at = time.time()
        fields = JobFields(id="", to=("13800000000",), text=_TEXT)
        job = Job(1, fields, at, at, ("sms.jobs", 0, 0), 1)
        m = Message(job, 0, number(1), CARRIER, 1)
        m.state, m.node, m.attempts, m.submitted, m.answered = self.state, NODE, 1, at, at
        part = Part(1)
        part.state, part.attempt, part.carrier_ids = PartState.ANSWERED, 1, (_KEY,)
        m.parts = (part,)
        m.steps = (Step(at, "written", 1, 1, NODE), Step(at, "answered", 1, 1, NODE, "0"))
        if self.final:
            part.state, part.code = PartState.DELIVERED, "DELIVRD"
            m.code, m.cause, m.stage, m.reported = "DELIVRD", "delivered", "report", at
            m.steps += (Step(at, "delivered", 1, 1, NODE, "DELIVRD"),)
        return pack_life(m)

    def job(self, seq: int, at: float) -> JobValues:
        fields = JobFields(id=job_id(seq), to=(number(seq),), text=_TEXT, signature="示例")
        digest = seq.to_bytes(16, "big")
        return seq, fields.id, digest, "sms.jobs", 0, seq, at - 0.5, at, pack(fields)

    def message(self, seq: int, at: float) -> MessageValues:
        wake = None if self.final else at + REPORT_WITHIN
        life = self._before + carrier_id(seq) + self._behind
        state, final = int(self.state), int(self.final)
        mid, to = seq << INDEX_BITS, number(seq)
        return mid, to, CARRIER, 1, ACCOUNT, state, final, wake, life

    def carrier_id(self, seq: int) -> tuple[str, bytes, int, int]:
        return ACCOUNT, carrier_id(seq), seq << INDEX_BITS, 1


async def fill(
    state_dir: Path,
    messages: int,
    months: int,
    zone: tzinfo,
    note: Callable[[str], None] = lambda text: None,
) -> Filled:
    """Make so many archives in `state_dir`, the last one of the month before this one, and let the
    ledger there know the job ids of that one.  They are not synced while they are made.
    """
    rows = Rows(State.DELIVERED)
    began = time.monotonic()
    directory = state_dir / ARCHIVE
    os.makedirs(state_dir, mode=0o700, exist_ok=True)
    with closing(_source()) as db:
        first = 1
        for place, (name, start, end) in enumerate(_months(months, zone)):
            last = messages * (place + 1) // months
            volume = Volume(db, directory / f"{name}.sqlite", CACHE_KB, over=True)
            db.execute("pragma archive.synchronous = off")
            times = _spread(first, last, start, end)
            for seqs in _chunks(first, last):
                _stream(db, volume, rows, seqs, times)
                await asyncio.sleep(0)  # so that it can be cancelled
            volume.close()
            note(f"{name}: {last - first + 1} messages, {time.monotonic() - began:.0f} s")
            first = last + 1
    _remember(state_dir, directory / f"{name}.sqlite")
    octets = sum(path.stat().st_size for path in directory.iterdir())
    return Filled(messages, months, time.monotonic() - began, octets)


def _source() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(resources.files("daemon.ledger").joinpath("schema.sql").read_text())
    return db


def _months(count: int, zone: tzinfo) -> list[tuple[str, float, float]]:
    """Name, start and end of the `count` months before this one, the oldest first."""
    now = datetime.now(zone)
    found = []
    for back in range(count, 0, -1):
        start, end = (_month(now.year, now.month - back + ahead, zone) for ahead in (0, 1))
        found.append((start.strftime("%Y-%m"), start.timestamp(), end.timestamp()))
    return found


def _month(year: int, month: int, zone: tzinfo) -> datetime:
    """A month below 1 is of a year before."""
    years, month = divmod(month - 1, 12)
    return datetime(year + years, month + 1, 1, tzinfo=zone)


def _spread(first: int, last: int, start: float, end: float) -> Callable[[int], float]:
    """When each of these was received: evenly over a month."""
    step = (end - start) / (last - first + 2)
    return lambda seq: start + (seq - first + 1) * step


def _chunks(first: int, last: int) -> Iterator[range]:
    for start in range(first, last + 1, AT_ONCE):
        yield range(start, min(start + AT_ONCE, last + 1))


_JOBS = Bulk("insert or replace into main.job", 9)
_MESSAGES = Bulk("insert or replace into main.message", 10)
_CARRIER_IDS = Bulk("insert or replace into main.carrier_id (account, key, mid, part)", 4)


def _stream(
    db: sqlite3.Connection, volume: Volume, rows: Rows, seqs: range, times: Callable[[int], float]
) -> None:
    _JOBS.run(db, [rows.job(seq, times(seq)) for seq in seqs])
    _MESSAGES.run(db, [(*rows.message(seq, times(seq)), int(times(seq))) for seq in seqs])
    _CARRIER_IDS.run(db, [rows.carrier_id(seq) for seq in seqs])
    volume.copy(seqs)
    for table in ("job", "message", "carrier_id"):
        db.execute(f"delete from main.{table}")  # noqa: S608


def _remember(state_dir: Path, archive: Path) -> None:
    """Put the keys of the archive's jobs into the ledger, in order: they are old ones there."""
    with closing(create(state_dir / LEDGER, "schema.sql", "hot.sql", cache_kb=CACHE_KB)) as db:
        db.execute("pragma synchronous = off")
        db.execute("attach ? as archive", (str(archive),))
        db.execute(
            "insert or ignore into main.lookup select hash, ref from archive.lookup"
            " where hash < ? and ref & 1023 = 1023 order by hash, ref",
            (NEWER,),
        )
        db.execute(
            "insert or ignore into main.lookup select hash - ?, ref from archive.lookup"
            " where hash >= ? and ref & 1023 = 1023 order by hash, ref",
            (NEWER, NEWER),
        )
        db.execute(
            "insert or ignore into main.lookup select hash, ref from archive.recent"
            " where ref & 1023 = 1023 order by hash, ref"
        )
        db.execute("insert into counter values ('last_seq', (select max(seq) from archive.job))")
