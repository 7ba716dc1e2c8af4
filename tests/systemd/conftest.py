"""A manager for each test, and services that end with it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .confine import allowed
from .manager import UNIT, Manager, Service

REQUIRED = bool(os.environ.get("CARRIERD_REQUIRE_SYSTEMD"))


@pytest.fixture(scope="session")
def systemd() -> None:
    """systemd's own tools; CI demands them."""
    if shutil.which("systemd-analyze") is None:
        if REQUIRED:
            pytest.fail("there is no systemd-analyze (Debian: apt install systemd)")
        pytest.skip("there is no systemd-analyze")


@pytest.fixture(scope="session")
def calls(systemd: None) -> set[str]:
    """System calls that the unit allows."""
    return allowed(UNIT)


@pytest.fixture
def manager() -> Iterator[Manager]:
    opened = Manager(f"@carrierd-tests-{uuid.uuid4().hex}")
    yield opened
    opened.close()


@pytest.fixture
def service(manager: Manager, tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Service]]:
    made: list[Service] = []

    def make(config: dict[str, Any]) -> Service:
        made.append(Service(manager, tmp_path, config))
        return made[-1]

    yield make
    for each in made:
        each.end()
