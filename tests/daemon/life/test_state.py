"""A state directory that cannot be used, or no longer: what the operator is told, and what is lost.

Nothing is: whatever was taken ends well once the trouble is over.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.process import Daemon, command, until
from tests.contract.world import Account, World, job, number, world

UNUSABLE, FAILED = 2, 1


def mobile(directory: Path, **config: Any) -> Any:
    return world(directory / "w", Account("mobile", "cmpp", "mobile"), check=False, **config)


async def worked(opened: World) -> None:
    """One message goes the whole way, and the daemon ends."""
    one = job(number())
    await opened.daemon.send(one)
    await opened.daemon.final(f"{one['id']}/0")
    assert await opened.daemon.signal() == 0


async def refused(file: Path) -> str:
    """The one line that `carrierd run` says when it cannot start."""
    ended = await command("run", "--config", str(file))
    assert ended.status == UNUSABLE, ended.err
    lines = [json.loads(line) for line in ended.err.splitlines()]
    (error,) = [line["error"] for line in lines if line["level"] == "critical"]
    assert "Traceback" not in ended.err
    return str(error)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a daemon leaves that has worked and ended well."""
    directory = tmp_path_factory.mktemp("pristine")

    async def work() -> None:
        async with mobile(directory) as opened:
            await worked(opened)

    asyncio.run(work())
    return directory


@pytest.fixture
def left(pristine: Path, tmp_path: Path) -> Path:
    """The ledger of a copy of it; the configuration is beside its state directory."""
    shutil.copytree(pristine, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "w" / "carrierd.toml"
    file.write_text(file.read_text().replace(str(pristine), str(tmp_path)))
    return tmp_path / "w" / "state" / "ledger.sqlite"


def test_a_ledger_that_is_no_database_is_named(left: Path) -> None:
    left.write_bytes(b"not a database, " * 4096)
    error = asyncio.run(refused(left.parents[1] / "carrierd.toml"))
    assert str(left) in error
    assert "move it away" in error


@pytest.mark.parametrize("harm", ["pages", "half"])
def test_a_damaged_ledger_is_named_and_not_written_to(left: Path, harm: str) -> None:
    octets = left.read_bytes()
    if harm == "pages":
        octets = octets[:4096] + b"\xaa" * (len(octets) - 4096)
    else:
        octets = octets[: len(octets) // 2]
    left.write_bytes(octets)
    error = asyncio.run(refused(left.parents[1] / "carrierd.toml"))
    assert str(left) in error
    assert "damaged" in error
    assert left.read_bytes() == octets


def test_a_ledger_of_a_newer_version_is_left_alone(left: Path) -> None:
    with closing(sqlite3.connect(left)) as db:
        db.execute("pragma user_version = 99")
    octets = left.read_bytes()
    error = asyncio.run(refused(left.parents[1] / "carrierd.toml"))
    assert str(left) in error
    assert "newer carrierd (schema 99" in error
    assert left.read_bytes() == octets


def test_a_state_directory_that_cannot_be_written_is_named(left: Path) -> None:
    with read_only(left.parent):
        error = asyncio.run(refused(left.parents[1] / "carrierd.toml"))
    assert str(left.parent) in error
    assert "may write" in error or "cannot be written" in error


async def test_a_second_daemon_on_one_state_directory_is_told_who_has_it(tmp_path: Path) -> None:
    async with mobile(tmp_path) as opened:
        error = await refused(opened.daemon.file)
        assert opened.daemon.process is not None
        assert f"pid {opened.daemon.process.pid}" in error
        assert str(opened.daemon.directory / "state") in error
        await worked(opened)


@pytest.mark.parametrize("how", ["file system", "file size"])
async def test_a_full_disk_stops_the_daemon_and_loses_nothing(tmp_path: Path, how: str) -> None:
    async with mobile(tmp_path) as opened:
        daemon = opened.daemon
        await worked(opened)
        with full(daemon, how) as (fill, free):
            await daemon.start()
            fill()
            jobs = [job(number(), "磁" * 60, meta={"fill": "x" * 3_500}) for _ in range(400)]
            await daemon.send(*jobs)
            assert daemon.process is not None
            status = await daemon.process.wait()
            log = daemon.log.read_text()
            assert status == FAILED, log[-2000:]
            lines = map(json.loads, log.splitlines())
            (last,) = [line for line in lines if line["level"] == "critical"]
            assert str(daemon.directory / "state") in last["error"]
            assert "disk" in last["error"]
            free()
            await daemon.start()
            for one in jobs:
                final = await daemon.final(f"{one['id']}/0", 20.0)
                assert final["state"] == "delivered"
        # Answers that could not be written down are in doubt, and their parts may go once more.
        parts = sum(len(opened.mobile.far.to(one["to"])) for one in jobs)
        assert len(jobs) <= parts <= len(jobs) + opened.mobile.gateway.window


@contextmanager
def read_only(state: Path) -> Iterator[None]:
    if os.geteuid():
        modes = {path: path.stat().st_mode for path in (state, *state.glob("ledger*"))}
        for path in modes:
            path.chmod(0o500 if path.is_dir() else 0o400)
        yield
        for path, mode in modes.items():
            path.chmod(mode)
        return
    # Nothing is read-only for root but a mount.
    subprocess.run(["mount", "--bind", str(state), str(state)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(state)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(state)], check=True)


@contextmanager
def full(daemon: Daemon, how: str) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """`fill` and `free` for the disk of the ledger; the queue of jobs is on another one."""
    state = daemon.directory / "state"
    elsewhere = daemon.directory / "broker"
    shutil.move(state / "broker", elsewhere)
    if how == "file size":
        (state / "broker").symlink_to(elsewhere)

        def limit() -> None:
            assert daemon.process is not None
            most = (state / "ledger.sqlite-wal").stat().st_size + 200_000
            resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (most, most))

        yield limit, lambda: None
        return
    kept = daemon.directory / "kept"
    shutil.copytree(state, kept)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "carrierd-test", str(state)],
        check=False, capture_output=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("may not mount a file system; the limit on file sizes is tried instead")
    try:
        shutil.copytree(kept, state, dirs_exist_ok=True)
        (state / "broker").symlink_to(elsewhere)
        yield (
            lambda: None,
            lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(state)], check=True),
        )
    finally:
        if daemon.process is not None and daemon.process.returncode is None:
            daemon.process.kill()
            os.waitpid(daemon.process.pid, os.WNOHANG)
        subprocess.run(["umount", "--lazy", str(state)], check=True)


async def test_a_daemon_that_cannot_start_leaves_its_jobs_where_they_are(tmp_path: Path) -> None:
    async with mobile(tmp_path) as opened:
        await worked(opened)
        daemon = opened.daemon
        one = job(number())
        await daemon.send(one)
        ledger = daemon.directory / "state" / "ledger.sqlite"
        hidden = ledger.with_name("away")
        ledger.rename(hidden)
        ledger.mkdir()
        assert str(ledger) in await refused(daemon.file)
        ledger.rmdir()
        hidden.rename(ledger)
        await daemon.start()
        await until(lambda: daemon.events(f"{one['id']}/0"), what="its events")
        assert (await daemon.final(f"{one['id']}/0"))["state"] == "delivered"
