"""A compiled wheel of this tree in an environment of its own, and the tests beside it.

Their imports find the wheel, because the packages are not where they run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

from hatch_build import ASKED

ROOT = Path(__file__).parents[2]
REQUIRE = "CARRIERD_REQUIRE_COMPILED"
BESIDE = ("tests", "config", "pyproject.toml")
GENTLY = ("nice", "-n", "10")
"""Others run against the clock meanwhile."""


class Built(NamedTuple):
    wheel: Path
    python: Path
    """Of the environment that has the wheel, and of other people's packages what we have."""
    beside: Path
    """Where the tests are and the packages are not."""

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Python with these arguments, beside the tests; its two streams are one."""
        hidden = ("PYTHONPATH", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return subprocess.run(
            [*GENTLY, str(self.python), *arguments],
            cwd=self.beside,
            env={**kept, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def wheel(to: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """`pip wheel` of this tree, compiled."""
    words = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    return subprocess.run(
        [*GENTLY, sys.executable, *words, "--wheel-dir", str(to), str(ROOT)],
        env={**os.environ, ASKED: "1", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """CI demands it; elsewhere it wants a C compiler and Python's headers."""
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if not (shutil.which("cc") and headers.is_file()):
        reason = "there is no C compiler, or no Python.h (Debian: apt install gcc python3-dev)"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("compiled")
    done = wheel(folder / "wheel")
    assert done.returncode == 0, done.stdout[-3000:]
    (made,) = (folder / "wheel").iterdir()
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", "--no-index", str(made))
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    # Only the path: what makes an editable installation of ours in there does not work from here.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    beside = folder / "beside"
    beside.mkdir()
    for name in BESIDE:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, beside / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, beside)
    return Built(made, python, beside)
