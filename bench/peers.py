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
from typing import NamedTuple

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
FREE = frozenset({"smpp34", "smpplib"})
"""These run once more with all cores for everybody, as they would by themselves: a core of its own
is what the daemon has, and may be better or worse for what has several threads.
"""
JASMIN = 20.0
"""How many times as fast as Jasmin the daemon is expected to be."""


class Key(NamedTuple):
    """One way to run a client."""

    name: str
    window: int
    alone: bool = True
    """On a core of its own; else everybody has all."""

    @property
    def words(self) -> str:
        how = f"{self.name}, window {self.window}" if self.window else f"{self.name}, flooded"
        return how if self.alone else f"{how}, all cores"


def _ways() -> list[Key]:
    return [
        Key(name, window, alone)
        for name in LEAST
        for alone in ((True, False) if name in FREE else (True,))
        for window in (*JUDGED[name], *ALSO.get(name, ()))
    ]


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
    by_way_of: list[Run] = []
    why: str | None = None
    probed: list[float] = []
    for number in range(1, repeats + 1):
        options.note(f"peers: carrierd, run {number} of {repeats}")
        ours.append(await sustained((CARRIER,), seconds, options, probed))
        for way in _ways():
            options.note(f"peers: {way.words}, run {number} of {repeats}")
            lasts = seconds if way.window else options.seconds or FLOOD_SECONDS
            run = await submit_only(way.name, way.window, lasts, options, alone=way.alone)
            theirs.setdefault(way, []).append(run)
        if options.jasmin is not None and why is None:
            options.note(f"peers: Jasmin, run {number} of {repeats}")
            try:
                by_way_of.append(await by_jasmin(options.jasmin, seconds, options))
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
        for alone in (True, False):
            if judged := [way for way in theirs if way[::2] == (name, alone) and _judged(way)]:
                result.targets.append(_ratio(judged, least, ours, theirs))
    if by_way_of:
        # It may have failed in a later round.
        rates = [run.per_second for run in by_way_of]
        ratios = _ratios(ours[: len(rates)], rates)
        result.targets.append(at_least("carrierd / Jasmin", JASMIN, ratios, "", 1))
        name, window = JASMIN_CLIENT
        theirs[Key(f"Jasmin, from {name}", window)] = by_way_of
    _verdicts(result, ours, theirs)
    _tables(result, ours, theirs)
    if why is not None:
        result.tables["Jasmin"] = [{"": f"could not run: {why}"}]
    return result


def _judged(way: Key) -> bool:
    return way.window in JUDGED[way.name]


def _ratio(
    ways: Sequence[Key], least: float, ours: Sequence[Sustained], theirs: dict[Key, list[Run]]
) -> Target:
    """Round by round, against the fastest of these."""
    rates = {way: [run.per_second for run in theirs[way]] for way in ways}
    way = max(rates, key=lambda each: median(rates[each]))
    return at_least(f"carrierd / {way.words}", least, _ratios(ours, rates[way]), "", 2)


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
    for way, runs in theirs.items():
        rows += [
            {
                "": way.words,
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
