"""Wake times: each one told when it has come, only the next seconds in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.alarms import AHEAD, Alarms

TIMES = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 20)), max_size=40)


@given(TIMES)
def test_what_is_due_is_told_and_nothing_before_its_time(times: list[tuple[float, int]]) -> None:
    alarms = Alarms(0.0)
    alarms.extend(100.0, [])
    for at, mid in times:
        alarms.push(at, mid)
    told: list[tuple[float, int]] = []
    for now in range(0, 101, 5):
        told += [(now, mid) for mid in alarms.due(float(now))]
    for at, mid in times:
        assert any(moment >= at and found == mid for moment, found in told)
    for moment, mid in told:
        assert any(at <= moment and found == mid for at, found in times)
    assert alarms.next_at() is None


def test_what_is_beyond_the_horizon_is_left_to_the_ledger() -> None:
    alarms = Alarms(10.0)
    alarms.push(10.0 + AHEAD, 1)
    alarms.push(None, 2)
    assert alarms.next_at() is None
    alarms.extend(20.0, [(15.0, 1)])
    alarms.push(18.0, 3)
    assert alarms.due(18.0) == [1, 3]


def test_a_message_due_twice_is_told_once_a_look() -> None:
    alarms = Alarms(10.0)
    alarms.push(5.0, 1)
    alarms.push(6.0, 1)
    assert alarms.due(7.0) == [1]


def test_the_horizon_never_goes_back() -> None:
    alarms = Alarms(10.0)
    alarms.extend(5.0, [])
    assert alarms.horizon == 10.0
