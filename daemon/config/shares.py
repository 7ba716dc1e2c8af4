"""Daemons that share an account: how much of its rate and which of its binds each one has.

Every daemon works this out for itself from the same figures, so it is exact and depends on
nothing else: over all instances each node has just the binds that are listed for it, and no
instance is a whole bind away from its part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction


def within(listed: Sequence[int], most: int) -> tuple[int, ...]:
    """Binds by node when there may be `most` in all (0: as listed).

    The nodes take one in turn, so that none is without.
    """
    left = min(sum(listed), most) if most else sum(listed)
    dealt = [0] * len(listed)
    while left:
        for place, binds in enumerate(listed):
            if left and dealt[place] < binds:
                dealt[place] += 1
                left -= 1
    return tuple(dealt)


def parts(weights: Mapping[str, float]) -> dict[str, Fraction]:
    """Each instance's part of the whole; together exactly 1."""
    spelled = {name: Fraction(str(weight)) for name, weight in weights.items()}
    whole = sum(spelled.values())
    return {name: weight / whole for name, weight in spelled.items()}


def portion(whole: float, part: Fraction) -> float:
    """This part of a rate, to the last digit."""
    return float(Fraction(str(whole)) * part)


def deal(
    binds: Sequence[int], priorities: Sequence[int], weights: Mapping[str, float]
) -> dict[str, tuple[int, ...]]:
    """Each instance's binds by node.

    How many an instance has in all is its part of the sum, rounded by largest remainder.  The
    nodes are gone through from the preferred to the last: an instance has the whole binds of
    its part of a node, and what is left of the node goes to those that are furthest behind.
    Between equals who has fewer is served first, then names decide: the order in the file does
    not matter.
    """
    own = dict(sorted(parts(weights).items()))
    left = _rounded(sum(binds), own)
    given = {name: [int(count * part) for count in binds] for name, part in own.items()}
    for name, dealt in given.items():
        left[name] -= sum(dealt)
    # What an instance has of the nodes so far, less its part of them.
    ahead = dict.fromkeys(own, Fraction(0))
    for place in sorted(range(len(binds)), key=lambda place: priorities[place]):
        for name, part in own.items():
            ahead[name] += given[name][place] - part * binds[place]
        extra = set[str]()
        for _ in range(binds[place] - sum(dealt[place] for dealt in given.values())):
            name = min(
                (name for name in own if left[name]),
                key=lambda name: (name in extra, ahead[name]),
            )
            given[name][place] += 1
            ahead[name] += 1
            left[name] -= 1
            extra.add(name)
    return {name: tuple(given[name]) for name in weights}


def _rounded(count: int, own: Mapping[str, Fraction]) -> dict[str, int]:
    """Whole numbers that make `count`, each its part rounded down or up."""
    whole = {name: int(count * part) for name, part in own.items()}
    behind = sorted(own, key=lambda name: (whole[name] - count * own[name], whole[name]))
    for name in behind[: count - sum(whole.values())]:
        whole[name] += 1
    return whole
