"""A clone of the last commit, what `make` makes of it, and a prefix as the image has one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.release.dockerfile import instructions

ROOT = Path(__file__).parents[1]
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """What it printed.  An assertion when it fails; `environ` is added to ours."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def make(clone: Path, *arguments: str, **environ: str) -> None:
    """With the tools of the environment that runs this."""
    tools = Path(sys.prefix)
    old = ("-o", f"{tools}/made-to-release")
    run("make", "--no-print-directory", *old, f"VENV={tools}", *arguments, cwd=clone, **environ)


def clone(to: Path) -> Path:
    run("git", "clone", "--quiet", "--no-hardlinks", ROOT, to, cwd=ROOT)
    return to


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone where everything that a release has was made, in `dist`."""
    made = clone(tmp_path_factory.mktemp("delivered") / "carrierd")
    make(made, "sbom")
    return made


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the Dockerfile's build stage makes of /opt/carrierd, in a directory of ours.

    Its RUN lines are run as they stand, with /opt and /src elsewhere, and for the base image's
    Python the one named by CARRIERD_IMAGE_PYTHON, or that which runs this.
    """
    root = tmp_path_factory.mktemp("image")
    source, base = root / "src", root / "base"
    source.mkdir()
    run(os.environ.get("CARRIERD_IMAGE_PYTHON", sys.executable), "-m", "venv", base, cwd=root)
    context = clone(root / "context")
    kept = [line[1:] for line in (context / ".dockerignore").read_text().split() if line[0] == "!"]
    for step in instructions(ROOT / "Dockerfile"):
        if step.stage != 0:
            continue
        if step.word == "COPY":
            words = step.value.split()[:-1]
            for name in kept if words == ["."] else words:
                whole = context / name
                if whole.is_dir():
                    shutil.copytree(whole, source / name, dirs_exist_ok=True)
                else:
                    shutil.copy(whole, source / name)
        elif step.word == "RUN":
            script = step.value.replace("/opt/carrierd", f"{root}/opt/carrierd")
            path = f"{base}/bin:{os.environ['PATH']}"
            run("sh", "-euc", script, cwd=source, PATH=path, VIRTUAL_ENV=str(base))
    yield root / "opt" / "carrierd"
    shutil.rmtree(root)
