"""One account, several instances: what each of them has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import Account, Config, examine
from daemon.config.shares import deal, parts, portion, within

from .sample import edited, write

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
WEIGHTS = st.dictionaries(
    NAMES,
    st.sampled_from([1.0, 2.0, 3.0, 7.0]) | st.floats(0.01, 1000, allow_subnormal=False),
    min_size=1,
)
NODES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), min_size=1, max_size=6)


def dealt(nodes: Sequence[tuple[int, int]], weights: Mapping[str, float]) -> dict[str, list[int]]:
    binds, priorities = [node[0] for node in nodes], [node[1] for node in nodes]
    return {name: list(own) for name, own in deal(binds, priorities, weights).items()}


@given(nodes=NODES, weights=WEIGHTS)
def test_together_the_instances_have_exactly_the_binds_that_each_node_lists(
    nodes: list[tuple[int, int]], weights: dict[str, float]
) -> None:
    own = dealt(nodes, weights)
    assert list(own) == list(weights)
    assert all(binds >= 0 for one in own.values() for binds in one)
    assert [sum(column) for column in zip(*own.values(), strict=True)] == [n[0] for n in nodes]


@given(nodes=NODES, weights=WEIGHTS)
def test_no_instance_is_a_whole_bind_away_from_its_part(
    nodes: list[tuple[int, int]], weights: dict[str, float]
) -> None:
    whole = sum(binds for binds, _ in nodes)
    for name, own in dealt(nodes, weights).items():
        assert abs(sum(own) - whole * parts(weights)[name]) < 1


@given(nodes=NODES, weights=WEIGHTS)
def test_an_instance_has_the_whole_binds_of_its_part_of_every_node(
    nodes: list[tuple[int, int]], weights: dict[str, float]
) -> None:
    for name, own in dealt(nodes, weights).items():
        for binds, (listed, _) in zip(own, nodes, strict=True):
            assert binds >= int(listed * parts(weights)[name])


@given(nodes=NODES, weights=WEIGHTS)
def test_the_order_of_the_instances_in_the_file_makes_no_difference(
    nodes: list[tuple[int, int]], weights: dict[str, float]
) -> None:
    turned = dict(reversed(weights.items()))
    assert dealt(nodes, weights) == dealt(nodes, turned)


@pytest.mark.parametrize(
    ("nodes", "weights", "expected"),
    [
        ([(2, 1), (2, 1)], {"a": 1, "b": 1}, {"a": [1, 1], "b": [1, 1]}),
        # One bind each: what one lacks here it has there.
        (
            [(1, 1), (1, 1), (1, 1), (1, 1)],
            {"a": 1, "b": 1},
            {"a": [1, 0, 1, 0], "b": [0, 1, 0, 1]},
        ),
        # Both have one of the preferred nodes, and one of those in reserve.
        (
            [(1, 1), (1, 2), (1, 1), (1, 2)],
            {"a": 1, "b": 1},
            {"a": [1, 1, 0, 0], "b": [0, 0, 1, 1]},
        ),
        ([(1, 1)] * 3 + [(1, 2)] * 3, {"a": 2, "b": 1}, {"a": [1, 0, 1] * 2, "b": [0, 1, 0] * 2}),
        ([(3, 1)], {"a": 1, "b": 1}, {"a": [2], "b": [1]}),
        ([(3, 1)], {"b": 1, "a": 1}, {"b": [1], "a": [2]}),
        ([(2, 1)], {"a": 3, "b": 1}, {"a": [1], "b": [1]}),
        ([(5, 1)], {"a": 1, "b": 3}, {"a": [1], "b": [4]}),
        ([(7, 1), (3, 1)], {"a": 0.1, "b": 0.2, "c": 0.7}, {"a": [1, 0], "b": [1, 1], "c": [5, 2]}),
        ([(4, 1)], {"a": 9, "b": 1}, {"a": [4], "b": [0]}),
    ],
)
def test_binds_are_dealt_fairly(
    nodes: list[tuple[int, int]], weights: dict[str, float], expected: dict[str, list[int]]
) -> None:
    assert dealt(nodes, weights) == expected


@given(rate=st.floats(1, 100_000, allow_subnormal=False), weights=WEIGHTS)
def test_the_whole_parts_of_the_rates_never_pass_the_whole(
    rate: float, weights: dict[str, float]
) -> None:
    own = [portion(rate, part) for part in parts(weights).values()]
    assert sum(map(int, own)) <= rate
    assert sum(own) == pytest.approx(rate)


def test_parts_are_of_the_weights_as_they_are_written() -> None:
    assert parts({"a": 0.1, "b": 0.2}) == {"a": Fraction(1, 3), "b": Fraction(2, 3)}
    assert portion(300.0, parts({"a": 0.1, "b": 0.2})["a"]) == 100.0


def test_max_binds_leaves_no_node_without() -> None:
    assert within([2, 2, 2], 4) == (2, 1, 1)
    assert within([2, 2], 0) == (2, 2)
    assert within([1, 2], 9) == (1, 2)


# In a file

SHARED = 'rate = 200\nmin_rate = 30\nshares = {"xz-a" = 1, "xz-b" = 2}'


def of(folder: Path, text: str, instance: str | None = None) -> Config:
    return examine(write(folder, text), environ={}, instance=instance).config


def binds(account: Account) -> dict[str, int]:
    return {node.name: node.binds for node in account.nodes}


def test_an_instance_sees_its_share_as_if_it_were_the_account(tmp_path: Path) -> None:
    text = edited(("rate = 200", SHARED))
    a = of(tmp_path, text).accounts["mobile"]
    b = of(tmp_path, text.replace('name = "xz-a"', 'name = "xz-b"')).accounts["mobile"]
    assert (a.rate, a.lowest_rate, binds(a)) == (pytest.approx(200 / 3), 10.0, {"nj-1": 1})
    assert (b.rate, b.lowest_rate, binds(b)) == (
        pytest.approx(400 / 3),
        20.0,
        {"nj-1": 1, "nj-2": 1},
    )
    assert of(tmp_path, text, "xz-b").accounts["mobile"] == b
    assert (a.shares, a.binds, b.binds) == ({}, 1, 2)


def test_the_lowest_rate_is_a_tenth_of_the_share_when_none_is_given(tmp_path: Path) -> None:
    account = of(tmp_path, edited(("rate = 200", SHARED.replace("min_rate = 30\n", ""))))
    assert account.accounts["mobile"].lowest_rate == pytest.approx(200 / 30)


def test_max_binds_is_of_all_instances_together(tmp_path: Path) -> None:
    text = edited(("rate = 200", 'rate = 200\nmax_binds = 2\nshares = {"xz-b" = 1, "xz-a" = 1}'))
    own = [of(tmp_path, text, name).accounts["mobile"] for name in ("xz-a", "xz-b")]
    assert [binds(account) for account in own] == [{"nj-1": 1}, {"nj-2": 1}]
    assert [account.binds for account in own] == [1, 1]


def test_the_whole_is_there_beside_the_share_and_an_account_without_shares_is_whole(
    tmp_path: Path,
) -> None:
    shared = examine(write(tmp_path, edited(("rate = 200", SHARED))), environ={})
    assert binds(shared.whole.accounts["mobile"]) == {"nj-1": 2, "nj-2": 1}
    assert shared.whole.accounts["mobile"].rate == 200
    assert shared.config.accounts["other"] == shared.whole.accounts["other"]


def test_two_instances_without_kafka_between_them_are_a_warning(tmp_path: Path) -> None:
    text = edited(('kind = "kafka"', 'kind = "local"'), ("rate = 200", SHARED))
    assert [warning.partition(": ")[2] for warning in examine(write(tmp_path, text)).warnings] == [
        "accounts.mobile.shares: has a local broker beside it, through which a report that comes "
        "to another instance does not find its message"
    ]
