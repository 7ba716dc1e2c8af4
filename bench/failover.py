"""One fault after the other at the gateways, under load over all protocols: what it costs.

Every account has two nodes of equal priority.  A fault befalls the first node of each account at
the same time, `gone` both nodes of one account; it is taken away again and the load goes on until
the node has its share back.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from daemon.demo.fates import Fates
from daemon.demo.settings import CARRIERS, LINES, Settings, Value
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer

from . import backlog
from .faults import BACKLOG, FAILOVER, NETWORK, Fault
from .following import Following
from .judge import Verdict, judge
from .kafka import own_topics
from .machine import machine, shown_syncs, syncs
from .network import Network, far, near
from .options import BenchError, Options
from .result import Figure, Result, Target, at_most, none_of
from .shares import OVER, Shares

RATE = 200.0
"""Messages a second to each account."""
ACCOUNT_RATE = 240.0
SECONDS = 12.0
"""A fault lasts so long; a frozen node is left and what was there in doubt is sent again."""
WINDOW, BINDS, NODES = 16, 1, 2
DELAY, REPORT_DELAY = 0.05, 1.0
ANSWER_WITHIN, HOLD = 3.0, 5.0
WARM = 4.0
BACK_WITHIN = 40.0
"""Longer than the daemon's longest pause between attempts to connect."""
FULL_WITHIN = 10.0
FULL = 0.8
"""Of the share before the fault: one second's share scatters by a tenth."""
JITTER = 1.05
"""A gateway's own count may see this much and one more (contract section 6)."""
PATIENCE = 30.0
ALL = FAILOVER | NETWORK
STRUCK = 1
"""The line to the first node of each account; the second nodes have line 2, all else line 0."""
PLACES: Mapping[str, Any] = {
    "hosts": [far(line) for line in range(STRUCK, STRUCK + NODES)],
    "control": far(0),
    "listen": near(0),
}


@dataclass(slots=True)
class _Run:
    """What one fault did."""

    fault: Fault
    verdict: Verdict
    messages: int
    resent: int
    """Messages of two attempts."""
    outage: int
    """Whole seconds in a row without submits of an account that should have had some."""
    unseen: int
    """The same from the fault on, before its loss could be seen."""
    lowest: int
    """Fewest submits of such an account in a whole second from then to the fault's end."""
    peak: int
    """Most submits of one account in any one second."""
    window: int
    """Submits that may have been unanswered when the fault began."""
    served: list[float | None] = field(default_factory=list)
    """Seconds from the fault's end to the first accepted submit, by node."""
    full: list[float | None] = field(default_factory=list)
    """Seconds from there to the full share, by node."""


async def measure(options: Options) -> Result:
    """Raises BenchError when a run does not end in time."""
    load = os.getloadavg()[0]
    seconds = options.seconds or SECONDS
    chosen = options.faults or (tuple(NETWORK) if options.netns else (*FAILOVER, BACKLOG))
    faults = [ALL[name] for name in chosen if name != BACKLOG]
    _check(faults, chosen, options)
    carriers = [name for name in CARRIERS if _wanted(name, options)]
    runs: list[_Run] = []
    probed: list[float] = []
    async with contextlib.AsyncExitStack() as around:
        network = await around.enter_async_context(Network(NODES)) if options.netns else None
        prefix = await around.enter_async_context(own_topics(options.bootstrap))
        settings = Settings(
            **({} if network is None else PLACES),
            carriers=carriers,
            rate=ACCOUNT_RATE,
            window=WINDOW,
            binds=BINDS,
            nodes=NODES,
            delay=DELAY,
            report_delay=REPORT_DELAY,
            bootstrap=options.bootstrap,
            topics=prefix,
            more={
                **{f"accounts.{name}": {"answer_within": ANSWER_WITHIN} for name in carriers},
                "uncertain": {"hold": HOLD, "then": "resend"},
            },
        )
        for fault in faults:
            options.note(f"failover: {fault.name}: {fault.words}, {seconds:g} s")
            deadline = WARM + seconds + BACK_WITHIN + FULL_WITHIN + 2 * PATIENCE + 60.0
            try:
                async with asyncio.timeout(deadline):
                    runs.append(await _run(fault, settings, seconds, options, probed, network))
            except TimeoutError:
                raise BenchError(f"failover: {fault.name}: not done in {deadline:g} s") from None
    pairs = await backlog.measure(options, probed) if BACKLOG in chosen else []
    parameters: dict[str, Value] = {
        "rate per account": RATE,
        "seconds of a fault": seconds,
        "faults": list(chosen),
        "answer_within": ANSWER_WITHIN,
        "hold": HOLD,
        "network": "TUN devices between two namespaces" if options.netns else "loopback",
        "parts per message": 1,
    }
    facts = machine(load) | shown_syncs(probed)
    result = Result("failover", parameters | settings.parameters(), facts)
    if runs:
        _targets(result, runs)
        result.tables["faults"] = [_load(run) for run in runs]
        result.tables["messages"] = [_messages(run) for run in runs]
    if pairs:
        backlog.show(result, pairs)
    return result


def _check(faults: Sequence[Fault], chosen: Sequence[str], options: Options) -> None:
    for fault in faults:
        if fault.line is not None and not options.netns:
            raise BenchError(f"failover: {fault.name}: needs --netns, a network of its own")
    if options.netns and (options.bootstrap or BACKLOG in chosen):
        raise BenchError("failover: --netns has a network of its own: no --bootstrap, no backlog")


def _wanted(carrier: str, options: Options) -> bool:
    chosen = options.protocols
    return not chosen or "mixed" in chosen or LINES[carrier].protocol in chosen


async def _run(
    fault: Fault,
    settings: Settings,
    seconds: float,
    options: Options,
    probed: list[float],
    network: Network | None,
) -> _Run:
    carriers = settings.carriers
    traffic = Traffic(f"failover-{uuid.uuid4().hex[:8]}", carriers)
    rate = RATE * len(carriers)
    most = round(rate * (WARM + seconds + BACK_WITHIN + FULL_WITHIN + 10.0))
    struck = carriers[:1] if fault.carrier else carriers
    nodes = [f"{name}/{name}-1" for name in struck]
    where = list(struck) if fault.carrier else nodes
    fates = Fates(traffic.run, most)
    stop = asyncio.Event()
    away = [] if network is None else network.prefix
    async with Stage(settings, options.directory, away) as stage:
        probed += syncs(stage.directory, 100)
        await stage.start_daemon()
        topic = stage.config.broker.topics.jobs[-1]
        async with Following(stage, fates) as following, Shares(stage) as shares:
            offering = asyncio.create_task(
                offer(traffic, stage.outlet, topic, most, rate, stop), name="load"
            )
            try:
                await asyncio.sleep(WARM)
                begun = time.time()
                before = {node: shares.share(node, begun, WARM - OVER) for node in nodes}
                if fault.line is not None and network is not None:
                    await network.change(STRUCK, **fault.line)
                await fault.begin(stage, where)
                await asyncio.sleep(seconds)
                await fault.end(stage, where)
                if network is not None:
                    await network.change(STRUCK)
                ended = time.time()
                served, full = await _recovered(stage, shares, nodes, before, ended)
                over = time.time()
            finally:
                stop.set()
                due = await offering
            fates.cut(len(due))
            await following.settled(PATIENCE)
        verdict = await judge(stage, fates, traffic, HOLD + 1.0)
        counts = await stage.counts(seconds=True)
        if status := await stage.stop_daemon():
            raise BenchError(f"failover: the daemon ended with {status}: {stage.daemon.said()}")
    accounts: Mapping[str, Any] = counts["accounts"]
    seen = begun + (ANSWER_WITHIN if fault.frozen else 0.0)
    window = WINDOW * BINDS * len(nodes) * (NODES if fault.carrier else 1)
    judged = [name for name in carriers if not (fault.carrier and name in struck)]
    return _Run(
        fault=fault,
        verdict=verdict,
        messages=len(due),
        resent=sum(1 for attempts in fates.attempts if attempts > 1),
        outage=max((outage(accounts[name], seen, over) for name in judged), default=0),
        unseen=max((outage(accounts[name], begun, seen) for name in judged), default=0),
        lowest=min((lowest(accounts[name], seen, ended) for name in judged), default=0),
        peak=max(account["peak_per_second"] for account in accounts.values()),
        # Silence is certain only `answer_within` after the last answer; the parts written before
        # that answer leave the window earlier, and others may follow them.
        window=0 if fault.harmless else window * 2 if fault.frozen else window,
        served=[None if at is None else max(0.0, at - ended) for at in served],
        full=[
            None if at is None or start is None else max(0.0, at - start)
            for start, at in zip(served, full, strict=True)
        ],
    )


async def _recovered(
    stage: Stage, shares: Shares, nodes: Sequence[str], before: Mapping[str, float], ended: float
) -> tuple[list[float | None], list[float | None]]:
    """When each node took something again, and when it had its share; None: not in time."""
    begun = time.monotonic()
    while True:
        stage.watch()
        served = [shares.served(node, ended) for node in nodes]
        full = [
            None if at is None else shares.full(node, at, FULL * before[node])
            for node, at in zip(nodes, served, strict=True)
        ]
        waited = time.monotonic() - begun
        enough = BACK_WITHIN + (FULL_WITHIN if None not in served else 0.0)
        if (None not in full and waited > 2 * OVER) or waited > enough:
            return served, full
        await asyncio.sleep(OVER / 4)


def outage(account: Mapping[str, Any], since: float, until: float) -> int:
    """The most whole seconds in a row without a submit, by the gateways' clock."""
    longest = run = 0
    for count in _seconds(account, since, until):
        run = 0 if count else run + 1
        longest = max(longest, run)
    return longest


def lowest(account: Mapping[str, Any], since: float, until: float) -> int:
    """The fewest submits in a whole second."""
    return min(_seconds(account, since, until), default=0)


def _seconds(account: Mapping[str, Any], since: float, until: float) -> list[int]:
    """Submits of each second that lies wholly within."""
    series = account["seconds"]
    counts = dict(enumerate(series["submits"], series["start"] or 0))
    return [counts.get(second, 0) for second in range(math.ceil(since), math.floor(until))]


def _targets(result: Result, runs: Sequence[_Run]) -> None:
    allowed = math.floor(ACCOUNT_RATE * JITTER + 1)
    verdicts = [run.verdict for run in runs]
    full = [math.inf if at is None else at for run in runs for at in run.full]
    heard = [0 if run.fault.cuts else run.verdict.twice_answered for run in runs]
    over = [run.verdict.twice - run.window for run in runs]
    result.targets += [
        at_most("seconds without submits", 0, [run.outage for run in runs], "s"),
        at_most("most submits in one second", allowed, [run.peak for run in runs], "submits"),
        at_most("full share again", FULL_WITHIN, full, "s", 1),
        Target(
            "sent twice beyond what was unanswered",
            "0",
            max(0, *over),
            max(over) <= 0,
        ),
        none_of("lost", [one.lost for one in verdicts]),
        none_of("sent twice, answered", heard),
        none_of("sent twice, unsaid", [one.twice_unsaid for one in verdicts]),
        none_of("not delivered", [one.undelivered for one in verdicts]),
        none_of("final events contradicted", [one.contradicted for one in verdicts]),
        none_of("final events repeated", [one.repeated for one in verdicts]),
        none_of("refused as malformed", [one.faults for one in verdicts]),
    ]


def _load(run: _Run) -> dict[str, Figure]:
    return {
        "fault": run.fault.name,
        "outage s": run.outage,
        "unseen s": run.unseen,
        "lowest second": run.lowest,
        "peak": run.peak,
        "back s": _slowest(run.served),
        "full s": _slowest(run.full),
    }


def _messages(run: _Run) -> dict[str, Figure]:
    verdict = run.verdict
    return {
        "fault": run.fault.name,
        "messages": run.messages,
        "lost": verdict.lost,
        "resent": run.resent,
        "sent twice": verdict.twice,
        "after answer": verdict.twice_answered,
    }


def _slowest(times: Sequence[float | None]) -> Figure:
    return math.nan if None in times else round(max(t for t in times if t is not None), 1)
