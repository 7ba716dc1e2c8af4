"""A life is the same octets however it was spelled."""

from __future__ import annotations

import random
from typing import Any

import pytest

from daemon.jobs import Job as JobFields
from daemon.lives import LONGEST_ID, Lives
from daemon.model import Job, Message, Part, PartState, State, pack_life
from daemon.steps import Step

TIMES = (None, 1_780_000_000.0, 1_780_000_000.25)
IDS = (b"", b"\0" * 8, b"4f2A", b"1" * LONGEST_ID, b"2" * (LONGEST_ID + 1))
STEPS = tuple(Step(at, word, 1, 1, "n-1") for at in (1.0, 2.0) for word in ("written", "answered"))
FIELDS: dict[str, Any] = {
    "carrier": (None, "mobile", "unicom"),
    "node": (None, "n-1", "n-2"),
    "reference": (0, 200, 70_000),
    "attempts": (0, 1, 2),
    "released": (0, 5, 1 << 40),
    "claim": (0, 6, 1 << 40),
    "submitted": TIMES,
    "answered": TIMES,
    "reported": TIMES,
    "code": (None, "0", "DELIVRD"),
    "cause": (None, "delivered", "flow"),
    "stage": (None, "submit", "report"),
    "doubted": (0, 1),
    "steps": ((), STEPS[:1], STEPS[1:], STEPS * 5),
    "parked": (False, True),
    "lists": ((), ((0, b"1234"),), ((3, b"1234"), (7, b"5678"))),
}
PART: dict[str, Any] = {
    "state": tuple(PartState),
    "attempt": (0, 1, 2),
    "carrier_ids": ((), *[(each,) for each in IDS], IDS[1:3]),
    "written_id": (None, *IDS),
    "code": (None, "0", "DELIVRD"),
    "doubts": (0, 1),
    "tries": (0, 3),
    "failed_ids": ((), (b"1",), (b"", b"1234")),
}


def message(bill_units: int = 1, parts: int = 1) -> Message:
    job = Job(7, JobFields("j-7", ("13912345678",), "hello"), 1.0, 2.0, ("t", 0, 0), bill_units)
    m = Message(job, 0, "13912345678", "mobile", 1)
    m.parts = tuple([Part(number) for number in range(1, parts + 1)])
    return m


@pytest.mark.parametrize(("of", "name"), [("m", n) for n in FIELDS] + [("part", n) for n in PART])
def test_a_life_that_differs_in_one_field_is_spelled_anew(of: str, name: str) -> None:
    lives, m = Lives(), message()
    values = (FIELDS if of == "m" else PART)[name]
    for value in (*values, *reversed(values)):
        setattr(m if of == "m" else m.parts[0], name, value)
        assert lives.pack(m) == pack_life(m)


def test_jobs_of_other_sizes_have_lives_of_their_own() -> None:
    lives = Lives()
    for units in (1, 2, 1):
        m = message(units)
        assert lives.pack(m) == pack_life(m)


def test_lives_of_all_kinds_follow_one_another() -> None:
    lives, chance = Lives(), random.Random(4)
    for _ in range(2_000):
        m = message(chance.choice((1, 1, 1, 2)), chance.choice((0, 1, 1, 1, 1, 2)))
        m.state = chance.choice((State.WAITING, State.ACCEPTED))
        for name in chance.sample(list(FIELDS), 2):
            setattr(m, name, chance.choice(FIELDS[name]))
        for part in m.parts:
            for name in chance.sample(list(PART), 2):
                setattr(part, name, chance.choice(PART[name]))
        for _ in range(chance.randint(1, 3)):
            assert lives.pack(m) == pack_life(m)


def test_what_messages_have_in_common_is_spelled_once() -> None:
    lives = Lives()
    fronts = []
    for number in range(2):
        m = message()
        m.parts[0].carrier_ids = (b"%d" % number,)
        lives.pack(m)
        fronts.append(lives._front)
    assert fronts[0] is fronts[1]
