"""The rulers themselves, held against what is known."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.cores import apart, on
from bench.following import Following
from bench.machine import machine, shown_syncs, syncs
from bench.memory import Memory, by_process, ended, fill
from bench.offered import inner
from bench.result import Result, at_least, at_most, none_of
from bench.scrape import buckets, estimate
from bench.touched import PIECE, touched
from bench.usage import disk, usage
from daemon.demo.fates import Fates
from daemon.demo.settings import Settings
from daemon.demo.stage import Stage, StageError
from daemon.demo.traffic import Traffic
from tests.daemon.sim.sp import until

PAGE = """\
# HELP x_seconds Something.
# TYPE x_seconds histogram
x_seconds_bucket{a="1",le="0.1"} 10.0
x_seconds_bucket{a="1",le="0.2"} 10.0
x_seconds_bucket{a="1",le="+Inf"} 10.0
x_seconds_count{a="1"} 10.0
x_seconds_sum{a="1"} 0.5
x_seconds_bucket{a="2",le="0.1"} 0.0
x_seconds_bucket{a="2",le="0.2"} 80.0
x_seconds_bucket{a="2",le="+Inf"} 90.0
x_seconds_count{a="2"} 90.0
x_seconds_sum{a="2"} 20.0
"""


def test_buckets_of_all_labels_are_added_up() -> None:
    assert buckets(PAGE, "x_seconds") == [(0.1, 10.0), (0.2, 90.0), (math.inf, 100.0)]
    assert buckets(PAGE, "y_seconds") == []


@pytest.mark.parametrize(
    ("share", "expected"), [(0.05, 0.05), (0.1, 0.1), (0.5, 0.15), (0.9, 0.2), (0.99, 0.2)]
)
def test_a_quantile_lies_within_its_bucket_in_proportion(share: float, expected: float) -> None:
    assert estimate(buckets(PAGE, "x_seconds"), share) == pytest.approx(expected)


def test_no_observations_have_no_quantile() -> None:
    assert math.isnan(estimate([], 0.5))
    assert math.isnan(estimate([(0.1, 0.0), (math.inf, 0.0)], 0.5))


def test_cpu_of_another_process_counts_what_it_burned() -> None:
    burn = (
        "import sys, time\n"
        "while time.process_time() < 0.3: pass\n"
        "print(flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        used = usage(child.pid)
        assert child.stdin is not None
        child.stdin.close()
    assert 0.28 <= used.cpu <= 0.6
    assert 1 << 20 < used.memory <= used.most_memory


def test_what_is_measured_has_a_core_that_the_bench_keeps_off() -> None:
    before = os.sched_getaffinity(0)
    show = (sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))")

    def cores_of_a_child() -> set[int]:
        return {int(core) for core in subprocess.check_output(show).split()}

    with apart() as measured:
        assert len(measured) == 1
        assert cores_of_a_child() == (before - measured or measured)
        with on(measured):
            assert cores_of_a_child() == measured
        assert cores_of_a_child() == (before - measured or measured)
    assert os.sched_getaffinity(0) == before


def test_own_cpu_and_starvation_only_grow() -> None:
    before = usage(os.getpid())
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = usage(os.getpid())
    assert after.cpu >= before.cpu + 0.03
    assert after.starved >= before.starved >= 0


def test_disk_adds_up_files_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(1000))
    (tmp_path / "c").write_bytes(bytes(24))
    assert disk(tmp_path) == 1024
    assert disk(tmp_path / "nowhere") == 0


def test_syncs_leave_nothing_behind_and_the_machine_is_described(tmp_path: Path) -> None:
    found = syncs(tmp_path, 20)
    assert len(found) == 20
    assert all(value > 0 for value in found)
    assert list(tmp_path.iterdir()) == []
    shown = shown_syncs(found)
    assert shown["fdatasync_p50_ms"] <= shown["fdatasync_p99_ms"] <= shown["fdatasync_max_ms"]
    facts = machine(0.5)
    assert facts["cpu"]
    assert facts["packages"]["uvloop"]
    assert facts["build"] == "pure Python"


async def test_memory_that_a_run_will_write_is_taken_before_and_given_back_meanwhile() -> None:
    def resident() -> int:
        return usage(os.getpid()).memory

    before = resident()
    async with touched(1.0) as page:
        assert page > 0
        assert resident() > before + 2 * PIECE
        await until(lambda: resident() < before + PIECE // 2)
    async with touched(1.0):
        assert resident() > before + 2 * PIECE
    assert resident() < before + PIECE // 2


async def test_filling_waits_for_the_last_message_and_memory_is_looked_at_by_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.memory.FILL", 300)
    monkeypatch.setattr("bench.memory.SAMPLE_EVERY", 0.05)
    settings = Settings(rate=1000.0)
    traffic = Traffic("fill", settings.carriers)
    fates = Fates("fill", 400)
    async with Stage(settings, tmp_path) as stage, Following(stage, fates) as following:
        await stage.start_daemon()
        memory = Memory(stage)
        work = asyncio.create_task(fill(stage, traffic, following))
        await ended([work], asyncio.create_task(memory.watch()))
        assert fates.settled == 300
        memory.paused = True
        await stage.stop_daemon()
        await stage.start_daemon()
        memory.next_process()
        watch = asyncio.create_task(memory.watch())
        await until(lambda: len(memory.runs[-1]) > 1)
        await stage.daemon.kill()
        # One that ends by itself is an error, whatever work is still to be done.
        with pytest.raises(StageError, match="carrierd run"):
            await ended([asyncio.create_task(asyncio.sleep(30))], watch)
    first, second = memory.runs
    assert len(first) > 3
    assert len(second) > 1
    assert memory.most == max(value for run in memory.runs for _, value in run) > 20 << 20
    assert [row["process"] for row in by_process(memory.runs)] == [1, 2]


def test_the_first_and_the_last_second_are_not_judged() -> None:
    accounts = {
        "a": {"seconds": {"start": 100, "submits": [3, 50, 60, 1]}},
        "b": {"seconds": {"start": 101, "submits": [50, 0, 40, 2]}},
        "c": {"seconds": {"start": None, "submits": []}},
    }
    assert inner(accounts) == [100, 60, 41]
    assert inner({"a": {"seconds": {"start": 7, "submits": [1, 2]}}}) == []


def test_a_second_without_any_submit_counts_as_none() -> None:
    accounts = {
        "a": {"seconds": {"start": 1, "submits": [5]}},
        "b": {"seconds": {"start": 4, "submits": [5]}},
    }
    assert inner(accounts) == [0, 0]


def test_the_median_must_reach_what_is_wanted_and_the_worst_must_not_exceed_it() -> None:
    assert at_least("x", 10, [9, 11, 12], "").met
    assert not at_least("x", 10, [9, 9.9, 12], "").met
    assert at_least("x", 10, [9, 11, 12], "").spread == (9, 12)
    assert at_most("x", 10, [1, 10], "").met
    assert not at_most("x", 10, [1, 11], "").met
    assert at_least("x", 10, [11], "").spread is None


def test_one_target_that_is_missed_fails_the_suite() -> None:
    result = Result("s", {}, {}, [none_of("lost", [0, 0]), none_of("sent twice", [0, 1])])
    assert not result.met
    assert [target["met"] for target in result.show()["targets"]] == [True, False]
    assert result.show()["targets"][1]["measured"] == 1
    result.targets.pop()
    assert result.met
