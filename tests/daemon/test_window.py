"""The window that backs off while answers are slow, against gateways that are arithmetic.

A gateway works parts off one after the other, `capacity` a second, and takes `latency` besides;
time jumps from one answer to the next, so that minutes take milliseconds.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.pacing import Pacer
from daemon.window import FEW, RECOVERS_IN, ROUND, Window

Shape = Callable[[float], float]


def always(value: float) -> Shape:
    return lambda at: value


ENDLESS, QUICK = always(1e9), always(0.02)


class Play:
    """`links` of one node, with more to send than goes through; `answers` are (time, latency)."""

    def __init__(
        self,
        most: int = 64,
        *,
        links: int = 1,
        rate: float = 500.0,
        lowest: float = 5.0,
        capacity: Shape = ENDLESS,
        latency: Shape = QUICK,
        demand: Shape = ENDLESS,
        busy: float = 0.0,
        adapts: bool = True,
    ) -> None:
        self.window = Window(most, 5.0, 0.0, adapts=adapts)
        self.window.serve(links, lowest / links, 0.0)
        self.pacer = Pacer(rate, lowest, 0.0)
        self.capacity, self.latency, self.demand = capacity, latency, demand
        self.flying = [0] * links
        self.busy_until = busy
        """The gateway works until then on what others left."""
        self.answers: list[tuple[float, float]] = []
        self.now = 0.0
        self._wanted = 0.0
        self._due: list[tuple[float, int, int, float]] = []
        self._order = count()

    def run(self, until: float) -> Play:
        while self.now < until:
            self._write()
            at = min(self.now + 0.01, self._due[0][0] if self._due else until)
            self._wanted = min(1e6, self._wanted + self.demand(self.now) * (at - self.now))
            self.now = at
            while self._due and self._due[0][0] <= at:
                _, _, link, wrote_at = heapq.heappop(self._due)
                self.flying[link] -= 1
                self.answers.append((at, at - wrote_at))
                if self.window.answered(wrote_at, at) and at < self.window.slow_until:
                    self.pacer.slowed(self.window.pace, at)
        return self

    def _write(self) -> None:
        now, window = self.now, self.window
        limit = window.limit(now)
        assert 1 <= limit <= window.most
        turn = next(self._order)
        for link in sorted(range(len(self.flying)), key=lambda n: (n + turn) % len(self.flying)):
            while self._wanted >= 1 and self.flying[link] < limit and self.pacer.ready(now):
                self.pacer.take(1, now)
                self._wanted -= 1
                self.flying[link] += 1
                window.peak = max(window.peak, self.flying[link])
                self.busy_until = max(self.busy_until, now) + 1 / self.capacity(now)
                at = self.busy_until + self.latency(now)
                heapq.heappush(self._due, (at, next(self._order), link, now))

    def goodput(self, first: float, last: float) -> float:
        return sum(first <= at < last for at, _ in self.answers) / (last - first)

    def slowest(self, first: float, last: float) -> float:
        return max(latency for at, latency in self.answers if first <= at < last)


@pytest.mark.parametrize(
    ("capacity", "most", "links", "bound"),
    [(3, 16, 1, 3.5), (25, 64, 1, 0.6), (40, 16, 4, 0.5), (100, 200, 1, 0.4), (100, 32, 2, 0.4)],
)
def test_a_gateway_with_more_than_it_can_do_is_kept_busy_and_not_stuffed(
    capacity: float, most: int, links: int, bound: float
) -> None:
    play = Play(most, links=links, lowest=1.0, capacity=always(capacity)).run(120.0)
    assert play.goodput(30.0, 120.0) >= 0.95 * capacity
    assert play.slowest(30.0, 120.0) <= bound
    stuffed = Play(most, links=links, capacity=always(capacity), adapts=False).run(120.0)
    assert stuffed.slowest(30.0, 120.0) >= 1.5 * bound


@pytest.mark.parametrize("latency", [0.02, 0.5, 2.0, 4.0])
def test_a_latency_that_is_always_there_costs_nothing(latency: float) -> None:
    play = Play(1000, rate=200.0, latency=always(latency)).run(90.0)
    assert play.goodput(10.0, 90.0) >= 199.0
    assert play.window.limit(90.0) == 1000


def test_a_longer_way_is_told_from_a_queue_and_the_window_given_back() -> None:
    play = Play(32, rate=2000.0, latency=lambda at: 0.02 if at < 30 else 0.5).run(35.0)
    assert play.window.limit(35.0) == 32
    play.run(90.0)
    assert play.goodput(35.0, 90.0) >= 0.98 * 32 / 0.5
    assert min(play.goodput(at, at + 1.0) for at in range(32, 90)) >= 0.4 * 32 / 0.5


def test_the_window_grows_back_within_ten_seconds_of_the_gateways_recovery() -> None:
    play = Play(64, capacity=lambda at: 20.0 if 30 < at < 60 else 400.0, rate=200.0)
    play.run(60.0)
    assert play.window.limit(60.0) < 16
    play.run(60.0 + RECOVERS_IN + 1.0)
    assert play.goodput(play.now - 1.0, play.now) >= 190.0
    play.run(60.0 + 2 * RECOVERS_IN)
    assert play.window.limit(play.now) == 64


def test_the_window_grows_back_though_nothing_is_answered_any_more() -> None:
    play = Play(64, capacity=always(20.0)).run(60.0)
    assert play.window.limit(60.0) < 16
    assert play.window.limit(60.0 + 3 * RECOVERS_IN) == 64


def test_a_slow_start_is_forgotten() -> None:
    play = Play(
        64,
        capacity=lambda at: 10.0 if at < 5.0 else 50.0,
        demand=lambda at: 30.0 if at < 30.0 else 1e9,
    ).run(90.0)
    assert play.goodput(30.0, 90.0) >= 48.0
    assert play.slowest(45.0, 90.0) <= 0.4


def test_a_gateway_that_was_full_at_the_start_is_found_out() -> None:
    play = Play(64, capacity=always(30.0), busy=2.0).run(300.0)
    assert play.goodput(200.0, 300.0) >= 28.0
    assert play.slowest(200.0, 300.0) <= 0.7


def test_a_few_slow_answers_among_quick_ones_change_nothing() -> None:
    dice = random.Random(1)
    play = Play(16, rate=100.0, latency=lambda at: 4.0 if dice.random() < 0.05 else 0.03)
    play.run(60.0)
    assert play.window.limit(60.0) == 16


def test_one_pause_of_ours_does_not_slow_us_down_for_long() -> None:
    """A loop that stood still for a second sees every answer a second late."""
    play = Play(16, rate=500.0, latency=lambda at: 0.02 if not 10 < at < 10.2 else 1.0).run(16.0)
    assert play.goodput(13.0, 16.0) >= 0.95 * 500
    assert play.pacer.pace == 500


def test_few_parts_in_flight_are_not_taken_for_a_full_gateway() -> None:
    play = Play(16, demand=always(5.0), latency=lambda at: 0.02 if at < 20 else 0.9).run(60.0)
    assert play.window.limit(60.0) == 16
    assert play.goodput(25.0, 60.0) >= 4.8


@pytest.mark.parametrize("latency", [0.3, 1.0, 2.0])
def test_the_lowest_rate_is_kept_in_every_second_while_a_longer_way_is_told_from_a_queue(
    latency: float,
) -> None:
    width, lowest = 64, 28.0
    play = Play(width, lowest=lowest, latency=lambda at: 0.02 if at < 30 else latency).run(120.0)
    settled = 30.0 + 2 * latency
    for second in range(int(settled) + 1, 118):
        assert play.goodput(second, second + latency) * 1.04 >= min(lowest, width / latency)


def test_without_adapting_it_is_always_whole() -> None:
    play = Play(64, capacity=always(20.0), adapts=False).run(60.0)
    assert play.window.limit(60.0) == 64
    assert play.pacer.pace == play.pacer.rate
    play.window.change(60.0, adapts=True)
    play.run(300.0)
    assert play.window.limit(300.0) < 16
    play.window.change(300.0, adapts=False)
    assert play.window.limit(300.0) == 64


def test_what_was_in_flight_before_a_cut_says_nothing_of_it() -> None:
    window = Window(16, 5.0, 0.0)
    for n in range(2 * FEW):
        window.answered(n / 10, n / 10 + 0.01)
    window.peak = 16
    for n in range(2 * FEW):
        window.answered(2.0, 5.0 + n / 10)
    cut = window.limit(6.6)
    assert cut < 16
    window.peak = 16
    for n in range(2 * FEW):
        assert not window.answered(2.0, 7.0 + n / 10)
    assert window.limit(8.0) >= cut


LATENCIES = st.floats(0.0, 8.0, allow_nan=False)
STEPS = st.lists(
    st.tuples(st.floats(0.0, 2.0), LATENCIES, st.integers(0, 40), st.integers(1, 4)), max_size=200
)


@settings(max_examples=200)
@given(st.sampled_from([1, 2, 16, 200]), st.sampled_from([0.5, 5.0, 60.0]), st.floats(0, 50), STEPS)
def test_whatever_comes_the_window_stays_in_its_bounds_and_grows_back(
    most: int,
    answer_within: float,
    lowest: float,
    steps: list[tuple[float, float, int, int]],
) -> None:
    window, pacer = Window(most, answer_within, 0.0), Pacer(100.0, min(lowest, 100.0), 0.0)
    now = 0.0
    for gap, latency, peak, links in steps:
        now += gap
        window.serve(links, lowest / links, now)
        window.peak = max(window.peak, min(peak, most))
        if window.answered(now - latency, now):
            assert window.slow_until > now
            pacer.slowed(window.pace, now)
        assert 1 <= window.limit(now) <= most
        assert pacer.lowest <= pacer.pace <= pacer.rate
    # A round more may be waited for, then each round gives one part at least.
    held = ROUND + 8.0 * (2 + 32)
    assert window.limit(now + held + most * max(1.0, 8.0 * FEW)) == most


READS = st.lists(
    st.tuples(st.floats(0.0, 2.0), st.lists(LATENCIES, max_size=2 * FEW), st.integers(0, 40)),
    max_size=60,
)


@given(READS)
def test_answers_of_one_read_say_what_they_say_one_by_one(
    reads: list[tuple[float, list[float], int]],
) -> None:
    together, singly = Window(32, 5.0, 0.0), Window(32, 5.0, 0.0)
    now = 0.0
    for gap, latencies, peak in reads:
        now += gap
        together.peak = singly.peak = peak
        wrote_at = [now - latency for latency in latencies]
        slow = [singly.answered(at, now) for at in wrote_at]
        assert together.answered_all(wrote_at, now) == any(slow)
        assert (together.limit(now), together.latency) == (singly.limit(now), singly.latency)
        assert (together.slow_until, together.pace) == (singly.slow_until, singly.pace)
