"""From dealt to ready: what a link is to write is named in a durable claim first."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from .account import Account
from .changes import Changes
from .claims import Claims, pack
from .clock import wall
from .dealing import Dealt
from .homes import Homes
from .link import Link
from .model import Message, Write


class Office(Protocol):
    """What claiming needs of the engine."""

    claims: Claims
    homes: Homes
    of_link: dict[Link, Account]
    loop: AbstractEventLoop

    @property
    def paused(self) -> bool: ...
    @property
    def revision(self) -> int: ...
    def give_back(self, messages: Sequence[Message]) -> None: ...
    def commit(self, c: Changes) -> None: ...


class Claiming:
    def __init__(self, engine: Office) -> None:
        self.engine = engine

    def claim(self, account: str, dealt: Sequence[Dealt]) -> None:
        """Write ahead that these may go out; the links are loaded once that is durable."""
        claims = self.engine.claims
        claim = claims.make(sum([len(run.messages) for run in dealt]))
        named: list[tuple[int, int, int, str]] = []
        for run in dealt:
            node = run.link.label
            for m in run.messages:
                if m.claim:
                    claims.release((m.claim,))
                m.claim = claim
                named.append((m.mid, m.reference, len(m.parts), node))
        c = Changes()
        c.entries.claims.append((claim, wall(), pack(account, named)))
        c.then.append(partial(self._claimed, dealt, self.engine.revision))
        self.engine.commit(c)

    def _claimed(self, dealt: Sequence[Dealt], revision: int) -> None:
        """`revision` is that of the claim, which is durable now."""
        engine = self.engine
        now = engine.loop.time()
        paused, unrevised = engine.paused, revision == engine.revision
        accounts: set[Account] = set()
        back: dict[int, Message] = {}
        for run in dealt:
            link, writes = run.link, run.writes
            open_ = not paused and link.taking and link.bound
            account = engine.of_link.get(link) if open_ else None
            if account is None or not unrevised:
                writes = self._retract(run, back, all_=account is None)
            if account is not None:
                link.load(run.lane, writes, revision)
                accounts.add(account)
        if back:
            engine.give_back(list(back.values()))
        for account in accounts:
            account.pull(now)

    def _retract(self, run: Dealt, back: dict[int, Message], *, all_: bool) -> list[Write]:
        """Take back all of what was claimed, or what is another daemon's; returns the rest."""
        kept: list[Write] = []
        for write in run.writes:
            m = write.message
            if not all_ and self.engine.homes.mine(m.job):
                kept.append(write)
                continue
            run.link.reserve(m, -1)
            m.take_back(write.part)
            m.link = None
            back[m.mid] = m
        return kept
