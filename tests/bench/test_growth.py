"""What is called flat, logarithmic and growing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bench.growth import growth

SIZES = (10_000, 100_000, 1_000_000)


@pytest.mark.parametrize(
    ("cost", "word"),
    [
        (lambda n: 40.0, "flat"),
        (lambda n: 4000.0 / n, "flat"),
        (lambda n: 40.0 + 1e5 / n, "flat"),
        (lambda n: 3.0 * math.log(n), "logarithmic"),
        (lambda n: 20.0 + 10.0 * math.log10(n), "logarithmic"),
        (lambda n: math.sqrt(n), "grows"),
        (lambda n: 5.0 + n / 1000, "grows"),
    ],
)
def test_a_cost_is_called_what_it_is(cost: Callable[[int], float], word: str) -> None:
    found = growth({size: cost(size) for size in SIZES})
    assert found is not None
    assert found.word == word
    assert found.low <= found.value <= found.high
    target = found.target("x")
    assert target.met == (word != "grows")
    assert word in target.name


def test_noise_of_a_tenth_does_not_make_a_flat_cost_grow() -> None:
    found = growth(dict(zip(SIZES, (40.0, 44.0, 36.0), strict=True)))
    assert found is not None
    assert found.target("x").met


def test_the_power_is_that_of_the_cost() -> None:
    found = growth({size: size**0.3 for size in SIZES})
    assert found is not None
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high) == (pytest.approx(0.3), pytest.approx(0.3))


def test_one_size_alone_has_no_curve() -> None:
    assert growth({10: 1.0}) is None
