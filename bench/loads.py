"""Rate and latency over rising loads, until one is not kept up with: what a report draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from daemon.demo.fates import quantile

from .offered import Run, offered
from .options import Options
from .plot import Panel, Series
from .result import Figure, Result, none_of

LOADS = (100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 15_000.0, 20_000.0, 25_000.0)
"""Messages a second."""
SECONDS = 6.0
KEPT_UP = 0.95
"""The share of a load that has to be written in the seconds in which it is offered."""

GRACE = 0.25
"""Seconds after the offer's end in which what came last may still be written."""


async def measure(options: Options) -> list[Run]:
    """The last is the first load that was too much.  Raises BenchError."""
    runs: list[Run] = []
    for rate in LOADS:
        options.note(f"contract: a load of {rate:g} messages/s")
        runs.append(await offered(rate, SECONDS, options))
        if written(runs[-1]) < KEPT_UP * rate:
            break
    return runs


def written(run: Run) -> float:
    """Messages whose first part was written by the end of the offer, a second of it."""
    # NaN is a message without that time.
    times = [at for at in run.fates.times["submitted"] if at == at]
    began = min((at for at in run.fates.times["produced"] if at == at), default=0.0)
    seconds = run.fates.count / run.rate
    return sum(at <= began + seconds + GRACE for at in times) / seconds


def show(result: Result, runs: Sequence[Run]) -> None:
    """Adds a table, what must not be, and panels."""
    result.tables["loads"] = [_row(run) for run in runs]
    result.targets += [
        none_of("loads: lost", [run.verdict.lost for run in runs]),
        none_of("loads: sent twice", [run.verdict.twice for run in runs]),
    ]
    result.panels += [
        Panel(
            "rate over load",
            "messages/s offered",
            "messages/s",
            [
                Series("offered", [(run.rate, run.rate) for run in runs]),
                Series("written", [(run.rate, written(run)) for run in runs]),
            ],
            log_x=True,
            log_y=True,
        ),
        Panel(
            "latency over load",
            "messages/s offered",
            "ms",
            [
                _series("queue p50", runs, 0.5, lambda run: run.queue),
                _series("queue p99", runs, 0.99, lambda run: run.queue),
                _series("answer p50", runs, 0.5, lambda run: run.answer),
                _series("answer p99", runs, 0.99, lambda run: run.answer),
                _series("delivery p99", runs, 0.99, lambda run: run.delivery),
            ],
            log_x=True,
            log_y=True,
        ),
    ]


def _series(
    name: str, runs: Sequence[Run], share: float, took: Callable[[Run], Sequence[float]]
) -> Series:
    return Series(name, [(run.rate, quantile(took(run), share) * 1e3) for run in runs])


def _row(run: Run) -> dict[str, Figure]:
    row: dict[str, Figure] = {"offered/s": round(run.rate), "written/s": round(written(run))}
    for name, took in (("queue", run.queue), ("answer", run.answer), ("delivery", run.delivery)):
        for share in (0.5, 0.99):
            row[f"{name} p{share * 100:g} ms"] = round(quantile(took, share) * 1e3, 1)
    return row
