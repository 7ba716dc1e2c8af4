"""The daemon killed under load, again and again, and stopped in good order: what it costs.

Three runs: SIGKILL with `resend`, SIGKILL with `wait`, SIGTERM with `resend`.  The load goes on
whatever becomes of the daemon.  Most kills come at a random moment of work; every fifth one
strikes the start itself, while what the last kill left is being taken up.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from daemon.demo.fates import Fates
from daemon.demo.settings import CARRIERS, Settings, Value
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .options import BenchError, Options
from .result import Figure, Result, Target, median, none_of

RATE = 2000.0
ACCOUNT_RATE = 2000.0
"""Room to catch up with what was offered while no daemon ran."""
WINDOW, BINDS = 16, 2
UNANSWERED = WINDOW * BINDS * len(CARRIERS)
"""The most that can be written and not answered when a kill comes."""
DELAY = 0.02
REPORT_DELAY = {"resend": 4.0, "wait": 0.5, "terms": 0.5}
"""With `resend` reports come after a start and the hold, so that what is in doubt is really sent
again.
"""
HOLD = 1.0
KILLS, TERMS = 5, 5
FULL_KILLS, FULL_TERMS = 50, 20
ALIVE = (0.1, 2.5)
"""Seconds from being ready to the kill."""
STARTING = (0.05, 1.0)
"""Seconds from the start to a kill that does not wait for readiness."""
EVERY = 5
AFTER = 1.0
PATIENCE = 10.0
"""What is not final by then, counted from the last that became so, stays open."""
PER_ROUND = 45.0
SEED = 20261122


@dataclass(slots=True, frozen=True)
class _Run:
    name: str
    ended: int
    """Kills or restarts."""
    messages: int
    seconds: float
    verdict: Verdict
    uncertain: int
    """Messages that were so at some time: the kills struck work."""
    open_doubts: int
    """Messages uncertain to the end that are not to be sent again: what may never have left."""
    unclean: int
    """Drains that did not end with status 0."""
    ready: Sequence[float]
    """Seconds from a start to readiness."""

    @property
    def lost(self) -> int:
        """Of what is open in doubt the contract says that it is not lost."""
        return self.verdict.lost - self.open_doubts


async def measure(options: Options) -> Result:
    """Raises BenchError when a run does not end in time."""
    load = os.getloadavg()[0]
    kills = options.kills or (FULL_KILLS if options.full else KILLS)
    terms = options.terms or (FULL_TERMS if options.full else TERMS)
    rate = options.rate or RATE
    runs: list[_Run] = []
    probed: list[float] = []
    for name, times in (("resend", kills), ("wait", kills), ("terms", terms)):
        what = "SIGTERM" if name == "terms" else f"SIGKILL, {name}"
        options.note(f"crash: {times} times {what}, {rate:g} messages/s")
        deadline = times * PER_ROUND + PATIENCE + 120.0
        try:
            async with asyncio.timeout(deadline):
                # Each on topics of its own: none reads what another one left.
                async with own_topics(options.bootstrap) as prefix:
                    settings = _settings(name, prefix, options)
                    runs.append(await _run(name, times, rate, settings, options, probed))
        except TimeoutError:
            raise BenchError(f"crash: {what}: not done after {deadline:g} s") from None
    parameters: dict[str, Value] = {
        "rate": rate,
        "kills": kills,
        "terms": terms,
        "seed": SEED,
        "hold": HOLD,
        "unanswered at most": UNANSWERED,
        "parts per message": 1,
    }
    shown = settings.parameters()
    shown["report delay"] = [f"{name} {delay:g}" for name, delay in REPORT_DELAY.items()]
    facts = machine(load) | shown_syncs(probed)
    result = Result("crash", parameters | shown, facts)
    _targets(result, runs)
    result.tables["runs"] = [_row(run) for run in runs]
    return result


def _settings(name: str, prefix: str, options: Options) -> Settings:
    return Settings(
        rate=ACCOUNT_RATE,
        window=WINDOW,
        binds=BINDS,
        delay=DELAY,
        report_delay=REPORT_DELAY[name],
        bootstrap=options.bootstrap,
        topics=prefix,
        more={
            "uncertain": {"hold": HOLD, "then": "wait" if name == "wait" else "resend"},
        },
    )


async def _run(
    name: str,
    times: int,
    rate: float,
    settings: Settings,
    options: Options,
    probed: list[float],
) -> _Run:
    traffic = Traffic(f"crash-{uuid.uuid4().hex[:8]}", settings.carriers)
    most = round(rate * times * PER_ROUND)
    fates = Fates(traffic.run, most)
    stop = asyncio.Event()
    async with Stage(settings, options.directory) as stage:
        probed += syncs(stage.directory, 100)
        topic = stage.config.broker.topics.jobs[-1]
        async with Following(stage, fates) as following:
            begun = time.monotonic()
            offering = asyncio.create_task(
                offer(traffic, stage.outlet, topic, most, rate, stop), name="load"
            )
            try:
                ready, unclean = await _rounds(name, times, stage)
                await asyncio.sleep(AFTER)
            finally:
                stop.set()
                due = await offering
            took = time.monotonic() - begun
            fates.cut(len(due))
            await following.settled(PATIENCE)
        verdict = await judge(stage, fates, traffic, HOLD + 1.0)
        if status := await stage.stop_daemon():
            raise BenchError(f"crash: the daemon ended with {status}: {stage.daemon.said()}")
    open_doubts = fates.open_doubts if name == "wait" else fates.spent_doubts
    uncertain = len(due) - fates.doubted.count(0, 0, len(due))
    return _Run(name, times, len(due), took, verdict, uncertain, open_doubts, unclean, ready)


async def _rounds(name: str, times: int, stage: Stage) -> tuple[list[float], int]:
    """Seconds to readiness of every start that got so far, and drains that were not clean.

    The daemon runs at the end.
    """
    chances = Random(f"{SEED} {name}")
    ready: list[float] = []
    unclean = 0
    for number in range(1, times + 1):
        began = time.monotonic()
        if name != "terms" and number % EVERY == 0:
            await stage.daemon.start()
            await asyncio.sleep(chances.uniform(*STARTING))
        else:
            await stage.start_daemon()
            ready.append(time.monotonic() - began)
            await asyncio.sleep(chances.uniform(*ALIVE))
        stage.watch()
        if name == "terms":
            unclean += await stage.stop_daemon() != 0
        else:
            await stage.daemon.kill()
    began = time.monotonic()
    await stage.start_daemon()
    ready.append(time.monotonic() - began)
    return ready, unclean


def _targets(result: Result, runs: Sequence[_Run]) -> None:
    resend, wait, terms = (run.verdict for run in runs)
    verdicts = (resend, wait, terms)
    kills = runs[0].ended
    result.targets += [
        none_of("lost", [run.lost for run in runs]),
        Target(
            "sent twice per kill, resend",
            f"<= {UNANSWERED}, the unanswered window",
            round(resend.twice / kills, 1),
            resend.twice <= UNANSWERED * kills,
        ),
        none_of("sent twice, wait", [wait.twice]),
        none_of("sent twice, SIGTERM", [terms.twice]),
        Target(
            "left in doubt per kill, wait",
            f"<= {UNANSWERED}, the unanswered window",
            round(runs[1].open_doubts / kills, 1),
            runs[1].open_doubts <= UNANSWERED * kills,
        ),
        Target(
            "in doubt twice per kill, resend",
            f"<= {UNANSWERED}, the unanswered window",
            round(runs[0].open_doubts / kills, 1),
            runs[0].open_doubts <= UNANSWERED * kills,
        ),
        none_of("not delivered", [one.undelivered for one in verdicts]),
        none_of("sent twice, unsaid", [one.twice_unsaid for one in verdicts]),
        none_of("final events contradicted", [one.contradicted for one in verdicts]),
        none_of("final events repeated, SIGTERM", [terms.repeated]),
        none_of("drains that were not clean", [runs[2].unclean]),
        none_of("refused as malformed", [one.faults for one in verdicts]),
    ]


def _row(run: _Run) -> dict[str, Figure]:
    return {
        "": "SIGTERM" if run.name == "terms" else f"kill, {run.name}",
        "times": run.ended,
        "messages": run.messages,
        "rate": round(run.messages / run.seconds),
        "lost": run.lost,
        "uncertain": run.uncertain,
        "twice": run.verdict.twice,
        "after answer": run.verdict.twice_answered,
        "in doubt at the end": run.open_doubts,
        "told again": run.verdict.repeated,
        "ready s": round(median(run.ready), 2),
    }
