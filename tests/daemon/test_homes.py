"""Whose messages are ours: of the partitions we hold, once we know all that was told of them."""

from __future__ import annotations

import pytest

from daemon.homes import Homes
from daemon.jobs import Job as Fields
from daemon.model import Job

ZERO, ONE, TWO = (("sms.jobs", partition) for partition in range(3))


def job(topic: str = "sms.jobs", partition: int = 0) -> Job:
    fields = Fields("j", ("13912345678",), "x")
    return Job(1, fields, 0.0, 0.0, (topic, partition, 0), 1)


def test_without_a_group_everything_is_ours() -> None:
    homes = Homes(["sms.jobs"], every=True, sure=lambda: False)
    assert homes.mine(job("anything", 7))
    assert not homes.paused


def test_a_partition_is_ours_once_it_was_adopted_and_not_before() -> None:
    homes = Homes(["sms.jobs"], every=False)
    assert not homes.mine(job())
    assert homes.assigned(frozenset({ZERO, ONE})) == (frozenset(), frozenset({ZERO, ONE}))
    assert not homes.mine(job())
    homes.adopted(frozenset({ZERO}))
    assert homes.mine(job())
    assert not homes.mine(job(partition=1))


def test_what_was_given_away_is_not_ours_and_what_stayed_is() -> None:
    homes = Homes(["sms.jobs"], every=False)
    homes.assigned(frozenset({ZERO, ONE}))
    homes.adopted(frozenset({ZERO, ONE}))
    homes.revoked()
    assert homes.assigned(frozenset({ONE, TWO})) == (frozenset({ZERO}), frozenset({TWO}))
    assert [homes.mine(job(partition=n)) for n in range(3)] == [False, True, False]


def test_whose_a_job_is_changes_with_its_partition_however_often_it_was_asked_for() -> None:
    sure = True
    homes = Homes(["sms.jobs"], every=False, sure=lambda: sure)
    asked = [job(partition=n) for n in (0, 0, 1)]
    seen = []
    for places in (frozenset[tuple[str, int]](), frozenset({ZERO}), frozenset({ZERO, ONE})):
        homes.adopted(places)
        seen.append([homes.mine(each) for each in asked])
    homes.assigned(frozenset({ONE}))
    seen.append([homes.mine(each) for each in asked])
    sure = False
    homes.revoked()
    seen.append([homes.mine(each) for each in asked])
    assert seen == [
        [False, False, False],
        [True, True, False],
        [True, True, True],
        [False, False, True],
        [False, False, False],
    ]


def test_nothing_is_written_between_a_revocation_and_the_assignment_that_follows() -> None:
    homes = Homes(["sms.jobs"], every=False)
    assert homes.paused, "nothing was ever assigned"
    homes.assigned(frozenset({ZERO}))
    assert not homes.paused
    before = homes.generation
    homes.revoked()
    assert homes.paused
    assert homes.generation > before
    homes.assigned(frozenset({ZERO}))
    assert not homes.paused


def test_nothing_is_written_while_the_group_may_have_given_our_partitions_away() -> None:
    sure = True
    homes = Homes(["sms.jobs"], every=False, sure=lambda: sure)
    homes.assigned(frozenset({ZERO}))
    assert not homes.paused
    sure = False
    assert homes.paused


@pytest.mark.parametrize(("held", "ours"), [(("urgent", 0), True), (("urgent", 1), False)])
def test_a_topic_that_is_not_read_any_more_is_looked_after_by_one_daemon(
    held: tuple[str, int], ours: bool
) -> None:
    homes = Homes(["urgent", "sms.jobs"], every=False)
    homes.adopted(frozenset({held}))
    assert homes.mine(job("long.gone", 5)) == ours
    assert not homes.mine(job("sms.jobs", 5))
