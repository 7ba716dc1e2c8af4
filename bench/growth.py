"""Whether a cost grows with the number of messages: flat, logarithmic, or more.

Cost over number is fitted by a power, n ** p, for every pair of sizes: p is the median of the
pairs' and its spread their lowest and highest.  A cost per message that does not depend on their
number has p = 0.  One that is the depth of a tree has 1 / ln n: 0.11 at ten thousand and 0.07 at a
million; a square root has 0.5, and a walk over everything 1.  Between the second and the third is
room for noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from .result import Target, median

FLAT, LOGARITHMIC = 0.05, 0.2
"""The highest p that is called so; 0.05 is 12 % for ten times as many, 0.2 is 58 %."""


@dataclass(slots=True, frozen=True)
class Growth:
    """The power `value`, and the lowest and highest of any pair of sizes."""

    value: float
    low: float
    high: float

    @property
    def word(self) -> str:
        if self.value <= FLAT:
            return "flat"
        return "logarithmic" if self.value <= LOGARITHMIC else "grows"

    def target(self, name: str) -> Target:
        return Target(
            f"{name}: {self.word}",
            f"<= {LOGARITHMIC:g}: flat or logarithmic",
            round(self.value, 3),
            self.value <= LOGARITHMIC,
            "power",
            (round(self.low, 3), round(self.high, 3)),
        )


def growth(costs: Mapping[int, float]) -> Growth | None:
    """Of costs by size, all above 0; None of fewer than two sizes."""
    powers = [
        math.log(costs[large] / costs[small]) / math.log(large / small)
        for small, large in combinations(sorted(costs), 2)
    ]
    return Growth(median(powers), min(powers), max(powers)) if powers else None
