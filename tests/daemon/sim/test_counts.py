"""Rates over any second, and parts that reached twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.sim.counts import Counts, Meter, Reached, Seen


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 9)), max_size=60))
def test_the_peak_is_that_of_the_busiest_second_wherever_it_begins(
    arrivals: list[tuple[int, int]],
) -> None:
    meter = Meter(epoch=1000.0)
    arrivals.sort()
    for at, count in arrivals:
        meter.add(at / 1000, count)
    # Some busiest interval begins at an arrival.
    busiest = max(
        (
            sum(count for at, count in arrivals if start <= at < start + 1000)
            for start, _ in arrivals
        ),
        default=0,
    )
    assert meter.peak == busiest
    assert sum(meter.seconds.values()) == sum(count for _, count in arrivals)
    assert all(second >= 1000 for second in meter.seconds)


def test_an_arrival_exactly_a_second_later_is_in_the_next_second() -> None:
    meter = Meter()
    meter.add(1.0, 10)
    meter.add(2.0, 10)
    assert (meter.peak, meter.within(2.5)) == (10, 10)
    meter.add(2.999, 5)
    assert meter.peak == 15


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300), max_size=400))
def test_seen_is_a_set_of_integers(values: list[int]) -> None:
    seen, reference = Seen(), set()
    for value in values:
        kept = value & (2**63 - 1) or 1
        assert seen.add(value) == (kept in reference)
        reference.add(kept)
    assert seen.count == len(reference)


@given(st.lists(st.lists(st.integers(-9, 9), max_size=9), max_size=9))
def test_seen_takes_many_as_it_takes_one_after_the_other(batches: list[list[int]]) -> None:
    together, alone = Seen(), Seen()
    for values in batches:
        again = [place for place, value in enumerate(values) if alone.add(value)]
        assert together.add_all(values) == again
    assert together.count == alone.count


def test_seen_keeps_everything_while_its_tables_grow() -> None:
    seen = Seen()
    values = [hash((n, "x")) for n in range(50_000)]
    assert not any(seen.add(value) for value in values)
    assert all(seen.add(value) for value in values)
    assert seen.count == 50_000
    assert all(value in seen for value in values)
    assert not any(hash((n, "y")) in seen for n in range(50_000))


def test_a_part_is_the_same_by_sender_recipient_number_and_content() -> None:
    reached = Reached()
    parts = [
        ("1065", "139", 1, b"a"),
        ("10651", "139", 1, b"a"),
        ("1065", "138", 1, b"a"),
        ("1065", "139", 2, b"a"),
        ("1065", "139", 1, b"b"),
    ]
    assert [bool(reached.add_all([reached.identity(*part)])) for part in parts] == [False] * 5
    assert [bool(reached.add_all([reached.identity(*part)])) for part in parts] == [True] * 5
    assert reached.distinct == 5


def test_remembering_nothing_finds_nothing_twice() -> None:
    reached = Reached(keep=False)
    for _ in range(2):
        assert not reached.add_all([reached.identity("1065", "139", 1, b"a")])


def test_counts_add_up_and_reasons_are_bounded() -> None:
    first, second = Counts(), Counts()
    first.submits, second.submits = 3, 4
    first.window_peak, second.window_peak = 9, 7
    for n in range(300):
        second.fault(f"reason {n}")
    first += second
    assert (first.submits, first.window_peak) == (7, 9)
    assert len(second.faults) == 201
    assert second.faults["other reasons"] == 100
    assert first.show()["faults"]["reason 5"] == 1
