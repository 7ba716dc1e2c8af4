"""Contract, section 6: in doubt, and what a crash costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from .gateways import ACCEPT, SILENT, Answer, Report
from .process import until
from .together import Together
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONG = "测试长短信" * 30
ANSWER, HOLD = 1.5, 1.5
GIVEN_UP = 6.0
LATE = 4.0
"""Seconds by which a busy machine may be late with what is due."""
scene = Together("world")
alone = Together("tmp_path", at_once=4)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doubts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """`brief` gives up on reports after `GIVEN_UP`, long after a second attempt.

    A little traffic keeps `steady` and `brief` answering, so that silence about one submit
    does not look like a frozen bind.
    """
    brief = {"report_within": GIVEN_UP, "answer_within": ANSWER}
    async with world(
        tmp_path_factory.mktemp("doubt"),
        Account("steady", "cmpp", "mobile", answer_within=ANSWER),
        Account("brief", "cmpp", "mobile", **brief),
        Account("sgip", "sgip", "unicom", answer_within=ANSWER),
        Account("loose", "smgp", "telecom", answer_within=ANSWER),
        Account("smgp", "smgp", "telecom", answer_within=ANSWER),
        Account("smpp", "smpp", "broadnet", answer_within=ANSWER),
        uncertain={"hold": HOLD},
    ) as opened:
        traffic = asyncio.create_task(keep_going(opened))
        yield opened
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        await scene.end()


@pytest.fixture(name="world")
def the_world(doubts: World) -> World:
    return doubts


async def keep_going(opened: World) -> None:
    while True:
        await opened.daemon.send(*(job(number(), account=a) for a in ("steady", "brief")))
        await asyncio.sleep(0.25)


def states(world: World, message: str) -> list[str]:
    return world.daemon.states(message)


@scene("steady", "sgip", "smgp", "smpp")
async def test_only_the_parts_without_an_answer_go_once_more(pair: World, account: str) -> None:
    carrier = pair.accounts[account].keys["carrier"]
    far = pair.accounts[account].far
    to = number(carrier)
    far.on(to, Answer(), SILENT, SILENT, Answer())
    one = job(to, LONG, account=account)
    await pair.daemon.send(one)
    last = await pair.daemon.final(f"{one['id']}/0")
    submits = far.to(to)
    assert [s.number for s in submits] == [1, 2, 3, 2, 3]
    assert len({s.reference for s in submits}) == 1
    assert len({id(s.connection) for s in submits[3:]}) == 1
    gap = submits[3].at - submits[1].at
    assert ANSWER + HOLD - 0.05 <= gap <= ANSWER + HOLD + LATE
    assert (last["state"], last["attempts"]) == ("delivered", 2)
    assert last["bill_units"] == 3
    assert states(pair, f"{one['id']}/0") == ["uncertain", "accepted", "delivered"]
    ids = {s.number: s.ident for s in submits}
    if account == "steady":
        assert last["carrier_ids"] == [f"0x{ids[n].hex()}" for n in (1, 2, 3)]


@scene()
async def test_a_report_within_the_hold_saves_the_resend(pair: World) -> None:
    to = number("unicom")
    pair.sgip.far.on(to, SILENT)
    one = job(to)
    await pair.daemon.send(one)
    await pair.daemon.state(f"{one['id']}/0", "uncertain")
    (submit,) = pair.sgip.far.to(to)
    pair.sgip.gateway.report(submit, Report())
    last = await pair.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["attempts"]) == ("delivered", 1)
    await asyncio.sleep(HOLD + 0.5)
    assert len(pair.sgip.far.to(to)) == 1


@scene()
async def test_a_late_answer_within_the_hold_saves_the_resend(pair: World) -> None:
    to = number()
    pair.steady.far.on(to, Answer(after=ANSWER + 0.6))
    one = job(to, account="steady")
    await pair.daemon.send(one)
    last = await pair.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["attempts"]) == ("delivered", 1)
    await asyncio.sleep(HOLD + 0.4)
    assert len(pair.steady.far.to(to)) == 1
    assert states(pair, f"{one['id']}/0") == ["uncertain", "accepted", "delivered"]


@scene()
async def test_there_are_at_most_two_attempts(pair: World) -> None:
    to = number()
    pair.brief.far.on(to, SILENT)
    one = job(to, account="brief")
    await pair.daemon.send(one)
    last = await pair.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["code"]) == ("expired", "LOCAL:NO_RESP")
    assert last["cause"] == "route"
    assert len(pair.brief.far.to(to)) == 2
    assert last["attempts"] == 2
    assert states(pair, f"{one['id']}/0")[-1] == "expired"


@scene()
async def test_an_accepted_message_without_report_ends_no_report(pair: World) -> None:
    to = number()
    pair.brief.far.on(to, ACCEPT)
    one = job(to, account="brief")
    began = time.monotonic()
    await pair.daemon.send(one)
    last = await pair.daemon.final(f"{one['id']}/0")
    assert GIVEN_UP - 0.1 <= time.monotonic() - began <= GIVEN_UP + LATE
    assert (last["state"], last["code"]) == ("expired", "LOCAL:NO_REPORT")
    assert states(pair, f"{one['id']}/0") == ["accepted", "expired"]


@scene()
async def test_a_late_report_gives_no_event_but_is_traced_and_counted(pair: World) -> None:
    to = number()
    pair.brief.far.on(to, ACCEPT)
    one = job(to, account="brief")
    message = f"{one['id']}/0"
    await pair.daemon.send(one)
    await pair.daemon.final(message)
    before = await pair.daemon.metric("carrierd_reports_late_total", account="brief")
    pair.brief.gateway.report(pair.brief.far.to(to)[0], Report())
    await pair.daemon.exceeds("carrierd_reports_late_total", before, account="brief")
    await asyncio.sleep(0.5)
    assert states(pair, message) == ["accepted", "expired"]
    (traced,) = await pair.daemon.trace("--message", message)
    assert traced["state"] == "expired"
    assert any(step["code"] == "DELIVRD" for step in traced["steps"]), traced


@scene()
async def test_under_wait_nothing_is_sent_again(pair: World) -> None:
    to = number()
    pair.brief.far.on(to, SILENT)
    one = job(to, account="brief", on_uncertain="wait")
    await pair.daemon.send(one)
    last = await pair.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["code"], last["attempts"]) == ("expired", "LOCAL:NO_RESP", 1)
    assert len(pair.brief.far.to(to)) == 1


@scene()
async def test_nothing_is_resent_past_its_time(pair: World) -> None:
    to = number()
    pair.brief.far.on(to, SILENT)
    at = datetime.now(UTC) + timedelta(seconds=ANSWER + HOLD - 0.2)
    one = job(to, account="brief", expires_at=at.isoformat())
    await pair.daemon.send(one)
    await pair.daemon.state(f"{one['id']}/0", "uncertain")
    last = await pair.daemon.final(f"{one['id']}/0")
    assert last["state"] == "expired"
    assert len(pair.brief.far.to(to)) == 1


@scene()
async def test_without_a_report_to_hold_for_it_is_resent_at_once(pair: World) -> None:
    to = number()
    pair.steady.far.on(to, SILENT, Answer())
    one = job(to, account="steady", report=False)
    await pair.daemon.send(one)
    last = await pair.daemon.final(f"{one['id']}/0")
    first, second = pair.steady.far.to(to)
    assert ANSWER - 0.05 <= second.at - first.at <= ANSWER + HOLD - 0.1
    assert (last["state"], last["attempts"]) == ("accepted", 2)


@scene()
async def test_a_report_of_no_known_id_stands_for_the_one_in_doubt(pair: World) -> None:
    """`wait`, so that the guess is not overtaken by a resend."""
    to = number()
    pair.steady.far.on(to, SILENT)
    one = job(to, account="steady", on_uncertain="wait")
    message = f"{one['id']}/0"
    await pair.daemon.send(one)
    await pair.daemon.state(message, "uncertain")
    (submit,) = pair.steady.far.to(to)
    began = time.monotonic()
    pair.steady.gateway.report(submit, Report())
    last = await pair.daemon.final(message)
    assert 1.9 <= time.monotonic() - began <= 2.0 + LATE
    assert last["state"] == "delivered"
    (traced,) = await pair.daemon.trace("--message", message)
    assert any(step.get("matched") == "guess" for step in traced["steps"]), traced


@scene()
async def test_a_report_of_no_known_id_is_no_guess_when_two_are_in_doubt(pair: World) -> None:
    to = number()
    pair.steady.far.on(to, SILENT)
    jobs = [job(to, account="steady", on_uncertain="wait") for _ in range(2)]
    await pair.daemon.send(*jobs)
    for one in jobs:
        await pair.daemon.state(f"{one['id']}/0", "uncertain")
    pair.steady.gateway.report(pair.steady.far.to(to)[0], Report())
    await asyncio.sleep(2.8)
    for one in jobs:
        assert states(pair, f"{one['id']}/0") == ["uncertain"]


@scene()
async def test_a_part_is_delivered_when_either_attempt_is(pair: World) -> None:
    """SGIP: our own sequence is the id, so that attempts without an answer have one too."""
    to = number("unicom")
    pair.sgip.far.on(to, SILENT, ACCEPT)
    one = job(to)
    message = f"{one['id']}/0"
    await pair.daemon.send(one)
    await pair.daemon.state(message, "accepted")
    first, second = pair.sgip.far.to(to)
    pair.sgip.gateway.report(second, Report("2/29"))
    await asyncio.sleep(0.4)
    assert states(pair, message) == ["uncertain", "accepted"]
    pair.sgip.gateway.report(first, Report())
    last = await pair.daemon.final(message)
    assert (last["state"], last["attempts"]) == ("delivered", 2)


@scene()
async def test_an_answered_first_attempt_counts_after_the_resend(pair: World) -> None:
    """The answer to attempt 1 comes when attempt 2 is out; its report says delivered."""
    to = number()
    late = Answer(after=ANSWER + HOLD + 0.4, reports=(Report(after=0.5),))
    pair.steady.far.on(to, late, Answer(reports=(Report("UNDELIV", 0.1),)))
    one = job(to, account="steady")
    await pair.daemon.send(one)
    last = await pair.daemon.final(f"{one['id']}/0")
    assert last["state"] == "delivered", pair.daemon.events(f"{one['id']}/0")


@scene()
async def test_failed_is_what_failed_in_every_attempt(pair: World) -> None:
    to = number("unicom")
    pair.sgip.far.on(to, SILENT, ACCEPT)
    one = job(to)
    message = f"{one['id']}/0"
    await pair.daemon.send(one)
    await pair.daemon.state(message, "accepted")
    first, second = pair.sgip.far.to(to)
    pair.sgip.gateway.report(first, Report("2/29"))
    await asyncio.sleep(0.4)
    assert states(pair, message) == ["uncertain", "accepted"]
    pair.sgip.gateway.report(second, Report("2/29"))
    last = await pair.daemon.final(message)
    assert (last["state"], last["code"]) == ("undelivered", "29")


@scene()
async def test_a_connection_that_breaks_leaves_its_parts_uncertain(pair: World) -> None:
    """And what was written once is not taken to the route's next account."""
    to = number("telecom")
    pair.loose.far.on(to, Answer(close=True), Answer())
    one = job(to)
    await pair.daemon.send(one)
    last = await pair.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["account"], last["attempts"]) == ("delivered", "loose", 2)
    assert states(pair, f"{one['id']}/0")[0] == "uncertain"
    first, second = pair.loose.far.to(to)
    assert second.at - first.at >= HOLD - 0.05
    assert pair.smgp.far.to(to) == []


@alone()
async def test_a_killed_daemon_loses_nothing_and_repeats_little(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", rate=150, window=8, answer_within=5.0)
    account.far.default = Answer(after=0.03, reports=(Report(after=0.2),))
    # What was in doubt after one kill must not be on the wire again at the next.
    async with world(tmp_path, account, uncertain={"hold": 4.0}) as w:
        jobs = [job(number(), LONG if i % 10 == 0 else "x") for i in range(300)]
        for cut in range(3):
            await w.daemon.send(*jobs[cut * 100 : cut * 100 + 100])
            await asyncio.sleep(0.45)
            await w.daemon.kill()
            await w.daemon.start()
        for one in jobs:
            last = await w.daemon.final(f"{one['id']}/0")
            assert last["state"] == "delivered"
        copies = 0
        for one in jobs:
            parts = [s.number for s in account.far.to(one["to"])]
            copies += len(parts) - len(set(parts))
            assert len(parts) <= 2 * len(set(parts))
        assert copies <= 3 * 8, "more than the unanswered window of each kill"
        assert account.far.busiest_second() <= 150 * 1.05 + 1
        times = [e["times"]["received"] for one in jobs for e in w.daemon.events(f"{one['id']}/0")]
        assert all(times)


@alone()
async def test_what_was_in_doubt_at_a_kill_is_held_from_the_restart(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", answer_within=5.0)
    async with world(tmp_path, account, uncertain={"hold": 1.0}) as w:
        to = number()
        account.far.on(to, Answer(result=None, reports=()), Answer())
        one = job(to)
        await w.daemon.send(one)
        await until(lambda: account.far.to(to), what="the submit")
        await asyncio.sleep(0.1)
        await w.daemon.kill()
        await asyncio.sleep(1.2)
        began = time.monotonic()
        await w.daemon.start()
        ready = time.monotonic()
        last = await w.daemon.final(f"{one['id']}/0")
        _first, second = account.far.to(to)
        assert began + 1.0 <= second.at <= ready + 1.0 + LATE
        assert (last["state"], last["attempts"]) == ("delivered", 2)
        received = {e["times"]["received"] for e in w.daemon.events(f"{one['id']}/0")}
        assert len(received) == 1
        assert states(w, f"{one['id']}/0") == ["uncertain", "accepted", "delivered"]


@alone()
async def test_what_was_in_doubt_at_two_kills_stays_uncertain(tmp_path: Path) -> None:
    """It may never have left, but there is no third attempt."""
    account = Account("m", "cmpp", "mobile", answer_within=5.0)
    async with world(tmp_path, account, uncertain={"hold": 0.3}) as w:
        to = number()
        account.far.on(to, SILENT)
        one = job(to)
        await w.daemon.send(one)
        for attempt in (1, 2):
            await until(lambda n=attempt: len(account.far.to(to)) == n, what="the submit")
            await w.daemon.kill()
            await w.daemon.start()
        await asyncio.sleep(0.6)
        assert len(account.far.to(to)) == 2
        told = [(e["state"], e["attempts"]) for e in w.daemon.events(f"{one['id']}/0")]
        assert told == [("uncertain", 1), ("uncertain", 2)]


@alone()
async def test_reports_find_their_message_after_a_restart(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile")
    telecom = Account("t", "smgp", "telecom")
    async with world(tmp_path, account, telecom) as w:
        account.far.default = telecom.far.default = ACCEPT
        jobs = [job(number()), job(number("telecom"), LONG)]
        await w.daemon.send(*jobs)
        for one in jobs:
            await w.daemon.state(f"{one['id']}/0", "accepted")
        await w.daemon.kill()
        await w.daemon.start()
        for far in (account.far, telecom.far):
            for submit in far.submits:
                far.nodes[0].report(submit, Report())
        for one in jobs:
            assert (await w.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
        await w.daemon.send(*jobs)
        behind = job(number())
        await w.daemon.send(behind)
        await w.daemon.state(f"{behind['id']}/0", "accepted")
        assert len(account.far.to(jobs[0]["to"])) == 1


@alone()
async def test_a_drain_waits_for_answers_and_ends_with_zero(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", answer_within=5.0)
    async with world(tmp_path, account) as w:
        account.far.default = Answer(after=0.7, reports=())
        one = job(number())
        await w.daemon.send(one)
        await until(lambda: account.far.submits, what="the submit")
        assert await w.daemon.signal() == 0
        assert states(w, f"{one['id']}/0") == ["accepted"] or await w.daemon.state(
            f"{one['id']}/0", "accepted"
        )
        assert account.gateway.farewells == 1


@alone()
async def test_a_drain_that_takes_too_long_ends_with_one_and_loses_nothing(tmp_path: Path) -> None:
    account = Account("m", "cmpp", "mobile", answer_within=30.0)
    async with world(tmp_path, account, daemon={"drain_within": 0.5}, uncertain={"hold": 0.5}) as w:
        to = number()
        account.far.on(to, SILENT, Answer())
        one = job(to)
        await w.daemon.send(one)
        await until(lambda: account.far.submits, what="the submit")
        began = time.monotonic()
        assert await w.daemon.signal() == 1
        assert time.monotonic() - began < 0.5 + LATE
        await w.daemon.start()
        last = await w.daemon.final(f"{one['id']}/0")
        assert (last["state"], last["attempts"]) == ("delivered", 2)
