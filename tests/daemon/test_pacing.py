"""An account's pace: never above its rate, and not below it either."""

from __future__ import annotations

from copy import deepcopy
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.pacing import RECOVERS_IN, Pacer

RATES = st.sampled_from([0.5, 1, 2.5, 10, 60, 200, 999, 10_000])
GAPS = st.lists(st.floats(0.0, 3.0, allow_nan=False), max_size=120)
STARTS = st.floats(0.0, 1e7, allow_nan=False)


def spend(pacer: Pacer, moments: list[float], share: float = 1.0) -> list[tuple[float, int]]:
    """Writes what may be written, or a share of it, at each moment."""
    wrote = []
    for now in moments:
        count = int(pacer.ready(now) * share)
        if count:
            pacer.take(count, now)
            wrote.append((now, count))
    return wrote


@given(RATES, STARTS, GAPS, st.floats(0.1, 1.0))
def test_no_second_has_more_writes_than_the_rate(
    rate: float, start: float, gaps: list[float], share: float
) -> None:
    pacer = Pacer(rate, rate / 10, start)
    wrote = spend(pacer, list(accumulate(gaps, initial=start)), share)
    for first, _ in wrote:
        within = sum(count for at, count in wrote if first <= at < first + 1.0 - 1e-6)
        assert within <= max(1, rate)


@given(RATES, STARTS, st.lists(st.floats(0.0, 0.3), max_size=60))
def test_throttling_in_between_never_gives_more(
    rate: float, start: float, gaps: list[float]
) -> None:
    pacer = Pacer(rate, rate / 10, start)
    wrote: list[tuple[float, int]] = []
    for place, now in enumerate(accumulate(gaps, initial=start)):
        wrote += spend(pacer, [now])
        if place % 3 == 0:
            pacer.throttled(now)
        assert rate / 10 <= pacer.pace <= rate
    for first, _ in wrote:
        assert sum(n for at, n in wrote if first <= at < first + 1.0 - 1e-6) <= max(1, rate)


@pytest.mark.parametrize("rate", [1, 3, 50, 200, 1000])
def test_whoever_comes_when_told_to_writes_at_the_full_rate(rate: int) -> None:
    pacer = Pacer(rate, rate / 10, 100.0)
    now, wrote = 100.0, 0
    while now < 110.0:
        count = pacer.ready(now)
        if count:
            pacer.take(count, now)
            wrote += count
        else:
            now = pacer.next_at(now)
    assert 0.98 * rate * 10 - 1 <= wrote <= rate * 10 + 1


@pytest.mark.interpreted
@given(RATES, STARTS, st.lists(st.floats(0.0, 2.0), min_size=1, max_size=30))
def test_at_the_moment_it_names_something_may_be_written(
    rate: float, start: float, gaps: list[float]
) -> None:
    pacer = Pacer(rate, rate / 10, start)
    for now in accumulate(gaps, initial=start):
        while (count := pacer.ready(now)) > 0:
            pacer.take(count, now)
        at = pacer.next_at(now)
        assert at > now, "who is told `now` again and again would spin"
        assert deepcopy(pacer).ready(at) >= 1, "a timer that fires then would find nothing to do"


def test_there_is_nothing_to_spend_at_start() -> None:
    pacer = Pacer(1000, 100, 5.0)
    assert pacer.ready(5.0) == 0
    assert pacer.ready(5.0101) == 10


def test_a_pause_saves_up_a_twentieth_of_a_second_and_no_more() -> None:
    pacer = Pacer(200, 20, 0.0)
    assert pacer.ready(3600.0) == 10


def test_what_a_pause_saved_up_is_part_of_the_rate_of_its_second() -> None:
    pacer = Pacer(200, 20, 0.0)
    wrote = spend(pacer, [3600.0 + step / 500 for step in range(1000)])
    for first, _ in wrote:
        assert sum(count for at, count in wrote if first <= at < first + 1.0 - 1e-6) <= 200
    assert sum(count for at, count in wrote if at < 3601.0) == 200


def test_a_throttle_answer_cuts_the_pace_once_and_it_grows_back() -> None:
    pacer = Pacer(100, 10, 0.0)
    pacer.ready(1.0)
    assert pacer.throttled(1.0)
    assert not pacer.throttled(1.1), "the answers to one burst are one piece of news"
    assert pacer.pace == pytest.approx(70)
    assert pacer.ready(1.0) == 0
    pacer.ready(1.0 + RECOVERS_IN)
    assert pacer.pace == 100


def test_the_pace_is_never_cut_below_the_lowest() -> None:
    pacer = Pacer(100, 40, 0.0)
    for place in range(20):
        pacer.throttled(1.0 + 0.3 * place)
        assert pacer.pace >= 40


def test_a_gateway_that_stays_slow_gets_what_it_works_off_and_the_pace_grows_back() -> None:
    pacer = Pacer(100, 10, 0.0)
    pacer.ready(1.0)
    assert pacer.slowed(30.0, 1.0)
    assert pacer.pace == 30
    assert not pacer.slowed(20.0, 1.1), "not twice for one piece of news"
    assert not pacer.slowed(90.0, 1.5), "it never makes it faster"
    assert pacer.slowed(3.0, 1.5)
    assert pacer.pace == 10, "and never slower than the lowest"
    pacer.ready(1.5 + RECOVERS_IN)
    assert pacer.pace == 100


def test_another_rate_counts_from_now_on() -> None:
    pacer = Pacer(100, 10, 0.0)
    pacer.ready(1.0)
    pacer.change(10, 1)
    assert pacer.ready(1.0) == 0
    assert sum(count for _, count in spend(pacer, [1.0 + 0.1 * n for n in range(1, 11)])) <= 10


WISHES = st.lists(st.tuples(st.floats(0.0, 0.7), st.integers(1, 99)), max_size=60)
"""Pauses, and how many parts are to go at once after each: one, or a list."""


def written(pacer: Pacer, start: float, wishes: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Each goes as soon as it may, whatever waits behind it."""
    now, wrote = start, []
    for pause, count in wishes:
        now += pause
        size = min(count, pacer.largest)
        while not pacer.fits(size, now):
            at = pacer.next_at(now, size)
            assert at > now, "who is told `now` again and again would spin"
            now = at
        pacer.take(size, now)
        wrote.append((now, size))
    return wrote


@given(RATES, STARTS, WISHES)
def test_a_list_counts_with_every_recipient(
    rate: float, start: float, wishes: list[tuple[float, int]]
) -> None:
    wrote = written(Pacer(rate, rate / 10, start), start, wishes)
    for first, _ in wrote:
        assert sum(n for at, n in wrote if first <= at < first + 1.0 - 1e-6) <= max(1, rate)


@given(
    st.sampled_from([10, 60, 200, 999]),
    WISHES,
    st.lists(st.floats(0.0, 0.049), min_size=60, max_size=60),
)
def test_a_gateway_that_gets_lists_late_counts_no_more_than_five_percent_above_the_rate(
    rate: int, wishes: list[tuple[float, int]], late: list[float]
) -> None:
    wrote = written(Pacer(rate, rate / 10, 0.0), 0.0, wishes)
    came: list[tuple[float, int]] = []
    for (at, count), jitter in zip(wrote, late, strict=False):
        came.append((max(at + jitter, came[-1][0] if came else 0.0), count))
    for first, _ in came:
        most = sum(count for at, count in came if first <= at < first + 1.0 - 1e-6)
        assert most <= rate * 1.05 + 1


@pytest.mark.parametrize(("rate", "size"), [(10, 10), (40, 20), (200, 10), (200, 99), (5000, 99)])
def test_lists_use_the_rate(rate: int, size: int) -> None:
    wrote = written(Pacer(rate, rate / 10, 100.0), 100.0, [(0.0, size)] * (10 * rate // size))
    took = wrote[-1][0] - 100.0
    assert 10 - size / rate - 0.1 <= took <= 10 * 1.06 + 0.1


def test_what_is_claimed_ahead_waits_until_a_lists_credit_is_nearly_paid_back() -> None:
    pacer = Pacer(100, 10, 0.0)
    assert pacer.fits(99, 10.0)
    pacer.take(99, 10.0)
    assert pacer.soon(0.02, 10.5) == 0
    assert pacer.soon(0.02, 10.93) > 0


def test_no_list_is_larger_than_a_second_of_the_pace_as_it_is() -> None:
    pacer = Pacer(100, 10, 0.0)
    assert pacer.largest == 100
    pacer.ready(1.0)
    pacer.slowed(30.0, 1.0)
    assert pacer.largest == 30
    assert Pacer(0.5, 0.1, 0.0).largest == 1


def test_it_is_idle_when_it_could_have_written_more_than_was_written() -> None:
    pacer = Pacer(rate=100, lowest=10, now=0.0)
    assert not pacer.idle(0.01)
    assert pacer.idle(1.0)
    pacer.take(1, 1.0)
    assert not pacer.idle(1.0)
    assert pacer.idle(1.011)
