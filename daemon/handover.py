"""Before partitions go to others or the daemon ends: answers awaited, and what they mean told."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from .account import Account
from .broker.base import Place
from .changes import Changes
from .engine import Engine
from .homes import Homes
from .ledger import Ledger
from .offsets import Offsets
from .outbox import Outbox
from .recovery import durable
from .takeover import Takeover
from .ticker import Ticker

WITHIN = 2.0
"""Seconds that a revocation waits for answers, and for what became of them to be published."""


class Handover:
    """`state` is the topic by which daemons tell each other what became of messages."""

    def __init__(
        self,
        *,
        engine: Engine,
        ledger: Ledger,
        outbox: Outbox,
        homes: Homes,
        takeover: Takeover,
        ticker: Ticker,
        offsets: Offsets,
        accounts: dict[str, Account],
        state: str,
    ) -> None:
        self.engine = engine
        self.ledger = ledger
        self.outbox = outbox
        self.homes = homes
        self.takeover = takeover
        self.ticker = ticker
        self.offsets = offsets
        self.accounts = accounts
        self.state = state
        self.loop = asyncio.get_running_loop()

    async def revoked(self, places: frozenset[Place]) -> None:
        """Hand over: nothing of these is written any more, and what became of them is told."""
        if self.homes.every:
            return
        self.takeover.revoked()
        await self.answered_by(self.loop.time() + WITHIN)
        self.engine.tell_doubts()
        if self.homes.lapsed:
            await self._tell_outcomes()
        else:
            await self.told()
        self.ticker.commit_offsets()
        for topic, partition in places:
            self.offsets.forget(topic, partition)

    async def answered_by(self, deadline: float) -> bool:
        """Wait for the answers that are owed; whether all came."""
        while self._unanswered():
            if self.loop.time() >= deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    def _unanswered(self) -> bool:
        # Not only those that are dealt to: a bind that is held or ends is owed answers, too.
        return any(link.session.unanswered or link.reserved for link in self.engine.of_link)

    def unload(self) -> None:
        """What is claimed and not written yet waits in the ledger, and is not in doubt there."""
        c = Changes()
        for account in self.accounts.values():
            for link in list(account.links):
                for write in link.unload():
                    self.engine.claiming.taken_back(write.message, write.part, c)
        self.engine.keeping.commit(c)

    async def told(self) -> None:
        """Until what became of messages so far is published, if that is soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN):
                await durable(self.ledger)
                await self.outbox.reached(self.engine.keeping.last_batch)

    async def _tell_outcomes(self) -> None:
        """What was answered here stays true whoever has the message now, who may not know of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN):
                await durable(self.ledger)
                await self.outbox.tell(self.state)
