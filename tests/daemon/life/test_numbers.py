"""Numbers that run out or go back: sequences of all protocols, and those of the ledger."""

from __future__ import annotations

import time
from typing import Any

import pytest

from daemon.jobs import Lane
from protocols.cmpp.msgid import MsgIds as CmppIds
from protocols.events import Accepted, Unanswered
from protocols.session import Limits, Session
from protocols.sgip.frames import Counter
from protocols.smgp.msgid import MsgIds as SmgpIds
from tests.daemon.engine.conftest import MakeDesk
from tests.daemon.engine.conftest import make_desk as make_desk
from tests.fuzz.roles import CLOCK
from tests.protocols.machine import HELLO, Carrier, bound, submits
from tests.protocols.test_sessions import CARRIERS

every_carrier = pytest.mark.parametrize("carrier", CARRIERS, ids=lambda c: c.name)


@every_carrier
def test_sequences_that_run_out_start_again_and_no_answer_finds_another_part(
    carrier: Carrier,
) -> None:
    last = 0xFFFFFFFF if carrier.name.startswith("sgip") else 0x7FFFFFFF
    session = bound(carrier, Limits(window=8, answer_within=5.0), first_sequence=last - 60)
    answered: list[Any] = []
    for tag in range(120):
        session.submit(tag, HELLO, 0.0)
        (sequence,) = submits(carrier, session)
        events = session.receive(carrier.submit_answer(sequence, message=tag), 0.0)
        answered += [event.tag for event in events if isinstance(event, Accepted)]
    assert answered == list(range(120))


# SGIP's sequences have the time in them beside four octets of counter.
@pytest.mark.parametrize(
    "carrier", [c for c in CARRIERS if not c.name.startswith("sgip")], ids=lambda c: c.name
)
def test_a_sequence_that_still_waits_is_not_given_twice(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a session lives so long that its numbers come round: here there are thirty."""
    monkeypatch.setattr(Session, "last_sequence", 30)
    session = bound(carrier, Limits(window=4, answer_within=5.0))
    sequences: dict[int, Any] = {}
    for tag in range(4):
        session.submit(tag, HELLO, float(tag) / 10)
        (sequences[tag],) = submits(carrier, session)
    session.receive(carrier.submit_answer(sequences.pop(3)), 4.9)
    late = [e.tag for e in session.tick(5.25) if isinstance(e, Unanswered)]
    assert late == [0, 1, 2]
    for tag in range(4, 90):
        session.submit(tag, HELLO, 5.3)
        (sequence,) = submits(carrier, session)
        assert sequence not in sequences.values(), f"given to {tag} while its answer may come"
        session.receive(carrier.submit_answer(sequence), 5.3)
    (event,) = session.receive(carrier.submit_answer(sequences[1]), 5.4)
    assert isinstance(event, Accepted)
    assert event.tag == 1


def test_the_counter_of_sgip_is_one_for_all_binds_and_comes_round_at_its_end() -> None:
    counter = Counter(0xFFFFFFFE)
    assert [counter.take() for _ in range(4)] == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]
    assert Counter(0x1_0000_0005).take() == 5


@pytest.mark.parametrize("ids", [CmppIds(123456), SmgpIds()], ids=["cmpp", "smgp"])
def test_ids_of_one_second_are_all_different(ids: CmppIds | SmgpIds) -> None:
    moment = CLOCK.at(0.0)
    made = [ids.next(moment) for _ in range(50_000)]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("set_back", [0.0, 86_400.0], ids=["going on", "set back a day"])
async def test_what_was_written_before_a_crash_is_in_doubt_though_the_clock_was_set_back(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, set_back: float
) -> None:
    """Whatever claims are numbered by, a start begins above all that the ledger has seen."""
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j-1"})
    ((sequence, _, _),) = await desk.written(peer)
    # Throttled and taken back: nothing of it is at the gateway, and the ledger knows until when.
    peer.refuses(sequence, "8", throttled=True)
    peer.lost()
    await desk.settle()

    desk.at -= set_back
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - int(set_back * 1e9))
    second = await make_desk(after=desk)
    other = second.peer()
    await second.app.refill._fill(second.app.router.queues["mobile"], Lane.NORMAL)
    second.pull()
    written = await second.written(other)
    assert len(written) == 1

    third = await make_desk(after=second)
    assert third.states("j-1/0") == ["uncertain"]
    assert await third.written(third.peer(), most=0.3) == []
