"""Backups: what they have, what they cost, how damage is found, and what a restore refuses."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import pytest

from daemon.backup import BackupError, check, newest, restore, take, taking
from daemon.broker.local.frames import encode
from daemon.broker.local.segments import Appender
from daemon.config import Config, load
from daemon.ledger import Archiver, Entries, History, Ledger, LedgerError, files
from daemon.recall import revive_all
from tests.contract.process import ROOT, Ended, command, until
from tests.contract.world import Account, job, number, world
from tests.daemon.ledger.content import delivered, ignore, kept
from tests.daemon.ledger.content import taken as put
from tests.daemon.ledger.test_crash import writer

EARLY, WAITING, UNTAKEN = "early", "waits", "untaken"


class Told(NamedTuple):
    """What a daemon and the commands beside it said, as `story` tells."""

    made: Ended
    looked: Ended
    refused: str
    pid: int
    restored: Ended
    doubt: dict[str, Any]
    final: dict[str, Any]
    traced: list[str]
    """The states of `EARLY` and of the job that is not due."""
    repeated: int
    """Events of a repeat of `EARLY`."""


class Place(NamedTuple):
    """A configuration whose state directory has something of everything."""

    file: Path
    config: Config
    backups: Path

    @property
    def state(self) -> Path:
        return self.config.daemon.state_dir


async def story(directory: Path) -> Told:
    """A backup beside a running daemon; what waits is sent after it; the disk is lost and restored.

    `directory/backups` has the backup afterwards.
    """
    accounts = (Account("mobile", "cmpp", "mobile"), Account("telecom", "smgp", "telecom"))
    async with world(directory / "w", *accounts, check=False) as w:
        daemon, backups = w.daemon, str(directory / "backups")
        await w.telecom.gateway.close()
        await daemon.reads("carrierd_bind_up", 0, account="telecom")
        early, waits = job(number(), id=EARLY), job(number("telecom"), id=WAITING)
        tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400.0))
        await daemon.send(early, waits, job(number(), id="later", not_before=tomorrow))
        await daemon.final("early/0")
        await daemon.reads("carrierd_waiting", 1, account="telecom")
        assert daemon.process is not None
        pid = daemon.process.pid
        await until(daemon.broker.root.joinpath("positions.json").exists)
        made = await daemon.run("backup", backups, "--json")
        looked = await daemon.run("restore", "--verify", backups)
        with pytest.raises(LedgerError) as refused:
            restore(load(daemon.file), newest(directory / "backups"))
        await w.telecom.gateway.start()
        await daemon.final("waits/0", within=10.0)
        await daemon.kill()
        (directory / "w" / "state").rename(directory / "w" / "gone")

        restored = await daemon.run("restore", backups)
        for tail in daemon._tails:
            await tail.start(0)
        daemon.published["reports"].clear()
        await daemon.start()
        doubt = await daemon.state("waits/0", "uncertain")
        final = await daemon.final("waits/0")
        # What the queue gives once more is known, and so is an id that was used up.
        before = await daemon.metric("carrierd_jobs_total", outcome="duplicate")
        await daemon._outlet.close()
        daemon._outlet = None  # of the directory that is gone
        await daemon.send(early)
        events = len(daemon.events("early/0"))
        await daemon.reads("carrierd_jobs_total", before + 1, outcome="duplicate")
        repeated = len(daemon.events("early/0")) - events
        with History.open(directory / "w" / "state") as history:
            rows = [*history.by_job(EARLY), *history.by_job("later")]
            traced = [message.state.word for message in revive_all(rows)]
    return Told(made, looked, str(refused.value), pid, restored, doubt, final, traced, repeated)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    directory = tmp_path_factory.mktemp("told")
    return directory, asyncio.run(story(directory))


@pytest.fixture(scope="module")
def pristine(told: tuple[Path, Told], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A message that is delivered and archived, two that wait, and a job that nobody has taken."""
    directory, _ = told
    here = tmp_path_factory.mktemp("pristine")
    text = (directory / "w" / "carrierd.toml").read_text()
    (here / "carrierd.toml").write_text(text.replace(str(directory / "w"), str(here)))
    restore(load(here / "carrierd.toml"), newest(directory / "backups"), moved=True)
    asyncio.run(archive(here / "state"))
    jobs = Appender(here / "state" / "broker" / "sms.jobs")
    jobs.append(encode(None, orjson.dumps(job(number(), id=UNTAKEN)), b"", time.time()), 1)
    jobs.close()
    return here


async def archive(state_dir: Path) -> None:
    ledger = Ledger.open(state_dir, on_events=ignore)
    archiver = Archiver(ledger, zone=ZoneInfo("Asia/Shanghai"), archive_after=0.0)
    assert await archiver.sweep(time.time() + 5.0) == 1
    await archiver.close()
    await ledger.close()


@pytest.fixture
def place(pristine: Path, tmp_path: Path) -> Place:
    shutil.copytree(pristine, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "carrierd.toml"
    file.write_text(file.read_text().replace(str(pristine), str(tmp_path)))
    return Place(file, load(file), tmp_path / "backups")


def emptied(place: Place) -> Place:
    shutil.rmtree(place.state)
    return place


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


# Taking


def test_a_backup_has_everything_and_is_for_its_owner_alone(place: Place) -> None:
    taken = take(place.config, place.backups)
    names = {entry.path for entry in taken.manifest.entries}
    (month,) = files.archives(place.state)
    assert {"ledger.sqlite", f"archive/{month.name}", "broker/positions.json"} <= names
    assert {name.split("/")[1] for name in names if name.endswith(".log")} >= {
        "sms.jobs", "sms.reports", "sms.inbound", "sms.state"
    }  # fmt: skip
    assert (taken.manifest.unfinished, taken.manifest.untaken) == (2, 1)
    assert taken.manifest.broker == "local"
    for path in (place.backups, *place.backups.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    text = b"".join(contents(taken.path).values())
    assert b"secret-1" not in text, "a password of the configuration"
    assert check(taken.path) == taken.manifest


def test_what_did_not_change_is_linked_and_older_backups_go(place: Place) -> None:
    first = take(place.config, place.backups, clock=lambda: 1795320000.0)
    name = files.archives(first.path)[0].relative_to(first.path)
    assert first.path.name == "20261122T040000Z"
    second = take(place.config, place.backups, keep=2, clock=lambda: 1795320060.0)
    assert (second.path / name).samefile(first.path / name)
    assert not (second.path / files.LEDGER).samefile(first.path / files.LEDGER)
    assert second.copied < first.copied
    with closing(sqlite3.connect(place.state / name)) as db:
        db.execute("update message set changed = changed + 1")
        db.commit()
    third = take(place.config, place.backups, keep=2, clock=lambda: 1795320030.0)
    assert third.path.name == "20261122T040100Z-002", "the last one, although the clock went back"
    assert not (third.path / name).samefile(second.path / name)
    assert third.removed == [first.path]
    assert newest(place.backups) == third.path
    check(second.path)
    check(third.path)


def test_a_backup_taken_while_the_ledger_is_written_has_all_that_was_durable_before(
    place: Place,
) -> None:
    with writer(place.state) as process:
        assert process.stdout is not None
        for line in process.stdout:
            what, seq = line.split()
            if what == b"taken" and int(seq) > 500:
                break
        taken = take(place.config, place.backups)
        # It wrote on meanwhile, and nobody waited for anybody.
        later = zip(process.stdout, range(500), strict=False)
        after = max(int(line.split()[1]) for line, _ in later)
    with closing(files.connect(taken.path / files.LEDGER, immutable=True)) as db:
        assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
        seqs = [row[0] for row in db.execute("select seq from job where id like 'j-%' order by 1")]
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    assert int(seq) <= seqs[-1]
    assert after > int(seq)


def test_what_moves_on_while_it_is_copied_is_in_the_backup_once_or_twice(place: Place) -> None:
    """A job goes to its archive and an event to its topic: each is durable where it goes before it
    leaves where it was, and the files are copied the other way round."""
    moving = 90_001
    event = encode(None, b'{"moved":true}', b"", 1.0)
    asyncio.run(added(place.state, Entries(events=[("sms.reports", None, b'{"moved":true}')])))
    asyncio.run(added(place.state, put([moving])))
    asyncio.run(added(place.state, delivered([moving])))
    reports = place.state / "broker" / "sms.reports"
    steps: list[str] = []

    def copied(line: str) -> None:
        if line.startswith(("ledger", "archive", "broker/sms.reports")) and not steps:
            steps.append(line)
            asyncio.run(archive(place.state))
            topic = Appender(reports)
            topic.append(event, 1)
            topic.close()
            with closing(files.connect(place.state / files.LEDGER)) as db:
                db.execute("delete from outbox")

    path = take(place.config, place.backups, say=copied).path
    assert steps
    found = [rows(each, f"job where seq = {moving}") for each in path.rglob("*.sqlite")]
    assert sum(found) >= 1
    (segment,) = (path / "broker" / "sms.reports").iterdir()
    assert rows(path / files.LEDGER, "outbox") + segment.read_bytes().count(event) >= 1


def rows(path: Path, what: str) -> int:
    with closing(files.connect(path, immutable=True)) as db:
        found: int = db.execute(f"select count(*) from {what}").fetchone()[0]
    return found


async def added(state_dir: Path, entries: Entries) -> None:
    ledger = Ledger.open(state_dir, on_events=ignore)
    await kept(ledger, entries)
    await ledger.close()


def test_one_backup_at_a_time_and_what_a_killed_one_left_goes(place: Place) -> None:
    place.backups.mkdir()
    half = place.backups / ".part-20261122T040000Z"
    half.mkdir()
    (half / files.LEDGER).write_bytes(b"half")
    lock = os.open(place.backups / taking.LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(BackupError, match="another backup is being made"):
        take(place.config, place.backups)
    os.close(lock)
    assert newest(take(place.config, place.backups).path)
    assert not half.exists()


def test_a_backup_inside_what_it_saves_is_refused(place: Place) -> None:
    with pytest.raises(BackupError, match="inside state_dir"):
        take(place.config, place.state / "backups")


def test_where_it_does_not_fit_nothing_is_left(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr("daemon.backup.taking.shutil.disk_usage", lambda _: free)
    with pytest.raises(BackupError, match=r"needs [0-9]+ octets free .* 1000000"):
        take(place.config, place.backups)
    assert [path.name for path in place.backups.iterdir()] == [taking.LOCK]


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(place: Place) -> None:
    """The kernel lets this process write no file of more than ten pages."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_960, limits[1]))
    try:
        with pytest.raises(LedgerError, match=r"\.part-.*/ledger\.sqlite"):
            take(place.config, place.backups)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in place.backups.iterdir()] == [taking.LOCK]


# Looking at one


def flip(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def stray(path: Path) -> None:
    (path / "x").touch()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


HARM: list[tuple[str, Callable[[Path], None], str]] = [
    ("ledger.sqlite", flip, "its digest differs"),
    ("archive/*.sqlite", flip, "its digest differs"),
    ("broker/sms.reports/*.log", cut, "octets, written were"),
    ("broker/positions.json", Path.unlink, "No such file"),
    ("ledger.sqlite", Path.unlink, "No such file"),
    ("manifest.json", flip, "manifest"),
    ("manifest.json", Path.unlink, "did not come to its end"),
    ("archive", stray, "x is not in the manifest"),
]


@pytest.mark.parametrize(("name", "harm", "said"), HARM)
def test_damage_is_found_named_and_not_restored(
    place: Place, name: str, harm: Callable[[Path], None], said: str
) -> None:
    path = take(place.config, place.backups).path
    (victim,) = path.glob(name)
    harm(victim)
    with pytest.raises(BackupError, match=said) as raised:
        check(path)
    assert (victim.name if victim.exists() else str(path)) in str(raised.value)
    with pytest.raises(BackupError, match=said):
        restore(emptied(place).config, path)
    assert not place.state.exists()


def test_rows_that_no_index_leads_to_are_found(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that was damaged before it was copied has the right digest."""
    with closing(sqlite3.connect(place.state / files.LEDGER)) as db:
        db.execute("delete from gathered")
        db.commit()
    path = take(place.config, place.backups).path
    with pytest.raises(BackupError, match="cannot be traced by"):
        check(path)


def test_looking_at_a_backup_writes_nothing(place: Place) -> None:
    path = take(place.config, place.backups).path
    before = contents(path)
    for each in (path, *path.rglob("*")):
        each.chmod(0o500 if each.is_dir() else 0o400)
    said: list[str] = []
    check(path, say=said.append)
    assert contents(path) == before
    assert "ledger.sqlite: sound" in said
    assert sum("traced" in line for line in said) >= 3


# Restoring


def test_what_is_restored_is_what_was_saved(place: Place) -> None:
    taken = take(place.config, place.backups)
    before = contents(place.state / "broker")
    restored = restore(emptied(place).config, taken.path, moved=True)
    assert restored == (taken.manifest, None)
    with History.open(place.state) as history:
        for job_id in (EARLY, WAITING):
            assert len(history.by_job(job_id)) == 1
    with closing(files.connect(place.state / files.LEDGER)) as db:
        assert db.execute("select * from claim").fetchall() == []
    after = contents(place.state / "broker")
    assert after == {name: before[name] for name in after}
    assert all(name.endswith("lock") for name in before.keys() - after.keys())
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700


def test_it_refuses_a_directory_that_is_not_empty_or_in_use(place: Place) -> None:
    taken = take(place.config, place.backups)
    before = contents(place.state)
    with pytest.raises(BackupError, match=r"not empty, it has archive, broker, ledger\.sqlite"):
        restore(place.config, taken.path)
    held = files.lock(place.state, "instance outside")
    with pytest.raises(LedgerError, match=rf"in use .*\(pid {os.getpid()}, instance outside\)"):
        restore(place.config, taken.path)
    os.close(held)
    after = contents(place.state)
    assert {**after, files.LOCK: b""} == {**before, files.LOCK: b""}


def test_a_backup_of_another_broker_or_a_newer_schema_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(place.state / files.LEDGER)) as db:
        db.execute("pragma user_version = 2")
    taken = take(place.config, place.backups)
    text = place.file.read_text().replace('kind = "local"', 'kind = "kafka"')
    place.file.write_text(text)
    with pytest.raises(BackupError, match='"local", the configuration says "kafka"'):
        restore(load(place.file), taken.path)
    monkeypatch.setattr(files, "VERSION", 1)
    with pytest.raises(BackupError, match=r"newer carrierd \(schema 2, this one knows up to 1\)"):
        restore(emptied(place).config, taken.path)


KILLED = """
import os, signal, sys
from pathlib import Path
from daemon.backup import restore
from daemon.config import load
import daemon.backup.restoring as module
left = int(sys.argv[3])
def counted(call):
    def one(*args, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **more)
    return one
module.copying.plain = counted(module.copying.plain)
Path.rename = counted(Path.rename)
Path.rmdir = counted(Path.rmdir)
restore(load(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("from_the_end", [1, 9])
def test_a_restore_that_was_killed_starts_nothing_and_can_be_done_again(
    place: Place, from_the_end: int
) -> None:
    taken = take(place.config, place.backups)
    emptied(place)
    calls = len(taken.manifest.entries) + 3 + 1  # copies, renames of three, the directory goes
    command = [sys.executable, "-c", KILLED, str(place.file), str(taken.path)]
    ended = subprocess.run([*command, str(calls - from_the_end)], cwd=ROOT, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    with pytest.raises(LedgerError, match="a restore did not come to its end"):
        asyncio.run(archive(place.state))
    restore(place.config, taken.path)
    with History.open(place.state) as history:
        assert len(history.by_job(EARLY)) == 1
    assert not (place.state / files.RESTORING).exists()


def test_root_gives_what_it_restores_to_the_owner_of_the_directory(place: Place) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    taken = take(place.config, place.backups)
    emptied(place).state.mkdir()
    os.chown(place.state, 12345, 54321)
    restore(place.config, taken.path)
    for path in (place.state, *place.state.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321), path


# As commands, and what the daemon makes of it


def test_a_backup_is_made_and_looked_at_beside_a_running_daemon(told: tuple[Path, Told]) -> None:
    directory, said = told
    assert said.made.status == 0, said.made.err
    (made,) = said.made.lines
    assert made["path"] == str(newest(directory / "backups"))
    assert (made["unfinished"], made["files"] > 3) == (2, True)
    assert said.looked.status == 0, said.looked.err
    assert "sound; made 20" in said.looked.out
    assert "instance outside" in said.looked.out


def test_a_restore_under_a_running_daemon_is_refused(told: tuple[Path, Told]) -> None:
    _, said = told
    assert f"pid {said.pid}, instance outside" in said.refused


def test_what_waited_at_the_backup_is_in_doubt_once_restored(told: tuple[Path, Told]) -> None:
    """It was sent in between: held for its report, and sent again as the configuration says."""
    _, said = told
    assert said.restored.status == 0, said.restored.err
    assert "in doubt at the next start: 1 messages that waited then" in said.restored.out
    assert (said.doubt["node"], said.doubt["attempts"]) == (None, 1)
    assert (said.final["state"], said.final["attempts"]) == ("delivered", 2)


def test_what_was_final_at_the_backup_is_known_and_what_is_not_due_waits(
    told: tuple[Path, Told],
) -> None:
    _, said = told
    assert said.traced == ["delivered", "held"]
    assert said.repeated == 0


async def test_commands_say_what_is_wrong_and_fail(place: Place, tmp_path: Path) -> None:
    config = ("--config", str(place.file))
    nothing = await command("restore", *config, "--verify", str(tmp_path / "nowhere"))
    assert (nothing.status, "there is no backup" in nothing.err) == (1, True)
    shutil.rmtree(place.state)
    empty = await command("backup", *config, str(place.backups))
    assert (empty.status, "there is nothing to back up" in empty.err) == (1, True)
