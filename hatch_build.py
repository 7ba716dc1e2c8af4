"""Wheels with the hot modules compiled by mypyc, for those who ask for one.

    CARRIERD_COMPILE=1 pip wheel --no-deps .        or: make wheel-compiled

Which modules, and what they are compiled with, is in pyproject.toml. Their sources stay in the
wheel: for tracebacks, and for mypy. Without the variable nothing here happens.

What mypy knows of other people's packages is left out, and the flags of the compiler are ours, so
that the same compiler makes the same wheel wherever it runs. Whether the types are right is what
`make types` says.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASKED = "CARRIERD_COMPILE"
MYPY = (
    "--config-file=",
    "--no-site-packages",
    "--ignore-missing-imports",
    "--disable-error-code=call-arg",  # what msgspec's Struct takes is not known then
)
FLAGS = ("-O2", "-g0", "-DNDEBUG", "-fwrapv", "-fPIC", "-fvisibility=hidden", "-w")


class CannotCompile(SystemExit):
    """Said in one line, and nothing is built."""


class Compiled(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return list(self.config["requires"]) if asked() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable installation is the sources themselves.
        if version != "standard" or not asked():
            return
        self._made = TemporaryDirectory(prefix="carrierd-compiled-")  # until the wheel is written
        made = Path(self._made.name)
        with contextlib.chdir(self.root):
            files = compile_all(
                [f"{name.replace('.', '/')}.py" for name in self.config["modules"]], made
            )
        build_data["force_include"].update({str(file): name for name, file in files.items()})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def asked() -> bool:
    return os.environ.get(ASKED, "") not in ("", "0")


def compile_all(sources: list[str], to: Path) -> dict[str, Path]:
    """Extension modules by their place in the wheel, made of `sources` in the current directory."""
    compiler, include = tools()
    try:
        from mypyc.build import mypycify
    except ImportError as error:
        raise CannotCompile(f"{ASKED} is set, but mypyc is not there: {error}") from error
    extensions = mypycify(
        [*MYPY, *sources], group_name="carrierd", multi_file=True, target_dir=str(to / "c")
    )
    suffix = sysconfig.get_config_var("EXT_SUFFIX")

    def build(source: str, includes: list[str]) -> str:
        out = f"{source}.o"
        where = (f"-I{each}" for each in (include, *includes))
        subprocess.run([*compiler, "-c", *FLAGS, *where, source, "-o", out], check=True)
        return out

    made = {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        objects = [
            [pool.submit(build, source, each.include_dirs) for source in each.sources]
            for each in extensions
        ]
        for extension, parts in zip(extensions, objects, strict=True):
            name = extension.name.replace(".", "/") + suffix
            file = to / "made" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            words = [*compiler, "-shared", *(each.result() for each in parts), "-o", str(file)]
            subprocess.run(words, check=True)
            made[name] = file
    return made


def tools() -> tuple[list[str], str]:
    """The compiler and where Python's headers are."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    include = sysconfig.get_path("include")
    if shutil.which(compiler[0]) is None:
        raise CannotCompile(
            f"{ASKED} is set, but there is no C compiler {compiler[0]!r}: install one (Debian, "
            f"Ubuntu: apt install gcc libc6-dev), name another with CC, or leave {ASKED} out"
        )
    if not Path(include, "Python.h").is_file():
        raise CannotCompile(
            f"{ASKED} is set, but Python's headers are not in {include}: install them (Debian, "
            f"Ubuntu: apt install python3-dev) or leave {ASKED} out"
        )
    return compiler, include
