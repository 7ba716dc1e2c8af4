"""What answers, silence, reports and time mean for a message."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.changes import Changes
from daemon.clock import Stamps
from daemon.codes.lookup import Codes
from daemon.jobs import Job as JobFields
from daemon.jobs import Lane
from daemon.model import Job, Message, Part, PartState, State, Write, pack_life, unpack_life
from daemon.records import Records
from daemon.settle import Settle
from daemon.tally import Tally
from protocols.events import Fate

CODES = Codes()
RECEIVED = 1_000_000.0
HOLD = 10.0
REPORT_WITHIN = 3600.0


@dataclass
class Terms:
    protocol: str = "cmpp"
    report_within: float = REPORT_WITHIN


@dataclass
class Desk:
    """A Settle with nothing behind it: what it asks for is noted.  Every call is a turn."""

    protocol: str = "cmpp"
    resend: bool = True
    again: list[tuple[int, float]] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    doubted: list[tuple[int, bool]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.settle = Settle(
            accounts={"acc": Terms(self.protocol)},
            codes=CODES,
            records=Records(
                Stamps(ZoneInfo("Asia/Shanghai")), {"acc": self.protocol}, "sms.reports"
            ),
            hold=HOLD,
            resend=self.resend,
            tally=self.tally,
            again=lambda m, delay: self.again.append((m.mid, delay)),
            closed=lambda m: self.closed.append(m.mid),
            doubt=lambda m, part, comes: self.doubted.append((part.number, comes)),
            unheld=lambda m: None,
            patience=lambda m: REPORT_WITHIN,
            left=lambda m: None,
            mine=lambda job: True,
        )
        self.changes = Changes()

    def message(self, parts: int = 1, **fields: Any) -> Message:
        job = Job(
            7,
            JobFields(id="j-1", to=("13912345678",), text="text", **fields),
            RECEIVED,
            RECEIVED,
            ("sms.jobs", 0, 0),
            1,
        )
        m = Message(job, 0, "13912345678", "mobile", Lane.NORMAL)
        m.account = "acc"
        m.parts = tuple([Part(number) for number in range(1, parts + 1)])
        return m

    def write(self, m: Message, part: int = 1, at: float = RECEIVED, node: str = "n1") -> Write:
        found = m.parts[part - 1]
        write = Write(m, found, node)
        write.attempt, write.at = found.doubts + 1, at
        m.out += 1
        self.settle.written([write], node, at)
        return write

    def accept(self, write: Write, at: float = RECEIVED + 1, id_: bytes = b"\x01" * 8) -> None:
        self.settle.accepted(write, id_, at, self.changes)
        self.changes.finish()

    def reject(self, write: Write, code: str, *, throttled: bool = False) -> None:
        self.settle.rejected(write, code, throttled, RECEIVED + 1, self.changes)
        self.changes.finish()

    def silence(self, write: Write, at: float = RECEIVED + 5) -> None:
        self.settle.unanswered(write, at, self.changes)
        self.changes.finish()

    def report(
        self, m: Message, fate: Fate, code: str, part: int = 1, at: float = RECEIVED + 2
    ) -> None:
        self.settle.reported(m, m.parts[part - 1], fate, code, at, self.changes)
        self.changes.finish()

    def wake(self, m: Message, at: float) -> None:
        self.settle.woken(m, at, self.changes)
        self.changes.finish()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(value) for _, _, value in self.changes.entries.events]

    @property
    def states(self) -> list[str]:
        return [event["state"] for event in self.events]


def test_an_answer_and_a_report_make_accepted_and_delivered() -> None:
    desk = Desk()
    m = desk.message()
    desk.accept(desk.write(m))
    desk.report(m, Fate.DELIVERED, "DELIVRD")
    assert desk.states == ["accepted", "delivered"]
    assert [event["final"] for event in desk.events] == [False, True]
    assert desk.events[-1]["code"] == "DELIVRD"
    assert desk.events[-1]["cause"] == "delivered"
    assert desk.events[0]["carrier_ids"] == ["0x0101010101010101"]
    assert desk.closed == [m.mid]


def test_of_what_came_in_one_turn_only_the_last_is_published() -> None:
    desk = Desk()
    m, other = desk.message(), desk.message()
    other.mid += 1
    turn = desk.changes
    desk.settle.accepted(desk.write(m), b"\x01" * 8, RECEIVED + 1, turn)
    desk.settle.accepted(desk.write(other), b"\x02" * 8, RECEIVED + 1, turn)
    desk.settle.reported(m, m.parts[0], Fate.DELIVERED, "DELIVRD", RECEIVED + 1, turn)
    turn.finish()
    assert desk.states == ["delivered", "accepted"]
    assert [event["final"] for event in desk.events] == [True, False]
    assert desk.tally.messages["mobile", "acc", State.ACCEPTED] == 2


def test_without_a_report_the_answer_is_the_end() -> None:
    desk = Desk()
    m = desk.message(report=False)
    desk.accept(desk.write(m))
    assert desk.states == ["accepted"]
    assert desk.events[0]["final"]
    assert m.wake is None


def test_a_report_before_the_answer_is_enough() -> None:
    desk = Desk()
    m = desk.message()
    write = desk.write(m)
    desk.report(m, Fate.DELIVERED, "DELIVRD")
    desk.accept(write)
    assert desk.states == ["delivered"]


def test_a_long_message_is_accepted_with_its_last_part_and_delivered_with_its_last_report() -> None:
    desk = Desk()
    m = desk.message(parts=2)
    first, second = desk.write(m, 1), desk.write(m, 2)
    desk.accept(first)
    assert desk.states == []
    desk.accept(second, id_=b"\x02" * 8)
    desk.report(m, Fate.DELIVERED, "DELIVRD", part=2)
    assert desk.states == ["accepted"]
    desk.report(m, Fate.DELIVERED, "DELIVRD", part=1)
    assert desk.states == ["accepted", "delivered"]
    assert desk.events[-1]["parts"] == 2
    assert desk.events[-1]["carrier_ids"] == ["0x" + "01" * 8, "0x" + "02" * 8]


def test_one_failed_part_makes_the_message_undelivered_with_its_code() -> None:
    desk = Desk()
    m = desk.message(parts=2)
    for part in (1, 2):
        desk.accept(desk.write(m, part))
    desk.report(m, Fate.FAILED, "MK:0001", part=2)
    desk.report(m, Fate.FAILED, "EXPIRED", part=1)
    assert desk.states == ["accepted", "undelivered"]
    assert desk.events[-1]["code"] == "MK:0001"
    assert desk.tally.lates["acc"] == 1


def test_an_intermediate_report_changes_nothing() -> None:
    desk = Desk()
    m = desk.message()
    desk.accept(desk.write(m))
    desk.report(m, Fate.INTERMEDIATE, "ACCEPTD")
    assert desk.states == ["accepted"]
    assert m.state is State.ACCEPTED


def test_nothing_follows_the_final_event() -> None:
    desk = Desk()
    m = desk.message()
    write = desk.write(m)
    desk.accept(write)
    desk.report(m, Fate.FAILED, "UNDELIV")
    desk.report(m, Fate.DELIVERED, "DELIVRD")
    desk.wake(m, RECEIVED + 2 * REPORT_WITHIN)
    assert desk.states == ["accepted", "undelivered"]


@pytest.mark.parametrize("code", ["13", "6", "10"])
def test_a_refusal_is_rejected_at_once(code: str) -> None:
    desk = Desk()
    m = desk.message(parts=2)
    desk.reject(desk.write(m, 1), code)
    assert desk.states == ["rejected"]
    assert desk.events[0]["code"] == code
    assert desk.events[0]["stage"] == "submit"
    assert desk.again == []


def test_a_refusal_of_the_second_attempt_is_rejected_at_once_too() -> None:
    desk = Desk()
    m = desk.message()
    desk.silence(desk.write(m))
    desk.wake(m, RECEIVED + 5 + HOLD)
    desk.reject(desk.write(m), "13")
    assert desk.states == ["uncertain", "rejected"]


def test_a_throttled_part_goes_again_under_the_same_attempt() -> None:
    desk = Desk()
    m = desk.message()
    for _ in range(20):
        write = desk.write(m)
        assert write.attempt == 1
        desk.reject(write, "8", throttled=True)
    assert desk.states == []
    assert len(desk.again) == 20
    delays = [delay for _, delay in desk.again]
    assert delays == sorted(delays)
    assert max(delays) <= 5.0
    desk.accept(desk.write(m))
    assert desk.events[0]["attempts"] == 1


def test_a_throttled_message_still_expires() -> None:
    desk = Desk()
    m = desk.message(expires_at=RECEIVED + 60)
    desk.reject(desk.write(m), "8", throttled=True)
    assert m.wake == RECEIVED + 60
    desk.wake(m, RECEIVED + 60)
    assert desk.states == ["expired"]
    assert desk.events[0]["code"] == "LOCAL:QUEUE_EXPIRED"


def test_an_answer_that_asks_for_another_try_gets_three() -> None:
    desk = Desk("sgip")
    m = desk.message()
    for _ in range(3):
        desk.reject(desk.write(m), "21")
    assert desk.states == []
    desk.reject(desk.write(m), "21")
    assert desk.states == ["rejected"]
    assert len(desk.again) == 3


def test_silence_makes_it_uncertain_and_after_the_hold_it_goes_once_more() -> None:
    desk = Desk()
    m = desk.message()
    desk.silence(desk.write(m), at=RECEIVED + 5)
    assert desk.states == ["uncertain"]
    assert m.wake == RECEIVED + 5 + HOLD
    desk.wake(m, RECEIVED + 5 + HOLD)
    assert desk.again == [(m.mid, 0.0)]
    second = desk.write(m)
    assert second.attempt == 2
    desk.accept(second, at=RECEIVED + 20)
    assert desk.states == ["uncertain", "accepted"]
    assert desk.events[-1]["attempts"] == 2


def test_there_is_no_third_attempt() -> None:
    desk = Desk()
    m = desk.message()
    desk.silence(desk.write(m))
    desk.wake(m, RECEIVED + 5 + HOLD)
    desk.silence(desk.write(m), at=RECEIVED + 30)
    desk.wake(m, RECEIVED + 30 + HOLD)
    assert len(desk.again) == 1
    desk.wake(m, RECEIVED + REPORT_WITHIN)
    assert desk.states == ["uncertain", "uncertain", "expired"]
    assert desk.events[-1]["code"] == "LOCAL:NO_RESP"


def test_a_report_during_the_hold_ends_the_doubt() -> None:
    desk = Desk()
    m = desk.message()
    desk.silence(desk.write(m))
    desk.report(m, Fate.DELIVERED, "DELIVRD", at=RECEIVED + 7)
    desk.wake(m, RECEIVED + 5 + HOLD)
    assert desk.states == ["uncertain", "delivered"]
    assert desk.again == []
    assert desk.doubted == [(1, True), (1, False)]


def test_a_late_answer_takes_the_doubt_back() -> None:
    desk = Desk()
    m = desk.message()
    write = desk.write(m)
    desk.silence(write)
    desk.accept(write, at=RECEIVED + 8)
    assert desk.states == ["uncertain", "accepted"]
    assert m.parts[0].doubts == 0
    desk.report(m, Fate.FAILED, "UNDELIV")
    assert desk.states[-1] == "undelivered"


def test_wait_never_sends_again() -> None:
    desk = Desk()
    m = desk.message(on_uncertain="wait")
    desk.silence(desk.write(m))
    assert m.wake == RECEIVED + REPORT_WITHIN
    desk.wake(m, RECEIVED + REPORT_WITHIN)
    assert desk.again == []
    assert desk.states == ["uncertain", "expired"]


def test_nothing_is_sent_again_past_its_time() -> None:
    desk = Desk()
    m = desk.message(expires_at=RECEIVED + 8)
    desk.silence(desk.write(m))
    desk.wake(m, RECEIVED + 5 + HOLD)
    assert desk.again == []
    assert m.state is State.UNCERTAIN
    assert m.parts[0].state is PartState.IN_DOUBT


def test_without_a_report_there_is_nothing_to_hold_for() -> None:
    desk = Desk()
    m = desk.message(report=False)
    desk.silence(desk.write(m))
    assert m.wake == RECEIVED + 5


def test_only_parts_without_an_answer_go_once_more() -> None:
    desk = Desk()
    m = desk.message(parts=3)
    writes = [desk.write(m, part) for part in (1, 2, 3)]
    desk.accept(writes[0])
    desk.accept(writes[2])
    desk.silence(writes[1])
    desk.wake(m, RECEIVED + 5 + HOLD)
    assert [part.number for part in m.unsent] == [2]


def test_an_attempt_that_failed_waits_for_the_other_one() -> None:
    desk = Desk()
    m = desk.message()
    desk.silence(desk.write(m))
    desk.wake(m, RECEIVED + 5 + HOLD)
    desk.accept(desk.write(m), at=RECEIVED + 20)
    desk.report(m, Fate.FAILED, "UNDELIV", at=RECEIVED + 21)
    assert desk.states == ["uncertain", "accepted"]
    desk.report(m, Fate.DELIVERED, "DELIVRD", at=RECEIVED + 22)
    assert desk.states[-1] == "delivered"


def test_answered_and_never_reported_expires_as_no_report() -> None:
    desk = Desk()
    m = desk.message()
    desk.accept(desk.write(m), at=RECEIVED + 1)
    desk.wake(m, RECEIVED + REPORT_WITHIN)
    assert desk.states == ["accepted"]
    desk.wake(m, RECEIVED + 1 + REPORT_WITHIN)
    assert desk.states == ["accepted", "expired"]
    assert desk.events[-1]["code"] == "LOCAL:NO_REPORT"


def test_smpp_spells_its_results_in_hexadecimal() -> None:
    desk = Desk("smpp")
    m = desk.message()
    desk.accept(desk.write(m), id_=b"4f2A")
    assert desk.events[0]["code"] == "0x00000000"
    assert desk.events[0]["carrier_ids"] == ["4f2A"]


def test_a_message_comes_back_from_the_ledger_as_it_was() -> None:
    desk = Desk()
    m = desk.message(parts=2)
    desk.accept(desk.write(m, 1))
    desk.silence(desk.write(m, 2))
    again = desk.message(parts=2)
    unpack_life(again, pack_life(m))
    for name in ("steps", "attempts", "doubted", "submitted", "node", "reference", "carrier"):
        assert getattr(again, name) == getattr(m, name)
    assert [(p.state, p.doubts, p.carrier_ids) for p in again.parts] == [
        (p.state, p.doubts, p.carrier_ids) for p in m.parts
    ]


def test_a_failure_is_never_called_delivered_whatever_its_code() -> None:
    desk = Desk("sgip")
    m = desk.message()
    desk.accept(desk.write(m), id_=bytes(12))
    desk.report(m, Fate.FAILED, "0")  # State 2 with ErrorCode 0
    event = desk.events[-1]
    assert (event["state"], event["code"], event["cause"]) == ("undelivered", "0", "unknown")


def test_a_refusal_is_an_answer_and_has_its_time() -> None:
    desk = Desk()
    m = desk.message()
    desk.reject(desk.write(m), "13")
    event = desk.events[-1]
    assert event["state"] == "rejected"
    assert event["times"]["answered"] == desk.settle.records.stamps.text(RECEIVED + 1)


def test_a_message_that_nothing_happened_to_is_kept_as_any_other_is() -> None:
    m = Desk().message()
    m.parts = ()
    m.carrier = "mobile"
    waits = pack_life(m)
    m.state = State.HELD
    assert waits == pack_life(m)
