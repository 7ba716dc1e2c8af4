"""The rulers of the fault suites, held against what is known."""

from __future__ import annotations

import math
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.agree import Agreement, counted, difference
from bench.failover import lowest, outage
from bench.faults import FAILOVER, SOAK
from bench.judge import torn
from bench.shares import LOOK_EVERY, Look, Shares
from bench.slope import Sample, sen, slope
from daemon.demo.stage import Stage
from daemon.model import Message
from daemon.sim.behaviour import Behaviour
from daemon.sim.control import ACTIONS, FREEZE
from daemon.steps import Step


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
    assert sen(runs).value == pytest.approx(rise, rel=1e-6, abs=1e-6)


def walk(chances: Random, rise: float) -> list[Sample]:
    """Half an hour of a level that follows itself, with saw teeth of 50 s and spikes."""
    found, level = [], 0.0
    for at in range(1800):
        level = 0.95 * level + chances.gauss(0, 0.1)
        spike = 30.0 if chances.random() < 0.01 else 0.0
        found.append((float(at), 90.0 + level + at % 50 / 10 + spike + rise * at))
    return found


def test_noise_is_rarely_taken_for_growth_and_growth_is_rarely_overlooked() -> None:
    chances = Random(1)
    most = 0.005
    flat = [slope([walk(chances, 0.0)]).flat(most) for _ in range(100)]
    grown = [slope([walk(chances, 0.002)]).flat(most) for _ in range(100)]
    # On either side of 0 lie 2.5 % of what is 95 % sure.
    assert flat.count(False) <= 8
    assert grown.count(True) <= 8
    assert slope([walk(chances, -0.01)]).flat(most)


def test_several_processes_are_judged_by_what_each_does_while_it_lives() -> None:
    chances = Random(2)
    lives = [
        [(at, value + level) for at, value in walk(chances, 0.0)[:600]] for level in (0, 50, 100)
    ]
    assert slope(lives).flat(0.01)
    joined = [(at + 600 * number, value) for number, life in enumerate(lives) for at, value in life]
    assert not slope([joined]).flat(0.01)


def test_growth_by_less_than_a_step_of_what_is_measured_is_none() -> None:
    steady = slope([[(float(at), at * 0.001) for at in range(1200)]])
    assert steady.low > 0.0
    assert not steady.flat(1.0)
    assert not steady.flat(1.0, grain=0.5)
    assert steady.flat(1.0, grain=2.0)
    assert not steady.flat(0.0001, grain=2.0)


def test_a_run_that_cannot_tell_is_not_flat() -> None:
    short = [(float(at), 90.0) for at in range(100)]
    assert math.isnan(slope([short]).value)
    assert not slope([short]).flat(1.0)
    assert not slope([]).flat(1.0)
    few = slope([[(float(at), 90.0) for at in range(250)]])
    assert (few.value, few.low, few.high) == (0.0, -math.inf, math.inf)
    assert not few.flat(1.0)
    loose = [(float(at), Random(at // 60).uniform(0, 1000)) for at in range(1800)]
    assert not slope([loose]).flat(0.005)


def test_neighbours_that_follow_each_other_are_less_sure() -> None:
    waves = [math.sin(number / 6) for number in range(40)]
    loose = waves.copy()
    Random(3).shuffle(loose)
    near, far = (sen([[(float(at), value) for at, value in enumerate(v)]]) for v in (waves, loose))
    assert near.high - near.low > 1.5 * (far.high - far.low)


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


def steps(*words: str, part: int = 1) -> list[Step]:
    return [Step(float(at), word, part, 1, "n-1") for at, word in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (("written", "answered", "delivered"), (1, 1)),
        (("written", "throttled", "written", "throttled", "written", "answered"), (1, 1)),
        (("written", "unanswered", "written", "answered"), (2, 1)),
        (("written", "unanswered", "answered"), (1, 1)),
        (("written", "refused"), (0, 0)),
        ((), (0, 0)),
    ],
)
def test_a_parts_writes_and_answers_are_counted_from_its_steps(
    words: tuple[str, ...], counts: tuple[int, int]
) -> None:
    assert counted([*steps(*words), *steps("written", part=2)], 1) == counts


@pytest.mark.parametrize(
    ("words", "reached", "doubtful", "wrong"),
    [
        (("written", "answered"), 1, 0, 0),
        (("written", "unanswered", "written", "answered"), 1, 0, 0),
        (("written", "unanswered", "written", "answered"), 2, 1, 0),
        (("written", "unanswered"), 0, 0, 0),
        (("written", "unanswered"), 1, 1, 0),
        (("written", "answered"), 0, 0, 1),
        (("written", "answered"), 2, 0, 1),
        (("written", "throttled"), 1, 0, 1),
        (("written", "unanswered"), 2, 0, 1),
        ((), 1, 0, 1),
    ],
)
def test_only_writes_without_an_answer_excuse_a_difference(
    words: tuple[str, ...], reached: int, doubtful: int, wrong: int
) -> None:
    message = cast(Message, SimpleNamespace(id="j-1/0", account="a", steps=steps(*words)))
    found = Agreement()
    found.note(difference(message, 1, reached))
    assert (len(found.doubtful), len(found.wrong)) == (doubtful, wrong)
    assert [one.part for one in found.doubtful + found.wrong] == ["j-1/0#1"] * (doubtful + wrong)
