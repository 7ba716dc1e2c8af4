"""Behaviour as data, and its chances."""

from __future__ import annotations

import msgspec
import pytest

from daemon.sim.behaviour import Behaviour, Chances, Outcome


def test_the_same_seed_draws_the_same_outcomes() -> None:
    behaviour = Behaviour(loss=0.1, throttle=0.3, refuse=0.2)
    first, second = Chances(behaviour, 7), Chances(behaviour, 7)
    drawn = [first.outcome() for _ in range(500)]
    assert drawn == [second.outcome() for _ in range(500)]
    assert drawn != [Chances(behaviour, 8).outcome() for _ in range(500)]


def test_shares_come_out_as_shares() -> None:
    chances = Chances(Behaviour(loss=0.1, drop_answers=0.2, throttle=0.3, refuse=0.15), 1)
    drawn = [chances.outcome() for _ in range(20_000)]
    for outcome, share in (
        (Outcome.SWALLOW, 0.1),
        (Outcome.DROP, 0.2),
        (Outcome.THROTTLE, 0.3),
        (Outcome.REFUSE, 0.15),
        (Outcome.ACCEPT, 0.25),
    ):
        assert drawn.count(outcome) / len(drawn) == pytest.approx(share, abs=0.015)


def test_shares_of_one_and_of_nothing_are_certain() -> None:
    assert {Chances(Behaviour(throttle=1.0), n).outcome() for n in range(99)} == {Outcome.THROTTLE}
    assert {Chances(Behaviour(), n).outcome() for n in range(99)} == {Outcome.ACCEPT}


def test_jitter_stays_between_nothing_and_its_size() -> None:
    chances = Chances(Behaviour(jitter=0.02), 3)
    drawn = [chances.jitter() for _ in range(1000)]
    assert 0 <= min(drawn) < 0.001 < 0.019 < max(drawn) <= 0.02


def test_shares_that_exclude_each_other_do_not_exceed_one() -> None:
    with pytest.raises(ValueError, match=r"add up to 1\.2, at most 1 is allowed"):
        Behaviour(loss=0.6, throttle=0.6)
    with pytest.raises(msgspec.ValidationError, match="add up to"):
        Behaviour(loss=0.6).changed({"throttle": 0.6})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": 1.5}, r"<= 1.0 - at `\$\.loss`"),
        ({"delay": -1}, r">= 0.0 - at `\$\.delay`"),
        ({"delay": "soon"}, r"Expected `float`, got `str` - at `\$\.delay`"),
        ({"nonsense": 1}, "unknown field `nonsense`"),
    ],
)
def test_a_wrong_change_is_refused_by_name(changes: dict[str, object], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        Behaviour().changed(changes)


def test_a_change_leaves_the_rest_as_it_was() -> None:
    was = Behaviour(delay=0.5, throttle=0.1, undelivered_codes=("MK:0001",))
    assert was.changed({"throttle": 0.2}) == Behaviour(
        delay=0.5, throttle=0.2, undelivered_codes=("MK:0001",)
    )
