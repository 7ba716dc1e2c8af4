"""Whatever is dealt: counts that do not drift, claims before writes, and all of it once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from daemon.claims import unpack
from daemon.dealing import Dealt
from daemon.jobs import URGENT
from daemon.queues import Lanes
from protocols.events import Rejected

from .conftest import MakeDesk
from .desk import Desk, Peer, Terms

TWO = (("n1", 1), ("n2", 1))
LONG = "字" * 130  # two parts
STEPS = 60


def counted(lanes: Lanes) -> None:
    for lane, stand in enumerate(lanes.lanes):
        standing = {m.mid for m in stand if m.queued is lanes}
        assert lanes.waiting[lane] == len(standing)
    assert lanes.total == sum(lanes.waiting)


class Run:
    """What a test does at random, and what it sees."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk = desk
        self.random = random.Random(seed)
        self.names = 0
        self.owed: list[tuple[Peer, int]] = []
        self.wrote: Counter[tuple[str, int]] = Counter()
        self.throttled: Counter[tuple[str, int]] = Counter()
        self.under_way: list[Sequence[Dealt]] = []
        """Dealt, and its claim not durable."""
        claiming = desk.app.engine.claiming
        claim, claimed = claiming.claim, claiming._claimed

        def noted(account: str, dealt: Sequence[Dealt]) -> None:
            self.under_way.append(dealt)
            claim(account, dealt)

        def durable(dealt: Sequence[Dealt], revision: int) -> None:
            assert self.under_way.pop(0) is dealt
            claimed(dealt, revision)

        claiming.claim, claiming._claimed = noted, durable  # type: ignore[method-assign]
        self.peers = [desk.peer(node=name) for name, _ in TWO]

    def jobs(self) -> list[dict[str, Any]]:
        jobs = []
        for _ in range(self.random.randrange(1, 8)):
            self.names += 1
            lane = self.random.choice(["urgent", "normal", "bulk", "bulk"])
            job: dict[str, Any] = {"id": f"j{self.names}", "priority": lane}
            kind = self.random.random()
            if kind < 0.3:
                job["text"] = LONG
            elif kind < 0.6:
                most = self.random.randrange(1, 7)
                job["to"] = [f"139{self.names:04}{n:04}" for n in range(most)]
            if self.random.random() < 0.3:
                job["account"] = "a"
            jobs.append(job)
        return jobs

    def answer(self, throttle: float = 0.0) -> None:
        peer, sequence = self.owed.pop(0)
        if self.random.random() >= throttle:
            peer.accepts(sequence)
            return
        tag: Any = peer.wire.answers(sequence, peer.now)
        for write in getattr(tag, "writes", [tag]):
            self.throttled[write.message.id, write.part.number] += 1
        peer.says(Rejected(tag, 8, "8", True))

    def breaks(self) -> None:
        """A connection on which all is answered: nothing of it is in doubt."""
        peer = self.random.choice(self.peers)
        if not any(each is peer for each, _ in self.owed):
            self.peers.remove(peer)
            peer.lost()
            self.peers.append(self.desk.peer(node=peer.link.label))

    async def look(self) -> None:
        await self.desk.settle()
        raw = [mids for _, _, mids in self.desk.app.ledger.claims()]
        claims = {named.mid for one in raw for claim in unpack(one) for named in claim.messages}
        for peer in self.peers:
            for sequence, _, tag in peer.written():
                self.owed.append((peer, sequence))
                for write in getattr(tag, "writes", [tag]):
                    self.wrote[write.message.id, write.part.number] += 1
                    assert write.message.mid in claims
        self.agrees()

    def agrees(self) -> None:
        """The counts are those of what is there."""
        for queue in self.desk.app.router.queues.values():
            counted(queue.lanes)
        counted(self.desk.app.accounts["a"].bound)
        for peer in self.peers:
            link = peer.link
            counted(link.again)
            runs = [run for dealt in self.under_way for run in dealt if run.link is link]
            claimed = [write.message for lane in link.ready for write in lane]
            claimed += [write.message for run in runs for write in run.writes]
            along = [m for m in claimed if m.listed is not None and m.listed.first is not m]
            urgent = [m for m in claimed if m.lane == URGENT]
            counts = (link.reserved, link.reserved_urgent, link.spared)
            assert counts == (len(claimed), len(urgent), len(along))
            assert link.session.unanswered <= link.session.limits.window

    @property
    def goes_on(self) -> bool:
        app = self.desk.app
        reserved = any(peer.link.reserved for peer in self.peers)
        return bool(
            self.owed or reserved or app.router.waiting("a") or app.accounts["a"].own_waiting
        )


@pytest.mark.interpreted
@pytest.mark.parametrize("lists", [1, 4])
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_all_is_dealt_once_and_counted(
    make_desk: MakeDesk, seed: int, lists: int
) -> None:
    extra = f"max_destinations = {lists}" if lists > 1 else ""
    desk = await make_desk(Terms(rate=150, window=6, nodes=TWO, extra=extra))
    run = Run(desk, seed)
    for _ in range(STEPS):
        what = run.random.random()
        if what < 0.4:
            await desk.take(*run.jobs())
        elif what < 0.8:
            for _ in range(min(len(run.owed), run.random.randrange(1, 6))):
                run.answer(throttle=0.1)
        elif what < 0.87:
            desk.app.engine.claiming.withdraw()
            desk.app.accounts["a"].nudge()
        else:
            await run.look()
            run.breaks()
        await run.look()
    end = asyncio.get_running_loop().time() + desk.patience
    while run.goes_on and asyncio.get_running_loop().time() < end:
        while run.owed:
            run.answer()
        await asyncio.sleep(0.005)
        await run.look()
    assert not run.goes_on
    assert {
        part: count - run.throttled[part] for part, count in run.wrote.items()
    } == dict.fromkeys(run.wrote, 1)
    ends = {event["message"]: event["state"] for event in desk.told}
    assert set(ends.values()) == {"accepted"}
