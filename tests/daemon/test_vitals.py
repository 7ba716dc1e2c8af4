"""What is counted of failures and clocks, and what is said of the disk."""

from __future__ import annotations

from pathlib import Path

from daemon.disk import Disk
from daemon.jobs import decode
from daemon.ledger import files
from daemon.model import Job, Message, State
from daemon.tally import Tally

NOW = 1_780_000_000.0


def failed(tally: Tally, stage: str, cause: str, fault: str, after: float) -> None:
    """A message ends so, `after` seconds after it was produced."""
    fields = decode(b'{"id":"j","to":"13800138000","text":"x"}', None, NOW)
    job = Job(1, fields, NOW, NOW, ("sms.jobs", 0, 0), 1)
    message = Message(job, 0, "13800138000", "mobile", fields.priority)
    message.account, message.state, message.stage = "m", State.UNDELIVERED, stage
    message.cause = cause
    tally.failed(message, fault, NOW + after)


def test_only_what_a_report_says_is_the_subscribers_fault_is_excused_from_being_late() -> None:
    tally = Tally()
    failed(tally, "report", "absent", "subscriber", 90_000.0)
    failed(tally, "report", "route", "carrier", 8.0)
    failed(tally, "submit", "blacklist", "subscriber", 1.0)
    failed(tally, "report", "unknown", "-", 8.0)
    assert dict(tally.failures) == {
        ("mobile", "m", "absent", "subscriber"): 1,
        ("mobile", "m", "route", "carrier"): 1,
        ("mobile", "m", "blacklist", "subscriber"): 1,
        ("mobile", "m", "unknown", "unknown"): 1,
    }
    assert tally.excused["m"].count == 1
    assert tally.excused["m"].sum == 90_000.0


def test_what_began_in_the_future_is_counted_from_a_second_on() -> None:
    tally = Tally()
    for seconds in (-3600.0, -1.5, -0.9, 0.0, 2.0):
        tally.age["sms.jobs"].observe(seconds)
    assert tally.age["sms.jobs"].ahead == 2
    assert tally.age["sms.jobs"].count == 5
    assert tally.age["sms.jobs"].ahead == 2


def test_the_disk_is_told_apart_by_ledger_and_archive(tmp_path: Path) -> None:
    before = Disk(tmp_path).usage()
    assert (before.ledger, before.archive) == (0, 0)
    (tmp_path / files.LEDGER).write_bytes(b"x" * 1000)
    (tmp_path / f"{files.LEDGER}-wal").write_bytes(b"x" * 200)
    (tmp_path / "broker").mkdir()
    (tmp_path / files.ARCHIVE).mkdir()
    (tmp_path / files.ARCHIVE / "2026-11.sqlite").write_bytes(b"x" * 30)
    usage = Disk(tmp_path).usage()
    assert (usage.ledger, usage.archive) == (1200, 30)
    assert 0 < usage.free <= usage.size
