"""Contract, section 6, all at once: everything goes wrong at random, and every promise is kept."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .gateways import Answer, Carrier, Gateway, Report, Submit, refused
from .process import PATIENCE, until
from .world import Account, World, job, number, world

SEED = int(os.environ.get("CARRIERD_CHAOS_SEED", "7"))
SECONDS = float(os.environ.get("CARRIERD_CHAOS_SECONDS", "3"))
REPORT_WITHIN = 4.0
WALL = time.time() - time.monotonic()
THROTTLE = {"m": 8, "u": 88, "t": 1, "b": 0x58}
REFUSE = {"m": 13, "u": 29, "t": 47, "b": 0x45}
FAILED = {"m": "UNDELIV", "u": "2/25", "t": "EXPIRED", "b": "UNDELIV"}
EARLY = {"m": "ACCEPTD", "u": "1/0", "t": "ACCEPTD", "b": "ACCEPTD"}


class Moody(Carrier):
    """Answers by chance, and remembers what it did about every part."""

    name = ""

    def __init__(self, name: str, chance: random.Random, old: Carrier) -> None:
        super().__init__(old.login, old.password, old.access_number)
        self.name, self.chance = name, chance
        self.calm = False

    def answer(self, _number: str) -> Answer:
        dice = 1.0 if self.calm else self.chance.random()
        after = self.chance.choice((0.0, 0.01, 0.05, 0.1))
        if dice < 0.06:
            return refused(THROTTLE[self.name])
        if dice < 0.08:
            return refused(REFUSE[self.name])
        if dice < 0.11:
            return Answer(result=None, reports=())
        if dice < 0.13:
            return Answer(result=None, reports=(Report(after=0.3),))
        if dice < 0.14:
            return Answer(close=True)
        if dice < 0.16:
            return Answer(after=0.7, reports=(Report(),))
        if dice < 0.19:
            return Answer(after=after, reports=())
        if dice < 0.23:
            return Answer(after=after, reports=(Report(FAILED[self.name], 0.1),))
        if dice < 0.27:
            return Answer(after=after + 0.1, early=True)
        if dice < 0.31:
            return Answer(after=after, reports=(Report(EARLY[self.name]), Report(after=0.2)))
        if dice < 0.33:
            return Answer(after=after, reports=(Report(), Report(after=0.05), Report(after=0.3)))
        return Answer(after=after, reports=(Report(after=self.chance.uniform(0.01, 0.4)),))


def some_job(chance: random.Random) -> dict[str, Any]:
    carrier = chance.choice(("mobile", "unicom", "telecom", "broadnet"))
    to = [number(carrier) for _ in range(chance.choice((1, 1, 1, 1, 3)))]
    more: dict[str, Any] = {}
    if chance.random() < 0.3:
        more["priority"] = chance.choice(("urgent", "bulk"))
    if chance.random() < 0.05:
        more["report"] = False
    if chance.random() < 0.1:
        more["on_uncertain"] = "wait"
    if chance.random() < 0.1:
        at = datetime.now(UTC) + timedelta(seconds=chance.uniform(0.2, 3))
        more["expires_at"] = at.isoformat()
    if chance.random() < 0.05:
        at = datetime.now(UTC) + timedelta(seconds=chance.uniform(0.2, 2))
        more["not_before"] = at.isoformat()
    return job(to if len(to) > 1 else to[0], "信" * chance.choice((5, 5, 5, 100, 150)), **more)


async def trouble(w: World, chance: random.Random, over: asyncio.Event) -> None:
    """Connections break, nodes freeze and go, the daemon is killed; each time all comes back.

    It is `over` between two faults: a kill that is cancelled leaves a daemon that is about to end.
    """
    nodes: list[Gateway] = [g for a in w.accounts.values() for g in a.gateways]
    while not over.is_set():
        await asyncio.sleep(chance.uniform(0.1, 0.5))
        gateway = chance.choice(nodes)
        dice = chance.random()
        if dice < 0.4:
            gateway.drop()
        elif dice < 0.6:
            gateway.frozen = True
            await asyncio.sleep(chance.uniform(0.2, 0.9))
            gateway.frozen = False
        elif dice < 0.85:
            await gateway.stop()
            await asyncio.sleep(chance.uniform(0.1, 0.8))
            await gateway.start()
        else:
            await w.daemon.kill()
            await w.daemon.start(ready=False)


async def test_every_message_reaches_its_one_end_whatever_happens(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    quick = {"answer_within": 0.5, "report_within": REPORT_WITHIN, "rate": 120}
    accounts = [
        Account(
            "m", "cmpp", "mobile", window=3, node_keys=[{"binds": 2}, {"priority": 2}], **quick
        ),
        Account("u", "sgip", "unicom", window=4, nodes=2, **quick),
        Account("t", "smgp", "telecom", window=1, nodes=2, **quick),
        Account("b", "smpp", "broadnet", window=8, bind_mode="tx+rx", **quick),
    ]
    for account in accounts:
        moody = Moody(account.name, random.Random(chance.random()), account.far)
        account.far = moody
        for gateway in account.gateways:
            gateway.carrier = moody
            moody.nodes.append(gateway)
    async with world(tmp_path, *accounts, uncertain={"hold": 0.5}, ready=False, check=False) as w:
        jobs: list[dict[str, Any]] = []
        async with asyncio.TaskGroup() as scene:
            over = asyncio.Event()
            scene.create_task(trouble(w, chance, over))
            loop = asyncio.get_running_loop()
            end = loop.time() + SECONDS
            while loop.time() < end:
                batch = [some_job(chance) for _ in range(chance.randrange(1, 12))]
                await w.daemon.send(*batch, topic=chance.choice(("sms.jobs", "sms.jobs.urgent")))
                jobs += batch
                await asyncio.sleep(0.05)
            over.set()
        for account in accounts:
            account.far.calm = True  # type: ignore[attr-defined]
        names = {
            f"{one['id']}/{index}": number
            for one in jobs
            for index, number in enumerate([one["to"]] if isinstance(one["to"], str) else one["to"])
        }

        def ends() -> dict[str, dict[str, Any]]:
            return {
                p.value["message"]: p.value
                for p in w.daemon.published["reports"]
                if p.value["final"]
            }

        try:
            await until(lambda: len(ends()) == len(names), 2 * REPORT_WITHIN + PATIENCE)
        except AssertionError:
            missing = [n for n in names if n not in ends()]
            text = f"{await shown(w, missing)}\n{len(missing)} of {len(names)} have no end"
            pytest.fail(text, pytrace=False)
        by_number: dict[str, list[Submit]] = {}
        for account in accounts:
            for submit in account.far.submits:
                by_number.setdefault(submit.to[0].removeprefix("86")[-11:], []).append(submit)
        wrong = []
        for name, to in names.items():
            wrong += judge(name, ends()[name], by_number.get(to, []), w)
        if wrong:
            names_of = [text.partition(":")[0] for text in wrong]
            pytest.fail("\n".join([await shown(w, names_of), *wrong]), pytrace=False)
        for account in accounts:
            assert account.far.busiest_second() <= 120 * 1.05 + 1, account.name
        assert w.faults() == [], "\n".join(w.faults())


async def shown(w: World, names: list[str]) -> str:
    """The daemon's last words, and what it and the gateways know of the first of these messages."""
    traces = [await w.daemon.trace("--message", name) for name in names[:3]]
    try:
        status = json.dumps(await w.daemon.status())
    except OSError as exc:
        status = repr(exc)
    came = [
        f"{WALL + submit.at:.3f} part {submit.number}, {submit.ident.hex()} at {submit.node}:"
        f" {submit.answer}, {submit.told}, closed {submit.connection.closed}"
        for trace in traces
        for account in w.accounts.values()
        for submit in account.far.to(trace[0]["to"] if trace else "")
    ]
    known = [json.dumps(trace) for trace in traces]
    return "\n".join([w.daemon.log.read_text()[-3000:], status, *known, *came])


def judge(name: str, end: dict[str, Any], submits: list[Submit], w: World) -> list[str]:
    """What is wrong with the end of a message, given all that its gateways saw of it."""
    found = []
    sent = Counter(s.number for s in submits if not answered_no(s))
    if any(count > 2 for count in sent.values()):
        found.append(f"{name}: sent {dict(sent)} times")
    states = [e["state"] for e in w.daemon.events(name)]
    if any(count > 1 for count in sent.values()) and "uncertain" not in states:
        found.append(f"{name}: {dict(sent)} without having been uncertain: {states}")
    if end["state"] in ("delivered", "accepted") and len(sent) != end["parts"]:
        found.append(f"{name}: {end['state']} with parts {dict(sent)} of {end['parts']}")
    if end["state"] == "delivered":
        for part in sent:
            mine = [s for s in submits if s.number == part and s.answer is not None]
            words = {r.word for s in mine for r in s.answer.reports}
            if "DELIVRD" not in words:
                found.append(f"{name}: part {part} delivered by {words}")
    if end["code"] == "LOCAL:NO_REPORT" and len(sent) == end["parts"]:
        given_up = datetime.fromisoformat(end["times"]["answered"]).timestamp() + REPORT_WITHIN
        if all(taken(s, given_up) for s in submits if not answered_no(s)):
            found.append(f"{name}: {end['code']} though the daemon took a report of every submit")
    if len({s.reference for s in submits}) > 1:
        found.append(f"{name}: references {[s.reference for s in submits]}")
    if end["code"] == "LOCAL:QUEUE_EXPIRED" and sent and end["attempts"] > 1:
        found.append(f"{name}: {end['code']} after {dict(sent)}")
    return found


def taken(submit: Submit, until: float) -> bool:
    """Whether the daemon acknowledged by then that this submit was delivered.

    Of a part that was sent twice both must be: one answer was lost, and with it whose report it is.
    """
    return any(told.word == "DELIVRD" and WALL + told.at < until for told in submit.told)


def answered_no(submit: Submit) -> bool:
    return submit.answer is not None and bool(submit.answer.result)
