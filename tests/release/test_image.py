"""What the Dockerfile says, where it can be seen without an engine; `release/` runs its steps."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

from hatch_build import ASKED

from .dockerfile import instructions
from .test_lock import project

ROOT = Path(__file__).parents[2]
STEPS = instructions(ROOT / "Dockerfile")
LAST = max(step.stage for step in STEPS)


def only(word: str, stage: int = LAST) -> str:
    (value,) = [step.value for step in STEPS if (step.word, step.stage) == (word, stage)]
    return value


def understood(arguments: list[str]) -> argparse.Namespace:
    """As `carrierd` would read them; SystemExit when it would not."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"daemon.cli.{arguments[0]}").add(parser.add_subparsers())
    return parser.parse_args(arguments)


def test_every_stage_begins_with_one_exact_version_of_a_python_that_we_support() -> None:
    named = [step.value for step in STEPS if (step.word, step.stage) == ("ARG", -1)]
    assert len(named) == 2
    build = re.fullmatch(r"BUILD=python:(\d+\.\d+)\.(\d+)-(\w+)", named[0])
    base = re.fullmatch(r"BASE=python:(\d+\.\d+)\.(\d+)-slim-(\w+)", named[1])
    assert base, "an exact version, and what a digest is added to"
    assert build, "the same with a compiler"
    assert build.groups() == base.groups(), "what is compiled on one runs on the other"
    assert f"Programming Language :: Python :: {base[1]}" in project()["project"]["classifiers"]
    stages = [step.value for step in STEPS if step.word == "FROM"]
    assert stages == ["${BUILD} AS build", "${BASE}"]


def test_what_the_image_has_is_compiled() -> None:
    (built,) = [step.value for step in STEPS if step.word == "RUN" and "pip wheel" in step.value]
    assert built.startswith(f"{ASKED}=1 ")


def test_nothing_in_the_image_runs_as_root_or_is_built_there() -> None:
    assert int(only("USER")) > 0
    copied = [step.value for step in STEPS if (step.word, step.stage) == ("COPY", LAST)]
    assert copied == ["--from=build /opt/carrierd /opt/carrierd"]
    assert only("STOPSIGNAL") == "SIGTERM"


def test_what_the_image_runs_is_a_command_of_the_daemon() -> None:
    (entry,) = [step for step in STEPS if step.word == "ENTRYPOINT"]
    (command,) = [step for step in STEPS if step.word == "CMD"]
    assert entry.exec == ["carrierd"]
    assert callable(understood(command.exec).run)


def test_what_is_copied_for_the_build_is_there_and_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    named = [step.value for step in STEPS if (step.word, step.stage) == ("COPY", 0)]
    for source in {word for value in named for word in value.split()[:-1]} - {"."}:
        assert source in kept
    assert all((ROOT / name).exists() for name in kept)
    built = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {*built, "pyproject.toml", "hatch_build.py", "README.md", "LICENSE"} <= kept
