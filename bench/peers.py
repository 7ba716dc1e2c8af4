"""Other SMPP clients at the same gateway, in turn with the daemon, as ratios.

The daemon does its whole work, from broker to broker with ledger and reports; the others only
submit.  Each run has a gateway process of its own, all of one configuration, and its counts say
how much came through.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from daemon.demo.settings import LINES, PASSWORD, Settings, Value
from daemon.demo.stage import Stage
from daemon.demo.traffic import ONE_PART

from .helper import helper
from .judge import torn
from .machine import machine, shown_syncs
from .options import BenchError, Options
from .result import Figure, Result, Target, at_least, median, none_of
from .sustained import ACCOUNT_RATE, REPORT_WINDOW, Sustained, settings, sustained
from .usage import usage

SECONDS = 5.0
WARM_UP = 1.0
REPEATS = 3
CARRIER = "broadnet"
WINDOWS = (16, 64)
FLOOD = 0
"""As fast as the library takes it, with nobody who holds it back."""

LEAST = {"smpp34": 1.3, "smpplib": 1.3, "aiosmpplib": 40.0}
"""How many times as fast as each the daemon has to be."""
JUDGED = {"smpp34": WINDOWS, "smpplib": WINDOWS, "aiosmpplib": (FLOOD,)}
"""With which windows: the fastest of these counts."""
ALSO = {"aiosmpplib": WINDOWS}
"""Windows that are shown and not judged."""
EXTRA = "carrierd[peers]"


@dataclass(slots=True, frozen=True)
class Run:
    """Of one client; counts are the gateway's, over the whole run."""

    per_second: float
    """Submits that the gateway accepted, over the measured time."""
    cpu: float
    """Seconds of all threads of the client per submit."""
    busy: float
    gateway_busy: float
    accepted: int
    refused: int
    twice: int
    faults: int
    answered: int
    """What the client counts itself, as the rest here."""
    given_up: int


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
    probed: list[float] = []
    for number in range(1, repeats + 1):
        options.note(f"peers: carrierd, run {number} of {repeats}")
        ours.append(await sustained((CARRIER,), seconds, options, probed))
        for name in LEAST:
            for window in (*JUDGED[name], *ALSO.get(name, ())):
                options.note(f"peers: {_words(name, window)}, run {number} of {repeats}")
                run = await submit_only(name, window, seconds, options)
                theirs.setdefault((name, window), []).append(run)
    parameters: dict[str, Value] = {
        "seconds": seconds,
        "warm-up": WARM_UP,
        "repeats": repeats,
        "versions": [f"{name} {version(name)}" for name in LEAST],
    }
    chosen = settings((CARRIER,), options.bootstrap, "")
    result = Result("peers", parameters | chosen.parameters(), machine(load) | shown_syncs(probed))
    for name, least in LEAST.items():
        result.targets.append(_ratio(name, least, ours, theirs))
    _verdicts(result, ours, theirs)
    _tables(result, ours, theirs)
    return result


async def submit_only(name: str, window: int, seconds: float, options: Options) -> Run:
    """One client with a gateway of its own.  Raises BenchError."""
    line = LINES[CARRIER]
    async with Stage(_one_bind(), options.directory) as stage:
        (node,) = stage.config.accounts[CARRIER].nodes
        task = {
            "client": name,
            "window": window,
            "host": node.host,
            "port": node.port,
            "login": line.login,
            "password": PASSWORD,
            "sender": line.access_number,
            "prefix": line.prefix,
            "text": "".join((f"【{ONE_PART[0][1]}】", ONE_PART[0][0])),
        }
        async with helper("bench.esme", task, stage.directory) as client:
            await client.work(min(WARM_UP, seconds))
            watched = (client.pid, stage.gateways.pid)
            early, begin = (await stage.counts())["totals"], time.monotonic()
            before = [usage(pid) for pid in watched]
            await client.work(seconds)
            late, took = (await stage.counts())["totals"], time.monotonic() - begin
            after = [usage(pid) for pid in watched]
            told = await client.end()
        totals = (await _still(stage))["totals"]
    done = late["accepted"] - early["accepted"]
    cpu, gateway_cpu = (b.cpu - a.cpu for a, b in zip(before, after, strict=True))
    return Run(
        per_second=done / took,
        cpu=cpu / max(1, done),
        busy=cpu / took,
        gateway_busy=gateway_cpu / took,
        accepted=totals["accepted"],
        refused=totals["refused"] + totals["throttled"] + totals["malformed"],
        twice=totals["twice"],
        faults=sum(count for why, count in totals["faults"].items() if not torn(why)),
        answered=told["answered"],
        given_up=told["given_up"],
    )


def _one_bind() -> Settings:
    return Settings(
        carriers=(CARRIER,), rate=ACCOUNT_RATE, window=max(WINDOWS), report_window=REPORT_WINDOW
    )


async def _still(stage: Stage) -> dict[str, Any]:
    """The counts once the gateway has read all that the client had written."""
    counts = await stage.counts()
    while True:
        await asyncio.sleep(0.1)
        later = await stage.counts()
        if later["totals"]["submits"] == counts["totals"]["submits"]:
            return later
        counts = later


def _ratio(
    name: str, least: float, ours: Sequence[Sustained], theirs: dict[Key, list[Run]]
) -> Target:
    """Round by round, against the fastest of its windows."""
    rates = {window: [run.per_second for run in theirs[name, window]] for window in JUDGED[name]}
    window = max(rates, key=lambda each: median(rates[each]))
    ratios = [
        mine.per_second / its if its else 0.0 for mine, its in zip(ours, rates[window], strict=True)
    ]
    return at_least(f"carrierd / {_words(name, window)}", least, ratios, "", 2)


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
