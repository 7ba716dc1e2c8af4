"""What the Dockerfile says, where it can be seen without an engine; `release/` runs its steps."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

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
    name = re.fullmatch(r"BASE=python:(\d+\.\d+)\.\d+-slim-\w+", only("ARG", -1))
    assert name, "an exact version, and what a digest is added to"
    assert f"Programming Language :: Python :: {name[1]}" in project()["project"]["classifiers"]
    bases = [step.value for step in STEPS if step.word == "FROM"]
    assert all(re.fullmatch(r"\$\{BASE\}( AS \w+)?", base) for base in bases)


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
    assert {*built, "pyproject.toml", "README.md", "LICENSE"} <= kept
