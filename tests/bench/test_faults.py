"""The rulers of the fault suites, held against what is known."""

from __future__ import annotations

import math
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.failover import lowest, outage
from bench.faults import FAILOVER, SOAK
from bench.judge import torn
from bench.shares import LOOK_EVERY, Look, Shares
from bench.slope import slope
from daemon.demo.stage import Stage
from daemon.sim.behaviour import Behaviour
from daemon.sim.control import ACTIONS, FREEZE


def account(start: int | None, *submits: int) -> dict[str, Any]:
    return {"seconds": {"start": start, "submits": list(submits)}}


def test_an_outage_is_the_most_whole_seconds_in_a_row_without_a_submit() -> None:
    series = account(100, 9, 0, 9, 0, 0, 0, 9, 9)
    assert outage(series, 100, 108) == 3
    assert outage(series, 100, 104) == 1
    assert lowest(series, 106, 108) == 9


def test_seconds_that_are_not_wholly_within_do_not_count() -> None:
    series = account(100, 9, 0, 9)
    assert outage(series, 101.01, 103) == 0
    assert outage(series, 100, 101.99) == 0
    assert outage(series, 101, 102) == 1


def test_seconds_beyond_the_last_submit_are_an_outage_too() -> None:
    assert outage(account(100, 9, 9), 100, 107) == 5
    assert outage(account(None), 100, 107) == 7
    assert lowest(account(100, 9, 9), 100, 107) == 0


class Looked(Shares):
    def __init__(self, looks: list[Look]) -> None:
        super().__init__(cast(Stage, SimpleNamespace()))
        self.looks = looks


def looked(*each: tuple[int, int]) -> Looked:
    """Submits of both nodes between one look and the next."""
    looks, one, two = [Look(0.0, {"a/1": 0, "a/2": 0, "b/1": 7}, {"a/1": 0, "a/2": 0})], 0, 0
    for number, (first, second) in enumerate(each, 1):
        one, two = one + first, two + second
        counts = {"a/1": one, "a/2": two}
        looks.append(Look(number * LOOK_EVERY, counts | {"b/1": 7}, counts))
    return Looked(looks)


def test_a_share_is_of_the_accounts_own_submits_in_the_last_second() -> None:
    shares = looked(*[(5, 15)] * 10, *[(0, 20)] * 10)
    assert shares.share("a/1", 10 * LOOK_EVERY) == pytest.approx(0.25)
    assert shares.share("a/1", 20 * LOOK_EVERY) == 0
    assert shares.share("a/2", 20 * LOOK_EVERY) == 1
    assert shares.share("b/1", 20 * LOOK_EVERY) == 0


def test_a_node_is_back_with_its_first_submit_and_whole_with_its_share() -> None:
    shares = looked(*[(0, 20)] * 10, *[(2, 18)] * 10, *[(10, 10)] * 10)
    served = shares.served("a/1", 1.0)
    assert served == pytest.approx(11 * LOOK_EVERY)
    assert served is not None
    whole = shares.full("a/1", served, 0.4)
    assert whole is not None
    assert 20 * LOOK_EVERY < whole <= 20 * LOOK_EVERY + 1.2
    assert shares.full("a/1", served, 0.6) is None
    assert looked(*[(0, 20)] * 10).served("a/1", 0.1) is None


@given(
    st.floats(-1e3, 1e3),
    st.lists(st.integers(3, 30), min_size=1, max_size=4),
    st.floats(0, 1e6),
)
def test_the_slope_of_straight_lines_is_theirs_whatever_their_levels(
    rise: float, lengths: list[int], level: float
) -> None:
    runs = [
        [(float(at), level * number + rise * at) for at in range(length)]
        for number, length in enumerate(lengths)
    ]
    assert slope(runs).value == pytest.approx(rise, rel=1e-6, abs=1e-6)


def test_noise_without_growth_is_within_its_errors_and_growth_is_not() -> None:
    chances = Random(1)
    noise = [(float(at), chances.gauss(0, 10)) for at in range(1000)]
    assert slope([noise]).within(3)
    assert slope([noise]).error == pytest.approx(10 / math.sqrt(1000**3 / 12), rel=0.2)
    assert not slope([[(at, value + at * 0.05) for at, value in noise]]).within(3)
    assert slope([[(at, value - at * 0.05) for at, value in noise]]).within(3)


def test_samples_that_follow_each_other_are_less_sure() -> None:
    chances = Random(2)
    level, walk = 0.0, []
    for at in range(1000):
        level = 0.9 * level + chances.gauss(0, 1)
        walk.append((float(at), level))
    shuffled = [value for _, value in walk]
    chances.shuffle(shuffled)
    loose = slope([[(float(at), value) for at, value in enumerate(shuffled)]])
    assert slope([walk]).error > 3 * loose.error


def test_too_few_samples_are_sure_of_nothing() -> None:
    assert math.isnan(slope([]).value)
    assert slope([[(0.0, 1.0)]]).error == math.inf
    assert slope([[(0.0, 1.0), (1.0, 2.0)]]).error == math.inf
    assert not slope([]).within(3)


@pytest.mark.parametrize("fault", [*FAILOVER.values(), *SOAK], ids=lambda fault: fault.name)
def test_every_fault_is_one_that_the_gateways_know_and_take_back(fault: Any) -> None:
    frozen, behaviour, up = None, Behaviour(), True
    bent = False
    for change in (*fault.begins, None, *fault.ends):
        if change is None:
            bent = frozen is not None or behaviour != Behaviour() or not up
            continue
        fields = dict(change)
        if "freeze" in fields:
            frozen = FREEZE[fields.pop("freeze")]
        for action in ACTIONS:
            if fields.pop(action, False):
                up = {"kill": False, "revive": True}.get(action, up)
        behaviour = behaviour.changed(fields)
    assert bent or not fault.ends
    assert (frozen, behaviour, up) == (None, Behaviour(), True)


def test_a_connection_that_broke_is_no_fault_of_what_was_sent() -> None:
    assert torn("closed: connection lost")
    assert torn("closed: [Errno 104] Connection reset by peer")
    assert not torn("closed: total length 3 is below 12")
    assert not torn("malformed: connection lost")
