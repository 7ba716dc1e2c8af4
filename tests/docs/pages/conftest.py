"""The pages, built once for all who look at them, and a browser to look with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import chromium
from .chromium import Chromium

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `make docs` builds them: with --fail-on-warning."""
    pytest.importorskip("sphinx", reason="the pages are built with the optional dependencies docs")
    folder = tmp_path_factory.mktemp("docs")
    command = ("-m", "sphinx", "-b", "html", "--fail-on-warning", "--keep-going", "--quiet")
    ended = subprocess.run(
        [sys.executable, *command, "-d", folder / "doctrees", DOCS, folder / "html"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return folder / "html"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Debian's chromium; CI demands it."""
    if lacking := chromium.missing():
        if chromium.required():
            pytest.fail(f"{lacking} (Debian: apt install chromium)")
        pytest.skip(lacking)
    with Chromium(tmp_path_factory.mktemp("chromium")) as one:
        yield one
