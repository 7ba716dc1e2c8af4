"""What is read out of the published reports."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.broker.base import Record
from daemon.demo.fates import Fates, quantile, share_within


def event(job: str, state: str = "delivered", **more: Any) -> Record:
    final = state not in ("accepted", "uncertain")
    times = {
        "produced": "2026-11-22T08:00:00.000+08:00",
        "received": "2026-11-22T08:00:00.010+08:00",
        "submitted": "2026-11-22T08:00:00.015+08:00",
        "answered": "2026-11-22T08:00:00.065+08:00",
        "reported": "2026-11-22T08:00:01.065+08:00",
    }
    value = {
        "job": job,
        "state": state,
        "final": final,
        "code": "DELIVRD",
        "parts": 1,
        "attempts": 1,
        "times": times,
    } | more
    return Record("sms.reports", 0, 0, job.encode(), orjson.dumps(value), None, 0.0)


def test_times_are_seconds_between_the_stamps_of_the_final_event() -> None:
    fates = Fates("r", 1)
    assert fates.read([event("r-0", "accepted"), event("r-0")]) == 1
    assert fates.took("received", "submitted") == pytest.approx([0.005], abs=1e-6)
    assert fates.took("produced", "reported") == pytest.approx([1.065], abs=1e-6)
    assert fates.took([fates.times["produced"][0] - 1], "reported") == pytest.approx([2.065])


def test_recipients_of_one_job_are_messages_of_their_own() -> None:
    fates = Fates("r", 6, recipients=3)
    fates.read([event("r-1", message="r-1/2"), event("r-0", "rejected", message="r-0/1")])
    fates.read([event("r-2", message="r-2/0"), event("r-x", message="r-x/0")])
    assert list(fates.final) == [0, 1, 0, 0, 0, 1]
    assert list(fates.delivered) == [0, 0, 0, 0, 0, 1]
    assert fates.strangers == 2


def test_a_message_without_a_final_event_stays_open() -> None:
    fates = Fates("r", 3)
    fates.read([event("r-0"), event("r-1", "accepted"), event("r-2", "uncertain")])
    assert (fates.settled, fates.states["delivered"]) == (1, 1)
    assert list(fates.final) == [1, 0, 0]


def test_what_is_not_final_and_follows_the_final_event_is_counted() -> None:
    fates = Fates("r", 2)
    fates.read([event("r-0", "accepted"), event("r-0"), event("r-1", "uncertain"), event("r-1")])
    assert fates.followed == 0
    fates.read([event("r-0", "accepted"), event("r-1", "uncertain"), event("r-1")])
    assert (fates.followed, fates.again) == (2, 1)


def test_a_second_final_event_is_counted_and_changes_nothing() -> None:
    fates = Fates("r", 1)
    fates.read([event("r-0", "undelivered"), event("r-0", parts=2)])
    assert (fates.settled, fates.again) == (1, 1)
    assert fates.states == {"undelivered": 1}
    assert fates.delivered_parts() == 0


def test_the_same_final_event_again_is_no_contradiction_and_another_one_is() -> None:
    fates = Fates("r", 1)
    fates.read([event("r-0"), event("r-0")])
    assert (fates.again, fates.contradicted) == (1, 0)
    for number, other in enumerate(({"state": "expired"}, {"code": "MK:1"}, {"attempts": 2}), 1):
        fates.read([event("r-0", **other)])
        assert (fates.again, fates.contradicted) == (number + 1, number)
    assert fates.attempts[0] == 1


def test_what_is_uncertain_is_open_until_its_final_event() -> None:
    fates = Fates("r", 3)
    fates.read([event("r-0", "uncertain"), event("r-1", "uncertain"), event("r-2", "accepted")])
    assert (fates.open_doubts, fates.settled) == (2, 0)
    fates.read([event("r-1")])
    assert (fates.open_doubts, fates.settled) == (1, 1)


def test_what_is_in_doubt_in_both_attempts_is_told_apart() -> None:
    fates = Fates("r", 3)
    fates.read([event(f"r-{number}", "uncertain") for number in range(3)])
    fates.read([event(f"r-{number}", "uncertain", attempts=2) for number in range(2)])
    assert (fates.open_doubts, fates.spent_doubts) == (3, 2)
    fates.read([event("r-0", attempts=2)])
    assert (fates.open_doubts, fates.spent_doubts) == (2, 1)


def test_what_was_never_sent_is_not_missed() -> None:
    fates = Fates("r", 100)
    fates.read([event("r-1", parts=3)])
    fates.cut(2)
    assert (fates.count, fates.settled, list(fates.final)) == (2, 1, [0, 1])
    assert fates.delivered_parts() == 3
    assert len(fates.took("received", "submitted")) == 1
    fates.read([event("r-2")])
    assert fates.strangers == 1


def test_a_time_that_is_unknown_is_left_out() -> None:
    fates = Fates("r", 2)
    never = {"produced": "2026-11-22T08:00:00.000+08:00", "submitted": None}
    fates.read([event("r-0", "rejected", times=never), event("r-1")])
    assert len(fates.took("received", "submitted")) == 1


@pytest.mark.parametrize("job", ["other-0", "r-3", "r-x", "r--1", "r-²"])
def test_another_runs_events_are_strangers(job: str) -> None:
    fates = Fates("r", 3)
    assert fates.read([event(job)]) == 0
    assert (fates.strangers, fates.settled) == (1, 0)


def test_only_parts_of_delivered_messages_must_have_reached_a_gateway() -> None:
    fates = Fates("r", 4)
    fates.read([event("r-0", parts=2), event("r-1", "rejected", parts=3), event("r-2", parts=4)])
    assert fates.delivered_parts() == 6
    assert fates.delivered_parts(slice(0, None, 4)) == 2


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=50),
    st.floats(0.001, 1),
)
def test_a_quantile_is_a_value_that_its_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-6
    assert sum(value < found for value in ordered) < share * len(ordered)


def test_nothing_has_no_quantile_and_what_is_missing_is_not_in_time() -> None:
    assert math.isnan(quantile([], 0.5))
    assert share_within([1.0, 5.0, 6.0], 5.0, 4) == 0.5
