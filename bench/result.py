"""What a suite found: targets beside what was measured, and figures that have no target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .plot import Panel, svg

Figure = float | int | str | None


@dataclass(slots=True, frozen=True)
class Target:
    """`target` says in words what is wanted; `spread` is the lowest and the highest."""

    name: str
    target: str
    measured: float
    met: bool
    unit: str = ""
    spread: tuple[float, float] | None = None

    def show(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "target": self.target,
            "measured": _number(self.measured),
            "spread": None if self.spread is None else [_number(value) for value in self.spread],
            "met": self.met,
            "unit": self.unit,
        }


def at_least(name: str, least: float, runs: Sequence[float], unit: str, digits: int = 0) -> Target:
    """The median of the runs is judged."""
    middle = median(runs)
    spread = (round(min(runs), digits), round(max(runs), digits)) if len(runs) > 1 else None
    return Target(name, f">= {least:g}", round(middle, digits), middle >= least, unit, spread)


def at_most(name: str, most: float, runs: Sequence[float], unit: str, digits: int = 0) -> Target:
    """The worst of the runs is judged."""
    worst = max(runs)
    spread = (round(min(runs), digits), round(worst, digits)) if len(runs) > 1 else None
    return Target(name, f"<= {most:g}", round(worst, digits), worst <= most, unit, spread)


def middle_at_most(
    name: str, most: float, runs: Sequence[float], unit: str, digits: int = 0
) -> Target:
    """The median of the runs is judged."""
    middle = median(runs)
    spread = (round(min(runs), digits), round(max(runs), digits)) if len(runs) > 1 else None
    return Target(name, f"<= {most:g}", round(middle, digits), middle <= most, unit, spread)


def none_of(name: str, counts: Sequence[int]) -> Target:
    """Of what must not happen in any run."""
    total = sum(counts)
    spread = (min(counts), max(counts)) if len(counts) > 1 else None
    return Target(name, "0", total, total == 0, "", spread)


def median(values: Sequence[float]) -> float:
    if not values:
        return math.nan
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass(slots=True)
class Result:
    """Of one suite; `tables` are rows of figures by title."""

    suite: str
    parameters: Mapping[str, Any]
    machine: Mapping[str, Any]
    targets: list[Target] = field(default_factory=list)
    tables: dict[str, list[dict[str, Figure]]] = field(default_factory=dict)
    panels: list[Panel] = field(default_factory=list)
    """What a report draws."""

    @property
    def met(self) -> bool:
        return all(target.met for target in self.targets)

    def show(self) -> dict[str, Any]:
        """What `carrierd bench --json` prints."""
        return {
            "suite": self.suite,
            "machine": self.machine,
            "parameters": self.parameters,
            "targets": [target.show() for target in self.targets],
            "figures": {
                title: [{name: _number(value) for name, value in row.items()} for row in rows]
                for title, rows in self.tables.items()
            },
        }

    def print(self, console: Console) -> None:
        for title, rows in self.tables.items():
            console.print(f"\n{title}", style="bold")
            console.print(_rows(rows))
        console.print("\ntargets", style="bold")
        console.print(_targets(self.targets))


def report(result: Result, directory: Path) -> list[Path]:
    """Write SUITE.json, and SUITE.svg where there is something to draw; returns what was written.

    The directory is made.  Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = [directory / f"{result.suite}.json"]
    written[0].write_bytes(orjson.dumps(result.show(), option=orjson.OPT_INDENT_2))
    if result.panels:
        written.append(directory / f"{result.suite}.svg")
        cpu, python = result.machine["cpu"], result.machine["python"]
        title = f"carrierd bench {result.suite}: {cpu}, Python {python}"
        written[1].write_text(svg(title, result.panels), encoding="utf-8")
    return written


def describe(console: Console, suite: str, facts: Mapping[str, Any], title: str) -> None:
    """One line with every parameter, or everything that is known of the machine."""
    flat = {
        name: ", ".join(f"{key} {one}" for key, one in value.items())
        if isinstance(value, Mapping)
        else ", ".join(map(str, value))
        if isinstance(value, list)
        else f"{value}"
        for name, value in facts.items()
    }
    text = "; ".join(f"{name} {value}" for name, value in flat.items())
    console.print(f"bench {suite}: {title}: {text}", soft_wrap=True, highlight=False)


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def _targets(targets: Sequence[Target]) -> Table:
    table = _table()
    for name in ("", "measured", "spread", "unit", "target", "met"):
        table.add_column(name, justify="right" if name in ("measured", "spread") else "left")
    for one in targets:
        spread = "" if one.spread is None else f"{one.spread[0]:,} .. {one.spread[1]:,}"
        met = "yes" if one.met else "[bold red]no[/]"
        table.add_row(one.name, f"{one.measured:,}", spread, one.unit, one.target, met)
    return table


def _rows(rows: Sequence[Mapping[str, Figure]]) -> Table:
    """Headings of several words stand one above the other: 80 columns hold the rows."""
    table = _table()
    for name in rows[0]:
        figure = isinstance(rows[0][name], int | float)
        heading = name.replace(" ", "\n").replace("/", "\n/") if figure else name
        table.add_column(heading, justify="right" if figure else "left")
    for row in rows:
        table.add_row(*(_word(value) for value in row.values()))
    return table


def _word(value: Figure) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return value if isinstance(value, str) else f"{value:,}"


def _number(value: Figure) -> Figure:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
