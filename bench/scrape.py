"""Latencies as the daemon's own metrics page has them."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families


def buckets(page: str, name: str) -> list[tuple[float, float]]:
    """Upper bounds and cumulative counts of this histogram, all its labels added up."""
    found: defaultdict[float, float] = defaultdict(float)
    for family in text_string_to_metric_families(page):
        if family.name == name:
            for sample in family.samples:
                if sample.name == f"{name}_bucket":
                    found[float(sample.labels["le"])] += sample.value
    return sorted(found.items())


def estimate(histogram: list[tuple[float, float]], share: float) -> float:
    """The quantile, taken as evenly spread within its bucket; NaN when nothing was counted."""
    if not histogram or not histogram[-1][1]:
        return math.nan
    rank = share * histogram[-1][1]
    for (low, below), (high, upto) in pairwise([(0.0, 0.0), *histogram]):
        if upto >= rank and upto > below:
            if math.isinf(high):
                return low
            return low + (high - low) * (rank - below) / (upto - below)
    return histogram[-1][0]
