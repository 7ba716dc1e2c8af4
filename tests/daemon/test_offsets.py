"""Offsets move past what is safe, and past nothing else."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.model import INDEX_BITS
from daemon.offsets import AT_ONCE, Offsets

PLACES = [("urgent", 0), ("jobs", 0), ("jobs", 1)]
Steps = list[tuple[str, int, int]]


class Naive:
    """The same promise, with everything looked at every time."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], dict[int, int | None]] = {}
        self.open: dict[int, set[int]] = {}

    def position(self, place: tuple[str, int]) -> int | None:
        records = self.records.get(place)
        if not records:
            return None
        held = [offset for offset, job in records.items() if job is not None and self.open.get(job)]
        return min(held) if held else max(records) + 1


def mids(job: int, count: int) -> list[int]:
    return [job << INDEX_BITS | index for index in range(count)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "again", "run", "taken", "release", "forget", "look"]),
        st.integers(0, 2),
        st.integers(0, 7),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(STEPS)
def test_it_agrees_with_a_model_that_looks_at_everything(steps: Steps) -> None:
    offsets, naive = Offsets(), Naive()
    following = dict.fromkeys(PLACES, 0)
    sizes: dict[int, int] = {}
    for step, where, number in steps:
        place = PLACES[where]
        records = naive.records.setdefault(place, {})
        if step in ("hold", "again"):
            # A new job, or another record of one that was taken before.
            job = len(sizes) + 1
            if step == "again":
                if not sizes:
                    continue
                job = number % len(sizes) + 1
            sizes.setdefault(job, number % 3 + 1)
            assert offsets.holds(job) == bool(naive.open.get(job))
            if not naive.open.get(job):
                naive.open[job] = set(mids(job, sizes[job]))
            offsets.hold(*place, following[place], job, mids(job, sizes[job]))
            records[following[place]] = job
            following[place] += 1
        elif step == "run":
            first = len(sizes) + 1
            offsets.hold_run(*place, following[place], first, number + 1)
            for job in range(first, first + number + 1):
                sizes[job] = 1
                naive.open[job] = set(mids(job, 1))
                records[following[place]] = job
                following[place] += 1
        elif step == "taken":
            offsets.taken(*place, following[place])
            records[following[place]] = None
            following[place] += 1
        elif step == "release":
            for mid in sorted({mid for left in naive.open.values() for mid in left})[number:][:1]:
                offsets.release([mid])
                offsets.release([mid])
                job = mid >> INDEX_BITS
                naive.open[job].discard(mid)
                if not naive.open[job]:
                    # Done with: another record of the job does not open these again.
                    for others in naive.records.values():
                        others.update({at: None for at, held in others.items() if held == job})
        elif step == "forget":
            offsets.forget(*place)
            records.clear()
            held = {job for others in naive.records.values() for job in others.values()}
            for job in naive.open.keys() - held:
                naive.open[job].clear()
        else:
            for moved_place, position in offsets.moved().items():
                assert position == naive.position(moved_place)
    for left in naive.open.values():
        for mid in left:
            offsets.release([mid])
        left.clear()
    assert offsets.held == 0


@settings(max_examples=20)
@given(st.integers(0), st.integers(1, 4))
def test_many_are_let_go_whatever_their_order(seed: int, partitions: int) -> None:
    offsets, count = Offsets(), AT_ONCE + 700
    for job in range(count):
        offsets.hold("jobs", job % partitions, job, job, mids(job, 1))
    offsets.moved()
    order = list(range(count))
    random.Random(seed).shuffle(order)
    for start in range(0, count, 600):
        offsets.release([mid for job in order[start : start + 600] for mid in mids(job, 1)])
    offsets.release([mids(job, 1)[0] for job in order[:100]])
    assert offsets.held == 0
    last = {("jobs", job % partitions): job + 1 for job in range(count)}
    assert offsets.moved() == last


def test_the_oldest_open_record_holds_those_behind_it() -> None:
    offsets = Offsets()
    for offset, job in enumerate((1, 2, 3)):
        offsets.hold("jobs", 0, offset, job, mids(job, 1))
    offsets.release([mids(2, 1)[0]])
    offsets.release([mids(3, 1)[0]])
    assert offsets.moved() == {("jobs", 0): 0}
    offsets.release([mids(1, 1)[0]])
    assert offsets.moved() == {("jobs", 0): 3}
    assert offsets.moved() == {}


def test_a_job_holds_its_record_until_its_last_message_is_safe() -> None:
    offsets = Offsets()
    offsets.hold("jobs", 0, 0, 1, mids(1, 2))
    offsets.moved()
    offsets.release([mids(1, 2)[0]])
    offsets.release([mids(1, 2)[0]])
    assert offsets.moved() == {}
    offsets.release([mids(1, 2)[1]])
    assert offsets.moved() == {("jobs", 0): 1}


def test_a_repeat_on_another_partition_waits_for_the_same_job() -> None:
    offsets = Offsets()
    offsets.hold("jobs", 0, 7, 1, mids(1, 1))
    offsets.hold("jobs", 1, 3, 1, mids(1, 1))
    assert offsets.moved() == {}
    offsets.release([mids(1, 1)[0]])
    assert offsets.moved() == {("jobs", 0): 8, ("jobs", 1): 4}


def test_a_partition_that_went_away_is_committed_no_more() -> None:
    offsets = Offsets()
    offsets.hold("jobs", 0, 0, 1, mids(1, 1))
    offsets.forget("jobs", 0)
    offsets.release([mids(1, 1)[0]])
    assert offsets.moved() == {}


def test_what_is_told_to_others_is_safe_only_once_that_is_published() -> None:
    offsets = Offsets()
    for offset, job in enumerate((1, 2)):
        offsets.hold("jobs", 0, offset, job, mids(job, 1))
    offsets.moved()
    offsets.release_with(7, mids(1, 1))
    offsets.release_with(8, mids(2, 1))
    assert offsets.moved() == {}
    offsets.published(6)
    assert offsets.moved() == {}
    offsets.published(7)
    assert offsets.moved() == {("jobs", 0): 1}
    offsets.published(8)
    assert offsets.moved() == {("jobs", 0): 2}


def test_what_was_published_before_it_is_known_to_be_durable_is_safe_at_once() -> None:
    offsets = Offsets()
    offsets.hold("jobs", 0, 0, 1, mids(1, 1))
    offsets.published(7)
    offsets.release_with(7, mids(1, 1))
    assert offsets.moved() == {("jobs", 0): 1}
