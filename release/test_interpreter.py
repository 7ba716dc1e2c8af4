"""The tests by the image's Python, which need not be the one that `make test` runs with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from .conftest import clone, run

CHOSEN = ("tests/daemon", "tests/protocols", "tests/compiled")
"""Pure, what is nearest to the interpreter; compiled, what goes through every such module."""
VERSION = "import sys; print(*sys.version_info[:2])"


def test_they_pass_with_the_python_of_the_image_too(tmp_path: Path) -> None:
    python = os.environ.get("CARRIERD_IMAGE_PYTHON", sys.executable)
    if run(python, "-c", VERSION, cwd=tmp_path) == run(sys.executable, "-c", VERSION, cwd=tmp_path):
        pytest.skip("it is the one that runs this: make test has done it")
    made = clone(tmp_path / "carrierd")
    run("make", "--no-print-directory", f"PYTHON={python}", ".venv/made-to-develop", cwd=made)
    run(
        *(".venv/bin/python", "-m", "pytest", "-q", "-n", "2", *CHOSEN),
        cwd=made,
        PYTHONPATH="",
        CARRIERD_REQUIRE_COMPILED="1",
    )
