"""How fast something grows, and how sure that is: Sen's slope through medians of blocks.

Memory goes in steps, in saw teeth and with spikes, and each sample follows the one before: least
squares would take that for certainty.  So a run is cut into blocks longer than its saw teeth, of
each block the median is taken, and the slope is the median of the slopes between all pairs of
blocks of one run.  Its interval comes from their ranks (P. K. Sen, 1968), over several runs as in
the seasonal test of Kendall, and is widened by what correlation is left between neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import median

Sample = tuple[float, float]
"""A time in seconds, and a value."""

BLOCK = 60.0
"""Seconds of a block: the daemon's own saw tooth, keys that gather and are sorted in, has 50 at
the contract's rate."""
SURE = 1.96
"""Standard deviations to either side: 95 %."""
MOST_CORRELATED = 0.9


@dataclass(slots=True, frozen=True)
class Slope:
    """Per second; with 95 % it is between `low` and `high`, infinite of too few blocks."""

    value: float
    low: float
    high: float
    blocks: int
    seconds: float = 0.0
    """How long the runs were together, of which it is the slope."""

    def flat(self, most: float, grain: float = 0.0) -> bool:
        """Whether it may be 0 or falls, and is surely below `most`: noise alone proves nothing.

        `grain` is what the value goes in steps of: growth by less than one in all is not seen.
        """
        level = self.low <= 0.0 or self.value * self.seconds < grain
        return level and self.high <= most


def slope(runs: Sequence[Sequence[Sample]], block: float = BLOCK) -> Slope:
    """One slope for all runs, whatever their levels."""
    return sen([_blocks(run, block) for run in runs])


def sen(runs: Sequence[Sequence[Sample]]) -> Slope:
    """The same through samples that are taken as they are."""
    cut = [run for run in runs if len(run) > 1]
    count = sum(map(len, cut))
    slopes = sorted(
        (late - early) / (end - start)
        for run in cut
        for (start, early), (end, late) in combinations(run, 2)
    )
    seconds = sum(run[-1][0] - run[0][0] for run in cut)
    if not slopes:
        return Slope(math.nan, -math.inf, math.inf, count)
    value = median(slopes)
    variance = sum(len(run) * (len(run) - 1) * (2 * len(run) + 5) / 18 for run in cut)
    away = SURE * math.sqrt(variance * _widening(cut, value))
    below = math.floor((len(slopes) - away) / 2)
    above = math.ceil((len(slopes) + away) / 2)
    low = slopes[below - 1] if below >= 1 else -math.inf
    high = slopes[above] if above < len(slopes) else math.inf
    return Slope(value, low, high, count, seconds)


def _blocks(run: Sequence[Sample], length: float) -> list[Sample]:
    """Middle and median of each whole block; the rest at the end is left out."""
    if not run:
        return []
    start, end = run[0][0], run[-1][0]
    inside: list[list[float]] = [[] for _ in range(int((end - start) / length))]
    for at, value in run:
        number = int((at - start) / length)
        if number < len(inside):
            inside[number].append(value)
    return [
        (start + (number + 0.5) * length, median(values))
        for number, values in enumerate(inside)
        if values
    ]


def _widening(runs: Sequence[Sequence[Sample]], value: float) -> float:
    """(1 + r) / (1 - r) of the correlation r between neighbouring blocks, the slope taken off."""
    squares = beside = 0.0
    for run in runs:
        rests = [level - value * at for at, level in run]
        middle = sum(rests) / len(rests)
        rests = [rest - middle for rest in rests]
        squares += sum(rest * rest for rest in rests)
        beside += sum(one * other for one, other in pairwise(rests))
    if not squares:
        return 1.0
    r = min(MOST_CORRELATED, max(0.0, beside / squares))
    return (1 + r) / (1 - r)
