"""Another client's submits, as its gateway counts them: straight, or by way of Jasmin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from daemon.demo.ports import HOST
from daemon.demo.settings import LINES, PASSWORD, Settings
from daemon.demo.stage import Stage
from daemon.demo.traffic import ONE_PART

from .cores import apart, together
from .jasmin import jasmin
from .judge import torn
from .options import BenchError, Options
from .sustained import ACCOUNT_RATE, REPORT_WINDOW
from .usage import usage
from .worker import Worker, worker

CARRIER = "broadnet"
WINDOWS = (16, 64)
FLOOD = 0
"""As fast as the library takes it, with nobody who holds it back."""
WARM_UP = 1.0
JASMIN_CLIENT = ("smpp34", 64)
"""Who submits to Jasmin, and with which window."""
LOGIN_WITHIN = 30.0
LOOK_EVERY = 0.1
QUIET = 5.0
"""Seconds without a submit after which Jasmin is believed to have no more."""


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


class Place(NamedTuple):
    """Where a client logs in, and how."""

    host: str
    port: int
    login: str
    password: str


async def submit_only(
    name: str, window: int, seconds: float, options: Options, *, alone: bool = True
) -> Run:
    """One client with a gateway of its own; `alone`: and with a core.  Raises BenchError."""
    with (apart if alone else together)() as measured:
        async with _gateway(options) as stage:
            task = _task(name, window, _place(stage))
            async with worker("bench.esme", task, stage.directory, cores=measured) as client:
                await client.work(min(WARM_UP, seconds))
                clock = _Clock(stage, (client.pid,))
                await clock.start()
                await client.work(seconds)
                await clock.stop()
                told = await client.end()
            return clock.run(await _still(stage, LOOK_EVERY), told)


async def by_jasmin(python: Path, seconds: float, options: Options) -> Run:
    """What a client submitted to Jasmin in so many seconds, until the gateway has it.

    Jasmin takes what it is given, and passes most of it on later: the measured time is from the
    first submit to the last that the gateway got.  The CPU is Jasmin's with its broker and its
    store; being several processes, they have all cores.  Raises BenchError, and UnavailableError
    when something is not installed.
    """
    async with _gateway(options) as stage:
        place = _place(stage)
        logins, directory = (place.login, place.password), stage.directory
        async with jasmin(python, (place.host, place.port), logins, directory) as way:
            await _logged_in(stage)
            name, window = JASMIN_CLIENT
            task = _task(name, window, Place(HOST, way.port, way.login, way.password))
            async with worker("bench.esme", task, directory) as client:
                clock = _Clock(stage, way.pids)
                await clock.start()
                told = await _submitted(client, seconds)
            totals = await _still(stage, QUIET, clock)
    return clock.run(totals, told)


async def _submitted(client: Worker, seconds: float) -> dict[str, Any]:
    await client.work(seconds)
    return await client.end()


class _Clock:
    """Time, submits accepted, and CPU between `start` and the last `stop`."""

    def __init__(self, stage: Stage, pids: Sequence[int]) -> None:
        self._stage, self._pids = stage, (stage.gateways.pid, *pids)

    async def start(self) -> None:
        self._accepted, self._begun = await self._look()
        self._before = self._used()

    async def stop(self) -> None:
        accepted, now = await self._look()
        self._done, self._took = accepted - self._accepted, now - self._begun
        self._after = self._used()

    def run(self, totals: dict[str, Any], told: dict[str, Any]) -> Run:
        gateway_cpu, *each = (b - a for a, b in zip(self._before, self._after, strict=True))
        cpu = sum(each)
        return Run(
            per_second=self._done / self._took,
            cpu=cpu / max(1, self._done),
            busy=cpu / self._took,
            gateway_busy=gateway_cpu / self._took,
            accepted=totals["accepted"],
            refused=totals["refused"] + totals["throttled"] + totals["malformed"],
            twice=totals["twice"],
            faults=sum(count for why, count in totals["faults"].items() if not torn(why)),
            answered=told["answered"],
            given_up=told["given_up"],
        )

    async def _look(self) -> tuple[int, float]:
        return (await self._stage.counts())["totals"]["accepted"], time.monotonic()

    def _used(self) -> list[float]:
        return [usage(pid).cpu for pid in self._pids]


def _gateway(options: Options) -> Stage:
    chosen = Settings(
        carriers=(CARRIER,), rate=ACCOUNT_RATE, window=max(WINDOWS), report_window=REPORT_WINDOW
    )
    return Stage(chosen, options.directory)


def _place(stage: Stage) -> Place:
    (node,) = stage.config.accounts[CARRIER].nodes
    return Place(node.host, node.port, LINES[CARRIER].login, PASSWORD)


def _task(name: str, window: int, place: Place) -> dict[str, Any]:
    line = LINES[CARRIER]
    text, signature = ONE_PART[0]
    return {
        "client": name,
        "window": window,
        **place._asdict(),
        "sender": line.access_number,
        "prefix": line.prefix,
        "text": f"【{signature}】{text}",
    }


async def _logged_in(stage: Stage) -> None:
    """Raises BenchError when nobody does in time."""
    give_up = time.monotonic() + LOGIN_WITHIN
    while True:
        if (await stage.counts())["totals"]["logins"]:
            return
        if time.monotonic() > give_up:
            raise BenchError(f"Jasmin does not log in at the gateway within {LOGIN_WITHIN:g} s")
        await asyncio.sleep(LOOK_EVERY)


async def _still(stage: Stage, quiet: float, clock: _Clock | None = None) -> dict[str, Any]:
    """The gateway's counts when no submit has come for so long; `clock` stops at the last one."""
    seen, since = -1, time.monotonic()
    while True:
        totals: dict[str, Any] = (await stage.counts())["totals"]
        now = time.monotonic()
        if totals["submits"] != seen:
            seen, since = totals["submits"], now
            if clock is not None:
                await clock.stop()
        elif now - since >= quiet:
            return totals
        await asyncio.sleep(LOOK_EVERY)
