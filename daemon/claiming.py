"""From dealt to ready, and back: what a link is to write is named in a durable claim first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from .account import Account
from .changes import Changes
from .claims import Claims, pack
from .clock import wall
from .dealing import Dealt
from .homes import Homes
from .keeping import Keeping
from .link import Link
from .memory import Memory
from .model import Message, Part, Write
from .settle import Settle
from .wanted import Wanted

log = structlog.get_logger()


class Claiming:
    def __init__(
        self,
        *,
        claims: Claims,
        keeping: Keeping,
        memory: Memory,
        wanted: Wanted,
        settle: Settle,
        homes: Homes,
        accounts: dict[str, Account],
        of_link: dict[Link, Account],
        requeue: Callable[[Message], None],
    ) -> None:
        self.claims = claims
        self.keeping = keeping
        self.memory = memory
        self.wanted = wanted
        self.settle = settle
        self.homes = homes
        self.accounts = accounts
        self.of_link = of_link
        self.requeue = requeue
        self.loop = asyncio.get_running_loop()

    def claim(self, account: str, dealt: Sequence[Dealt]) -> None:
        """Write ahead that these may go out; the links are loaded once that is durable."""
        claims = self.claims
        claim = claims.make(sum([len(run.messages) for run in dealt]))
        named: list[tuple[int, int, int, str]] = []
        for run in dealt:
            node = run.link.label
            for m in run.messages:
                if m.claim:
                    claims.release(m.claim)
                m.claim = claim
                named.append((m.mid, m.reference, len(m.parts), node))
        c = Changes()
        c.entries.claims.append((claim, wall(), pack(account, named)))
        c.then.append(partial(self._claimed, dealt, self.wanted.revision))
        self.keeping.commit(c)

    def _claimed(self, dealt: Sequence[Dealt], revision: int) -> None:
        """`revision` is that of the claim, which is durable now."""
        now = self.loop.time()
        paused, unrevised = self.homes.paused, revision == self.wanted.revision
        accounts: set[Account] = set()
        back: dict[int, Message] = {}
        for run in dealt:
            link, writes = run.link, run.writes
            open_ = not paused and link.taking and link.bound
            account = self.of_link.get(link) if open_ else None
            if account is None or not unrevised:
                writes = self._retract(run, back, all_=account is None)
            if account is not None:
                link.load(run.lane, writes, revision)
                accounts.add(account)
        if back:
            self.give_back(list(back.values()))
        for account in accounts:
            account.pull(now)

    def _retract(self, run: Dealt, back: dict[int, Message], *, all_: bool) -> list[Write]:
        """Take back all of what was claimed, or what is another daemon's; returns the rest."""
        kept: list[Write] = []
        for write in run.writes:
            m = write.message
            if not all_ and self.homes.mine(m.job):
                kept.append(write)
                continue
            run.link.reserve(m, -1)
            m.take_back(write.part)
            m.link = None
            back[m.mid] = m
        return kept

    # And back

    def give_back(self, messages: Sequence[Message]) -> None:
        """What of these was claimed, in this order, is not to be written now: they wait again.

        Their rows say so, for a claim that others have a part in stays until those are answered.
        """
        c = Changes()
        for message in reversed(messages):
            if message.out == 0:
                self.memory.release(message)
            if message.final:
                continue
            mine = self.homes.mine(message.job)
            if message.written:
                self.again(message, 0.0)
            elif mine:
                self.requeue(message)
            else:
                self.memory.let_go(message)
            if mine:
                c.touch(message)
        self.keeping.commit(c)

    def taken_back(self, message: Message, part: Part, c: Changes) -> None:
        """A claimed part that will not be written now, as the daemon stops."""
        message.take_back(part)
        self.settle.stays_in_doubt(message)
        c.touch(message)

    def withdraw(self) -> None:
        """What is claimed and not written waits again: nothing may be written now."""
        for account in self.accounts.values():
            back: dict[int, Message] = {}
            for link in list(account.links):
                for write in link.unload():
                    message = write.message
                    message.take_back(write.part)
                    back.setdefault(message.mid, message)
            for message in back.values():
                message.link = None
            self.give_back(list(back.values()))

    def again(self, message: Message, delay: float) -> None:
        """Settling found that the message may be written once more."""
        account = self.accounts.get(message.account or "")
        if not self.homes.mine(message.job):
            self.wanted.leave_to_others(message)
            return
        if account is None:
            log.error("account is gone", message=message.id, account=message.account)
            return
        if message.out == 0:
            self.memory.release(message)
        account.again(message, delay, self.loop.time())
