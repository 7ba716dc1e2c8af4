"""What is settled in groups ends as if each had been settled alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from daemon import account as accounts
from daemon.ledger import reader
from daemon.ledger.rows import Event as OutEvent
from daemon.lists import ListWrite
from daemon.model import ELSEWHERE, Message, State, Write
from daemon.usual import Usual
from protocols import ids
from protocols.events import Accepted, Event, Fate, Refused, Rejected, Reported, Unanswered
from protocols.part import Part as WirePart

from .conftest import MakeDesk
from .desk import Desk, Peer, Terms, Wire, configured, stand_still
from .test_sgip import EXTRA

PROTOCOLS = ("cmpp", "smgp", "sgip", "smpp")
LONG = "字" * 130  # two parts
VERDICTS = ((Fate.DELIVERED, "DELIVRD"), (Fate.FAILED, "UNDELIV"), (Fate.INTERMEDIATE, "ENROUTE"))


class Gateway:
    """Answers by chance, but the same to the same."""

    def __init__(self, peer: Peer, protocol: str, seed: int, *, lists: bool) -> None:
        self.lists = lists
        self.peer, self.protocol, self.seed = peer, protocol, seed
        self.receipts: list[Any] = []
        self.given: Counter[tuple[str, int]] = Counter()
        peer.wire._acknowledge = self.receipts.extend  # type: ignore[method-assign]
        if protocol == "sgip":
            peer.wire._submit = self.submit  # type: ignore[assignment, method-assign]

    def submit(self, tag: Write, part: WirePart, now: float) -> bytes:
        """As a session whose reports quote what is known at the write."""
        Wire._submit(self.peer.wire, tag, part, now)
        return self.carrier_id(part)

    def carrier_id(self, part: WirePart) -> bytes:
        self.given[part.to, part.number] += 1
        own = int(part.to[-4:]) * 1000 + part.number * 100 + self.given[part.to, part.number]
        if self.protocol == "smpp":
            return b"00A%x" % own
        return own.to_bytes({"cmpp": 8, "smgp": 10, "sgip": 12}[self.protocol])

    def reported(self, key: bytes, to: str, dice: Random, *, alone: bool = True) -> Reported:
        # A report for what ended by that of another part may find nobody.
        fate, code = dice.choices(VERDICTS, (8, int(alone), 1))[0]
        to = dice.choice((to, "86" + to))
        return Reported((key,), 1, fate, code, to, (to, len(self.receipts)))

    def hears_list(
        self, sequence: int, part: WirePart, tag: ListWrite
    ) -> tuple[list[Event], list[Event]]:
        """As `hears`, of a list."""
        dice = Random(f"{self.seed} {part.to} {part.also}")
        self.peer.wire.answers(sequence, self.peer.now)
        own = tag.writes[0].carrier_id or self.carrier_id(part)
        of_all = ids.list_keys(self.protocol, own, range(1 + len(part.also)))
        keys = dict(zip((part.to, *part.also), of_all, strict=True))
        refused = [Refused(to, 8, "8", dice.random() < 0.5) for to in keys if dice.random() < 0.1]
        taken = keys.keys() - {each.to for each in refused}
        said: list[Event] = [self.reported(dice.choice(keys[to]), to, dice) for to in sorted(taken)]
        answer = Accepted(tag, own, tuple(refused))
        kind = dice.choices(range(4), (4, 2, 1, 1))[0]
        if kind == 0:
            return [answer, *said], []
        if kind == 1:
            return [answer], [*said, *said[:1]]
        if kind == 2:
            return said, [answer]
        return [Unanswered(tag)], [answer, *said]

    def hears(
        self, sequence: int, part: WirePart, write: Write | ListWrite
    ) -> tuple[list[Event], list[Event]]:
        """What it says of a submit in the first read, and in the second."""
        if isinstance(write, ListWrite):
            return self.hears_list(sequence, part, write)
        before = (write.attempt, write.part.tries, write.message.throttles)
        dice = Random(f"{self.seed} {part.to} {part.number} {before}")
        tag = self.peer.wire.answers(sequence, self.peer.now)
        own = write.carrier_id or self.carrier_id(part)
        key = own[4:] if self.protocol == "sgip" else own.lstrip(b"0").lower()
        if self.protocol in ("cmpp", "smgp"):
            key = own
        if dice.random() < 0.05 and self.protocol == "smpp":
            own = b""
        said = self.reported(key, part.to, dice, alone=part.total == 1)
        answer = Accepted(tag, own)
        # Parts of one message may leave in one turn or in two: chance has no say in their verdict.
        kinds = 10 if part.total == 1 and not self.lists else 6
        kind = dice.choices(range(kinds), (8, 4, 2, 1, 1, 1, 1, 1, 1, 1)[:kinds])[0]
        if kind == 0:
            return [answer, said], []
        if kind == 1:
            return [answer], [said]
        if kind == 2:
            return [said], [answer]
        if kind == 3:
            return [answer], [said, self.reported(key, part.to, dice, alone=part.total == 1)]
        if kind == 4:
            return [said, answer], []
        if kind == 5:
            return [answer, said, self.reported(key, part.to, dice, alone=part.total == 1)], []
        if kind == 6:
            return [Rejected(tag, 8, "8", throttled=True)], []
        if kind == 7:
            return [Rejected(tag, 9, "9", throttled=False)], []
        if kind == 8:
            return [Unanswered(tag)], [said] if dice.random() < 0.5 else []
        return [Unanswered(tag)], [answer, said]


async def ended(desk: Desk, protocol: str, seed: int, *, lists: bool) -> dict[str, Any]:
    """What is known in the end of messages of all kinds, to which all kinds of things happened."""
    told: dict[str, int] = {}  # to other daemons, at last

    def outcome(m: Message, life: bytes) -> OutEvent:
        told[m.id] = int(m.state)
        return "sms.state", None, b"{}"

    desk.app.settle.outcome = outcome
    peer = desk.peer()
    gateway = Gateway(peer, protocol, seed, lists=lists)
    chance = Random(seed)
    jobs = [
        {
            "id": f"j{number}",
            "to": [
                f"139{seed:04}{number * 10 + index:04}"
                for index in range(chance.choice((1, 7 if lists else 3)))
            ],
            "text": chance.choice(("hello", "hello", "hello", LONG)),
            "report": chance.random() < 0.9,
        }
        for number in range(24)
    ]
    await desk.take(*jobs)
    assert len(desk.app.engine.open) > 24, "all were taken"
    for _ in range(100):
        if all(m.state is State.ACCEPTED for m in desk.app.engine.open.values()):
            break
        submits = await desk.written(peer, most=0.05)
        submits.sort(key=lambda each: (each[1].to, each[1].number))
        reads: tuple[list[Event], list[Event]] = ([], [])
        for submit in submits:
            for read, heard in zip(reads, gateway.hears(*submit), strict=True):
                read += [
                    event
                    for event in heard
                    if submit[1].wants_report or type(event) is not Reported
                ]
        for read in reads:
            peer.link.doubtful = False
            peer.says(*read)
            await desk.settle()
        for account in desk.app.accounts.values():
            account.nudge()
        await desk.pass_(4.0)
    await desk.pass_(300_000.0)
    found = desk.app.ledger._db.execute(
        "select mid, account, state, final, wake, life from message order by mid"
    ).fetchall()
    rows = []
    for *row, life in found:
        fields = msgspec.msgpack.decode(life)
        # Reports that are looked up come in any order.
        fields[14] = sorted(timeless(fields[14]), key=repr)
        del fields[2], fields[3:5]  # references and claims say in which order it was dealt out
        rows.append(timeless([*row, fields]))
    db = desk.app.ledger._db
    carrier_ids = reader.carrier_ids(db, [mid for (mid,) in db.execute("select mid from message")])
    tally = desk.app.tally
    messages = [f"{job['id']}/{index}" for job in jobs for index in range(len(job["to"]))]
    assert desk.app.engine.open == desk.app.engine.memory._closing == {}
    assert desk.app.offsets.held == 0
    return {
        "rows": rows,
        "told": {message: timeless(desk.of(message)) for message in messages},
        "keys": sorted(carrier_ids),
        "receipts": sorted(gateway.receipts),
        "told to others": told,
        "places": sorted(desk.app.correlate.of("a")),
        "members": sorted(desk.app.correlate.members_of("a")),
        "states": dict(tally.messages),
        "submits": dict(tally.submits),
        "failures": dict(tally.failures),
        "lates": dict(tally.lates),
        "unmatched": dict(tally.unmatched),
        "delivered": tally.delivery["a"].count,
        "answers": tally.answer["a", "n1"].count,
    }


def timeless(found: Any) -> Any:
    """Without points in time: what has to go again may do so in this turn or the next."""
    if isinstance(found, list):
        return [timeless(each) for each in found]
    if isinstance(found, dict):
        return {name: timeless(each) for name, each in found.items() if name != "times"}
    return bool(found) if isinstance(found, float) else found


@asynccontextmanager
async def opened(
    state: Path, protocol: str, patch: pytest.MonkeyPatch, *, lists: bool
) -> AsyncIterator[Desk]:
    extra = (EXTRA if protocol == "sgip" else "") + ("max_destinations = 9\n" if lists else "")
    terms = Terms(protocol=protocol, rate=100_000, window=400, extra=extra)
    desk = Desk(state, configured(terms))
    stand_still(patch, desk)
    await desk.start()
    try:
        yield desk
    finally:
        await desk.close()


@pytest.mark.interpreted
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("seed", range(2))
async def test_messages_settled_in_groups_end_as_they_would_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, lists: bool, seed: int
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    async with opened(tmp_path / "groups", protocol, monkeypatch, lists=lists) as desk:
        groups = await ended(desk, protocol, seed, lists=lists)
    monkeypatch.setattr(
        Usual, "_answered", lambda self, name, writes, own, *_: zip(writes, own, strict=True)
    )
    monkeypatch.setattr(Usual, "reported", lambda self, account, link, events, at, c: events)
    async with opened(tmp_path / "alone", protocol, monkeypatch, lists=lists) as desk:
        alone = await ended(desk, protocol, seed, lists=lists)
    for what, found in groups.items():
        assert found == alone[what], what


async def test_what_is_taken_and_never_reported_ends_when_its_time_is_over(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(extra="report_within = 60"))
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, _, _)] = await desk.written(peer)
    peer.accepts(sequence)
    await desk.pass_(59.0)
    assert desk.states("j/0") == ["accepted"]
    await desk.pass_(1.0)
    assert desk.states("j/0") == ["accepted", "expired"]


@pytest.mark.parametrize(
    ("before", "state", "lates"), [("intermediate", "delivered", 0), ("failed", "undelivered", 1)]
)
async def test_reports_on_one_message_count_in_the_order_of_their_read(
    make_desk: MakeDesk, before: str, state: str, lates: int
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, part, write)] = await desk.written(peer)
    key = peer.accepts(sequence)
    await desk.settle()
    peer.says(
        Reported((key,), 1, Fate(before), "FIRST", part.to, object()),
        Reported((key,), 1, Fate.DELIVERED, "DELIVRD", part.to, object()),
    )
    await desk.settle()
    assert desk.states("j/0") == ["accepted", state]
    assert desk.app.tally.lates["a"] == lates
    codes = [step.code for step in write.message.steps]
    assert codes[2:3] == ["FIRST"]


async def test_a_usual_answer_after_the_end_changes_nothing(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(extra="report_within = 60"), hold=1.0)
    peer = desk.peer()
    await desk.take({"id": "j"})
    await desk.written(peer)
    peer.silence()
    peer.link.doubtful = False
    await desk.pass_(2.0)
    [(sequence, _, write)] = await desk.written(peer)
    assert write.attempt == 2
    await desk.pass_(60.0)
    assert desk.states("j/0") == ["uncertain", "expired"]
    peer.accepts(sequence)
    await desk.settle()
    assert desk.states("j/0") == ["uncertain", "expired"]
    assert desk.row("j/0")["final"] == 1


@pytest.mark.parametrize("answered", [True, False])
async def test_what_is_usual_of_another_daemons_message_is_its_to_say(
    make_desk: MakeDesk, answered: bool
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, part, write)] = await desk.written(peer)
    homes = desk.app.engine.homes
    key = b""
    if answered:
        key = peer.accepts(sequence)
        await desk.settle()
    before = desk.states("j/0")
    homes.every, homes._sure = False, lambda: True
    if answered:
        peer.reports(key, to=part.to)
    else:
        peer.accepts(sequence)
    await desk.settle()
    homes.every = True
    assert desk.states("j/0") == before
    assert not write.message.final
    assert desk.row("j/0")["wake"] == ELSEWHERE


async def test_a_members_report_under_an_id_of_no_list_of_its_own_is_not_its(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk(Terms(extra="max_destinations = 10"))
    peer = desk.peer()
    await desk.take({"id": "j", "to": ["13912345678", "13912345679"]})
    [(sequence, _, _)] = await desk.written(peer)
    key = peer.accepts(sequence)
    await desk.settle()
    peer.reports(b"\1" * 8, to="13912345678")
    await desk.settle()
    assert desk.states("j/0") == ["accepted"]
    peer.reports(key, to="13912345678")
    await desk.settle()
    assert desk.states("j/0") == ["accepted", "delivered"]


async def test_a_report_that_needs_its_recipient_is_about_no_other(make_desk: MakeDesk) -> None:
    desk = await make_desk(Terms(protocol="smpp"))
    peer = desk.peer()
    await desk.take({"id": "j"})
    [(sequence, part, _)] = await desk.written(peer)
    peer.accepts(sequence, b"ff")
    await desk.settle()
    for to in ("13800000000", part.to):
        assert desk.states("j/0") == ["accepted"]
        peer.says(Reported((b"ff",), 0, Fate.DELIVERED, "DELIVRD", to, object()))
        await desk.settle()
    assert desk.states("j/0") == ["accepted", "delivered"]
