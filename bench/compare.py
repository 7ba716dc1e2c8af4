"""Two runs of one suite side by side: `python -m bench.compare BEFORE.json AFTER.json`.

The files are what `carrierd bench SUITE --json` or `--report` wrote.  What differs between the
machines and the parameters is said first, because then the rest may mean nothing.  A change is
called one only where the spreads of the two runs do not meet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from rich.console import Console
from rich.table import Table

CHANGES = frozenset({"load_before", "fdatasync_p50_ms", "fdatasync_p99_ms", "fdatasync_max_ms"})
"""Of the machine: different in every run, and shown only where one is twice the other."""


class Target(Struct, frozen=True):
    name: str
    target: str
    measured: float | None
    spread: Annotated[list[float | None], Meta(min_length=2, max_length=2)] | None
    met: bool
    unit: str = ""

    @property
    def range(self) -> tuple[float, float] | None:
        """Lowest and highest; None where nothing was measured."""
        if self.measured is None:
            return None
        low, high = self.spread or (None, None)
        return (
            self.measured if low is None else low,
            self.measured if high is None else high,
        )


class Run(Struct, frozen=True):
    """What one file has; its figures are not compared."""

    suite: str
    machine: dict[str, Any]
    parameters: dict[str, Any]
    targets: list[Target]


def read(path: Path) -> Run:
    """Raises OSError and msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=Run)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Of machines or parameters, a line each."""
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if name in CHANGES and was and now and 0.5 <= now / was <= 2.0:
            continue
        yield f"{name}: {was} before, {now} after"


def word(before: Target, after: Target) -> str:
    """What became of one target."""
    was, now = before.range, after.range
    if was is None or now is None:
        return "not measured"
    if now[0] <= was[1] and was[0] <= now[1]:
        return "no change"
    assert before.measured is not None, "has a range"
    assert after.measured is not None, "has a range"
    if not before.measured:
        return f"from 0 to {after.measured:g}"
    return f"{after.measured / before.measured - 1:+.1%}"


def table(before: Run, after: Run) -> Table:
    """Targets by name; those that only one run has are shown with what there is."""
    found = Table("", "before", "after", "unit", "change", "met", box=None)
    olds = {target.name: target for target in before.targets}
    news = {target.name: target for target in after.targets}
    for name in dict.fromkeys((*olds, *news)):
        old, new = olds.get(name), news.get(name)
        some = new or old
        assert some is not None, "from one of the two"
        found.add_row(
            name,
            _shown(old),
            _shown(new),
            some.unit,
            word(old, new) if old is not None and new is not None else "",
            " ".join("-" if one is None else "yes" if one.met else "no" for one in (old, new)),
        )
    return found


def _shown(target: Target | None) -> str:
    if target is None or target.measured is None:
        return "-"
    low, high = target.spread or (None, None)
    spread = "" if low is None or high is None else f" ({low:,g} .. {high:,g})"
    return f"{target.measured:,g}{spread}"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when there was something to compare, 2 when not."""
    parser = argparse.ArgumentParser(prog="bench.compare", description=__doc__.split("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    args = parser.parse_args(arguments)
    runs = []
    for path in (args.before, args.after):
        try:
            runs.append(read(path))
        except (OSError, msgspec.DecodeError) as exc:
            print(f"{path}: {exc}", file=sys.stderr)
            return 2
    before, after = runs
    if before.suite != after.suite:
        print(f"one is of {before.suite}, the other of {after.suite}", file=sys.stderr)
        return 2
    console = Console(highlight=False)
    for what in ("machine", "parameters"):
        for line in differences(getattr(before, what), getattr(after, what)):
            console.print(f"{what}: {line}", soft_wrap=True)
    console.print(table(before, after))
    return 0


if __name__ == "__main__":
    sys.exit(main())
