"""What the ledger costs per message: `python -m bench.ledger`.

A message's whole life: its job and first row, the answer with a carrier id, the final row, an
event for each of the last two.  Every stage is put when the one before is durable, in turns of a
few, as links do it.  Beside it the loop is kept busy for a given share of its time: the writer's
thread has to get the interpreter's lock from it.

CPU is that of all threads (`time.process_time`), without what the bench itself takes to make rows
and to be busy.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import resource
import sqlite3
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from daemon.ledger import INDEX_BITS, Entries, Event, Ledger
from daemon.ledger.ledger import SWITCH_SECONDS

BODY, LIFE, VALUE = os.urandom(220), os.urandom(120), os.urandom(450)
BUSY_SECONDS = 0.001


@dataclass(slots=True)
class Load:
    """Keeps `window` messages on their way through the ledger until `messages` are through."""

    messages: int
    turn: int
    window: int
    busy: float
    random: random.Random = field(default_factory=lambda: random.Random(1))
    commits: list[float] = field(default_factory=list)
    events: int = 0
    own_cpu: float = 0.0
    taken: int = 0
    done: int = 0
    told: int = 0

    async def run(self, state_dir: Path) -> tuple[float, float]:
        """CPU and wall seconds."""
        ledger = Ledger.open(state_dir, on_events=self._published, on_commit=self.commits.append)
        through: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        cpu, wall = time.process_time(), time.perf_counter()
        spinning = asyncio.create_task(self._be_busy())
        self._take(ledger, through)
        await asyncio.wait((through, ledger.failed), return_when=asyncio.FIRST_COMPLETED)
        spinning.cancel()
        cpu, wall = time.process_time() - cpu - self.own_cpu, time.perf_counter() - wall
        await ledger.close()
        if ledger.failed.done():
            ledger.failed.result()
        return cpu, wall

    def _published(self, number: int, events: list[Event]) -> None:
        self.told = number
        self.events += len(events)

    def _take(self, ledger: Ledger, through: asyncio.Future[None]) -> None:
        while self.taken < self.messages and self.taken - self.done < self.window:
            began = time.thread_time()
            seqs = range(self.taken + 1, self.taken + self.turn + 1)
            now = time.time()
            entries = Entries(
                jobs=[
                    (
                        seq,
                        f"{self.random.getrandbits(128):032x}",
                        BODY[:16],
                        "sms.jobs",
                        0,
                        seq,
                        now,
                        now,
                        BODY,
                    )
                    for seq in seqs
                ],
                messages=[
                    (
                        seq << INDEX_BITS,
                        f"1{self.random.randrange(10**10):010}",
                        "mobile",
                        1,
                        None,
                        0,
                        0,
                        None,
                        LIFE,
                    )
                    for seq in seqs
                ],
            )
            self.own_cpu += time.thread_time() - began
            self.taken += self.turn
            ledger.put(entries, lambda seqs=seqs, e=entries: self._answer(ledger, through, seqs, e))

    def _answer(
        self, ledger: Ledger, through: asyncio.Future[None], seqs: range, entries: Entries
    ) -> None:
        began = time.thread_time()
        wake = time.time() + 259200.0
        answered = Entries(
            messages=[
                (mid, to, route, lane, "xz-mobile", 5, 0, wake, LIFE)
                for mid, to, route, lane, *_ in entries.messages
            ],
            carrier_ids=[
                ("xz-mobile", (seq * 7919).to_bytes(8, "big"), seq << INDEX_BITS, 0) for seq in seqs
            ],
            events=[("reports", job[1].encode(), VALUE) for job in entries.jobs],
        )
        self.own_cpu += time.thread_time() - began
        ledger.put(answered, lambda: self._finish(ledger, through, answered))

    def _finish(self, ledger: Ledger, through: asyncio.Future[None], answered: Entries) -> None:
        began = time.thread_time()
        final = Entries(
            messages=[
                (mid, to, route, lane, account, 9, 1, None, LIFE)
                for mid, to, route, lane, account, *_ in answered.messages
            ],
            events=answered.events,
        )
        self.own_cpu += time.thread_time() - began
        ledger.put(final, lambda: self._through(ledger, through))

    def _through(self, ledger: Ledger, through: asyncio.Future[None]) -> None:
        self.done += self.turn
        ledger.told(self.told)
        if self.done < self.messages:
            self._take(ledger, through)
        elif not through.done():
            through.set_result(None)

    async def _be_busy(self) -> None:
        """Spin for the wanted share of the time, a millisecond at once."""
        while self.busy > 0:
            began, until = time.thread_time(), time.perf_counter() + BUSY_SECONDS
            while time.perf_counter() < until:
                pass
            self.own_cpu += time.thread_time() - began
            await asyncio.sleep(BUSY_SECONDS * (1 / self.busy - 1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.ledger", description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--turn", type=int, default=50, help="messages in one put")
    parser.add_argument("--window", type=int, default=4_000, help="messages on their way at once")
    parser.add_argument("--busy", type=float, nargs="*", default=[0.0, 0.5, 1.0])
    parser.add_argument("--dir", type=Path, help="where the files go; default: the temporary one")
    args = parser.parse_args()
    print(
        f"bench ledger: messages={args.messages} turn={args.turn} window={args.window}"
        f" switch={SWITCH_SECONDS * 1e3:g}ms sqlite={sqlite3.sqlite_version}"
        f" python={platform.python_version()} loop=uvloop cpus={os.cpu_count()}"
    )
    for busy in args.busy:
        load = Load(args.messages, args.turn, args.window, busy)
        with (
            tempfile.TemporaryDirectory(dir=args.dir) as directory,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            cpu, wall = runner.run(load.run(Path(directory) / "state"))
            size = sum(path.stat().st_size for path in Path(directory).rglob("*.sqlite"))
        commits = sorted(load.commits)
        p50, p99 = commits[len(commits) // 2], commits[len(commits) * 99 // 100]
        print(
            f"loop {busy:4.0%} busy: {load.done / wall:,.0f} messages/s"
            f" ({5 * load.done / wall:,.0f} rows/s) · {cpu / load.done * 1e6:.1f} µs CPU/message"
            f" · {len(commits)} commits p50 {p50 * 1e3:.1f} p99 {p99 * 1e3:.1f} max"
            f" {commits[-1] * 1e3:.1f} ms · {size / load.done:.0f} B/message on disk"
            f" · {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB"
        )


if __name__ == "__main__":
    main()
