"""Which of the reports that wait for their answer are to be looked at."""

from __future__ import annotations

import pytest

from daemon.correlate import GUESS_AFTER, KEEP_EARLY, Correlate
from daemon.early import Early
from daemon.jobs import Job as JobFields
from daemon.lists import Member
from daemon.model import Job, Message, Part, PartState, Write
from daemon.steps import Step, unanswered_since
from daemon.verdict import MOST_STEPS

ACCOUNT, TO = "xz-mobile", "13912345678"
NOON = 1795320000.0


def early(number: int = 0, at: float = NOON, to: str = TO) -> Early:
    return Early(ACCOUNT, (b"%d" % number,), 1, "delivered", "DELIVRD", to, at)


def correlate() -> Correlate:
    return Correlate(lambda message: None)


def in_doubt() -> tuple[Message, Part]:
    job = Job(1, JobFields(id="j", to=(TO,), text="t"), NOON, NOON, ("sms.jobs", 0, 0), 1)
    message = Message(job, 0, TO, "mobile", 1)
    message.account, message.submitted = ACCOUNT, NOON - 9.0
    part = Part(1)
    part.state = PartState.IN_DOUBT
    message.parts = (part,)
    return message, part


def test_a_report_is_looked_at_for_two_seconds_and_once_more_at_their_end() -> None:
    reports = correlate()
    report = early()
    reports.keep(report)
    for seconds in (0.0, 0.5, GUESS_AFTER):
        assert reports.due(NOON + seconds) == [report]
    assert reports.due(NOON + GUESS_AFTER + 0.5) == []


def test_a_report_is_looked_at_again_when_it_has_waited_for_too_long() -> None:
    reports = correlate()
    old, young = early(1), early(2, NOON + 10.0)
    reports.keep(old)
    reports.keep(young)
    reports.due(NOON + 20.0)
    assert reports.due(NOON + KEEP_EARLY - 1.0) == []
    assert reports.due(NOON + KEEP_EARLY) == [old]
    reports.drop(old)
    assert reports.due(NOON + KEEP_EARLY) == []
    assert reports.due(NOON + KEEP_EARLY + 10.0) == [young]


def test_a_report_is_looked_at_while_a_part_of_its_recipient_is_in_doubt() -> None:
    reports = correlate()
    report, other = early(1), early(2, to="13800000000")
    reports.keep(report)
    reports.keep(other)
    reports.due(NOON + GUESS_AFTER)
    message, part = in_doubt()
    reports.doubt(message, part, comes=True)
    assert reports.due(NOON + 30.0) == [report]
    assert reports.guess(report, NOON + 30.0) == (message, part)
    reports.doubt(message, part, comes=False)
    assert reports.due(NOON + 30.0) == []


def test_a_report_that_came_again_or_found_its_answer_is_not_looked_at() -> None:
    reports = correlate()
    first, again, answered = early(1), early(1, NOON + 1.0), early(2)
    reports.keep(first)
    reports.keep(again)
    reports.keep(answered)
    assert reports.early(ACCOUNT, b"2", TO) is answered
    assert reports.due(NOON + 1.0) == [again]
    assert reports.waiting() == [again]
    reports.drop(first)  # it is not kept any more
    assert reports.keeps(again)
    assert reports.due(NOON + 1.0 + GUESS_AFTER) == [again]
    assert reports.due(NOON + KEEP_EARLY) == []  # it came a second later than the first
    assert reports.due(NOON + KEEP_EARLY + 1.0) == [again]
    reports.drop(again)
    message, part = in_doubt()
    reports.doubt(message, part, comes=True)
    assert reports.due(NOON + KEEP_EARLY + 1.0) == []


def test_a_report_is_not_about_a_part_whose_sibling_may_be_meant_though_not_in_doubt() -> None:
    """That was resent and answered: nobody knows the id of its first attempt."""
    reports = correlate()
    report = early(1)
    reports.keep(report)
    message, part = in_doubt()
    sibling = Part(2)
    sibling.doubts = 1
    message.parts = (part, sibling)
    message.steps = (
        Step(NOON - 9.0, "written", 1, 1, "n"),
        Step(NOON - 9.0, "written", 2, 1, "n"),
        Step(NOON - 4.0, "unanswered", 2, 1, "n"),
        Step(NOON - 3.0, "written", 2, 2, "n"),
        Step(NOON - 2.0, "answered", 2, 2, "n", "0"),
    )
    reports.doubt(message, part, comes=True)
    assert reports.guess(report, NOON + 2.0) is None
    message.steps += (Step(NOON, "answered", 2, 1, "n", "0"),)
    sibling.doubts = 0
    assert reports.guess(report, NOON + 2.0) == (message, part)


def test_a_sibling_whose_answer_is_not_among_the_steps_that_are_kept_is_not_meant() -> None:
    reports = correlate()
    report = early(1)
    reports.keep(report)
    message, part = in_doubt()
    message.parts = (part, Part(2))
    throttled = tuple(
        Step(NOON - 9.0, word, 2, 1, "n") for _ in range(31) for word in ("written", "throttled")
    )
    first = Step(NOON - 9.0, "written", 1, 1, "n")
    message.steps = (first, *throttled, Step(NOON - 8.0, "written", 2, 1, "n"))
    assert len(message.steps) == MOST_STEPS
    reports.doubt(message, part, comes=True)
    assert reports.guess(report, NOON + 2.0) == (message, part)


@pytest.mark.parametrize(
    ("steps", "since"),
    [
        ([], None),
        ([("written", 1)], 0.0),
        ([("claimed", 1)], 0.0),
        ([("written", 1), ("unanswered", 1)], 0.0),
        ([("written", 1), ("answered", 1)], None),
        ([("written", 1), ("throttled", 1), ("written", 1)], 2.0),
        ([("written", 1), ("unanswered", 1), ("written", 2)], 0.0),
        ([("written", 1), ("unanswered", 1), ("written", 2), ("refused", 1)], 2.0),
        ([("written", 1), ("unanswered", 1), ("written", 2), ("answered", 2)], 0.0),
    ],
)
def test_a_part_is_unanswered_since_its_first_write_that_no_answer_came_to(
    steps: list[tuple[str, int]], since: float | None
) -> None:
    course = [Step(float(at), word, 1, attempt) for at, (word, attempt) in enumerate(steps)]
    course.append(Step(9.0, "written", 2, 1))
    assert unanswered_since(course).get(1) == since


def member(number: int) -> tuple[Message, Part]:
    """A message to the same recipient, of a job of its own."""
    job = Job(number, JobFields(id=f"j{number}", to=(TO,), text="t"), NOON, NOON, ("j", 0, 0), 1)
    message = Message(job, 0, TO, "mobile", 1)
    message.account = ACCOUNT
    message.parts = (Part(1),)
    return message, message.parts[0]


def listed(place: tuple[Message, Part], *keys: bytes) -> Member:
    """What left in a list and is reported under these."""
    member = Member(*place, "n")
    member.keys = keys
    return member


def test_members_of_lists_with_one_recipient_are_told_apart_until_each_is_forgotten() -> None:
    reports = correlate()
    places = [member(number) for number in range(3)]
    for number, place in enumerate(places):
        reports.register_member(ACCOUNT, listed(place, b"own %d" % number, b"list %d" % number))
    reports.register_member(ACCOUNT, listed(places[2], b"own 2", b"list 2"))  # said once more
    for number, place in enumerate(places):
        assert reports.find(ACCOUNT, (b"own %d" % number,), TO) == place
        assert reports.find(ACCOUNT, (b"x", b"list %d" % number), TO) == place
    assert reports.find(ACCOUNT, (b"own 1",), "13800000000") is None
    assert reports.find("other", (b"own 1",), TO) is None
    reports.forget_member(ACCOUNT, places[1][0])
    assert reports.find(ACCOUNT, (b"own 1", b"list 1"), TO) is None
    assert reports.find(ACCOUNT, (b"list 0",), TO) == places[0]
    assert reports.find(ACCOUNT, (b"list 2",), TO) == places[2]
    reports.forget_member(ACCOUNT, places[2][0])
    assert reports.find(ACCOUNT, (b"list 0",), TO) == places[0]
    reports.forget_member(ACCOUNT, places[0][0])
    assert reports.find(ACCOUNT, (b"list 0",), TO) is None


def test_a_member_that_is_known_since_its_write_stays_where_it_is_when_it_is_answered() -> None:
    reports = correlate()
    places = [member(number) for number in range(2)]
    first, second = [listed(place, b"%d" % number) for number, place in enumerate(places)]
    for known in (first, second, first, second):
        reports.register_member(ACCOUNT, known)
    assert reports.find(ACCOUNT, (b"0",), TO) == places[0]
    assert reports.find(ACCOUNT, (b"1",), TO) == places[1]
    assert reports.find(ACCOUNT, (b"2",), TO) is None
    reports.forget_member(ACCOUNT, places[0][0])
    assert reports.find(ACCOUNT, (b"0",), TO) is None
    reports.forget_member(ACCOUNT, places[1][0])
    assert reports.find(ACCOUNT, (b"1",), TO) is None


def test_memory_lets_go_of_the_oldest_part_of_those_that_there_are_more_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone: list[Message] = []
    monkeypatch.setattr("daemon.correlate.MOST_RECENT", 3)
    reports = Correlate(gone.append)
    single, *members = [member(number) for number in range(5)]
    for number, (message, _) in enumerate(members):
        message.to = f"1380000000{number}"
    reports.register(ACCOUNT, b"single", Write(*single, "n"))
    for place in members[:3]:
        reports.register_member(ACCOUNT, listed(place, b"list"))
    assert gone == [members[0][0]]
    reports.register(ACCOUNT, b"another", Write(*members[3], "n"))
    assert gone == [members[0][0], single[0]]
    assert reports.find(ACCOUNT, (b"list",), members[1][0].to) == members[1]


def test_memory_lets_go_of_what_one_recipient_was_sent_in_many_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone: list[Message] = []
    monkeypatch.setattr("daemon.correlate.MOST_RECENT", 3)
    reports = Correlate(gone.append)
    first, *places = [member(number) for number in range(6)]
    reports.register_member(ACCOUNT, listed(first, b"first"))
    for number, place in enumerate(places[:2]):
        reports.register_member(ACCOUNT, listed(place, b"%d" % number))
    reports.forget_member(ACCOUNT, first[0])
    reports.register_member(ACCOUNT, listed(places[2], b"2"))
    assert gone == [], "there are three"
    reports.register_member(ACCOUNT, listed(places[3], b"3"))
    assert gone == [message for message, _ in reversed(places[:4])]
    reports.register_member(ACCOUNT, listed(places[4], b"4"))
    reports.register(ACCOUNT, b"single", Write(*first, "n"))
    reports.register(ACCOUNT, b"another", Write(*first, "n"))
    assert len(gone) == 4, "there are three again"
