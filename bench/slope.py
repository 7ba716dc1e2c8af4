"""How fast something grows: a straight line through samples, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Sample = tuple[float, float]
"""A time in seconds, and a value."""


@dataclass(slots=True, frozen=True)
class Slope:
    """Per second; `error` is one standard error, infinite of too few samples."""

    value: float
    error: float

    def within(self, errors: float) -> bool:
        """Whether it may be 0, or falls."""
        return self.value <= errors * self.error


def slope(runs: Sequence[Sequence[Sample]]) -> Slope:
    """By least squares, one slope for all runs and a level of its own for each.

    Samples of memory follow each other closely, so that many of them say no more than a few: the
    error is widened by the correlation of neighbouring residuals, (1 + r) / (1 - r).
    """
    spread = product = 0.0
    centred: list[list[Sample]] = []
    for run in runs:
        if len(run) < 2:
            continue
        middle = sum(at for at, _ in run) / len(run)
        level = sum(value for _, value in run) / len(run)
        points = [(at - middle, value - level) for at, value in run]
        spread += sum(at * at for at, _ in points)
        product += sum(at * value for at, value in points)
        centred.append(points)
    free = sum(map(len, centred)) - len(centred) - 1
    if not spread:
        return Slope(math.nan, math.inf)
    value = product / spread
    if free < 1:
        return Slope(value, math.inf)
    rests = [[rest - value * at for at, rest in points] for points in centred]
    squares = sum(rest * rest for run in rests for rest in run)
    error = math.sqrt(squares / free / spread)
    if squares:
        beside = sum(a * b for run in rests for a, b in pairwise(run)) / squares
        beside = min(0.99, max(0.0, beside))
        error *= math.sqrt((1 + beside) / (1 - beside))
    return Slope(value, error)
