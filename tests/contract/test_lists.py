"""Contract, `max_destinations`: one submit for many recipients, each with a life of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from .gateways import SILENT, Answer, Report, failed, national, refused
from .process import until
from .together import Together
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
scene = Together("world")
alone = Together("tmp_path", at_once=4)
HOLD = 3.0
"""Longer than it takes until a report without a match may stand for the one in doubt."""
WINDOW = 3
CARRIERS = {
    "cmpp": "mobile", "cmpp2": "mobile", "sgip": "unicom", "smgp": "telecom", "smpp": "broadnet",
}  # fmt: skip
MOST = {"cmpp": 99, "cmpp2": 99, "sgip": 80, "smgp": 99, "smpp": 99}
BAD = {"cmpp": 13, "cmpp2": 13, "sgip": 12, "smgp": 47, "smpp": 0x0B}
FAILED = {
    "cmpp": "UNDELIV", "cmpp2": "UNDELIV", "sgip": "2/25", "smgp": "UNDELIV", "smpp": "UNDELIV",
}  # fmt: skip
every_protocol = pytest.mark.parametrize("account", CARRIERS)


def listing(name: str, protocol: str, carrier: str, **keys: Any) -> Account:
    """Lists of so many take a while to parse on a busy machine: a little more time."""
    return Account(
        name, protocol, carrier, rate=5000, answer_within=3.0, max_destinations=MOST[name], **keys
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def listed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(
        tmp_path_factory.mktemp("lists"),
        listing("cmpp", "cmpp", "mobile"),
        listing("cmpp2", "cmpp", "mobile", version="2.0"),
        listing("sgip", "sgip", "unicom"),
        listing("smgp", "smgp", "telecom"),
        listing("smpp", "smpp", "broadnet"),
        uncertain={"hold": HOLD},
    ) as opened:
        yield opened
        await scene.end()


@pytest.fixture(name="world")
def the_world(listed: World) -> World:
    return listed


async def ends(w: World, one: dict[str, Any]) -> list[dict[str, Any]]:
    """The final event of every recipient."""
    messages = [f"{one['id']}/{index}" for index in range(len(one["to"]))]
    return [await w.daemon.final(message) for message in messages]


def sizes(w: World, account: str, to: list[str]) -> list[int]:
    """How many recipients the submits had that any of these was in."""
    far = w.accounts[account].far
    wanted = set(to)
    return [len(s.to) for s in far.submits if wanted & set(map(national, s.to))]


async def send(w: World, account: str, to: list[str], **more: Any) -> dict[str, Any]:
    one = job(to, account=account, **more)
    await w.daemon.send(one)
    return one


@every_protocol
async def test_a_job_to_many_goes_in_lists_and_each_recipient_is_delivered(
    listed: World, account: str
) -> None:
    to = [number(CARRIERS[account]) for _ in range(250)]
    one = await send(listed, account, to)
    last = await ends(listed, one)
    assert {event["state"] for event in last} == {"delivered"}
    assert [event["to"] for event in last] == to
    assert {(event["attempts"], event["bill_units"], event["parts"]) for event in last} == {
        (1, 1, 1)
    }
    found = sizes(listed, account, to)
    assert sum(found) == 250, "everybody once"
    assert max(found) == MOST[account]
    assert len(found) <= 250 // MOST[account] + 2
    (submit, *_) = listed.accounts[account].far.to(to[0])
    assert submit.text == one["text"]


@every_protocol
async def test_each_recipient_of_a_list_has_its_own_verdict(listed: World, account: str) -> None:
    to = [number(CARRIERS[account]) for _ in range(20)]
    far = listed.accounts[account].far
    for place in (3, 7, 19):
        far.on(to[place], failed(FAILED[account]))
    far.on(to[5], Answer(reports=(Report(after=0.5),)))  # later than the others
    one = await send(listed, account, to)
    last = await ends(listed, one)
    states = [event["state"] for event in last]
    assert [place for place, state in enumerate(states) if state == "undelivered"] == [3, 7, 19]
    assert states.count("delivered") == 17
    assert sizes(listed, account, to) == [20]


@pytest.mark.parametrize("account", ["cmpp", "smgp"])
async def test_a_gateway_may_report_all_of_a_list_under_one_id(listed: World, account: str) -> None:
    gateway = listed.accounts[account].gateway
    gateway.same_id = True
    try:
        to = [number(CARRIERS[account]) for _ in range(30)]
        one = await send(listed, account, to)
        last = await ends(listed, one)
    finally:
        gateway.same_id = False
    assert {event["state"] for event in last} == {"delivered"}
    assert len({tuple(event["carrier_ids"]) for event in last}) == 1


@every_protocol
async def test_a_bad_number_costs_the_others_nothing(listed: World, account: str) -> None:
    to = [number(CARRIERS[account]) for _ in range(12)]
    listed.accounts[account].far.on(to[4], refused(BAD[account]))
    one = await send(listed, account, to)
    last = await ends(listed, one)
    assert [event["state"] for event in last] == [
        "rejected" if place == 4 else "delivered" for place in range(12)
    ]
    assert last[4]["stage"] == "submit"
    assert last[4]["code"] in (str(BAD[account]), f"0x{BAD[account]:08X}")
    assert {event["attempts"] for event in last} == {1}
    # SMPP names whom it did not take; elsewhere the list is refused, and all go alone.
    assert sizes(listed, account, to) == ([12] if account == "smpp" else [12] + [1] * 12)


@every_protocol
async def test_reports_may_come_before_the_answer_to_their_list(
    listed: World, account: str
) -> None:
    to = [number(CARRIERS[account]) for _ in range(15)]
    listed.accounts[account].far.on(to[0], Answer(after=0.3, early=True))
    one = await send(listed, account, to)
    assert {event["state"] for event in await ends(listed, one)} == {"delivered"}
    assert sizes(listed, account, to) == [15]


@scene(*CARRIERS)
async def test_a_list_in_doubt_is_resolved_one_by_one(listed: World, account: str) -> None:
    to = [number(CARRIERS[account]) for _ in range(6)]
    far = listed.accounts[account].far
    # The list is taken and never answered; of two recipients it is heard all the same.
    far.on(to[0], SILENT, Answer())
    for place in (3, 4, 5):
        far.on(to[place], Answer(reports=()), Answer())
    steady = asyncio.create_task(keep_answering(listed, account))
    try:
        one = await send(listed, account, to)
        last = await ends(listed, one)
    finally:
        steady.cancel()
        await asyncio.gather(steady, return_exceptions=True)
    assert {event["state"] for event in last} == {"delivered"}
    # SGIP's reports name the list that is in doubt; elsewhere who is meant is guessed.
    assert [event["attempts"] for event in last] == [2, 1, 1, 2, 2, 2]
    assert sizes(listed, account, to) == [6] + [1] * 4


async def keep_answering(w: World, account: str) -> None:
    """So that silence about one list does not look like a frozen bind."""
    while True:
        await w.daemon.send(job(number(CARRIERS[account]), account=account))
        await asyncio.sleep(0.25)


async def test_a_job_of_long_messages_goes_message_by_message(listed: World) -> None:
    to = [number() for _ in range(5)]
    one = await send(listed, "cmpp", to, text="测试长短信" * 30)
    assert {event["state"] for event in await ends(listed, one)} == {"delivered"}
    assert sizes(listed, "cmpp", to) == [1] * 15


async def test_trace_finds_every_recipient_by_the_lists_id(listed: World) -> None:
    to = [number() for _ in range(4)]
    one = await send(listed, "cmpp", to)
    last = await ends(listed, one)
    [carrier_id] = last[0]["carrier_ids"]
    found = await listed.daemon.trace("--carrier-id", carrier_id)
    assert sorted(each["message"] for each in found) == [event["message"] for event in last]


@alone("cmpp", "sgip", "smgp", "smpp")
async def test_kill_nine_in_the_middle_of_lists_loses_nobody(tmp_path: Path, name: str) -> None:
    account = listing(name, name, CARRIERS[name], window=WINDOW)
    account.far.default = Answer(after=0.02)
    async with world(tmp_path, account) as w:
        jobs = [job([number(CARRIERS[name]) for _ in range(40)]) for _ in range(8)]
        await w.daemon.send(*jobs)
        await until(lambda: len(account.far.submits) >= 4, what="the first lists")
        await w.daemon.kill()
        await w.daemon.start()
        for one in jobs:
            last = await ends(w, one)
            assert {event["state"] for event in last} == {"delivered"}
        counts: dict[str, int] = {}
        for submit in account.far.submits:
            for to in submit.to:
                counts[to] = counts.get(to, 0) + 1
        assert len(counts) == 320
        twice = [to for to, count in counts.items() if count > 1]
        assert max(counts.values()) <= 2
        assert len(twice) <= WINDOW * 40, "no more than the unanswered window"
        told = {event["to"]: event["attempts"] for one in jobs for event in await ends(w, one)}
        assert all(told[national(to)] == 2 for to in twice)
