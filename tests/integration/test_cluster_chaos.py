"""Contract, section 6, with two daemons: they and the gateways fail at random, nothing is lost.

CARRIERD_CLUSTER_SECONDS=600 CARRIERD_CLUSTER_SEED=8    longer, and in another order
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from tests.contract.gateways import Answer, Gateway, Report, Submit, national, refused

from .cluster import LONG, SESSION, TEXT, Cluster, Ground, ahead, cluster, four, job, messages_of
from .system import CARRIERS

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.real_kafka,
    pytest.mark.asyncio(loop_scope="module"),
]
SECONDS = float(os.environ.get("CARRIERD_CLUSTER_SECONDS", "0"))
SEED = int(os.environ.get("CARRIERD_CLUSTER_SEED", "7"))
WINDOW = 6
WALL = time.time() - time.monotonic()
REPORT_WITHIN = 5 * SESSION
"""A daemon that is away twice in a row reads the reports of that time after so long."""
UNTOLD = 2.0
"""Seconds until a submit was answered or in doubt, and the others know."""
AT_SIGHT = 0.2
"""What is in a socket when its writer stops reaches the gateway this much later."""
THROTTLE = {"mobile": 8, "unicom": 88, "telecom": 1, "broadnet": 0x58}
REFUSE = {"mobile": 13, "unicom": 29, "telecom": 47, "broadnet": 0x45}
FAILED = {"mobile": "UNDELIV", "unicom": "2/25", "telecom": "EXPIRED", "broadnet": "UNDELIV"}


def mood(chance: random.Random, carrier: str) -> list[Answer]:
    """What the gateways do with the tries of one message; they refuse and throttle by the try."""
    dice, after = chance.random(), chance.choice((0.0, 0.05, 0.2))
    good = Answer(after=after, reports=(Report(after=chance.choice((0.05, 0.5, 3.0))),))
    if dice < 0.05:
        return [refused(THROTTLE[carrier]), good]
    if dice < 0.08:
        return [refused(REFUSE[carrier])]
    if dice < 0.12:
        return [Answer(result=None, reports=()), good]
    if dice < 0.15:
        return [Answer(result=None, reports=(Report(after=0.3),))]
    if dice < 0.20:
        return [Answer(after=after, reports=(Report(FAILED[carrier], 0.2),))]
    if dice < 0.25:
        return [Answer(after=after, reports=())]
    if dice < 0.30:
        return [Answer(after=after + 0.1, early=True)]
    return [good]


def some_job(chance: random.Random, c: Cluster) -> dict[str, Any]:
    carrier = chance.choice(CARRIERS)
    more: dict[str, Any] = {}
    if chance.random() < 0.2:
        more["priority"] = chance.choice(("urgent", "bulk"))
    if chance.random() < 0.1:
        more["on_uncertain"] = "wait"
    if chance.random() < 0.1:
        more["not_before"] = ahead(chance.uniform(0.5, 6.0))
    if chance.random() < 0.05:
        more["expires_at"] = ahead(chance.uniform(0.5, 10.0))
    one = job(carrier, chance.choice((TEXT, TEXT, TEXT, LONG)), **more)
    c.accounts[carrier].far.on(one["to"], *mood(chance, carrier))
    return one


@dataclass(frozen=True, slots=True)
class Absence:
    """A daemon that the group may have given up; the time as the gateways have it."""

    name: str
    since: float


class Trouble:
    """One fault after the other, and whom of the daemons the others could not ask any more."""

    def __init__(self, c: Cluster, chance: random.Random) -> None:
        self.c, self.chance = c, chance
        self.did: list[str] = []
        self.absences: list[Absence] = []
        self.over = False
        """Set to have it end after the fault under way."""

    async def go_on(self) -> None:
        while not self.over:
            await asyncio.sleep(self.chance.uniform(0.2, 1.5))
            await self.one()

    async def one(self) -> None:
        chance, c = self.chance, self.c
        name = chance.choice(c.names)
        ended = set(c.names) - set(c.alive)
        assert not ended, [c.daemons[name].log.read_text()[-3000:] for name in ended]
        dice = chance.random()
        if dice < 0.45:
            await self.gateway(chance.choice([g for a in c.accounts.values() for g in a.gateways]))
        elif dice < 0.65:
            disk = chance.random() < 0.4
            away = chance.choice((0.0, 0.5, SESSION + 2.0))
            self.did.append(f"{name} killed{' with its disk' if disk else ''} for {away:g} s")
            if disk or away > SESSION:
                self.absences.append(Absence(name, time.monotonic()))
            await c.kill(name, disk)
            await asyncio.sleep(away)
            await c.daemons[name].start(ready=False)
        elif dice < 0.85:
            self.did.append(f"{name} stopped")
            assert await c.leave(name) in (0, 1)
            await asyncio.sleep(chance.choice((0.0, 2.0)))
            await c.daemons[name].start(ready=False)
        else:
            away = chance.choice((1.0, SESSION + 3.0))
            self.did.append(f"{name} paused for {away:g} s")
            process = c.daemons[name].process
            assert process is not None
            if away > SESSION:
                self.absences.append(Absence(name, time.monotonic()))
            process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(away)
            finally:
                process.send_signal(signal.SIGCONT)

    async def gateway(self, gateway: Gateway) -> None:
        what = self.chance.choice(("drop", "freeze", "stop"))
        self.did.append(f"{gateway.name} {what}")
        if what == "drop":
            gateway.drop()
        elif what == "freeze":
            gateway.frozen = True
            await asyncio.sleep(self.chance.uniform(0.2, 2.0))
            gateway.frozen = False
        else:
            await gateway.stop()
            await asyncio.sleep(self.chance.uniform(0.2, 2.5))
            await gateway.start()


@pytest.mark.skipif(SECONDS == 0, reason="a long one: CARRIERD_CLUSTER_SECONDS=60")
async def test_two_daemons_end_every_message_whatever_happens(ground: Ground) -> None:
    chance = random.Random(SEED)
    accounts = four(2, answer_within=0.8, report_within=REPORT_WITHIN, rate=200, window=WINDOW)
    async with cluster(ground, *accounts, daemon={"park_after": 1.0}, uncertain={"hold": 0.6}) as c:
        c.split()
        await c.start()
        trouble = Trouble(c, chance)
        troubling = asyncio.create_task(trouble.go_on())
        jobs: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        while loop.time() < end:
            batch = [some_job(chance, c) for _ in range(chance.randrange(1, 10))]
            await c.topics.send(*batch, topic=chance.choice(("jobs", "urgent")))
            jobs += batch
            await asyncio.sleep(0.1)
            assert not troubling.done(), troubling.exception()
        trouble.over = True
        await troubling
        await c.shared(2)
        away = set().union(*(window(c, absence) for absence in trouble.absences))
        numbers = {to for to, _ in away}
        c.divided |= {m for one in jobs if one["to"] in numbers for m in messages_of(one)}
        try:
            ends = await c.settled(jobs, within=REPORT_WITHIN + SESSION + 30.0)
            wrong = [
                text for one, end_ in zip(jobs, ends, strict=True) for text in judge(c, one, end_)
            ]
            assert wrong == [], "\n".join(wrong)
            assert {to for to, _ in c.sent()} <= {one["to"] for one in jobs}
        except AssertionError as exc:
            raise AssertionError(f"{exc}\nafter {trouble.did}") from None
        twice = [part for part in c.twice() if not doubted(c, part[0], jobs)]
        found = [story(c, part, jobs) for part in twice if part not in away]
        assert found == [], "\n".join([*found, f"after {trouble.did}, {trouble.absences}"])
        bound = len(trouble.absences) * WINDOW * len(accounts)
        assert len(twice) <= bound, f"{len(twice)} > {bound}: {twice[:5]} after {trouble.did}"


def doubted(c: Cluster, to: str, jobs: list[dict[str, Any]]) -> bool:
    """Whether its message was said to be in doubt, which is what a second try is for."""
    (one,) = (job for job in jobs if job["to"] == to)
    events = [e for m in messages_of(one) for e in c.topics.events(m)]
    return any(event["state"] == "uncertain" for event in events)


def window(c: Cluster, absence: Absence) -> set[tuple[str, int]]:
    """The parts, by number and place, that a daemon had not heard or told of when it went away."""
    node = c.names.index(absence.name)
    return {
        (national(submit.to[0]), submit.number)
        for account in c.accounts.values()
        for submit in account.far.submits
        if submit.node == account.gateways[node].name
        and absence.since - UNTOLD <= submit.at <= absence.since + AT_SIGHT
    }


def story(c: Cluster, part: tuple[str, int], jobs: list[dict[str, Any]]) -> str:
    """How often it was sent, from where, and what was said of it."""
    tries = [
        f"at {s.at:.3f} to {s.node}, {s.answer}, reported {s.told}"
        for s in c.submits
        if (national(s.to[0]), s.number) == part
    ]
    (one,) = (job for job in jobs if job["to"] == part[0])
    said = [event for message in messages_of(one) for event in c.topics.events(message)]
    return f"{part}: {tries}, {said}"


def judge(c: Cluster, one: dict[str, Any], end: dict[str, Any]) -> list[str]:
    """What is wrong with the end of a message, given all that its gateways saw of it."""
    submits: list[Submit] = [s for s in c.submits if national(s.to[0]) == one["to"]]
    sent = Counter(s.number for s in submits if s.answer is None or not s.answer.result)
    name, found = end["message"], []
    if end["state"] == "delivered":
        if len(sent) != end["parts"]:
            found.append(f"{name}: delivered with parts {dict(sent)} of {end['parts']}")
        for part in sent:
            if not any(r.word == "DELIVRD" for s in submits if s.number == part for r in s.told):
                found.append(f"{name}: part {part} delivered without a report")
    unsent = end["code"] == "LOCAL:QUEUE_EXPIRED" and name not in c.divided
    if unsent and sent and len(sent) == end["parts"]:
        found.append(f"{name}: {end['code']} after {dict(sent)}")
    accepted = any(event["state"] == "accepted" for event in c.topics.events(name))
    known = len(end["carrier_ids"]) == len(submits)  # else a report may be about nobody
    if end["code"] == "LOCAL:NO_REPORT" and accepted and known and all(s.told for s in submits):
        when = [f"{s.number} {s.node} {datetime.fromtimestamp(WALL + s.at):%T.%f}" for s in submits]
        found.append(f"{name}: {end['code']} though all of it was reported, sent {when}")
    return found
