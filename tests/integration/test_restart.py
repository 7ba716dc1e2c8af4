"""The daemon killed and stopped under load, again and again.

What was sent is judged by the gateways' counts, what was lost by the published reports; the daemon
is not asked.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.contract.events import faults
from tests.contract.process import until

from .system import CARRIERS, System, number, system

JOBS = 1600
AT_ONCE, EVERY = 10, 0.02
"""Jobs per publish, and seconds between two."""
ENDS = 3
RATE, WINDOW = 150, 16
KEYS = {"rate": RATE, "window": WINDOW}
# Answers are always on their way, and reports come while the daemon is away.
SIMULATE = {"delay": 0.05, "report_delay": 0.3}
SHORT, LONG = "您的验证码是 836251", "尊敬的用户，您预约的体检安排在下周一上午八点三十分。" * 4


def job(index: int) -> dict[str, Any]:
    """Every third has two parts; the carriers take turns."""
    to = number(CARRIERS[index % len(CARRIERS)], index)
    return {"id": f"r-{index}", "to": to, "text": SHORT if index % 3 else LONG}


def parts(index: int) -> int:
    return 1 if index % 3 else 2


async def offer(made: System) -> None:
    """All jobs, steadily, whether a daemon is there or not."""
    for start in range(0, JOBS, AT_ONCE):
        await made.daemon.send(*(job(index) for index in range(start, start + AT_ONCE)))
        await asyncio.sleep(EVERY)


async def under_load(made: System, end: Callable[[], Awaitable[None]]) -> None:
    """Calls `end` three times while jobs come and parts go out, and starts the daemon after it."""
    whole = sum(parts(index) for index in range(JOBS))
    await made.daemon.start()
    await made.daemon.follow()
    offering = asyncio.create_task(offer(made))
    for turn in range(1, ENDS + 1):
        share = whole * turn // (ENDS + 1)
        await until(lambda share=share: made.distinct >= share, 30.0, f"{share} parts")  # type: ignore[misc]
        await end()
        assert made.distinct < whole, "it ended under load"
        await made.daemon.start()
    await offering


def events(made: System) -> dict[int, list[dict[str, Any]]]:
    """By the job's number."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for record in made.daemon.published["reports"]:
        found[int(record.value["job"].removeprefix("r-"))].append(record.value)
    return found


async def settled(made: System) -> dict[int, dict[str, Any]]:
    """The final event of every job: none is lost."""

    def finals() -> dict[int, dict[str, Any]]:
        reports = made.daemon.published["reports"]
        return {
            int(p.value["job"].removeprefix("r-")): p.value for p in reports if p.value["final"]
        }

    await until(
        lambda: len(finals()) == JOBS,
        40.0,
        lambda: (
            f"{JOBS - len(finals())} without an end: "
            f"{[events(made)[i] for i in range(JOBS) if i not in finals()][:3]}"
        ),
    )
    return finals()


def reached(made: System) -> dict[str, set[int]]:
    """Which parts of the message to each number the gateways have."""
    found: dict[str, set[int]] = defaultdict(set)
    for node in made.nodes:
        for submit in node.submits:
            found[submit.to[0]].add(submit.number)
    return found


def check(made: System, finals: dict[int, dict[str, Any]]) -> None:
    """What holds whatever happened to the daemon."""
    assert faults(made.daemon.published, timedelta(hours=8)) == []
    assert made.faults() == {}
    there = reached(made)
    for index, final in finals.items():
        if final["state"] == "delivered":
            assert len(there[final["to"]]) == parts(index), final
    for name, account in made.fleet.accounts.items():
        # What left at the pace of the daemon's clock may arrive a little closer together.
        assert account.meter.peak <= RATE * 1.05 + 1, name
    assert all(node.counts.window_peak <= WINDOW for node in made.nodes)


async def test_a_killed_daemon_loses_nothing_and_resends_only_what_was_unanswered(
    tmp_path: Path,
) -> None:
    async with system(
        tmp_path, keys=KEYS, simulate=SIMULATE, uncertain={"hold": 0.5, "then": "resend"}
    ) as made:
        await under_load(made, made.daemon.kill)
        finals = await settled(made)
        assert Counter(event["state"] for event in finals.values()) == {"delivered": JOBS}
        assert any(e["state"] == "uncertain" for told in events(made).values() for e in told)
        for node in made.nodes:
            assert node.counts.twice <= WINDOW * ENDS, node.full_name
        check(made, finals)


async def test_a_killed_daemon_that_is_told_to_wait_sends_nothing_twice(tmp_path: Path) -> None:
    async with system(
        tmp_path,
        keys={**KEYS, "report_within": 8.0},
        simulate=SIMULATE,
        uncertain={"hold": 0.5, "then": "wait"},
    ) as made:
        await under_load(made, made.daemon.kill)
        finals = await settled(made)
        assert made.twice == 0
        assert all(event["attempts"] == 1 for event in finals.values())
        ended = [event for event in finals.values() if event["state"] != "delivered"]
        assert {(e["state"], e["code"]) for e in ended} <= {("expired", "LOCAL:NO_RESP")}
        assert len(ended) <= WINDOW * ENDS * len(CARRIERS)
        there = reached(made)
        # One part in doubt is found by its report, though its answer was never seen; of two parts
        # in doubt nobody can say which report is whose.
        for event in ended:
            assert event["parts"] == 2 or not there[event["to"]], event
        check(made, finals)


async def test_a_daemon_that_is_stopped_drains_and_neither_loses_nor_repeats(
    tmp_path: Path,
) -> None:
    async with system(tmp_path, keys=KEYS, simulate=SIMULATE, uncertain={"hold": 0.5}) as made:

        async def stop() -> None:
            assert await made.daemon.signal(signal.SIGTERM) == 0

        await under_load(made, stop)
        finals = await settled(made)
        assert Counter(event["state"] for event in finals.values()) == {"delivered": JOBS}
        told = [event["state"] for each in events(made).values() for event in each]
        assert "uncertain" not in told
        assert told.count("delivered") == JOBS
        assert made.twice == 0
        assert made.distinct == sum(parts(index) for index in range(JOBS))
        check(made, finals)
        assert await made.daemon.signal(signal.SIGTERM) == 0
