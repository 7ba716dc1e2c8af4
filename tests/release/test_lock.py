"""One source of versions: pyproject.toml allows, constraints.txt names, the locks add hashes."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-build.lock")


def pins(name: str) -> dict[str, Requirement]:
    """What a file pins; without its hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = (line.partition("#")[0].partition("--hash")[0].strip() for line in text.splitlines())
    found = [Requirement(line) for line in lines if line]
    return {canonicalize_name(each.name): each for each in found}


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def test_what_may_be_used_is_pinned_within_what_is_allowed() -> None:
    found = project()
    groups = found["project"]["optional-dependencies"].values()
    compiling = found["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["requires"]
    allowed = [*found["project"]["dependencies"], *found["build-system"]["requires"], *compiling]
    pinned = pins("constraints.txt")
    for line in [*allowed, *(line for group in groups for line in group)]:
        wanted = Requirement(line)
        (pin,) = pinned[canonicalize_name(wanted.name)].specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(pin.version), line


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_the_versions_of_the_constraints_and_a_hash_of_every_file(lock: str) -> None:
    pinned = pins("constraints.txt")
    assert {name: str(pin) for name, pin in pins(lock).items()} == {
        name: str(pinned[name]) for name in pins(lock)
    }
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n|^ +#.*\n", "", text, flags=re.MULTILINE))
    for entry in filter(None, map(str.strip, entries)):
        hashes = re.findall(r"--hash=(\S+)", entry)
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), entry


def test_the_run_time_is_locked_whole_and_nothing_else() -> None:
    direct = {
        canonicalize_name(Requirement(each).name) for each in project()["project"]["dependencies"]
    }
    locked = pins("requirements.lock")
    assert direct <= locked.keys()
    for tool in ("pytest", "mypy", "ruff", "uv", "hatchling", "pip-audit"):
        assert tool not in locked


def test_the_tests_run_with_what_is_locked() -> None:
    for name, pin in pins("requirements.lock").items():
        if pin.marker is None or pin.marker.evaluate():
            assert pin.specifier.contains(version(name)), f"{pin}, not {version(name)}"


@pytest.mark.parametrize("name", [*LOCKS, "constraints.txt"])
def test_no_address_of_an_index_is_written_down(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()
