from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.ledger import History, Ledger
from tests.daemon.ledger.content import mid, number, start

ROOT = Path(__file__).parents[3]


@contextmanager
def writer(state_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes; killed at the end, if it was not before."""
    command = [sys.executable, "-m", "tests.daemon.ledger.writing", str(state_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_after(state_dir: Path, lines: int) -> dict[str, set[int]]:
    """What a writer said until it was killed, at its `lines`th line or a little later."""
    said: dict[str, set[int]] = {"taken": set(), "done": set(), "events": set()}
    with writer(state_dir) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            what, value = line.split()
            said[what.decode()].add(int(value))
            if count == lines:
                process.kill()
    return said


async def lost(ledger: Ledger, said: dict[str, set[int]]) -> set[str]:
    rows = await ledger.load([mid(seq) for seq in sorted(said["taken"])])
    finals = {job.seq for job, row in rows if row.final}
    missing = {f"job {seq}" for seq in said["taken"] - {job.seq for job, _ in rows}}
    missing |= {f"final {seq}" for seq in said["done"] - finals}
    pending = {number for number, _ in await ledger.outbox(0, 1_000_000)}
    return missing | {f"events {number}" for number in said["events"] - pending}


async def test_what_was_called_back_survives_a_kill_at_any_moment(state_dir: Path) -> None:
    for lines in (1, 700, 3000):
        said = await asyncio.to_thread(killed_after, state_dir, lines)
        ledger = start(state_dir)
        assert ledger.last_seq() >= max(said["taken"])
        assert await lost(ledger, said) == set()
        known = await ledger.known([f"j-{seq}" for seq in sorted(said["taken"])])
        assert {row.seq for row in known.values()} == said["taken"]
        await ledger.close()


async def test_a_history_reads_beside_a_daemon_that_writes(state_dir: Path) -> None:
    await asyncio.to_thread(read_beside, state_dir)


def read_beside(state_dir: Path) -> None:
    with writer(state_dir) as process:
        assert process.stdout is not None
        history: History | None = None
        for line in process.stdout:
            what, value = line.split()
            if what != b"taken":
                continue
            seq = int(value)
            history = history or History.open(state_dir)
            ((job, row),) = history.by_job(f"j-{seq}")
            assert (job.seq, row.to) == (seq, number(seq))
            if seq > 200:
                break
        assert history is not None
        history.close()


def test_a_history_reads_what_a_killed_daemon_left(state_dir: Path) -> None:
    said = killed_after(state_dir, 100)
    with History.open(state_dir) as history:
        assert all(history.by_message(f"j-{seq}/0") for seq in said["taken"])
