"""What is counted at once is counted as if it had been one by one."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.tally import AT_ONCE, SECONDS, Histogram

AROUND = st.sampled_from([bound + by for bound in SECONDS for by in (-1e-9, 0.0, 1e-9)])


@given(st.lists(AROUND | st.floats(-1.0, 200_000.0), max_size=60))
def test_everything_is_in_the_bucket_of_the_first_bound_that_is_not_below_it(
    seen: list[float],
) -> None:
    histogram = Histogram()
    expected = [0] * (len(SECONDS) + 1)
    for seconds in seen:
        histogram.observe(seconds)
        expected[bisect_left(SECONDS, seconds)] += 1
    assert histogram.counts == expected
    assert histogram.count == len(seen)
    assert histogram.sum == pytest.approx(sum(max(0.0, seconds) for seconds in seen))


def test_more_than_is_counted_at_once_is_all_there() -> None:
    histogram = Histogram()
    for number in range(2 * AT_ONCE + 3):
        histogram.observe(0.004 if number % 2 else 12.0)
    assert histogram.count == 2 * AT_ONCE + 3
    assert histogram.counts[bisect_left(SECONDS, 12.0)] == AT_ONCE + 2
    assert histogram.sum == pytest.approx(0.004 * (AT_ONCE + 1) + 12.0 * (AT_ONCE + 2))
