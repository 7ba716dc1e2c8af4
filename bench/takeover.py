"""One of two daemons killed for good, its disk gone with it: what the other one makes of it.

Both share every account; each has the binds to a node of its own, so that a gateway's name says who
wrote.  A part may be sent twice only when the lost one had not told its answer.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from daemon.broker.kafka.partition import partition
from daemon.demo.fates import Fates
from daemon.demo.settings import CARRIERS, Settings, Value
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from .fellow import Fellow, held
from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .options import BenchError, Options
from .result import Figure, Result, Target, at_most, none_of

RATE = 200.0
ACCOUNT_RATE = 200.0
"""Half of it is the survivor's, who has to catch up with that alone."""
WINDOW, BINDS = 16, 1
STAYS, LOST = "a", "b"
"""The daemons, in the order of the nodes that they have."""
UNANSWERED = WINDOW * BINDS * len(CARRIERS)
DELAY, REPORT_DELAY, HOLD = 0.1, 1.0, 2.0
SOON, SOON_FROM = 0.02, ("unicom", "telecom")
"""Reports of these carriers come so soon that the survivor has them before the answers are told."""
KILLS, FULL_KILLS = 2, 10
SHARED_WITHIN = 30.0
WARM = 6.0
LATELY = 1.0
"""Seconds in which an answer may not have been told yet."""
SESSION, REBALANCE = 6.0, 2.0
"""The group's session timeout, and what may come on top of it until the first submit."""
GONE = 0.5
"""Seconds after which gateways have read all that the lost one wrote."""
AWAITED = 2.0
"""Of messages that come after the kill, so many seconds are looked for at the gateways."""
TAKEN_WITHIN = 60.0
CAUGHT_UP_WITHIN = 60.0
AFTER = 3.0
PATIENCE = 30.0
LOOK_EVERY = 0.02
JITTER = 1.05
"""A gateway's own count may see this much and one more (contract section 6)."""


@dataclass(slots=True, frozen=True)
class _Loss:
    """The kill, and what followed until all was as before."""

    at: float
    """Seconds since 1970."""
    unanswered: int
    """Submits of the lost one that gateways had not answered."""
    lately: int
    """Submits that they had answered within the last `LATELY` seconds."""
    taken_over: float
    """Seconds until a gateway had a part of what came to the lost one's partitions afterwards."""
    caught_up: float
    """Seconds until all that was due when it was taken over had its final event."""


@dataclass(slots=True, frozen=True)
class _Run:
    first: str
    """Who was in the group before the other: it says who gets what."""
    loss: _Loss
    verdict: Verdict
    messages: int
    followed: int
    """Events that came after the final one and are not final."""
    owed: int
    """Messages that the lost one told to be answered, and whose report came after it."""
    unpaid: int
    """Of these, those that are not delivered."""
    peak: int
    """Most submits of a daemon to one account in any one second."""


async def measure(options: Options) -> Result:
    """Raises BenchError without a Kafka, or when a run does not end in time."""
    if options.bootstrap is None:
        raise BenchError("takeover: needs --bootstrap: daemons share work through a Kafka")
    load = os.getloadavg()[0]
    kills = options.kills or (FULL_KILLS if options.full else KILLS)
    deadline = WARM + TAKEN_WITHIN + CAUGHT_UP_WITHIN + AFTER + SHARED_WITHIN + 2 * PATIENCE + 60.0
    runs: list[_Run] = []
    probed: list[float] = []
    for number in range(kills):
        first = (LOST, STAYS)[number % 2]
        options.note(f"takeover: {number + 1} of {kills}, {first} comes first, {LOST} is lost")
        try:
            async with asyncio.timeout(deadline), own_topics(options.bootstrap) as prefix:
                settings = _settings(options.bootstrap, prefix)
                runs.append(await _run(first, settings, options, probed))
        except TimeoutError:
            raise BenchError(f"takeover: not done after {deadline:g} s") from None
    parameters: dict[str, Value] = {
        "rate": RATE,
        "kills": kills,
        "daemons": 2,
        "unanswered at most": UNANSWERED,
        "hold": HOLD,
        "parts per message": 1,
    }
    shown = settings.parameters()
    shown["report delay"] = [f"{REPORT_DELAY:g}", *(f"{name} {SOON:g}" for name in SOON_FROM)]
    facts = machine(load) | shown_syncs(probed)
    result = Result("takeover", parameters | shown, facts)
    _targets(result, runs)
    result.tables["takeovers"] = [_times(number, run) for number, run in enumerate(runs, 1)]
    result.tables["messages"] = [_messages(number, run) for number, run in enumerate(runs, 1)]
    return result


def _settings(bootstrap: str, prefix: str) -> Settings:
    shares: Mapping[str, Value] = {STAYS: 1, LOST: 1}
    return Settings(
        rate=ACCOUNT_RATE,
        window=WINDOW,
        binds=BINDS,
        nodes=2,
        delay=DELAY,
        report_delay=REPORT_DELAY,
        bootstrap=bootstrap,
        topics=prefix,
        more={
            "daemon": {"name": STAYS},
            "uncertain": {"hold": HOLD, "then": "resend"},
            **{f"accounts.{name}.shares": shares for name in CARRIERS},
            **{f"simulate.accounts.{name}": {"report_delay": SOON} for name in SOON_FROM},
        },
    )


async def _run(first: str, settings: Settings, options: Options, probed: list[float]) -> _Run:
    traffic = Traffic(f"takeover-{uuid.uuid4().hex[:8]}", settings.carriers)
    most = round(RATE * (WARM + TAKEN_WITHIN + CAUGHT_UP_WITHIN + AFTER + 10.0))
    fates = Fates(traffic.run, most)
    stop = asyncio.Event()
    async with Stage(settings, options.directory) as stage, Fellow(stage, LOST) as fellow:
        probed += syncs(stage.directory, 100)
        starts = {STAYS: stage.start_daemon, LOST: fellow.start}
        await starts.pop(first)()
        for start in starts.values():
            await start()
        homes = await _shared(stage, fellow)
        topic = stage.config.broker.topics.jobs[-1]
        async with Following(stage, fates) as following:
            begun = time.monotonic()
            offering = asyncio.create_task(
                offer(traffic, stage.outlet, topic, most, RATE, stop), name="load"
            )
            try:
                loss = await _lose(stage, fellow, homes, traffic, fates, begun)
                await asyncio.sleep(AFTER)
            finally:
                stop.set()
                due = await offering
            fates.cut(len(due))
            await following.settled(PATIENCE)
        verdict = await judge(stage, fates, traffic, HOLD + 1.0)
        counts = await stage.counts()
        if status := await stage.stop_daemon():
            raise BenchError(f"takeover: the survivor ended with {status}: {stage.daemon.said()}")
    owed = [index for index in range(fates.count) if _owed(fates, index, loss.at)]
    return _Run(
        first=first,
        loss=loss,
        verdict=verdict,
        messages=len(due),
        followed=fates.followed,
        owed=sum(homes.lost_has(traffic, index) for index in owed),
        unpaid=sum(homes.lost_has(traffic, index) and not fates.delivered[index] for index in owed),
        peak=max(node["peak_per_second"] for node in counts["nodes"].values()),
    )


def _owed(fates: Fates, index: int, at: float) -> bool:
    """Whether a message was answered before the moment and became final after it."""
    answered, reported = fates.times["answered"][index], fates.times["reported"][index]
    return answered <= at and not reported <= at


@dataclass(slots=True, frozen=True)
class _Homes:
    """Which partitions of the jobs topic the lost one had, of how many."""

    lost: frozenset[int]
    count: int

    def lost_has(self, traffic: Traffic, index: int) -> bool:
        return partition(traffic.job(index)[0], self.count) in self.lost


async def _shared(stage: Stage, fellow: Fellow) -> _Homes:
    """When both daemons have their partitions."""
    topic = stage.config.broker.topics.jobs[-1]
    count = (await stage.broker.topics([topic]))[topic] or 0
    give_up = time.monotonic() + SHARED_WITHIN
    while True:
        stage.watch(fellow.process)
        stays, lost = held(await stage.metrics(), topic), held(await fellow.metrics(), topic)
        if stays and lost and len(stays) + len(lost) == len(stays | lost) == count:
            return _Homes(lost, count)
        if time.monotonic() > give_up:
            had = f"{sorted(stays)} and {sorted(lost)}"
            raise BenchError(f"takeover: {count} partitions are not shared by two daemons: {had}")
        await asyncio.sleep(LOOK_EVERY)


async def _lose(
    stage: Stage, fellow: Fellow, homes: _Homes, traffic: Traffic, fates: Fates, begun: float
) -> _Loss:
    """After the load, which began at `begun` on the monotonic clock, has been on for a while."""
    before = await _warmed_up(stage, fellow)
    if await _shared(stage, fellow) != homes:
        raise BenchError("takeover: partitions went from one daemon to the other before the kill")
    at, killed = time.time(), time.monotonic()
    await fellow.lose()
    await asyncio.sleep(GONE)
    written, answered = _work(await stage.counts())
    known = next(count for when, count in reversed(before) if when <= killed - LATELY)
    next_one = round((killed + GONE - begun) * RATE)
    taken_over = await _taken_over(
        stage, _numbers(traffic, homes, range(next_one, next_one + round(AWAITED * RATE))), killed
    )
    due = round((killed + taken_over - begun) * RATE)
    while fates.final.find(0, 0, due) >= 0:
        stage.watch()
        if (waited := time.monotonic() - killed - taken_over) > CAUGHT_UP_WITHIN:
            raise BenchError(
                f"takeover: {fates.final.count(0, 0, due)} messages of {due} have no final event"
                f" {waited:.0f} s after they were taken over"
            )
        await asyncio.sleep(LOOK_EVERY)
    caught_up = time.monotonic() - killed
    return _Loss(at, written - answered, answered - known, taken_over, caught_up)


async def _warmed_up(stage: Stage, fellow: Fellow) -> list[tuple[float, int]]:
    """How much of the lost one's work was answered, at moments on the monotonic clock."""
    looks: list[tuple[float, int]] = []
    until = time.monotonic() + WARM
    while time.monotonic() < until:
        stage.watch(fellow.process)
        counts = await stage.counts()
        looks.append((time.monotonic(), _work(counts)[1]))
        await asyncio.sleep(LOOK_EVERY)
    return looks


def _work(counts: Mapping[str, Any]) -> tuple[int, int]:
    """The lost one's submits, and how many of them were answered."""
    nodes = [counts["nodes"][f"{name}/{name}-2"] for name in CARRIERS]
    return sum(node["submits"] for node in nodes), sum(node["answered"] for node in nodes)


def _numbers(traffic: Traffic, homes: _Homes, indexes: range) -> dict[str, list[str]]:
    """Recipients, by account, of those of the messages that were to be the lost one's."""
    numbers: dict[str, list[str]] = {name: [] for name in traffic.carriers}
    for index in indexes:
        if homes.lost_has(traffic, index):
            value = orjson.loads(traffic.job(index)[1])
            numbers[traffic.carrier(index)].append(value["to"])
    return numbers


async def _taken_over(stage: Stage, numbers: Mapping[str, Sequence[str]], killed: float) -> float:
    """Seconds from the kill until a gateway had a part for one of these numbers."""
    while True:
        stage.watch()
        for account, awaited in numbers.items():
            missing = await stage.missing(account, awaited)
            took = time.monotonic() - killed
            if len(missing) < len(awaited):
                return took
        if took > TAKEN_WITHIN:
            raise BenchError(f"takeover: nothing was taken over {took:.0f} s after the kill")
        await asyncio.sleep(LOOK_EVERY)


def _targets(result: Result, runs: Sequence[_Run]) -> None:
    verdicts = [run.verdict for run in runs]
    taken = [round(run.loss.taken_over, 2) for run in runs]
    beyond = [max(0, run.verdict.twice - run.loss.unanswered - run.loss.lately) for run in runs]
    most = math.floor(ACCOUNT_RATE / 2 * JITTER + 1)
    result.targets += [
        Target(
            "taken over after",
            f"<= {SESSION + REBALANCE:g}: session {SESSION:g}, rebalance {REBALANCE:g}",
            max(taken),
            max(taken) <= SESSION + REBALANCE,
            "s",
            (min(taken), max(taken)) if len(taken) > 1 else None,
        ),
        none_of("lost", [one.lost for one in verdicts]),
        at_most("sent twice per kill", UNANSWERED, [one.twice for one in verdicts], "parts"),
        none_of("sent twice beyond what was untold", beyond),
        none_of("answered before, not delivered after", [run.unpaid for run in runs]),
        none_of("not delivered", [one.undelivered for one in verdicts]),
        none_of("final events contradicted", [one.contradicted for one in verdicts]),
        none_of("events after the final one", [run.followed for run in runs]),
        at_most("most submits in one second", most, [run.peak for run in runs], "submits"),
        none_of("refused as malformed", [one.faults for one in verdicts]),
    ]


def _times(number: int, run: _Run) -> dict[str, Figure]:
    return {
        "kill": number,
        "came first": "the lost one" if run.first == LOST else "the survivor",
        "taken over s": round(run.loss.taken_over, 2),
        "caught up s": round(run.loss.caught_up, 2),
        "peak": run.peak,
    }


def _messages(number: int, run: _Run) -> dict[str, Figure]:
    verdict = run.verdict
    return {
        "kill": number,
        "messages": run.messages,
        "lost": verdict.lost,
        "un-answered": run.loss.unanswered,
        "answered lately": run.loss.lately,
        "sent twice": verdict.twice,
        "after answer": verdict.twice_answered,
        "reported later": run.owed,
        "told again": verdict.repeated,
    }
