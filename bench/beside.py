"""What a backup costs the daemon beside it: `python -m bench.beside`.

A ledger of some size is written to every 10 ms, and each commit is timed: alone, then while
`carrierd backup` copies the ledger in a process of its own; in turns, as a disk changes its mind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson

from daemon.demo.fates import quantile
from daemon.ledger import INDEX_BITS, Entries, JobValues, Ledger, MessageValues, files

BODY, LIFE = os.urandom(220), os.urandom(120)
EVERY = 0.01
EACH = 2
TURN = 5_000
CONFIG = """
[daemon]
state_dir = "{state}"
[broker]
kind = "local"
[accounts.a]
carrier = "mobile"
protocol = "cmpp"
version = "3.0"
login = "901234"
password = "secret"
access_number = "106575257777"
rate = 200
nodes = [{{name = "n", host = "127.0.0.1", port = 7890}}]
"""


class Load:
    """Jobs with one message each, delivered as soon as they are there."""

    def __init__(self, state_dir: Path) -> None:
        self.commits: list[float] = []
        self.ledger = Ledger.open(state_dir, on_events=_told, on_commit=self.commits.append)
        self._seq = 0

    def put(self, count: int) -> None:
        seqs = range(self._seq + 1, self._seq + count + 1)
        self._seq += count
        now = time.time()
        jobs: list[JobValues] = [
            (seq, f"order-{seq}", bytes(16), "sms.jobs", 0, seq, now, now, BODY) for seq in seqs
        ]
        for jobs_too, state in ((jobs, 0), ([], 6)):
            messages: list[MessageValues] = [
                (seq << INDEX_BITS, f"138{seq:08}", "mobile", 1, "a", state, state > 0, None, LIFE)
                for seq in seqs
            ]
            self.ledger.put(Entries(jobs=list(jobs_too), messages=messages))

    async def fill(self, messages: int) -> None:
        while self._seq < messages:
            self.put(TURN)
            await self.ledger.run(lambda _: None)

    async def until(self, end: asyncio.Future[Any]) -> dict[str, float]:
        """Milliseconds of the commits until `end` is done."""
        self.commits.clear()
        while not end.done():
            self.put(EACH)
            await asyncio.sleep(EVERY)
        taken = sorted(self.commits)
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        spread = {name: round(quantile(taken, share) * 1e3, 2) for name, share in shares.items()}
        return {"commits": len(taken), **spread}


def _told(number: int, events: object) -> None:
    """There are none."""


async def main(args: argparse.Namespace, directory: Path) -> None:
    state, backups = directory / "state", directory / "backups"
    config = directory / "carrierd.toml"
    config.write_text(CONFIG.format(state=state))
    load = Load(state)
    await load.fill(args.messages)
    megabytes = round((state / files.LEDGER).stat().st_size / 1e6)
    _print({"messages": args.messages, "ledger MB": megabytes, "rate MB/s": args.rate})
    command = (sys.executable, "-m", "daemon", "backup", "--config", str(config), str(backups))
    for _ in range(args.repeats):
        alone = asyncio.ensure_future(asyncio.sleep(args.seconds))
        _print({"alone": await load.until(alone)})
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *command, "--rate", str(args.rate), stdout=asyncio.subprocess.DEVNULL
        )
        beside = await load.until(asyncio.ensure_future(process.wait()))
        _print({"beside": beside, "seconds": round(time.perf_counter() - began, 1)})
        shutil.rmtree(backups)
    await load.ledger.close()


def _print(line: dict[str, object]) -> None:
    print(orjson.dumps(line).decode(), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=400_000)
    parser.add_argument("--rate", type=float, default=25.0, help="of the backup, MB/s")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each time alone")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="on the disk that is meant (a temporary one)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.dir) as made:
        asyncio.run(main(chosen, Path(made)))
