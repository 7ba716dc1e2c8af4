"""A daemon under load, scraped by a real Prometheus with the real rules, only faster.

A hundredth of every window and `for`: three seconds are five minutes. The gateways are those of the
demonstration. First all is well, then nodes are killed and come back, then messages fail.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from daemon.demo.settings import Settings
from daemon.demo.stage import Stage
from daemon.demo.traffic import Traffic, offer
from tests.test_readme import blocks

from . import dashboards
from .prometheus import Prometheus
from .rules import ALERTS, RECORDS, RUNBOOKS, scale

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY = 100
EVERY = "250ms"
AT_LEAST = 1200
"""Milliseconds that a rate needs."""
RATE = 80.0
ENOUGH = 10_000
LOOK_EVERY = 0.1

KILLED = ("mobile/mobile-1", "telecom")
"""A node beside which another works, and all there are of a carrier."""
SITUATIONS = {
    "A node was killed, and others of its account work": {
        ("CarrierdNodeLost", "mobile", "mobile-1")
    },
    "All nodes of an account were killed, and no other account serves the carrier": {
        ("CarrierdNodeLost", "telecom", "telecom-1"),
        ("CarrierdNodeLost", "telecom", "telecom-2"),
        ("CarrierdAccountUnusable", "telecom", ""),
        ("CarrierdRouteUnusable", "telecom", ""),
    },
}
EXPECTED = set().union(*SITUATIONS.values())
WRONG_PASSWORD = 0x0E
"""Of SMPP, which broadnet speaks."""
REFUSED = {
    ("CarrierdCredentialsRefused", "broadnet", "broadnet-1"),
    ("CarrierdNodeLost", "broadnet", "broadnet-1"),
}
NAMED = SITUATIONS | {"A password is wrong": REFUSED}

EMPTY_WHEN_WELL = {
    "carrierd_failures_total": "nothing fails, and a cause has no series before its first time",
    "ALERTS": "no alert fires",
}
"""What gives nothing while all is well, by a name in the query, and why. It does later."""
NEVER = {'absent(up{job="carrierd"})': "says something only where there is no daemon"}

Alert = tuple[str, str, str]


class Story:
    """What was seen, in the order of the story."""

    def __init__(self) -> None:
        self.empty_when_well: set[str] = set()
        self.empty_at_last: set[str] = set()
        self.fired_when_well: set[Alert] = set()
        self.fired: set[Alert] = set()
        """From the kill until all was well again."""
        self.resolved_after = math.inf
        """Seconds from the recovery until nothing fired."""
        self.refusal_seen = False


def expressions() -> set[str]:
    """Everything that anybody asks Prometheus, as it is here."""
    asked = {rule["record"] for rule in RECORDS} | {rule["expr"] for rule in RECORDS}
    asked |= {always(rule["expr"]) for rule in ALERTS}
    for page in RUNBOOKS.glob("*.md"):
        for block in blocks("promql", page.read_text(encoding="utf-8")):
            asked |= {always(line) for line in block.splitlines()}
    return asked | {always(query) for query in dashboards.queries()}


def always(expression: str) -> str:
    """A condition as one that answers 0 or 1 instead of nothing, so that it shows it could ask."""
    found = re.sub(r"(?m)(^| )([<>]|==)\s", r"\1\2 bool ", expression)
    return re.sub(r"\bunless\b", "and", found)


def here(expression: str) -> str:
    """With windows that fit into the story; nothing here is six hours old, at any scale."""
    return scale.query(expression, BY * 50 if "offset" in expression else BY, AT_LEAST)


def of_name(expression: str) -> bool:
    return any(name in expression for name in EMPTY_WHEN_WELL)


async def still_empty(prometheus: Prometheus, asked: Iterable[str]) -> set[str]:
    """Those that give no number now."""
    empty = set()
    for expression in asked:
        series = await prometheus.query(here(expression))
        if all(math.isnan(float(each["value"][1])) for each in series):
            empty.add(expression)
    return empty


async def answered(prometheus: Prometheus, asked: set[str], within: float) -> set[str]:
    """Those that have given no number by then."""
    until = time.monotonic() + within
    while asked and time.monotonic() < until:
        asked = await still_empty(prometheus, asked)
        await asyncio.sleep(LOOK_EVERY)
    return asked


@asynccontextmanager
async def traffic(stage: Stage) -> AsyncIterator[None]:
    stop = asyncio.Event()
    topic = stage.config.broker.topics.jobs[-1]
    jobs = Traffic("running", stage.settings.carriers)
    sending = asyncio.create_task(offer(jobs, stage.outlet, topic, ENOUGH, RATE, stop))
    try:
        yield
    finally:
        stop.set()
        await sending


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, promtool: None) -> AsyncIterator[Story]:
    directory = tmp_path_factory.mktemp("prometheus")
    for path in scale.RULES:
        text = scale.rules(path.read_text(encoding="utf-8"), BY, AT_LEAST)
        (directory / path.name).write_text(text, encoding="utf-8")
    settings = Settings(nodes=2, delay=0.002, report_delay=0.05)
    async with Stage(settings, within=directory) as stage:
        await stage.start_daemon()
        target = stage.url.removeprefix("http://")
        async with Prometheus(directory, target, EVERY) as prometheus, traffic(stage):
            for name in settings.carriers:
                await stage.write_in(name, "13900000000", "TD")
            yield await play(stage, prometheus)


async def play(stage: Stage, prometheus: Prometheus) -> Story:
    story = Story()
    asked = expressions() - NEVER.keys()
    well = {each for each in asked if not of_name(each)}
    story.empty_when_well = await answered(prometheus, well, 60.0)
    story.fired_when_well = await prometheus.firing()

    for node in KILLED:
        await stage.fault(node, kill=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(30.0):
            while not story.fired >= EXPECTED:
                story.fired |= await prometheus.firing()
                await asyncio.sleep(LOOK_EVERY)
    alarm = {each for each in asked - well if "ALERTS" in each}
    story.empty_at_last = await answered(prometheus, alarm, 30.0)

    for node in KILLED:
        await stage.fault(node, revive=True)
    recovered = time.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(60.0):
            while firing := await prometheus.firing():
                story.fired |= firing
                await asyncio.sleep(LOOK_EVERY)
            story.resolved_after = time.monotonic() - recovered

    await stage.fault("*", undelivered=0.3, refuse=0.3)
    await stage.fault("broadnet/broadnet-1", refuse_logins=WRONG_PASSWORD, hang_up=True)
    story.empty_at_last |= await answered(prometheus, asked - well - alarm, 30.0)
    with suppress(TimeoutError):
        async with asyncio.timeout(30.0):
            while not await prometheus.firing() >= REFUSED:  # noqa: ASYNC110  # another process
                await asyncio.sleep(LOOK_EVERY)
            story.refusal_seen = True
    return story


async def test_every_rule_and_every_query_of_pages_and_dashboards_has_an_answer_while_all_is_well(
    story: Story,
) -> None:
    assert story.empty_when_well == set()


async def test_nothing_fires_while_all_is_well(story: Story) -> None:
    assert story.fired_when_well == set()


async def test_killed_nodes_make_exactly_the_alerts_fire_that_the_runbook_names(
    story: Story,
) -> None:
    assert story.fired == EXPECTED


@pytest.mark.parametrize("situation", NAMED)
async def test_the_index_of_the_runbooks_names_these_alerts(situation: str) -> None:
    index = (RUNBOOKS / "index.md").read_text(encoding="utf-8")
    (cells,) = re.findall(rf"^\| {situation} \| (.*) \|$", index, re.MULTILINE)
    named = set(re.findall(r"\[(\w+)\]", cells.partition(" | ")[0]))
    assert named == {name for name, _, _ in NAMED[situation]}


async def test_they_resolve_when_the_nodes_are_back(story: Story) -> None:
    assert story.resolved_after < 60.0


async def test_refused_credentials_are_told_from_a_node_that_is_away(story: Story) -> None:
    assert story.refusal_seen
    assert not {name for name, _, _ in story.fired} & {"CarrierdCredentialsRefused"}


async def test_what_had_no_answer_while_all_was_well_has_one_when_it_is_not(story: Story) -> None:
    assert story.empty_at_last == set()


async def test_whatever_may_be_empty_is_asked_for() -> None:
    asked = expressions()
    assert all(any(name in each for each in asked) for name in EMPTY_WHEN_WELL)
    assert asked >= NEVER.keys()
