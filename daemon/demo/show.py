"""How `carrierd demo` looks: progress while it runs, and a table at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .settings import LINES


class Bars:
    """One bar per carrier, and one for subscribers' messages; only on a terminal."""

    def __init__(self, console: Console, totals: Mapping[str, int], inbound: int) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[carrier]:<9}"),
            TextColumn("[dim]{task.fields[line]:<9}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[what]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks = {
            name: self._progress.add_task(
                "", total=total, carrier=name, line=LINES[name].words, what="delivered"
            )
            for name, total in totals.items()
        }
        self._inbound = self._progress.add_task(
            "", total=inbound, carrier="inbound", line="", what="received "
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, delivered: Mapping[str, int], inbound: int) -> None:
        for name, count in delivered.items():
            self._progress.update(self._tasks[name], completed=count)
        self._progress.update(self._inbound, completed=inbound)


COLUMNS = ("messages", "parts", "delivered", "lost", "duplicated")


def table(result: Mapping[str, Any]) -> Table:
    """The summary of a demo's result (what `--json` prints); 80 columns hold it."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    shown.add_column("carrier", no_wrap=True)
    shown.add_column("protocol", no_wrap=True)
    for name in COLUMNS[:3]:
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("submit\np50/p99 ms", justify="right", no_wrap=True)
    shown.add_column("delivery\np50/p99 ms", justify="right", no_wrap=True)
    for name in COLUMNS[3:]:
        shown.add_column(name, justify="right", no_wrap=True)
    carriers: Mapping[str, Mapping[str, Any]] = result["carriers"]
    for carrier, row in carriers.items():
        shown.add_row(
            carrier,
            row["protocol"],
            *(str(row[name]) for name in COLUMNS[:3]),
            *(_times(row[name]) for name in ("submit_ms", "delivery_ms")),
            *(_fault(row[name]) for name in COLUMNS[3:]),
        )
    shown.add_section()
    shown.add_row(
        "all",
        "",
        str(result["messages"]),
        str(sum(row["parts"] for row in carriers.values())),
        str(result["delivered"]),
        "",
        "",
        *(_fault(result[name]) for name in COLUMNS[3:]),
    )
    return shown


def _times(quantiles: Sequence[float | None]) -> str:
    return "/".join("-" if value is None else f"{value:.0f}" for value in quantiles)


def _fault(count: int) -> str:
    return f"[bold red]{count}[/]" if count else "0"
