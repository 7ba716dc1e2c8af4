"""Delivery reports as they come: matched in memory, in the ledger, or kept until they can be.

A report is acknowledged once what came of it is durable and with the broker, whether it was matched
or not.  Where there may be other daemons, one that nobody knows yet is acknowledged with its
answer, or when the others were told of it: until then this machine alone would know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from protocols.events import Fate, Reported

from .account import Account
from .changelog import Orphan
from .changes import WITH_RECIPIENT, Changes
from .clock import wall
from .correlate import KEEP_EARLY, Correlate
from .early import Early, Where
from .homes import Homes
from .keeping import Keeping
from .link import Link
from .matching import Known, Matching
from .memory import Memory
from .model import Message, Part, Place
from .numbers.normalise import folded, is_number
from .settle import Settle
from .tally import Tally
from .teller import Teller
from .usual import Usual

log = structlog.get_logger()

Unknown = tuple[Reported, str, float]
"""A report that memory cannot match, its recipient, and wall time of its first coming."""
KIND = "early"
"""Of the ledger's small things: reports that wait for their answer."""
AT_ONCE = 500
"""Reports of one look-up."""
PASS_ON_AFTER = 0.5
"""Seconds that an answer of ours has, before other daemons are told of its report."""
UNMATCHED_AFTER = 2.0


class Reports:
    def __init__(
        self,
        *,
        matching: Matching,
        memory: Memory,
        keeping: Keeping,
        settle: Settle,
        correlate: Correlate,
        homes: Homes,
        usual: Usual,
        teller: Teller | None,
        tally: Tally,
    ) -> None:
        self.matching = matching
        self.memory = memory
        self.keeping = keeping
        self.settle = settle
        self.correlate = correlate
        self.homes = homes
        self.usual = usual
        self.teller = teller
        self.tally = tally
        self._lookups: set[asyncio.Task[None]] = set()
        self._owed: dict[Where, list[tuple[Link, Any]]] = {}
        """Receipts of reports that are kept and that no other daemon knows of."""

    def came(
        self, account: Account, link: Link, events: Sequence[Reported], at: float, c: Changes
    ) -> None:
        """Reports of one read; those that memory cannot match are looked up in the ledger."""
        unknown: list[Unknown] = []
        receipts: list[Any] = []
        for event in self.usual.reported(account.name, link, events, at, c):
            to = folded(event.to)
            place = self.correlate.find(account.name, event.keys, to)
            if place is None and not is_number(to):
                # Its id is enough.  Under another number of people it may have been an earlier
                # message's, which the ledger knows.
                place = self.correlate.alone(account.name, event.keys[: event.exact])
            if place is None:
                unknown.append((event, to, at))
                continue
            self._meet(place, account.name, event, to, at, c)
            receipts.append(event.receipt)
        if receipts:
            c.acknowledge(link, receipts)
        if unknown:
            task = asyncio.create_task(self._look_up(account.name, link, unknown))
            self._lookups.add(task)
            task.add_done_callback(self._looked_up)

    def _looked_up(self, task: asyncio.Task[None]) -> None:
        self._lookups.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            context = {"message": "looking up reports", "exception": exc}
            task.get_loop().call_exception_handler(context)

    def matched(self, message: Message, part: Part, early: Early, at: float, c: Changes) -> None:
        """An answer came for a report that was kept."""
        self._found(early, c)
        fate = Fate(early.fate)
        self.settle.reported(message, part, fate, early.code, at, c, early.keys[0])

    async def strange(self, orphans: Sequence[Orphan]) -> None:
        """Reports that another daemon got and that are about none of its messages."""
        unknown: dict[str, list[Unknown]] = {}
        recently = wall() - KEEP_EARLY
        for orphan in orphans:
            if orphan.at < recently:
                continue  # read by a ledger that is new
            fate = Fate(orphan.fate)
            event = Reported(orphan.keys, orphan.exact, fate, orphan.code, orphan.to, receipt=None)
            unknown.setdefault(orphan.account, []).append((event, orphan.to, orphan.at))
        for account, events in unknown.items():
            await self._look_up(account, None, events)

    def answered_elsewhere(
        self, account: str, key: bytes, message: Message, part: Part, c: Changes, *, member: bool
    ) -> None:
        """Another daemon's part goes by this id: a report may have waited here for it.

        It is kept with the message, too: that daemon may be gone, and the message ours next.
        """
        early = self.correlate.early(account, key, message.to, member=member)
        if early is None:
            return
        self._found(early, c)
        if not message.final:
            event = _reported(early)
            self._meet((message, part), account, event, early.to, early.at, c, theirs=early.passed)

    async def _look_up(self, account: str, link: Link | None, unknown: Sequence[Unknown]) -> None:
        """Reports for parts that are not in memory; also those that came before their answer."""
        wanted = [(account, key) for event, _, _ in unknown for key in event.keys]
        async with self.memory.reading():
            self._settle(account, link, unknown, await self.matching.look(wanted))

    def _settle(
        self, account: str, link: Link | None, unknown: Sequence[Unknown], known: Known
    ) -> None:
        at = wall()
        c = Changes()
        for event, to, since in unknown:
            place = known.place(account, event, to)
            theirs = link is None
            keep = place is None and event.fate is not Fate.INTERMEDIATE
            if place is not None:
                self._meet(place, account, event, to, at, c, theirs=theirs)
            elif keep:
                early = self._keep(account, event, to, since, at, c, theirs=theirs)
            if link is None:
                continue
            if keep and self.teller is not None:
                self._owed.setdefault(early.where, []).append((link, event.receipt))
            else:
                c.acknowledge(link, (event.receipt,))
        self.keeping.commit(c)

    def _meet(
        self,
        place: Place,
        account: str,
        event: Reported,
        to: str,
        at: float,
        c: Changes,
        *,
        theirs: bool = False,
    ) -> None:
        """The report is about this part; whose message it is has to know of it."""
        m, part = place
        if m.final or self.homes.mine(m.job):
            self.settle.reported(m, part, event.fate, event.code, at, c, event.keys[0])
            return
        self.settle.overheard(m, part, event.fate, event.code, at, c, event.keys[0])
        if self.teller is not None and not theirs:
            c.entries.events.append(self.teller.orphan(account, event, to, at))

    def _keep(
        self,
        account: str,
        event: Reported,
        to: str,
        since: float,
        at: float,
        c: Changes,
        *,
        theirs: bool,
    ) -> Early:
        # A report without any id waits under its recipient: it can only be guessed.
        keys = event.keys or (b"\0" + to.encode(),)
        early = Early(
            account,
            keys,
            event.exact,
            event.fate.value,
            event.code,
            to,
            at,
            min(since, at),
            counted=theirs,
            theirs=theirs,
            passed=theirs,
        )
        self.correlate.keep(early)
        c.entries.keeps.append((KIND, _name(early), at, msgspec.msgpack.encode(early)))
        return early

    def _found(self, early: Early, c: Changes) -> None:
        """What was kept is about this or that message, or is given up."""
        c.entries.drops.append((KIND, _name(early)))
        self._acknowledge(early.where, c)

    def _acknowledge(self, where: Where, c: Changes) -> None:
        for link, receipt in self._owed.pop(where, ()):
            c.acknowledge(link, (receipt,))

    def tick(self, at: float) -> None:
        """Guess for those that may stand for the one part in doubt; give up the old ones."""
        c = Changes()
        for early in self.correlate.due(at):
            place = self.correlate.guess(early, at)
            if place is not None:
                self.correlate.drop(early)
                self._found(early, c)
                self.settle.reported(*place, Fate(early.fate), early.code, at, c, matched="guess")
                self._guessed(place, early, c)
                continue
            if at >= early.at + PASS_ON_AFTER:
                self._pass_on(early, c)
            if at >= early.at + UNMATCHED_AFTER and not early.counted:
                early.counted = True
                self.tally.unmatched[early.account] += 1
            elif at >= early.at + KEEP_EARLY:
                self.correlate.drop(early)
                self._found(early, c)
        for where in [where for where in self._owed if not self.correlate.keeps_any(where)]:
            self._acknowledge(where, c)  # there were too many to keep
        self.keeping.commit(c)

    def _guessed(self, place: Place, early: Early, c: Changes) -> None:
        """Said once more it is about the same message, and not about another in doubt.

        It is so with its recipient alone: the id may be that of a list.
        """
        m, part = place
        number = part.number if len(m.parts) > 1 else WITH_RECIPIENT
        c.entries.carrier_ids += [(early.account, key, m.mid, number) for key in early.keys]

    def hand_over(self) -> None:
        """Let the others try what waits for its answer: we stop, and the answer may be theirs."""
        c = Changes()
        for early in self.correlate.waiting():
            self._pass_on(early, c)
        self.keeping.commit(c)

    def _pass_on(self, early: Early, c: Changes) -> None:
        """Let the others try a report that is about no message of ours, if they have not yet."""
        teller = self.teller
        if teller is not None and not early.passed:
            early.passed = True
            event = _reported(early)
            c.entries.events.append(teller.orphan(early.account, event, early.to, early.at))
            self._acknowledge(early.where, c)

    def owe_nothing(self) -> None:
        """Nobody can be told: our disk has to do, for carriers do not wait as long."""
        c = Changes()
        for where in list(self._owed):
            self._acknowledge(where, c)
        self.keeping.commit(c)

    async def look_again(self) -> None:
        """More messages are ours: those that wait may be about one of them.

        One that came just before its answer was told here was looked up too early, and the
        daemon that it was then passed on to may be gone.
        """
        waiting = self.correlate.waiting()
        for start in range(0, len(waiting), AT_ONCE):
            await self._match(waiting[start : start + AT_ONCE])

    async def _match(self, waiting: Sequence[Early]) -> None:
        wanted = [(early.account, key) for early in waiting for key in early.keys]
        async with self.memory.reading():
            known = await self.matching.look(wanted)
            at = wall()
            c = Changes()
            for early in waiting:
                event = _reported(early)
                place = known.place(early.account, event, early.to)
                if place is None or not self.correlate.keeps(early):
                    continue
                self.correlate.drop(early)
                c.entries.drops.append((KIND, _name(early)))
                self._meet(place, early.account, event, early.to, at, c, theirs=early.theirs)
            self.keeping.commit(c)

    def restore(self, kept: Sequence[tuple[bytes, float, bytes]]) -> None:
        """Reports that waited when the daemon stopped."""
        c = Changes()
        for name, at, value in kept:
            early = msgspec.msgpack.decode(value, type=Early)
            self.correlate.keep(early)
            if name != _name(early):  # kept by a version that left out the recipient
                c.entries.drops.append((KIND, name))
                c.entries.keeps.append((KIND, _name(early), at, value))
        self.keeping.commit(c)

    async def settled(self) -> None:
        """Until every look-up under way has ended."""
        while self._lookups:
            await asyncio.wait(self._lookups)


def _reported(early: Early) -> Reported:
    """As it came, with nothing left to acknowledge."""
    fate = Fate(early.fate)
    return Reported(early.keys, early.exact, fate, early.code, early.to, receipt=None)


def _name(early: Early) -> bytes:
    return b"\0".join((early.account.encode(), early.keys[0], early.to.encode()))
