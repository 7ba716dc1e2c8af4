"""The compiled wheel is the same daemon: the same files beside what is compiled, the same tests.

Not all of them: what is interpreted anyway has no part, and what puts something of its own into a
compiled module, or hands it what is no object of its class, cannot; such tests are marked
`interpreted`.  Chosen are those that go through every compiled module on usual and unusual ways:
the sessions, the engine by a clock that jumps, and the promises with the daemon as a command.
"""

from __future__ import annotations

import ast
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hatch_build import ASKED
from tests.release.test_lock import project
from tests.test_structure import modules

from .conftest import ROOT, Built, wheel

HOOK: dict[str, Any] = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
MODULES: list[str] = HOOK["modules"]
PARTS = (
    "tests/protocols",
    "tests/daemon/engine tests/daemon/jobs",
    "tests/contract/test_promises.py tests/contract/test_chaos.py tests/contract/test_hostile.py",
    "tests/contract/test_jobs.py tests/contract/test_reports.py tests/contract/test_lists.py",
)
WORDS = (
    *("-q", "--no-header", "--tb=short", "-p", "no:xdist", "-p", "no:cacheprovider"),
    # How mypyc hands a cancellation on, which Python 3.12 deprecates (mypyc/mypyc#1214).
    *("-W", "ignore:the (type, exc, tb) signature of throw() is deprecated:DeprecationWarning"),
)


INTERPRETED = (
    # Structs of msgspec, and bodies of PDUs, which a decorator makes.
    *("daemon.changelog", "daemon.early", "daemon.fields", "daemon.named", "daemon.shapes"),
    *("daemon.config", "daemon.steps", "protocols.wire", "protocols.cmpp.pdus"),
    *("protocols.sgip.pdus", "protocols.smgp.pdus", "protocols.smpp.pdus"),
    # What is asked when something begins, not for each message: settings, logins, reading back.
    *("daemon.broker.base", "daemon.clock", "daemon.codes.table", "daemon.ledger"),
    *("daemon.ledger.errors", "daemon.ledger.files", "daemon.ledger.reader", "daemon.reading"),
    *("daemon.ledger.start", "daemon.recall", "daemon.recovery", "daemon.refusal"),
    *("protocols.cmpp.digest", "protocols.smgp.digest"),
    *("protocols.cmpp.account", "protocols.sgip.account"),
    *("protocols.smgp.account", "protocols.smpp.account"),
    # Constants, which are taken over at import.
    *("protocols.cmpp.status", "protocols.sgip.status", "protocols.smgp.status"),
    *("protocols.smpp.status", "protocols.smpp.tlvs", "protocols.marks"),
)
"""What compiled modules import of ours and what is not compiled, by why."""


def source(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


@pytest.mark.parametrize("module", MODULES)
def test_what_is_compiled_has_no_struct(module: str) -> None:
    """Of msgspec: it would lose its fields without a word."""
    assert MODULES.count(module) == 1
    for node in ast.walk(ast.parse(source(module).read_text())):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            assert "Struct" not in bases, node.name


def test_what_is_compiled_imports_nothing_interpreted_by_mistake() -> None:
    """A module that is made of half a hot one is hot as well."""
    found = {module.name: module for module in modules("daemon", "protocols")}
    imported = {
        each.name if each.name in found else each.name.rpartition(".")[0]
        for name in MODULES
        for each in found[name].imports
    }
    assert imported & found.keys() - {*MODULES} - {"daemon", "protocols"} == {*INTERPRETED}


def test_without_a_compiler_the_wheel_that_was_asked_for_is_refused_in_words(
    tmp_path: Path,
) -> None:
    done = wheel(tmp_path, CC="no-such-compiler")
    assert done.returncode != 0
    assert f"{ASKED} is set, but there is no C compiler 'no-such-compiler'" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_says_for_what_it_is_and_has_the_sources_beside_what_is_compiled(
    built: Built,
) -> None:
    assert "-none-any" not in built.wheel.name
    with zipfile.ZipFile(built.wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
        (about,) = (name for name in file.namelist() if name.endswith(".dist-info/WHEEL"))
        assert "Root-Is-Purelib: false" in file.read(about).decode()
        libraries = {name: file.read(name) for name in names if name.endswith(".so")}
    compiled = {name.partition(".")[0].replace("/", ".") for name in libraries}
    assert compiled == {*MODULES, "carrierd__mypyc"}
    folders = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = (path for name in folders for path in (ROOT / name).rglob("*") if path.is_file())
    listed = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert names - libraries.keys() == listed
    home = str(Path.home()).encode()
    assert [name for name, code in libraries.items() if home in code] == [], "where it was made"


LOADED = """
import json, sys, daemon.app
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print(json.dumps(files))
"""


def test_the_command_says_that_it_is_compiled_and_the_daemon_uses_what_is(built: Built) -> None:
    said = built.run("-m", "daemon", "--version")
    assert said.stdout.endswith(" (compiled)\n")
    files: dict[str, str | None] = json.loads(built.run("-c", LOADED).stdout)
    used = set(MODULES) & files.keys()
    assert len(used) > 40
    assert [name for name in used if not str(files[name]).endswith(".so")] == []


def test_the_guard_does_not_count_what_the_interpreter_does_not_do(built: Built) -> None:
    counted = built.run("-m", "bench.guard")
    assert counted.returncode == 2
    assert "compiled" in counted.stdout


@pytest.mark.parametrize("part", PARTS)
def test_the_same_tests_pass(built: Built, part: str) -> None:
    done = built.run("-m", "pytest", *WORDS, "-m", "not interpreted", *part.split())
    assert done.returncode == 0, done.stdout[-8000:]
