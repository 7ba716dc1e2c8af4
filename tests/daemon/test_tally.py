"""What is counted at once is counted as if it had been one by one."""

from __future__ import annotations

from bisect import bisect_left
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.tally import AT_ONCE, SECONDS, Histogram, Tally

AROUND = st.sampled_from([bound + by for bound in SECONDS for by in (-1e-9, 0.0, 1e-9)])


@given(st.lists(st.tuples(AROUND | st.floats(-1.0, 200_000.0), st.integers(1, 4)), max_size=60))
def test_everything_is_in_the_bucket_of_the_first_bound_that_is_not_below_it(
    seen: list[tuple[float, int]],
) -> None:
    histogram = Histogram()
    expected = [0] * (len(SECONDS) + 1)
    for seconds, times in seen:
        for _ in range(times - 1):
            histogram.observe(seconds)
        histogram.observe(seconds, times)
        expected[bisect_left(SECONDS, seconds)] += 2 * times - 1
    assert histogram.counts == expected
    assert histogram.count == sum(expected)
    total = sum(max(0.0, seconds) * (2 * times - 1) for seconds, times in seen)
    assert histogram.sum == pytest.approx(total)


def test_more_than_is_counted_at_once_is_all_there() -> None:
    histogram = Histogram()
    for number in range(2 * AT_ONCE + 3):
        histogram.observe(0.004 if number % 2 else 12.0)
    assert histogram.count == 2 * AT_ONCE + 3
    assert histogram.counts[bisect_left(SECONDS, 12.0)] == AT_ONCE + 2
    assert histogram.sum == pytest.approx(0.004 * (AT_ONCE + 1) + 12.0 * (AT_ONCE + 2))


@pytest.mark.interpreted
def test_messages_that_go_out_together_count_each_for_the_topic_it_came_on() -> None:
    messages: list[Any] = [
        SimpleNamespace(job=SimpleNamespace(source=(topic, 0, 7), produced=at, received=at + 1.0))
        for topic, at in (("jobs", 10.0), ("urgent", 12.0), ("jobs", 14.0))
    ]
    tally = Tally()
    tally.first_written("a", messages, 20.0)
    tally.first_written("a", messages[1:2], 20.0)
    assert {topic: (age.count, age.sum) for topic, age in tally.age.items()} == {
        "jobs": (2, 16.0),
        "urgent": (2, 16.0),
    }
    assert (tally.queue["a"].count, tally.queue["a"].sum) == (4, 28.0)
