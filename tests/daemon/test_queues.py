"""Lanes: urgent first, normal before bulk, bulk its tenth, each in its order."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import queues
from daemon.jobs import Job as Fields
from daemon.jobs import Lane
from daemon.model import Job, Message
from daemon.queues import Lanes, RouteQueue, Turns

LANE = st.sampled_from(list(Lane))


def message(number: int, lane: Lane) -> Message:
    job = Job(number, Fields(f"j{number}", ("1",), "x"), 0.0, 0.0, ("t", 0, number), 1)
    return Message(job, 0, "13912345678", "mobile", lane)


def offered(queue: RouteQueue, one: Message) -> bool:
    """Whether the queue took it into memory."""
    return queue.offer_all(one.lane, [one]) == 1


def filled(lanes: Iterable[Lane]) -> Lanes:
    found = Lanes()
    for number, lane in enumerate(lanes):
        found.append(message(number, lane))
    return found


def turn(turns: Turns, *sources: Lanes, most: int = 1, parts: int = 1) -> list[Message]:
    """The next messages, each with so many parts; none when nothing waits."""
    whose = turns.whose(sources)
    if whose is None:
        return []
    source, lane, may = whose
    taken = source.take(lane, min(most, may))
    turns.count(lane, len(taken) * parts)
    return taken


def drawn(*sources: Lanes, most: int = 1) -> list[Message]:
    turns, found = Turns(), []
    while taken := turn(turns, *sources, most=most):
        found += taken
    return found


@given(st.lists(LANE, max_size=80))
def test_everything_comes_once_and_each_lane_in_its_order(lanes: list[Lane]) -> None:
    found = drawn(filled(lanes))
    assert sorted(m.mid for m in found) == [n << 10 for n in range(len(lanes))]
    for lane in Lane:
        of_lane = [m.mid for m in found if m.lane == lane]
        assert of_lane == sorted(of_lane)


@given(st.lists(LANE, max_size=80), st.integers(1, 20))
def test_many_at_once_come_as_they_would_one_by_one(lanes: list[Lane], most: int) -> None:
    one_by_one, at_once = drawn(filled(lanes)), drawn(filled(lanes), most=most)
    assert [m.mid for m in at_once] == [m.mid for m in one_by_one]


@given(st.lists(LANE, max_size=80))
def test_urgent_goes_before_everything(lanes: list[Lane]) -> None:
    found = [m.lane for m in drawn(filled(lanes))]
    urgent = found.count(Lane.URGENT)
    assert set(found[:urgent]) <= {Lane.URGENT}


def test_bulk_gets_one_of_ten_while_normal_waits() -> None:
    lanes = filled([Lane.NORMAL] * 180 + [Lane.BULK] * 100)
    found = [m.lane for m in drawn(lanes)]
    first = found[:200]
    assert first.count(Lane.BULK) == 20
    for start in range(0, 200, 10):
        assert found[start : start + 10].count(Lane.BULK) == 1


def test_a_tenth_of_what_urgent_leaves_is_bulk_though_urgent_comes_in_between() -> None:
    lanes, turns, found = filled([Lane.NORMAL] * 100 + [Lane.BULK] * 100), Turns(), []
    for number in range(100):
        lanes.append(message(1000 + number, Lane.URGENT))
        for _ in range(2):
            found += [one.lane for one in turn(turns, lanes)]
    assert found.count(Lane.URGENT) == 100
    assert found.count(Lane.BULK) == 10


@pytest.mark.parametrize("lane", [Lane.NORMAL, Lane.BULK])
def test_what_gave_way_again_and_again_while_it_was_alone_counts_for_nothing(lane: Lane) -> None:
    lanes, turns = filled([lane]), Turns()
    for _ in range(50):
        [one] = turn(turns, lanes, parts=9)
        lanes.put_back(one)
        turns.back(lane, 9, [lanes])
    both = filled([Lane.NORMAL] * 100 + [Lane.BULK] * 100)
    found = []
    for _ in range(20):
        found += [one.lane for one in turn(turns, both)]
    assert found.count(Lane.BULK) == 2


def test_what_gave_way_has_its_turns_again() -> None:
    lanes, turns = filled([Lane.NORMAL] * 100 + [Lane.BULK] * 100), Turns()
    for _ in range(5):
        taken = [one for _ in range(10) for one in turn(turns, lanes)]
        for one in reversed(taken):
            lanes.put_back(one)
        for lane in Lane:
            turns.back(lane, sum(one.lane == lane for one in taken), [lanes])
        assert [one.lane for one in taken].count(Lane.BULK) == 1


@pytest.mark.parametrize(("normal", "bulk"), [(99, 1), (1, 99), (20, 20), (7, 3), (1, 1)])
def test_bulk_gets_a_tenth_whatever_the_lists_of_both_lanes_have(normal: int, bulk: int) -> None:
    lanes, turns = filled([Lane.NORMAL] * 1000 + [Lane.BULK] * 1000), Turns()
    sizes = {Lane.NORMAL: normal, Lane.BULK: bulk}
    counts = {Lane.NORMAL: 0, Lane.BULK: 0}
    while sum(counts.values()) < 20_000:
        found = turns.whose([lanes])
        assert found is not None
        lane = Lane(found[1])
        lanes.take(lane, 1)
        lanes.append(message(0, lane))  # it never runs out
        turns.count(lane, sizes[lane])
        counts[lane] += sizes[lane]
    assert counts[Lane.BULK] / sum(counts.values()) == pytest.approx(0.1, abs=0.01)


def test_what_was_alone_owes_nothing_when_the_other_comes() -> None:
    lanes, turns = filled([Lane.BULK] * 3), Turns()
    for _ in range(3):
        assert turn(turns, lanes, parts=99)
    both = filled([Lane.NORMAL] * 20 + [Lane.BULK] * 20)
    found = [one.lane for _ in range(20) for one in turn(turns, both)]
    assert found.count(Lane.BULK) == 2


def test_what_is_put_back_is_next_of_its_lane() -> None:
    lanes = filled([Lane.NORMAL, Lane.NORMAL])
    first = lanes.pop(Lane.NORMAL)
    lanes.put_back(first)
    assert [m.mid for m in drawn(lanes)] == [0, 1 << 10]


def test_earlier_sources_go_first_within_a_lane_only() -> None:
    own, route = filled([Lane.NORMAL]), filled([Lane.URGENT, Lane.NORMAL])
    assert [(m.lane, m.mid >> 10) for m in drawn(own, route)] == [(0, 0), (1, 0), (1, 1)]


def test_a_full_lane_leaves_the_rest_to_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST_IN_MEMORY", 3)
    queue = RouteQueue("mobile", ("a",))
    taken = [offered(queue, message(n, Lane.NORMAL)) for n in range(5)]
    assert taken == [True, True, True, False, False]
    assert offered(queue, message(9, Lane.URGENT)), "lanes do not share their room"
    assert len(queue) == 6
    assert queue.spilled == [0, 2, 0]
    queue.lanes.pop(Lane.NORMAL)
    assert not offered(queue, message(6, Lane.NORMAL)), "those in the ledger come first"
    assert queue.wants_refill(Lane.NORMAL) == 0 or queue.lanes.waiting[Lane.NORMAL] < 3


@pytest.mark.parametrize("sizes", [(2, 1), (3, 2), (5,), (1, 1, 4)])
def test_many_are_offered_as_they_are_one_by_one(
    sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MOST_IN_MEMORY", 3)
    at_once, singly = RouteQueue("mobile", ("a",)), RouteQueue("mobile", ("a",))
    number = 0
    for size in sizes:
        numbers = range(number, number + size)
        number += size
        count = at_once.offer_all(Lane.NORMAL, [message(n, Lane.NORMAL) for n in numbers])
        taken = [offered(singly, message(n, Lane.NORMAL)) for n in numbers]
        assert [n < numbers.start + count for n in numbers] == taken
    for queue in (at_once, singly):
        assert all(m.queued is queue.lanes for m in queue.lanes)
    assert [m.mid for m in at_once.lanes] == [m.mid for m in singly.lanes]
    assert (at_once.spilled, at_once.newest) == (singly.spilled, singly.newest)


def test_a_message_older_than_what_was_read_back_is_read_back_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a job that another daemon told of in part, long before we took it."""
    monkeypatch.setattr(queues, "MOST_IN_MEMORY", 2)
    queue = RouteQueue("mobile", ("a",))
    taken = [offered(queue, message(number, Lane.NORMAL)) for number in (5, 6, 7)]
    assert taken == [True, True, False]
    assert queue.newest[Lane.NORMAL] == 6 << 10
    assert not offered(queue, message(3, Lane.NORMAL))
    assert queue.newest[Lane.NORMAL] < 3 << 10


def test_a_lane_is_read_back_when_half_of_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST_IN_MEMORY", 4)
    queue = RouteQueue("mobile", ("a",))
    for number in range(6):
        offered(queue, message(number, Lane.NORMAL))
    assert queue.wants_refill(Lane.NORMAL) == 0
    queue.lanes.pop(Lane.NORMAL)
    queue.lanes.pop(Lane.NORMAL)
    assert queue.wants_refill(Lane.NORMAL) == 2
    queue.refilling[Lane.NORMAL] = True
    assert queue.wants_refill(Lane.NORMAL) == 0
