"""How much goes through one daemon, from broker to broker, with reports and the ledger.

Three measurements, because they answer three questions.  *Sustained* (`sustained`): how much, when
the daemon is never without work.  *Bare wire* (`bare`), in turn with it: how much of that loop,
sockets and gateways would let through.  *Backlog* and *in flight* (`curves`, `flight`): what a
message costs when ever more of them wait, to be sent or to be reported on.

With `--recipients` it is only *sustained*, in lists.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from daemon.demo.settings import CARRIERS, LINES, Value

from . import curves, flight
from .bare import Bare, bare
from .curves import Backlog, backlog
from .flight import Flight
from .machine import machine, shown_syncs
from .options import Options
from .plot import Panel, Series
from .result import Figure, Result, Target, at_least, at_most, median, middle_at_most, none_of
from .sustained import WARM_UP, Sustained, lead, settings, sustained

SECONDS = 10.0
"""Measured; the warm-up comes before."""
BARE_SECONDS = 3.0
REPEATS = 3
BACKLOGS = (10_000, 100_000, 1_000_000, 10_000_000)
MOST = 1_000_000

LEAST_PER_SECOND, LEAST_BY_KAFKA = 25_000, 15_000
LEAST_IN_LISTS = 60_000
LEAST_OF_WIRE = 0.15
MOST_CPU = 40.0
"""Microseconds of all threads per message."""
IDLE_MB, MOST_MB = 120, 200
MIB = 1 << 20


async def measure(options: Options) -> Result:
    """Raises BenchError when a run does not end in time."""
    load = os.getloadavg()[0]
    seconds = options.seconds or SECONDS
    repeats = options.repeats or REPEATS
    most = options.most or (BACKLOGS[-1] if options.full else MOST)
    lists = options.recipients > 1
    sizes = [] if lists else sorted({size for size in BACKLOGS if size < most} | {most})
    probed: list[float] = []
    runs: dict[str, list[Sustained]] = {}
    wires: list[Bare] = []
    for name, carriers in _choices(options.protocols).items():
        for number in range(1, repeats + 1):
            options.note(f"throughput: {name}, run {number} of {repeats}")
            run = await sustained(carriers, seconds, options, probed, options.recipients)
            runs.setdefault(name, []).append(run)
            if name == "mixed" and not lists:
                options.note(f"throughput: bare wire, run {number} of {repeats}")
                wires.append(await bare(carriers, min(seconds, BARE_SECONDS), options))
    backlogs = []
    for size in sizes:
        options.note(f"throughput: a backlog of {size} messages")
        backlogs.append(await backlog(size, options))
    flights = []
    for size in [] if lists else flight.sizes(options):
        options.note(f"throughput: {size} messages in flight")
        flights.append(await flight.flight(size, options))
    parameters: dict[str, Value] = {
        "seconds": seconds,
        "warm-up": min(WARM_UP, seconds),
        "repeats": repeats,
        "messages on their way": lead(options.recipients),
        "recipients per job": options.recipients,
        "parts per message": 1,
    }
    if backlogs:
        parameters["backlogs"] = [str(size) for size in sizes]
    result = Result(
        "throughput",
        parameters | settings(CARRIERS, options.bootstrap, "").parameters(),
        machine(load) | shown_syncs(probed),
    )
    mixed = runs.get("mixed", [])
    if mixed and lists:
        rates = [run.per_second for run in mixed]
        result.targets.append(at_least("sustained, mixed", LEAST_IN_LISTS, rates, "messages/s"))
    elif mixed:
        _rate(result, mixed, wires, LEAST_BY_KAFKA if options.bootstrap else LEAST_PER_SECOND)
    _targets(result, runs, wires, backlogs, flights)
    result.tables["sustained"] = [
        _row(name, number, run) for name, each in runs.items() for number, run in enumerate(each, 1)
    ]
    if wires:
        result.tables["bare wire, mixed"] = [
            _bare_row(number, run) for number, run in enumerate(wires, 1)
        ]
    result.panels = _panels(runs)
    if backlogs:
        every = [run for each in runs.values() for run in each]
        start_cpu, idle = (
            median([run.start_cpu for run in every]),
            min(run.idle_memory for run in every),
        )
        curves.show(result, backlogs, start_cpu, idle)
        flight.show(result, flights)
        result.panels += curves.panels(backlogs, curves.costs(backlogs, start_cpu, idle))
    return result


def _choices(protocols: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Carriers by the name of a run: all together, and each protocol alone."""
    choices = {"mixed": CARRIERS} | {line.protocol: (name,) for name, line in LINES.items()}
    return {name: choices[name] for name in protocols} if protocols else choices


def _rate(result: Result, mixed: Sequence[Sustained], wires: Sequence[Bare], least: float) -> None:
    """So many a second, or such a share of what the bare wire did in the same run."""
    rates = [run.per_second for run in mixed]
    shares = [
        run.per_second / wire.per_second if wire.per_second else 0.0
        for run, wire in zip(mixed, wires, strict=True)
    ]
    rate, share = median(rates), median(shares)
    result.targets += [
        Target(
            "sustained, mixed",
            f">= {least:g}, or >= {LEAST_OF_WIRE:g} of the bare wire",
            round(rate),
            rate >= least or share >= LEAST_OF_WIRE,
            "messages/s",
            (round(min(rates)), round(max(rates))) if len(rates) > 1 else None,
        ),
        Target(
            "share of the bare wire",
            f">= {LEAST_OF_WIRE:g}, or >= {least:g} messages/s",
            round(share, 3),
            rate >= least or share >= LEAST_OF_WIRE,
            "",
            (round(min(shares), 3), round(max(shares), 3)) if len(shares) > 1 else None,
        ),
        middle_at_most("CPU, mixed", MOST_CPU, [run.cpu * 1e6 for run in mixed], "µs/message", 1),
    ]


def _targets(
    result: Result,
    runs: dict[str, list[Sustained]],
    wires: Sequence[Bare],
    backlogs: Sequence[Backlog],
    flights: Sequence[Flight],
) -> None:
    verdicts = [run.verdict for each in runs.values() for run in each]
    verdicts += [one.verdict for one in backlogs]
    idle = [run.idle_memory / MIB for each in runs.values() for run in each]
    most = [run.memory / MIB for each in runs.values() for run in each]
    most += [one.memory / MIB for one in backlogs]
    most += [one.memory / MIB for one in flights]
    result.targets += [
        at_most("memory, idle", IDLE_MB, idle, "MB", 1),
        at_most("memory, any load or backlog", MOST_MB, most, "MB", 1),
        none_of("lost", [one.lost for one in verdicts]),
        none_of("sent twice", [one.twice for one in verdicts] + [one.twice for one in wires]),
        none_of("not delivered", [one.undelivered for one in verdicts]),
        none_of("final events repeated", [one.repeated for one in verdicts]),
        none_of(
            "refused as malformed",
            [one.faults for one in verdicts] + [one.faults for one in wires],
        ),
    ]
    if wires:
        result.targets.append(
            none_of("bare wire: unanswered or unreported", [one.missing for one in wires])
        )


def _row(name: str, number: int, run: Sustained) -> dict[str, Figure]:
    return {
        "": name,
        "run": number,
        "messages/s": round(run.per_second),
        "µs CPU/message": round(run.cpu * 1e6, 1),
        "daemon cores": round(run.busy, 2),
        "starved": round(run.starved, 2),
        "gateway cores": round(run.gateways_busy, 2),
        "bench cores": round(run.bench_busy, 2),
        "messages": run.messages,
        "memory MB": round(run.memory / MIB, 1),
    }


def _bare_row(number: int, run: Bare) -> dict[str, Figure]:
    return {
        "run": number,
        "messages/s": round(run.per_second),
        "µs CPU/message": round(run.cpu * 1e6, 1),
        "client cores": round(run.busy, 2),
        "gateway cores": round(run.gateways_busy, 2),
        "messages": run.messages,
    }


def _panels(runs: dict[str, list[Sustained]]) -> list[Panel]:
    """Every run's rate, with the CPU that each message took across."""
    series = [
        Series(name, [(run.cpu * 1e6, run.per_second) for run in each])
        for name, each in runs.items()
    ]
    words = ("sustained: every run", "µs CPU per message", "messages/s")
    return [Panel(*words, series, joined=False)]
