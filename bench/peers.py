"""Other SMPP clients at the same gateway, in turn with the daemon, as ratios.

The daemon does its whole work, from broker to broker with ledger and reports; the others only
submit.  Each run has a gateway process of its own, all of one configuration, and its counts say
how much came through.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from importlib.metadata import version

from daemon.demo.settings import Value

from .jasmin import UnavailableError
from .machine import machine, shown_syncs
from .options import BenchError, Options
from .result import Figure, Result, Target, at_least, median, none_of
from .submits import (
    CARRIER,
    FLOOD,
    JASMIN_CLIENT,
    WARM_UP,
    WINDOWS,
    Run,
    by_jasmin,
    submit_only,
)
from .sustained import Sustained, settings, sustained

SECONDS = 5.0
FLOOD_SECONDS = 25.0
"""Of a flooded run: aiosmpplib gives answers up after 15 s, and slows down until then."""
REPEATS = 3
LEAST = {"smpp34": 1.3, "smpplib": 1.3, "aiosmpplib": 40.0}
"""How many times as fast as each the daemon has to be."""
JUDGED = {"smpp34": WINDOWS, "smpplib": WINDOWS, "aiosmpplib": (FLOOD,)}
"""With which windows: the fastest of these counts."""
ALSO = {"aiosmpplib": WINDOWS}
"""Windows that are shown and not judged."""
EXTRA = "carrierd[peers]"
JASMIN = 20.0
"""How many times as fast as Jasmin the daemon is expected to be."""


Key = tuple[str, int]


async def measure(options: Options) -> Result:
    """Raises BenchError when a client is missing or a run does not end in time."""
    missing = [name for name in LEAST if importlib.util.find_spec(name) is None]
    if missing:
        raise BenchError(
            f"peers: {', '.join(missing)} not installed: pip install '{EXTRA}' installs all of"
            f" {', '.join(LEAST)}"
        )
    load = os.getloadavg()[0]
    seconds, repeats = options.seconds or SECONDS, options.repeats or REPEATS
    ours: list[Sustained] = []
    theirs: dict[Key, list[Run]] = {}
    ways: list[Run] = []
    why: str | None = None
    probed: list[float] = []
    for number in range(1, repeats + 1):
        options.note(f"peers: carrierd, run {number} of {repeats}")
        ours.append(await sustained((CARRIER,), seconds, options, probed))
        for name in LEAST:
            for window in (*JUDGED[name], *ALSO.get(name, ())):
                options.note(f"peers: {_words(name, window)}, run {number} of {repeats}")
                lasts = seconds if window else options.seconds or FLOOD_SECONDS
                run = await submit_only(name, window, lasts, options)
                theirs.setdefault((name, window), []).append(run)
        if options.jasmin is not None and why is None:
            options.note(f"peers: Jasmin, run {number} of {repeats}")
            try:
                ways.append(await by_jasmin(options.jasmin, seconds, options))
            except (UnavailableError, BenchError) as exc:
                why = str(exc)
                options.note(f"peers: Jasmin cannot run: {why}")
    parameters: dict[str, Value] = {
        "seconds": seconds,
        "flooded seconds": options.seconds or FLOOD_SECONDS,
        "warm-up": WARM_UP,
        "repeats": repeats,
        "versions": [f"{name} {version(name)}" for name in LEAST],
    }
    chosen = settings((CARRIER,), options.bootstrap, "")
    result = Result("peers", parameters | chosen.parameters(), machine(load) | shown_syncs(probed))
    for name, least in LEAST.items():
        result.targets.append(_ratio(name, least, ours, theirs))
    if ways:
        # It may have failed in a later round.
        rates = [way.per_second for way in ways]
        ratios = _ratios(ours[: len(rates)], rates)
        result.targets.append(at_least("carrierd / Jasmin", JASMIN, ratios, "", 1))
        name, window = JASMIN_CLIENT
        theirs[f"Jasmin, from {name}", window] = ways
    _verdicts(result, ours, theirs)
    _tables(result, ours, theirs)
    if why is not None:
        result.tables["Jasmin"] = [{"": f"could not run: {why}"}]
    return result


def _ratio(
    name: str, least: float, ours: Sequence[Sustained], theirs: dict[Key, list[Run]]
) -> Target:
    """Round by round, against the fastest of its windows."""
    rates = {window: [run.per_second for run in theirs[name, window]] for window in JUDGED[name]}
    window = max(rates, key=lambda each: median(rates[each]))
    words = f"carrierd / {_words(name, window)}"
    return at_least(words, least, _ratios(ours, rates[window]), "", 2)


def _ratios(ours: Sequence[Sustained], theirs: Sequence[float]) -> list[float]:
    """Round by round; 0 where the other did nothing, for then nothing was measured."""
    return [run.per_second / rate if rate else 0.0 for run, rate in zip(ours, theirs, strict=True)]


def _verdicts(result: Result, ours: Sequence[Sustained], theirs: dict[Key, list[Run]]) -> None:
    verdicts = [run.verdict for run in ours]
    runs = [run for each in theirs.values() for run in each]
    result.targets += [
        none_of("lost", [one.lost for one in verdicts]),
        none_of("sent twice", [one.twice for one in verdicts] + [run.twice for run in runs]),
        none_of("not delivered", [one.undelivered for one in verdicts]),
        none_of("final events repeated", [one.repeated for one in verdicts]),
        none_of(
            "refused as malformed",
            [one.faults for one in verdicts] + [run.refused + run.faults for run in runs],
        ),
    ]


def _tables(result: Result, ours: Sequence[Sustained], theirs: dict[Key, list[Run]]) -> None:
    result.tables["carrierd, broker to broker"] = [
        {
            "run": number,
            "messages/s": round(run.per_second),
            "µs CPU/message": round(run.cpu * 1e6, 1),
            "cores": round(run.busy, 2),
            "gateway cores": round(run.gateways_busy, 2),
            "starved": round(run.starved, 2),
        }
        for number, run in enumerate(ours, 1)
    ]
    rows: list[dict[str, Figure]] = []
    for (name, window), runs in theirs.items():
        rows += [
            {
                "": _words(name, window),
                "run": number,
                "submits/s": round(run.per_second),
                "µs CPU/submit": round(run.cpu * 1e6, 1),
                "cores": round(run.busy, 2),
                "gateway cores": round(run.gateway_busy, 2),
                "accepted": run.accepted,
                "answers seen": run.answered,
                "given up": run.given_up,
            }
            for number, run in enumerate(runs, 1)
        ]
    result.tables["submit only"] = rows


def _words(name: str, window: int) -> str:
    return f"{name}, window {window}" if window else f"{name}, flooded"
