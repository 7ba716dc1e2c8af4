"""What is told of a message is read as what it was, field by field."""

from __future__ import annotations

import pytest

from daemon import jobs
from daemon.changelog import Outcome, Parked, Taken, unpack
from daemon.jobs import Job as Fields
from daemon.model import Job, Message, State, pack_life
from daemon.teller import Teller

BY = 2**63 + 5
"""Ledgers have large numbers."""
TELLER = Teller(BY, "sms.state", "sms.parked")


def message() -> Message:
    fields = Fields("j-1", ("139 1234 5678", "13712345678"), "hi", signature="us", tenant="t")
    source = ("sms.jobs", 4, 7)
    job = Job(3, fields, 1_795_305_600.0, 1_795_305_600.25, source, 2, b"0123456789abcdef")
    m = Message(job, 1, "13712345678", "mobile", 1)
    m.route, m.account, m.wake = "r", "a", 1_795_305_700.5
    m.state, m.final = State.UNCERTAIN, False
    return m


@pytest.mark.parametrize(("kind", "text"), [(Outcome, ""), (Parked, "hi")])
def test_every_field_is_read_as_it_was(kind: type[Taken], text: str) -> None:
    m = message()
    life = pack_life(m)
    tell = TELLER.outcome if kind is Outcome else TELLER.parked
    topic, key, value = tell(m, life)
    assert (topic, key) == ("sms.state" if kind is Outcome else "sms.parked", b"j-1/1")
    body = Fields("j-1", ("", ""), text, signature="us", tenant="t")
    assert unpack(value) == kind(
        by=BY,
        id="j-1",
        digest=b"0123456789abcdef",
        topic="sms.jobs",
        partition=4,
        offset=7,
        produced=1_795_305_600.0,
        received=1_795_305_600.25,
        body=jobs.pack(body),
        index=1,
        to="13712345678",
        route="r",
        lane=1,
        account="a",
        state=State.UNCERTAIN,
        final=False,
        wake=1_795_305_700.5,
        life=life,
    )


def test_a_daemon_knows_its_own_words_from_those_of_others() -> None:
    m = message()
    _, _, value = TELLER.outcome(m, pack_life(m))
    assert TELLER.told(value)
    assert not Teller(BY - 1, "sms.state", "sms.parked").told(value)
