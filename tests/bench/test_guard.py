"""The guard of what a message costs: what it lets through and what not.

It counts in a process of its own, because it traces everything that runs there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import guard
from bench.guard import VERSION, Counts, exceeded

ROOT = Path(__file__).parents[2]
NEEDS_BASELINE = pytest.mark.skipif(
    VERSION not in guard.load(),
    reason=f"no baseline for Python {VERSION}: python -m bench.guard --write makes one",
)
PLANTED = """
import sys
from bench import guard
from daemon.settle import Settle

written = Settle.written

def slower(self, writes, label, at):
    for _ in range({turns} * len(writes)):
        pass
    return written(self, writes, label, at)

Settle.written = slower
sys.exit(guard.main([]))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, cwd=ROOT, timeout=120, text=True
    )


@NEEDS_BASELINE
@pytest.mark.parametrize("recipients", [1, guard.LIST])
def test_a_message_costs_no_more_than_was_accepted(recipients: int) -> None:
    done = run("-m", "bench.guard", "--recipients", str(recipients))
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}bench/README.md, The guard, says how the baseline is moved"
    )


@NEEDS_BASELINE
def test_a_fifth_more_in_one_step_of_every_message_is_noticed() -> None:
    # Two instructions a turn.
    turns = round(0.2 * guard.load()[VERSION].instructions / 2)
    done = run("-c", PLANTED.format(turns=turns))
    assert done.returncode == 1, (
        f"{done.stdout}a message has become so cheap that a fifth more is let through:"
        " move the baseline, python -m bench.guard --write"
    )
    assert done.stderr.startswith("instructions: ")


def test_more_than_a_tenth_above_the_baseline_is_said_with_both_figures() -> None:
    baseline = Counts(1000.0, 100.0, 7.0, 900.0)
    assert exceeded(Counts(1099.0, 50.0, 7.7, 900.0), baseline) == []
    assert exceeded(Counts(1101.0, 100.0, 7.0, 1000.0), baseline) == [
        "instructions: 1101.0 a message, +10.1%; 1000.0 were accepted",
        "octets: 1000.0 a message, +11.1%; 900.0 were accepted",
    ]


def test_a_baseline_that_was_written_is_read_back(tmp_path: Path) -> None:
    baselines = {
        "3.11": Counts(1.5, 2.0, 3.0, 4.0),
        "3.11, lists of 99": Counts(5.0, 6.0, 7.0, 8.0),
    }
    guard.write(baselines, tmp_path / "b.toml")
    assert guard.load(tmp_path / "b.toml") == baselines
