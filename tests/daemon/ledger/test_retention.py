"""Archive files go when they are old enough, by a time that a wrong clock does not make."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import structlog

from daemon.cli import trace
from daemon.ledger import Archiver, Entries, History, Ledger, Retention, files
from tests.daemon.config.sample import TEXT
from tests.daemon.ledger.content import Clock, delivered, job, kept, message, start

ZONE = ZoneInfo("Asia/Shanghai")
DAY = 86400.0
RETAIN = 184 * DAY
SWEEP = 60.0


def at(year: int, month: int, day: int = 1) -> float:
    return datetime(year, month, day, tzinfo=ZONE).timestamp()


class Host:
    """A ledger with archives of half-years, and a clock beside the seconds that pass."""

    def __init__(self, state_dir: Path, now: float) -> None:
        self.state_dir = state_dir
        self.clock = Clock(now)
        self.steady = 5_000.0
        self.retain = RETAIN

    async def __aenter__(self) -> Host:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self.ledger: Ledger = start(self.state_dir, self.clock)
        self.archiver = Archiver(self.ledger, zone=ZONE, archive_after=0.0)
        self.retention = Retention(self.ledger, self.archiver, ZONE)

    async def stop(self) -> None:
        await self.archiver.close()
        await self.ledger.close()

    async def archive(self, *received: float) -> None:
        seqs = [self.ledger.last_seq() + 1 + place for place in range(len(received))]
        jobs = [job(seq, received=when) for seq, when in zip(seqs, received, strict=True)]
        await kept(self.ledger, Entries(jobs=jobs, messages=[message(seq) for seq in seqs]))
        await kept(self.ledger, delivered(seqs))
        assert await self.archiver.sweep(self.clock.now + 1.0) == len(received)

    async def passes(self, seconds: float, clock: float | None = None) -> list[str]:
        """Time passes, of which the host's clock shows `clock` (all of it); what was dropped."""
        self.steady += seconds
        self.clock.now += seconds if clock is None else clock
        found = await self.retention.run(self.clock.now, self.steady, self.retain)
        return [each.path.stem for each in found]

    @property
    def months(self) -> list[str]:
        return [path.stem for path in files.archives(self.state_dir)]


@pytest.fixture
async def host(state_dir: Path) -> AsyncIterator[Host]:
    """Records of April, May and November, at the end of November."""
    async with Host(state_dir, at(2026, 11, 29)) as host:
        await host.passes(SWEEP)
        await host.archive(at(2026, 4, 3), at(2026, 5, 3), at(2026, 11, 3))
        yield host


async def test_a_file_is_dropped_as_a_whole_once_its_last_day_is_old_enough(host: Host) -> None:
    host.retain = 200 * DAY
    last_april = at(2026, 5) + host.retain
    host.clock.now = last_april - 20 * DAY
    host.retention = Retention(host.ledger, host.archiver, ZONE)
    assert await host.passes(20 * DAY - 1) == []
    with structlog.testing.capture_logs() as said:
        assert await host.passes(2) == ["2026-04"]
    assert host.months == ["2026-05", "2026-11"]
    (line,) = [line for line in said if line["event"] == "archive dropped"]
    assert (line["period"], line["freed"]) == ("2026-04", host.retention.freed)
    assert host.retention.freed >= 4096
    assert host.retention.dropped == 1


async def test_nothing_younger_than_six_months_goes_whatever_is_asked_for(host: Host) -> None:
    host.retain = 1.0
    assert await host.passes(SWEEP) == ["2026-04"]
    assert await host.passes(SWEEP) == []


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_a_year_ahead_drops_nothing_that_was_to_be_kept(
    host: Host, restarted: bool
) -> None:
    host.retain = 400 * DAY
    await host.passes(SWEEP)
    with structlog.testing.capture_logs() as said:
        if restarted:
            await host.stop()
            await host.start()
        assert await host.passes(SWEEP, clock=366 * DAY) == []
        # Records that are stamped by it change nothing, nor does a day in which nobody sees it.
        await host.archive(host.clock.now)
        for _ in range(26):
            assert await host.passes(3600.0) == []
    warned = [line for line in said if line["event"] == "archives are kept longer"]
    assert [line["ahead_days"] for line in warned] == [366.0, 365.0], "once a day"
    assert host.months == ["2026-04", "2026-05", "2026-11", "2027-11"]
    # And it is right again.
    host.clock.now -= 366 * DAY
    assert await host.passes(SWEEP) == []


async def test_a_clock_that_falls_back_deletes_nothing_and_holds_nothing_up_later(
    host: Host,
) -> None:
    host.retain = 400 * DAY
    before = host.clock.now
    assert await host.passes(SWEEP, clock=at(1970, 1, 2) - before) == []
    host.clock.now = before
    assert await host.passes(SWEEP) == []
    assert await host.passes(220 * DAY) == ["2026-04", "2026-05"]


async def test_after_months_switched_off_it_catches_up_twice_as_fast_as_time_passes(
    host: Host,
) -> None:
    await host.passes(SWEEP)  # drops April: its 184 days were over
    await host.stop()
    host.clock.now += 60 * DAY  # until May's have been over for long
    await host.start()
    assert await host.passes(SWEEP) == []
    assert await host.passes(58 * DAY) == []
    assert await host.passes(2 * DAY) == ["2026-05"]


async def test_what_is_no_more_can_be_told_from_what_never_was(host: Host) -> None:
    with History.open(host.state_dir) as history:
        assert history.kept_since(ZONE) is None
        assert await host.passes(SWEEP) == ["2026-04"]
        assert history.by_job("j-1") == []
        assert history.kept_since(ZONE) == "2026-05-01"


async def test_trace_says_since_when_there_are_records(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await host.passes(SWEEP) == ["2026-04"]
    file = tmp_path / "carrierd.toml"
    file.write_text(TEXT.replace("/var/lib/carrierd", str(host.state_dir)))
    wanted = dict.fromkeys(("message", "to", "carrier_id"))
    assert trace.run(Namespace(config=file, job="j-1", json=False, **wanted)) == trace.NONE
    said = capsys.readouterr().err
    assert "nothing found; of before 2026-05-01 there are no records any more" in said


async def test_a_file_that_cannot_be_deleted_is_said_and_stays(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch, structlog.testing.capture_logs() as said:
        patch.setattr(Path, "unlink", refuse)
        assert await host.passes(SWEEP) == []
    assert [line["error"] for line in said if line["log_level"] == "error"] == [
        "Operation not permitted"
    ]
    assert await host.passes(SWEEP) == ["2026-04"]


async def test_a_ledger_of_before_believes_the_clock_as_far_as_its_records_go(
    host: Host,
) -> None:
    """It does not say yet how far time has come."""
    await kept(host.ledger, Entries(jobs=[job(99, received=host.clock.now)]))
    await host.ledger.run(lambda db: db.execute("delete from counter where name like 'rete%'"))
    host.retention = Retention(host.ledger, host.archiver, ZONE)
    host.retain = 300 * DAY
    assert await host.passes(0.0, clock=366 * DAY) == []
    host.retain = RETAIN
    assert await host.passes(0.0, clock=-366 * DAY) == ["2026-04"]
