"""Whatever happens to lists: a verdict for everybody, and nobody is sent to twice without need."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from daemon import account as accounts
from protocols import ids
from protocols.events import Accepted, Fate, Refused, Rejected, Reported, Unanswered
from protocols.part import Part as WirePart

from .conftest import MakeDesk
from .desk import Desk, Peer
from .test_lists import lists, numbers

CODES = {
    "cmpp": ("8", "13", "50", "10"),
    "smgp": ("1", "47", "2", "46"),
    "sgip": ("88", "12", "11", "5"),
    "smpp": ("0x00000058", "0x0000000B", "0x00000008", "0x0000000A"),
}
"""Slower, a bad number, try again, and something else."""


class Gateway:
    """Plays one by chance, and remembers whom it took on."""

    def __init__(self, desk: Desk, peer: Peer, protocol: str, chance: Random) -> None:
        self.desk, self.peer, self.protocol, self.chance = desk, peer, protocol, chance
        self.bad: set[str] = set()
        self.one_id = chance.random() < 0.5
        self.calm = False
        self.taken: Counter[str] = Counter()
        """Submits by recipient that were taken on, as far as the gateway knows."""
        self.silent: Counter[str] = Counter()
        """Of them, those without an answer: the daemon may send once more."""
        self.owed: list[Reported] = []
        self.said: dict[str, set[str]] = {}
        """What reports say of a recipient, as events do."""
        self._ids = 0

    def next_id(self, recipients: int) -> bytes:
        self._ids += recipients
        first = self._ids - recipients + 65_530  # round the end of CMPP's sequence early on
        if self.protocol == "cmpp":
            return (first // 65_536 << 16 | first % 65_536).to_bytes(8)
        if self.protocol == "smgp":
            return bytes(7) + bytes.fromhex(f"{first:06}")
        if self.protocol == "smpp":
            return b"%x" % (0xA000 + first)
        return bytes(4) + first.to_bytes(8)

    def answer(self, sequence: int, part: WirePart) -> None:
        chance, to = self.chance, numbers(part)
        slower, bad, again, other = CODES[self.protocol]
        dice = 1.0 if self.calm else chance.random()
        carrier_id = self.next_id(len(to))
        faulty = [each for each in to if each in self.bad]
        taken = [each for each in to if each not in faulty]
        refused = tuple([Refused(each, 11, bad, throttled=False) for each in faulty])
        if dice < 0.15:
            self.refuse(sequence, slower, throttled=True)
        elif dice < 0.2:
            self.refuse(sequence, again)
        elif dice < 0.25:
            self.refuse(sequence, other)
        elif faulty and (self.protocol != "smpp" or len(faulty) == len(to)):
            self.refuse(sequence, bad)
        elif dice < 0.4:
            self.take(taken, carrier_id, to, reported=chance.random() < 0.5)
            self.silent.update(to)
            tag = self.peer.wire.answers(sequence, self.peer.now)
            self.peer.link.doubtful = False
            self.peer.says(Unanswered(tag))
            if chance.random() < 0.3:
                self.peer.says(Accepted(tag, carrier_id, refused))
        else:
            early = chance.random() < 0.3
            self.take(taken, carrier_id, to)
            if early:
                self.report()
            tag = self.peer.wire.answers(sequence, self.peer.now)
            self.peer.says(Accepted(tag, carrier_id, refused))

    def refuse(self, sequence: int, code: str, *, throttled: bool = False) -> None:
        tag = self.peer.wire.answers(sequence, self.peer.now)
        self.peer.says(Rejected(tag, int(code, 0), code, throttled))

    def take(
        self, taken: list[str], carrier_id: bytes, of: list[str], *, reported: bool = True
    ) -> None:
        self.taken.update(taken)
        for to in taken if reported else ():
            key = ids.key(self.protocol, carrier_id)
            if not self.one_id and len(of) > 1:
                key = ids.list_keys(self.protocol, carrier_id, [of.index(to)])[0][0]
            fate, code = Fate.DELIVERED, "DELIVRD"
            if self.chance.random() < 0.2:
                fate, code = Fate.FAILED, "UNDELIV"
            word = "delivered" if fate is Fate.DELIVERED else "undelivered"
            self.said.setdefault(to, set()).add(word)
            self.owed.append(Reported((key,), 1, fate, code, to, object()))

    def report(self) -> None:
        """Some of what is owed, in any order, now and then twice."""
        self.chance.shuffle(self.owed)
        count = len(self.owed) if self.calm else self.chance.randint(0, len(self.owed))
        told, self.owed = self.owed[:count], self.owed[count:]
        if told and self.chance.random() < 0.2:
            told.append(told[0])
        if told:
            self.peer.says(*told)


@pytest.mark.parametrize("seed", range(24))
async def test_everybody_gets_one_verdict_and_nobody_is_sent_to_twice_without_need(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(accounts.random, "uniform", lambda low, high: 0.0)
    chance = Random(seed)
    protocol = list(CODES)[seed % 4]
    desk = await make_desk(lists(protocol, most=chance.choice((2, 5, 20, 99)), window=4))
    peer = desk.peer()
    gateway = Gateway(desk, peer, protocol, chance)
    jobs: list[dict[str, Any]] = []
    for name in range(chance.randint(1, 5)):
        to = [f"139{seed:02}{name:02}{index:04}" for index in range(chance.randint(1, 40))]
        gateway.bad |= {each for each in to if chance.random() < 0.05}
        jobs.append({"id": f"j{name}", "to": to})
    everybody = {f"{one['id']}/{index}": to for one in jobs for index, to in enumerate(one["to"])}
    await desk.take(*jobs)
    account, quiet = desk.app.accounts["a"], 0
    for turn in range(1000):
        gateway.calm = turn > 20
        submits = await desk.written(peer, most=0.02)
        chance.shuffle(submits)
        for sequence, part, _ in submits:
            gateway.answer(sequence, part)
        gateway.report()
        await desk.settle()
        if turn % 5 == 4:
            await desk.looked_at()
            await desk.pass_(9.0)
        if submits or gateway.owed or account.has_waiting() or account.own_waiting:
            quiet = 0
        quiet += 1
        if gateway.calm and quiet > 15:  # three holds
            break
    await desk.pass_(300_000.0)
    for message, to in everybody.items():
        events = desk.of(message)
        assert [event["final"] for event in events].count(True) == 1, events
        assert events[-1]["final"]
        assert gateway.taken[to] <= 1 + min(1, gateway.silent[to]), message
        assert events[-1]["attempts"] <= 1 + min(1, gateway.silent[to])
        if to in gateway.bad:
            assert events[-1]["state"] == "rejected"
        elif not gateway.silent[to]:
            verdicts = gateway.said.get(to, {"rejected"})
            assert verdicts == {events[-1]["state"]}, "of its own report"
    assert desk.app.engine.open == {}
    assert (peer.link.reserved, peer.link.spared) == (0, 0)
