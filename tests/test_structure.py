"""Who may import whom, and what every module has: the walls that later work must not move."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon.cli import COMMANDS

ROOT = Path(__file__).parents[1]

FOUR = {f"protocols.{name}" for name in ("cmpp", "sgip", "smgp", "smpp")}

# A protocol is told the time and handed bytes: it has no loop, clock, socket, dice, disk or log.
IMPURE = {
    "asyncio",
    "datetime",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
IMPURE_CALLS = {"open", "print", "input"}
AIOSMPPLIB_TABLES = {"protocols.smpp.status", "protocols.text.gsm7"}
MARKS = "protocols.marks"  # for mypy only, never at run time


class Import(NamedTuple):
    """One imported name in full, e.g. `daemon.config.Account`, and where it is."""

    name: str
    line: int
    inside: bool
    """In a function, so that it happens when that is called."""


class Module:
    """One file: its dotted name, its syntax, and what it imports."""

    def __init__(self, path: Path) -> None:
        parts = path.relative_to(ROOT).with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package else parts)
        self.tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        self.imports = list(self._imports(self.tree, inside=False))

    @property
    def package(self) -> str:
        return self.name if self.is_package else self.name.rpartition(".")[0]

    def _imports(self, tree: ast.AST, *, inside: bool) -> Iterator[Import]:
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, node.lineno, inside)
            elif isinstance(node, ast.ImportFrom):
                origin = resolve_name("." * node.level + (node.module or ""), self.package)
                for alias in node.names:
                    yield Import(f"{origin}.{alias.name}", node.lineno, inside)
            else:
                function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from self._imports(node, inside=inside or function)


def modules(*packages: str) -> list[Module]:
    found = [Module(path) for name in packages for path in sorted((ROOT / name).rglob("*.py"))]
    assert found, f"nothing in {', '.join(packages)}"
    return found


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def offences(found: list[Module], *forbidden: str) -> list[str]:
    """`module:line: name` for every import of one of these packages."""
    return [
        f"{module.name}:{each.line}: {each.name}"
        for module in found
        for each in module.imports
        if within(each.name, *forbidden)
    ]


def test_protocols_know_nothing_of_the_daemon_and_its_bench() -> None:
    assert offences(modules("protocols"), "daemon", "bench", "tests") == []


def test_protocols_are_pure() -> None:
    found = modules("protocols")
    # `datetime` reads no clock unless told to: stamps are made of it, `now` and `today` are not.
    allowed = IMPURE - {"datetime"}
    assert offences(found, *allowed) == []
    for module in found:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("now", "utcnow", "today"), f"{module.name}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in IMPURE_CALLS, f"{module.name}:{node.lineno}"
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), module.name


def test_of_other_peoples_code_protocols_use_only_tables() -> None:
    for module in modules("protocols"):
        for each in module.imports:
            top = each.name.partition(".")[0]
            tables = top == "aiosmpplib" and module.name in AIOSMPPLIB_TABLES
            marks = top == "mypy_extensions" and module.name == MARKS
            assert top == "protocols" or top in sys.stdlib_module_names or tables or marks, (
                f"{module.name}:{each.line}: {each.name}"
            )


def test_only_carriers_and_simulated_gateways_name_the_four_protocols() -> None:
    """Everything else speaks of events and parts: a fifth protocol changes nothing there."""
    found = [
        module
        for module in modules("daemon", "protocols")
        if not within(module.name, "daemon.carriers", "daemon.sim", "protocols.explain", *FOUR)
    ]
    assert offences(found, *FOUR) == []


@pytest.mark.parametrize("protocol", sorted(FOUR))
def test_no_protocol_knows_another(protocol: str) -> None:
    found = [module for module in modules("protocols") if within(module.name, protocol)]
    assert found
    assert offences(found, *(FOUR - {protocol})) == []


def test_the_daemon_needs_no_bench_unless_a_command_asks_for_it() -> None:
    for module in modules("daemon"):
        for each in module.imports:
            if within(each.name, "bench", "tests"):
                assert within(module.name, "daemon.cli"), f"{module.name}:{each.line}"
                assert each.inside, f"{module.name}:{each.line}: at import, not when called"


def test_only_the_kafka_broker_names_a_kafka_client() -> None:
    found = [m for m in modules("daemon") if not within(m.name, "daemon.broker.kafka")]
    assert offences(found, "aiokafka", "confluent_kafka", "kafka") == []


def test_imports_go_round_in_no_circle() -> None:
    found = {module.name: module for module in modules("daemon", "protocols")}
    above: list[str] = []
    finished: set[str] = set()

    def visit(name: str) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name in finished:
            return
        above.append(name)
        for each in found[name].imports:
            origin = each.name if each.name in found else each.name.rpartition(".")[0]
            if origin in found and origin != name and not each.inside:
                visit(origin)
        above.pop()
        finished.add(name)

    for name in found:
        visit(name)


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        module.name
        for module in modules("daemon", "protocols", "bench")
        if module.tree.body and not ast.get_docstring(module.tree)
    ]
    assert silent == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_is_listed_is_there(command: str) -> None:
    module = importlib.import_module(f"daemon.cli.{command}")
    assert callable(module.add)
