"""Running tests of this suite inside a test, to see which of them say no."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[2]
CODE = (ROOT / "daemon", ROOT / "protocols")
MEMORY = next((path for path in ("/dev/shm",) if os.access(path, os.W_OK)), None)
"""Where the trials' files are: waiting for a real disk shows nothing here."""
WITHIN, EACH = 60.0, 3.0
"""Seconds for one trial, and for each of its tests: a mutation may make one wait for what never
comes, and on a busy machine a trial of a hundred takes longer than one of two."""
OPTIONS = (
    "--override-ini=addopts=",
    "--capture=no",
    "-pno:terminal",
    "-pno:cacheprovider",
    "-pno:faulthandler",  # it would switch off the outer session's
)


@dataclass(eq=False)
class Trial:
    """A plugin that notes what became of each test."""

    passed: set[str] = field(default_factory=set)
    said_no: dict[str, str] = field(default_factory=dict)
    """Tests that failed by an assertion or a wait of their own, and with what."""
    broke: dict[str, str] = field(default_factory=dict)
    """Tests in which the code under test fell over, or that could not be run at all."""

    @pytest.hookimpl
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        name = item.nodeid
        if call.excinfo is None:
            if call.when == "call":
                self.passed.add(name)
            return
        if call.when == "teardown" and name in self.said_no:
            return  # what a failed test leaves behind
        self.passed.discard(name)
        last = call.excinfo.traceback[-1]
        said = f"{call.excinfo.exconly()} ({last.path}:{last.lineno + 1})"
        ours = any(Path(last.path).is_relative_to(code) for code in CODE)
        (self.broke if ours or call.when != "call" else self.said_no)[name] = said

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broke[report.nodeid] = report.longreprtext


def try_(tests: Sequence[str], patience: float | None = None) -> Trial:
    """Run these tests, by their ids below the root of the repository.

    Those of the engine wait for `patience` seconds, if that is given, until they say no.
    """
    trial = Trial()
    with (
        TemporaryDirectory(dir=MEMORY) as temporary,
        _no_longer_than(WITHIN + EACH * len(tests)),
        _swept(),
        pytest.MonkeyPatch.context() as patch,
    ):
        if patience is not None:
            patch.setattr("tests.daemon.engine.desk.Desk.patience", patience)
        options = [*OPTIONS, f"--rootdir={ROOT}", f"--basetemp={temporary}/tests"]
        status = pytest.main([*options, *(str(ROOT / test) for test in tests)], plugins=[trial])
    assert status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), f"pytest: {status!r}"
    return trial


@contextmanager
def _swept() -> Iterator[None]:
    """What tests that failed leave open is closed, and held against nobody."""
    # A session collects garbage when it ends: not all of what there was before it.
    gc.freeze()
    try:
        with pytest.MonkeyPatch.context() as patch, _no_smaller_examples():
            patch.delenv("PYTEST_ADDOPTS", raising=False)  # meant for the outer session
            yield
    finally:
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)
        with warnings.catch_warnings(action="ignore"):
            gc.collect()
        gc.unfreeze()


@contextmanager
def _no_smaller_examples() -> Iterator[None]:
    """An example that says no is enough: nobody reads it, and making it small takes longest."""
    before = settings.get_current_profile_name()
    phases = [phase for phase in settings().phases if phase not in (Phase.shrink, Phase.explain)]
    settings.register_profile("trial", settings(), phases=phases, database=None)
    settings.load_profile("trial")
    try:
        yield
    finally:
        settings.load_profile(before)


@contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        pytest.exit(f"not over after {seconds} s: a mutation must make a test fail, not hang", 3)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
