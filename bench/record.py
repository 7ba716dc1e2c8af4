"""How the record of jobs scales: traces in months of archives, reports for a million open messages,
and what archiving does to the commits beside it.

All of it happens in this process with the daemon's own parts: archives filled by the code that
archives, `History` as `trace` asks it, and an `App` that is built and not started, whose engine is
given reports as a connection would.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from daemon.app import App
from daemon.changes import Changes
from daemon.clock import wall
from daemon.config import Config, load
from daemon.demo.fates import quantile
from daemon.demo.ports import Ports
from daemon.demo.settings import Settings
from daemon.ledger import Archiver, Entries, History, Ledger
from daemon.ledger.history import Found
from daemon.link import Link
from daemon.model import State
from daemon.recall import revive_all
from protocols import session as sessions
from protocols.events import Fate, Reported
from protocols.part import Part

from .archives import ACCOUNT, CARRIER, NODE, Filled, Rows, carrier_id, fill, job_id, number
from .machine import machine, shown_syncs, syncs
from .options import BenchError, Options
from .result import Figure, Result, Target, at_most, median
from .usage import disk

MESSAGES, FULL_MESSAGES = 60_000, 53_000_000
OPEN, FULL_OPEN = 20_000, 1_000_000
MONTHS = 6
"""Six months of the largest contract are 53 million messages."""
TRACES = 25
"""Of each kind, each one twice: the first may find its pages on the disk alone."""
COMMANDS = 5
REPORTS = 200
"""One by one; then as many in groups."""
GROUP = 16
TURN = 500
"""Messages of one put while the ledger is filled."""
MARKS = (10_000, 100_000, 1_000_000, 10_000_000)
EVERY, EACH = 0.005, 10
"""Seconds, and messages put so often, while jobs are archived: 2,000 a second."""
BESIDE = 3.0
"""Seconds of the same load with nothing archived."""
LIVELY = 10**9
"""Jobs from this number on are of that load."""
SEED = 20261122

TRACE_MS, MATCH_MS, COMMIT_MS, SYNC_MS = 100.0, 1.0, 20.0, 1.0


@dataclass(slots=True)
class _Run:
    filled: Filled
    open: int
    traces: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    """Seconds by what was asked for, the first time and again."""
    command: list[float] = field(default_factory=list)
    """Seconds of `carrierd trace` as a whole."""
    growth: list[dict[str, Figure]] = field(default_factory=list)
    single: list[float] = field(default_factory=list)
    """Seconds until a report that came alone had its message."""
    grouped: list[float] = field(default_factory=list)
    """The same per report, of groups."""
    quiet: list[float] = field(default_factory=list)
    """Seconds of commits, put to durable, with nothing archived."""
    beside: list[float] = field(default_factory=list)
    """The same beside the archiving."""
    archived: int = 0
    archiving: float = 0.0
    """Seconds that it took."""
    syncs: list[float] = field(default_factory=list)


async def measure(options: Options) -> Result:
    """Raises BenchError when something that was put is not found."""
    load_before = os.getloadavg()[0]
    messages = options.most or (FULL_MESSAGES if options.full else MESSAGES)
    unfinished = FULL_OPEN if options.full else min(OPEN, messages)
    with tempfile.TemporaryDirectory(prefix="carrierd-", dir=options.directory) as name:
        run = await _run(Path(name), messages, unfinished, options)
    parameters: dict[str, Any] = {
        "messages in archives": messages,
        "months": MONTHS,
        "open messages": unfinished,
        "parts per message": 1,
        "traces of each kind": TRACES,
        "reports": REPORTS,
    }
    result = Result("record", parameters, machine(load_before) | shown_syncs(run.syncs))
    _targets(result, run)
    _tables(result, run)
    return result


async def _run(directory: Path, messages: int, unfinished: int, options: Options) -> _Run:
    with Ports(4) as ports:
        path = Settings(carriers=(ACCOUNT,)).write(directory, ports.numbers)
    config = load(path)
    state_dir = config.daemon.state_dir
    options.note(f"record: {messages} messages into archives of {MONTHS} months")
    filled = await fill(state_dir, messages, MONTHS, config.daemon.timezone, options.note)
    run = _Run(filled, unfinished)
    run.syncs += syncs(directory, 100)
    chances = Random(SEED)
    options.note(f"record: {unfinished} open messages")
    await _open(run, config, messages + 1)
    options.note("record: traces")
    _trace(run, state_dir, chances)
    run.command += [await _command(path, chances.randint(1, messages)) for _ in range(COMMANDS)]
    options.note("record: reports")
    await _match(run, config, messages, chances)
    options.note("record: archiving beside commits")
    await _archive(run, config, messages + 1, options.seconds or BESIDE)
    run.syncs += syncs(directory, 100)
    return run


# Open messages


async def _open(run: _Run, config: Config, first: int) -> None:
    """Put them, and note at some sizes what that cost."""
    state_dir = config.daemon.state_dir
    before = disk(state_dir)
    rows = Rows(State.ACCEPTED)
    marks = [mark for mark in MARKS if mark < run.open] + [run.open]
    async with AsyncExitStack() as stack:
        ledger = Ledger.open(state_dir, on_events=_told)
        stack.push_async_callback(ledger.close)
        put, cpu = 0, time.process_time()
        for mark in marks:
            since = put
            while put < mark:
                seqs = range(first + put, first + min(put + TURN, mark))
                put += len(seqs)
                at = time.time()
                await _durable(
                    ledger,
                    Entries(
                        jobs=[rows.job(seq, at) for seq in seqs],
                        messages=[rows.message(seq, at) for seq in seqs],
                        carrier_ids=[rows.carrier_id(seq) for seq in seqs],
                    ),
                )
            used = time.process_time() - cpu
            octets = disk(state_dir) - before
            asked = [job_id(seq) for seq in range(first, first + TURN)]
            known = await _timed(lambda asked=asked: ledger.known(asked), 5)
            new = await _timed(lambda asked=asked: ledger.known([f"x{i}" for i in asked]), 5)
            run.growth.append(
                {
                    "open messages": mark,
                    "µs CPU/message": round(used / (mark - since) * 1e6, 1),
                    "ledger B/message": round(octets / mark),
                    "known µs/id": round(known / TURN * 1e6, 1),
                    "not known µs/id": round(new / TURN * 1e6, 1),
                }
            )
            cpu = time.process_time()


async def _timed(work: Callable[[], Awaitable[Any]], times: int) -> float:
    """The median of the seconds that it takes."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        took.append(time.perf_counter() - began)
    return median(took)


def _told(number: int, events: Sequence[object]) -> None:
    """Of events, which nobody publishes here."""


async def _durable(ledger: Ledger, entries: Entries) -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ledger.put(entries, lambda: done.set_result(None))
    await asyncio.wait((done, ledger.failed), return_when=asyncio.FIRST_COMPLETED)
    if ledger.failed.done():
        ledger.failed.result()


# Traces


def _trace(run: _Run, state_dir: Path, chances: Random) -> None:
    """As the command does it: opened for one question and closed."""
    messages = run.filled.messages
    asks: dict[str, Callable[[History, int], Found]] = {
        "--job": lambda history, seq: history.by_job(job_id(seq)),
        "--message": lambda history, seq: history.by_message(f"{job_id(seq)}/0"),
        "--to": lambda history, seq: history.by_to(number(seq)),
        "--carrier-id": lambda history, seq: history.by_carrier_id([(None, carrier_id(seq))]),
        "--job, none": lambda history, seq: history.by_job(f"none-{seq}"),
    }
    for kind, ask in asks.items():
        seqs = [chances.randint(1, messages) for _ in range(TRACES)]
        first, again = ([_asked(state_dir, ask, seq, kind) for seq in seqs] for _ in range(2))
        run.traces[kind] = (first, again)


def _asked(state_dir: Path, ask: Callable[[History, int], Found], seq: int, kind: str) -> float:
    began = time.perf_counter()
    with History.open(state_dir) as history:
        found = revive_all(ask(history, seq))
    took = time.perf_counter() - began
    if (seq in {message.job.seq for message in found}) == kind.endswith("none"):
        raise BenchError(f"record: {kind} of {job_id(seq)} found {len(found)} messages")
    return took


async def _command(config: Path, seq: int) -> float:
    began = time.perf_counter()
    command = ["trace", "--config", str(config), "--message", f"{job_id(seq)}/0", "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon", *command, stdout=asyncio.subprocess.DEVNULL
    )
    if status := await process.wait():
        raise BenchError(f"record: carrierd trace ended with {status}")
    return time.perf_counter() - began


# Reports


class _Carrier(sessions.Session):
    """The session that reports come on; `heard` when one is acknowledged."""

    header = struct.Struct("!I")
    longest = header.size

    def __init__(self) -> None:
        super().__init__(sessions.Limits(), sessions.Clock())
        self.heard = 0
        self._go(sessions.State.BINDING)
        self._bound("record", 0.0)

    def _acknowledge(self, receipts: Sequence[Any]) -> None:
        self.heard += len(receipts)

    def _bind(self, now: float) -> None:
        """It is bound as it is made."""

    def _submit(self, tag: Any, part: Part, now: float) -> None:
        raise BenchError("record: nothing is to be sent")

    def _probe(self, now: float) -> None:
        """Nobody is there who would answer."""

    def _farewell(self, now: float) -> None:
        self._end("closed by us", error=False)


async def _match(run: _Run, config: Config, messages: int, chances: Random) -> None:
    app = App(config)
    carrier = _Carrier()
    link = Link(NODE, carrier, app.engine, app.accounts[ACCOUNT].pacer)
    try:
        picked = chances.sample(range(messages + 1, messages + run.open + 1), 2 * REPORTS)
        for seq in picked[:REPORTS]:
            run.single.append(await _reported(app, link, [seq]))
        for start in range(REPORTS, 2 * REPORTS, GROUP):
            seqs = picked[start : start + GROUP]
            run.grouped.append(await _reported(app, link, seqs) / len(seqs))
    finally:
        await app.sweep.close()
        await app.ledger.close()
    if carrier.heard != 2 * REPORTS:
        raise BenchError(f"record: {carrier.heard} of {2 * REPORTS} reports were acknowledged")


async def _reported(app: App, link: Link, seqs: Sequence[int]) -> float:
    """Seconds from the read that brought them until their messages are settled in memory.

    The next ones come when the disk has that: each look-up is on its own.
    """
    engine = app.engine
    events = [
        Reported((carrier_id(seq),), 1, Fate.DELIVERED, "DELIVRD", number(seq), receipt=seq)
        for seq in seqs
    ]
    delivered = (CARRIER, ACCOUNT, State.DELIVERED)
    before = app.tally.messages[delivered]
    began = time.perf_counter()
    c = Changes()
    engine.reports.came(app.accounts[ACCOUNT], link, events, wall(), c)
    engine.keeping.commit(c)
    await engine.reports.settled()
    took = time.perf_counter() - began
    matched = app.tally.messages[delivered] - before
    if matched != len(seqs):
        raise BenchError(f"record: {matched} of {len(seqs)} reports were matched")
    await _durable(app.ledger, Entries())
    return took


# Archiving


async def _archive(run: _Run, config: Config, first: int, seconds: float) -> None:
    """All that is open is delivered and moves to this month's archive, beside other commits."""
    settings = config.daemon
    rows, finished = Rows(State.ACCEPTED), Rows(State.DELIVERED)
    async with AsyncExitStack() as stack:
        ledger = Ledger.open(settings.state_dir, on_events=_told)
        stack.push_async_callback(ledger.close)
        archiver = Archiver(ledger, zone=settings.timezone, archive_after=settings.archive_after)
        stack.push_async_callback(archiver.close)
        for start in range(first, first + run.open, TURN):
            seqs = range(start, min(start + TURN, first + run.open))
            at = time.time()
            await _durable(ledger, Entries(messages=[finished.message(seq, at) for seq in seqs]))
        load = _Commits(ledger, rows)
        working = asyncio.create_task(load.run(run.quiet))
        await asyncio.sleep(seconds)
        working.cancel()
        working = asyncio.create_task(load.run(run.beside))
        began = time.perf_counter()
        run.archived = await archiver.sweep(time.time() + settings.archive_after + 5.0)
        run.archiving = time.perf_counter() - began
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    if run.archived < run.open:
        raise BenchError(f"record: {run.archived} of {run.open} jobs were archived")


class _Commits:
    """Puts a few messages every 5 ms, whatever becomes of them, and times each until durable."""

    def __init__(self, ledger: Ledger, rows: Rows) -> None:
        self.ledger = ledger
        self.rows = rows
        self.seq = LIVELY

    async def run(self, took: list[float]) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            seqs = range(self.seq, self.seq + EACH)
            self.seq += EACH
            at = time.time()
            entries = Entries(
                jobs=[self.rows.job(seq, at) for seq in seqs],
                messages=[self.rows.message(seq, at) for seq in seqs],
            )
            self.ledger.put(entries, lambda due=due: took.append(loop.time() - due))
            due += EVERY
            await asyncio.sleep(max(0.0, due - loop.time()))


# What is shown


def _targets(result: Result, run: _Run) -> None:
    sync = quantile(sorted(run.syncs), 0.99) * 1e3
    traced = [median(again) * 1e3 for _, again in run.traces.values()]
    commit = quantile(sorted(run.beside), 0.99) * 1e3
    applies = sync <= SYNC_MS
    result.targets += [
        at_most("trace, warm, median of the slowest kind", TRACE_MS, traced, "ms", 1),
        at_most("a report alone, median", MATCH_MS, [median(run.single) * 1e3], "ms", 2),
        at_most("a report in a group, median", MATCH_MS, [median(run.grouped) * 1e3], "ms", 2),
        Target(
            "commit p99 beside archiving",
            f"<= {COMMIT_MS:g} where fdatasync p99 <= {SYNC_MS:g} ms"
            + ("" if applies else f" (does not apply: {sync:.2f} ms)"),
            round(commit, 1),
            commit <= COMMIT_MS or not applies,
            "ms",
        ),
    ]


def _tables(result: Result, run: _Run) -> None:
    result.tables["archives"] = [
        {
            "messages": run.filled.messages,
            "files": run.filled.months,
            "GB": round(run.filled.octets / 1e9, 2),
            "B/message": round(run.filled.octets / run.filled.messages),
            "s to fill": round(run.filled.seconds),
        }
    ]
    result.tables["trace"] = [
        {"ms": kind, "when": when, **_spread(took)}
        for kind, pair in run.traces.items()
        for when, took in zip(("first", "again"), pair, strict=True)
    ] + [{"ms": "carrierd trace --message", "when": "command", **_spread(run.command)}]
    result.tables["ledger as it fills"] = run.growth
    result.tables["reports"] = [
        {"ms": name, **_spread(took)}
        for name, took in (("alone", run.single), (f"of {GROUP}", run.grouped))
    ]
    result.tables["commits"] = [
        {"ms": "nothing archived", "commits": len(run.quiet), **_spread(run.quiet)},
        {"ms": "beside archiving", "commits": len(run.beside), **_spread(run.beside)},
    ]
    result.tables["archiving"] = [
        {
            "jobs": run.archived,
            "s": round(run.archiving, 1),
            "jobs/s": round(run.archived / run.archiving),
        }
    ]


def _spread(seconds: Sequence[float]) -> dict[str, Figure]:
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(quantile(ordered, share) * 1e3, 2) for name, share in shares.items()}
