"""What is spelled once for many members of a list is what each would have had alone."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.changes import Changes
from daemon.clock import Stamps
from daemon.course import Course
from daemon.jobs import Job as Fields
from daemon.model import (
    ANSWERED,
    DELIVERED,
    FAILED,
    REJECTED,
    Job,
    Message,
    Part,
    pack_life,
)
from daemon.records import Records
from daemon.steps import Step

SHANGHAI = Stamps(ZoneInfo("Asia/Shanghai"))
PROTOCOLS = {"c": "cmpp", "g": "sgip", "p": "smpp"}
TO = tuple([f"139123{number:05}" for number in range(400)])
LIST = b"\1" * 12
STEPS = (Step(5.0, "written", 1, 1, "n1"), Step(6.0, "answered", 1, 1, "n1", "0"))
AT = 1_795_305_601.5
OF_A_LIST: dict[str, Any] = {
    "state": DELIVERED,
    "account": "g",
    "node": "n1",
    "submitted": AT,
    "answered": AT,
    "attempts": 1,
    "code": "DELIVRD",
    "cause": "delivered",
    "stage": "report",
    "steps": STEPS,
}
OTHERWISE: list[dict[str, Any]] = [
    {"state": REJECTED},
    {"final": True},
    {"carrier": "unicom"},
    {"account": "p"},
    {"node": "n2"},
    {"submitted": AT + 1},
    {"answered": None},
    {"reported": AT},
    {"code": "0"},
    {"cause": None},
    {"stage": "submit"},
    {"steps": STEPS[:1]},
    {"reference": 7},
    {"attempts": 2},
    {"released": 9},
    {"claim": 9},
    {"doubted": 1},
    {"parked": True},
    {"lists": ()},
    {"lists": ((3, b"\2" * 12),)},
    {"lists": ((3, b"\2" * 12), (200, LIST))},
]
PART_OTHERWISE: list[dict[str, Any]] = [
    {"state": FAILED},
    {"attempt": 2},
    {"carrier_ids": ()},
    {"carrier_ids": (b"\3" * 12,)},
    {"written_id": LIST},
    {"written_id": b"\4" * 12},
    {"code": "DELIVRD"},
    {"doubts": 1},
    {"tries": 1},
    {"failed_ids": (LIST,)},
]
IDS = (LIST,)


def job(name: str = "j-1") -> Job:
    fields = Fields(name, TO, "hi", tenant='a "tenant"', meta=b'{"a":1}')
    return Job(3, fields, 1_795_305_600.0, 1_795_305_600.25, ("sms.jobs", 0, 7), 2)


def member(of: Job, place: int, *, parts: int = 1) -> Message:
    m = Message(of, place, TO[place], "mobile", 1)
    for field, value in OF_A_LIST.items():
        setattr(m, field, value)
    m.lists = ((place, LIST),)
    m.parts = tuple([Part(1 + number) for number in range(parts)])
    for part in m.parts:
        part.state, part.attempt, part.carrier_ids = ANSWERED, 1, IDS
    return m


def spelled_as_alone(messages: list[Message], records: Records | None = None) -> None:
    """What one turn keeps and tells of these, in this order."""
    at_once = records or Records(SHANGHAI, PROTOCOLS, "t")
    c = Changes()
    for m in messages:
        c.touched[m] = at_once
        c.tells[m] = lambda m, life: ("s", b"", life)
    entries = c.finish()
    lives = [pack_life(m) for m in messages]
    alone = [Records(SHANGHAI, at_once.protocols).report(m) for m in messages]
    assert [row[8] for row in entries.messages] == lives
    assert entries.events == [("t", *said) for said in alone] + [("s", b"", life) for life in lives]


def test_members_that_went_the_same_way_differ_in_place_and_recipient() -> None:
    of = job()
    members = [member(of, place) for place in range(300)]
    assert all(Course(members[0]).shared(m) for m in members)
    spelled_as_alone(members)


@pytest.mark.parametrize("change", OTHERWISE, ids=str)
def test_one_to_which_something_else_happened_is_spelled_by_itself(change: dict[str, Any]) -> None:
    of = job()
    members = [member(of, place) for place in range(6)]
    for field, value in change.items():
        setattr(members[3], field, value)
    assert not Course(members[0]).shared(members[3])
    spelled_as_alone(members)


@pytest.mark.parametrize("change", PART_OTHERWISE, ids=str)
def test_one_whose_part_is_otherwise_is_spelled_by_itself(change: dict[str, Any]) -> None:
    of = job()
    members = [member(of, place) for place in range(6)]
    for field, value in change.items():
        setattr(members[3].parts[0], field, value)
    assert not Course(members[0]).shared(members[3])
    spelled_as_alone(members)


def test_what_a_record_or_a_life_says_is_all_compared() -> None:
    told = {field for change in (*OTHERWISE, *PART_OTHERWISE) for field in change}
    kept = {*Message.__slots__, *Part.__slots__}
    # Where it is now, and what is a column of its row, is no part of either.
    apart = {"job", "lane", "later", "let_go", "link", "listed", "mid", "out", "parts", "queued"}
    apart |= {"route", "short_since", "throttles", "to", "wake", "flying", "number", "wire"}
    assert kept - apart == told


def test_lists_of_two_jobs_may_be_told_of_in_turns() -> None:
    jobs = [job(), job("j-2")]
    singles = [Message(of, 300 + at, TO[300 + at], None, 1) for at in range(2) for of in jobs]
    lists = [[member(of, place) for place in range(8)] for of in jobs]
    records = Records(SHANGHAI, PROTOCOLS, "t")
    spelled_as_alone(
        [*lists[0][:3], singles[0], *lists[0][3:6], *lists[1][:4], singles[1]], records
    )
    spelled_as_alone([singles[2], *lists[0][6:], *lists[1][4:], singles[3]], records)


def test_one_that_is_only_kept_stands_between_those_that_are_told_of() -> None:
    of = job()
    records, c = Records(SHANGHAI, PROTOCOLS, "t"), Changes()
    members = [member(of, place) for place in range(8)]
    for m in members[2:]:
        m.node = "n2"
    for m in members:
        c.touched[m] = records
    c.touched[members[2]] = None
    told = [m for m in members if m is not members[2]]
    alone = [("t", *Records(SHANGHAI, PROTOCOLS).report(m)) for m in told]
    assert c.finish().events == alone


def test_one_of_several_parts_is_spelled_by_itself() -> None:
    of = job()
    spelled_as_alone([member(of, 0), member(of, 1), member(of, 2, parts=2), member(of, 3)])


def test_what_an_account_speaks_now_spells_the_rest_of_a_list() -> None:
    records, of = Records(SHANGHAI, {"g": "sgip"}), job()
    course = Course(member(of, 0))
    for place in range(3):
        records.report(member(of, place), course)
    records.speaks("g", "cmpp")
    now = Records(SHANGHAI, {"g": "cmpp"})
    assert records.report(member(of, 3), course) == now.report(member(of, 3))
