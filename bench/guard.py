"""What one message makes the daemon do, counted: `python -m bench.guard`.

Time says as much about the machine as about the code.  So this counts: messages go the whole
way (`inside`), and of everything that the daemon's code calls the interpreter's instructions and
the calls into C are added up, gateways left out; besides the rows that the ledger changes and the
octets that are published.  A busy machine or a slow disk changes none of them.  What they do not
see is a function in C that becomes slower, and they are of pure Python.

Jobs have one recipient, or with `--recipients` as many as fill a list; each has its baseline.

`baseline.toml` has the counts that were accepted, by version of the interpreter.  More than a
tenth above one of them fails, here and in the tests.  `--write` makes today's counts the baseline:
do that in the commit that earns or costs them, and say there why.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import structlog

from daemon.compiled import build
from daemon.demo.settings import CARRIERS

from .inside import Inside, Loop, inside
from .options import BenchError
from .sustained import settings

ROOT = Path(__file__).parents[1]
OURS = tuple(f"{ROOT / name}/" for name in ("daemon", "protocols"))
GATEWAYS = f"{ROOT / 'daemon' / 'sim'}/"
BASELINE = Path(__file__).with_name("baseline.toml")
WARM, MESSAGES = 400, 1200
LIST = 99
"""Recipients of a job that leaves in lists."""
MORE = 0.1
"""The share above the baseline that fails."""
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(slots=True, frozen=True)
class Counts:
    """Per message."""

    instructions: float
    """Of the interpreter, in all that the daemon's code calls."""
    calls: float
    """Into C, from there."""
    rows: float
    """That the ledger inserted, updated or deleted."""
    octets: float
    """Published."""


class Meter:
    """Counts inside `with`, in the thread that enters it."""

    def __init__(self) -> None:
        self._instructions = self._calls = 0

    def __enter__(self) -> Self:
        sys.settrace(self._entered)
        sys.setprofile(self._called)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.settrace(None)
        sys.setprofile(None)

    def read(self) -> tuple[int, int]:
        """So far: instructions and calls."""
        return self._instructions, self._calls

    def _entered(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not self._counts(frame):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._instruction

    def _counts(self, frame: FrameType) -> bool:
        """What counted code calls counts; else the daemon's own does, called by the loop say."""
        caller = frame.f_back
        if caller is not None and caller.f_trace is not None:
            return True
        name = frame.f_code.co_filename
        if not name.startswith(OURS) or name.startswith(GATEWAYS):
            return False
        return caller is None or not caller.f_code.co_filename.startswith(OURS)

    def _instruction(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self._instructions += 1
        return self._instruction

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and frame.f_trace is not None:
            self._calls += 1


def count(recipients: int = 1, messages: int = MESSAGES) -> Counts:
    """After a warm-up, with so many recipients in every job and at least so many messages.

    Raises BenchError when not every message was delivered.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        tempfile.TemporaryDirectory(prefix="carrierd-guard-") as directory,
        asyncio.Runner(loop_factory=Loop) as runner,
    ):
        return runner.run(_count(Path(directory), recipients, messages))


async def _count(directory: Path, recipients: int, messages: int) -> Counts:
    meter = Meter()
    # Whole rounds of the carriers: their costs differ.
    turns = len(CARRIERS) * recipients
    warm, jobs = (-(-size // turns) * len(CARRIERS) for size in (WARM, messages))
    async with inside(directory, settings(CARRIERS, None, "", recipients), recipients) as system:
        await system.work(warm)
        before = (*meter.read(), _rows(system), system.broker.octets)
        with meter:
            await system.work(jobs)
        after = (*meter.read(), _rows(system), system.broker.octets)
        taken = system.fleet.counts()["totals"]["reports_taken"]
    if taken != system.sent:
        raise BenchError(f"guard: {taken} of {system.sent} messages were reported on")
    counted = zip(before, after, strict=True)
    return Counts(*((late - early) / (jobs * recipients) for early, late in counted))


def _rows(system: Inside) -> int:
    return system.app.ledger._db.total_changes


def load(path: Path = BASELINE) -> dict[str, Counts]:
    """By `case`."""
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: Counts(**counts) for name, counts in read.items()}


def case(recipients: int) -> str:
    """What the baseline calls it: this interpreter, and how the messages leave."""
    return VERSION if recipients == 1 else f"{VERSION}, lists of {recipients}"


def write(baselines: Mapping[str, Counts], path: Path = BASELINE) -> None:
    lines = ["# Counts per message by interpreter; `python -m bench.guard --write` writes this."]
    for name, counts in sorted(baselines.items()):
        lines += ["", f'["{name}"]']
        lines += [f"{field.name} = {getattr(counts, field.name):.1f}" for field in fields(Counts)]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def exceeded(found: Counts, baseline: Counts, more: float = MORE) -> list[str]:
    """What is more than that share above the baseline, a sentence each."""
    return [
        f"{name}: {now:.1f} a message, {now / before - 1:+.1%}; {before:.1f} were accepted"
        for name, before, now in _pairs(found, baseline)
        if now > before * (1 + more)
    ]


def _pairs(found: Counts, baseline: Counts) -> list[tuple[str, float, float]]:
    names = [field.name for field in fields(Counts)]
    return [(name, getattr(baseline, name), getattr(found, name)) for name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when a count is exceeded; 2 when there is no baseline for this interpreter, or no
    interpreter at work.
    """
    parser = argparse.ArgumentParser(prog="bench.guard", description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="make today's counts the baseline")
    words = f"of every job: 1, or {LIST} in lists"
    parser.add_argument("--recipients", type=int, choices=(1, LIST), default=1, help=words)
    args = parser.parse_args(arguments)
    name = case(args.recipients)
    if build() == "compiled":
        print("bench.guard: what is compiled has no instructions to count", file=sys.stderr)
        return 2
    found, baselines = count(args.recipients), load()
    for field in fields(Counts):
        accepted = getattr(baselines.get(name), field.name, None)
        words = "no baseline" if accepted is None else f"{accepted:.1f} accepted"
        print(f"{field.name}: {getattr(found, field.name):.1f} a message, {words}")
    if args.write:
        write(baselines | {name: found})
        return 0
    if name not in baselines:
        return 2
    for sentence in (wrong := exceeded(found, baselines[name])):
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
