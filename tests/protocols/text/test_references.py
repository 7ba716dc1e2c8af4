from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.text.references import References


@pytest.mark.parametrize("width", [256, 65536])
def test_a_recipient_gets_every_reference_before_one_comes_again(width: int) -> None:
    references = References(0, width=width)
    taken = [references.take("13800138000") for _ in range(2 * width)]
    assert sorted(taken[:width]) == list(range(width))
    assert taken[width:] == taken[:width]


@given(st.lists(st.sampled_from(["13800138000", "13900139000", "15012345678"]), max_size=200))
def test_other_recipients_do_not_disturb_it(recipients: list[str]) -> None:
    references = References(3)
    taken: dict[str, list[int]] = {}
    for recipient in recipients:
        taken.setdefault(recipient, []).append(references.take(recipient))
    for mine in taken.values():
        assert len(set(mine)) == len(mine)


def test_memory_is_bounded_and_the_longest_unused_goes() -> None:
    references = References(0, most=2)
    first = references.take("1")
    references.take("2")
    references.take("1")
    references.take("3")  # "2" goes
    assert len(references) == 2
    assert references.take("1") == (first + 2) % 256


def test_a_forgotten_recipient_seldom_meets_its_last_reference() -> None:
    references = References(0, most=1)
    met = 0
    for n in range(10_000):
        number = str(13800000000 + n)
        before = references.take(number)
        references.take("13999999999")
        met += references.take(number) == before
    assert met < 200  # one in 256 would be 39


def test_another_seed_starts_elsewhere() -> None:
    starts = {References(seed).take("13800138000") for seed in range(256)}
    assert len(starts) == 256


def test_references_in_use_before_a_restart_are_continued() -> None:
    references = References(99, most=2)
    references.note([("1", 4), ("2", 255), ("1", 5), ("3", 7)])
    assert len(references) == 2
    assert references.take("3") == 8
    assert references.take("1") == 6
