"""What is due when, told the time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from daemon.sim.agenda import Agenda


class Item:
    def __init__(self, at: float) -> None:
        self.at = at

    def due(self, now: float) -> None:
        """Only held here."""


@given(st.lists(st.floats(0, 100), max_size=50), st.lists(st.floats(0, 101), max_size=20))
def test_items_come_in_order_never_early_and_less_than_a_tick_late(
    times: list[float], looks: list[float]
) -> None:
    agenda = Agenda()
    for at in times:
        agenda.add(at, Item(at))
    taken: list[Item] = []
    for now in [*sorted(looks), 102.0]:
        came = [item for item in agenda.take(now) if isinstance(item, Item)]
        assert all(item.at <= now + 1e-5 for item in came)
        taken += came
        left = agenda.next()
        assert left is None or left > now
    assert sorted(item.at for item in taken) == sorted(times)
    assert all(b.at > a.at - 0.0011 for a, b in pairwise(taken))
    assert agenda.count == 0


def test_items_of_one_moment_keep_their_order() -> None:
    agenda = Agenda()
    items = [Item(1.0) for _ in range(5)]
    for item in items:
        agenda.add(1.0, item)
    assert agenda.next() == 1.0
    assert agenda.take(0.9989) == []
    assert agenda.take(1.0) == items
    assert agenda.next() is None


def test_an_item_can_be_squeezed_in_front_of_others_of_its_moment() -> None:
    agenda = Agenda()
    first, second, third = Item(1.0), Item(1.0), Item(1.0)
    agenda.add(1.0, first)
    agenda.add(1.0, second)
    assert agenda.row(1.0) == [first, second]
    agenda.squeeze(1.0, third, 1)
    assert agenda.take(1.0) == [first, third, second]
