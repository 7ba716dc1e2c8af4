"""A map of whole numbers in little memory says what a dict says."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from daemon.packed import NOTHING, PackedInts

KEYS = st.one_of(st.integers(-600, 600), st.integers(-(2**62), 2**62))
VALUES = st.integers(NOTHING + 1, 2**63 - 1)
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "pop", "pop all", "get"]), KEYS, VALUES), max_size=80
)


@given(STEPS)
def test_it_says_what_a_dict_says(steps: list[tuple[str, int, int]]) -> None:
    ints, known = PackedInts(), dict[int, int]()
    for step, key, value in steps:
        if step == "put":
            ints.put(key, value)
            known[key] = value
        elif step == "pop":
            assert ints.pop(key) == known.pop(key, NOTHING)
        elif step == "pop all":
            keys = sorted({key, key + 1, *list(known)[:2]})
            there = [known.pop(key) for key in keys if key in known]
            assert ints.pop_all(keys) == there
        else:
            assert ints.get(key) == known.get(key, NOTHING)
        assert (key in ints) == (key in known)
        assert len(ints) == len(known)
    assert dict(ints.items()) == known


@given(st.sets(st.integers(0, 5_000)), st.sets(st.integers(0, 5_000)))
def test_what_was_put_in_rising_order_comes_in_rising_order(
    put: set[int], popped: set[int]
) -> None:
    ints = PackedInts()
    for key in sorted(put):
        ints.put(key, 0)
    for key in popped:
        ints.pop(key)
    assert [key for key, _ in ints.items()] == sorted(put - popped)


@given(KEYS, st.integers(-(2**60), 2**60), st.integers(0, 700))
def test_a_run_is_put_as_its_entries_are_one_by_one(key: int, value: int, count: int) -> None:
    at_once, singly = PackedInts(), PackedInts()
    at_once.put_run(key, value, count)
    for number in range(count):
        singly.put(key + number, value + number)
    assert list(at_once.items()) == list(singly.items())
    assert len(at_once) == count


@given(st.integers(0, 300), st.integers(1, 700), st.sets(st.integers(0, 1_000)))
def test_what_follows_one_another_is_taken_out_as_entries_are_one_by_one(
    first: int, count: int, gone: set[int]
) -> None:
    at_once, singly = PackedInts(), PackedInts()
    for ints in (at_once, singly):
        ints.put_run(0, 5, 1_000)
        for key in gone:
            ints.pop(key)
    keys = list(range(first, first + count))
    there = [value for value in map(singly.pop, keys) if value != NOTHING]
    assert at_once.pop_all(keys) == there
    assert list(at_once.items()) == list(singly.items())
    assert len(at_once) == len(singly)


def test_an_entry_takes_less_than_ten_octets_and_gives_them_back() -> None:
    tracemalloc.start()
    try:
        ints = PackedInts()
        for key in range(100_000):
            ints.put(key, key << 30)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
        for key in range(100_000):
            ints.pop(key)
        assert tracemalloc.get_traced_memory()[0] < 50_000
    finally:
        tracemalloc.stop()
