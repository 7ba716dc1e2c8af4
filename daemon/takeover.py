"""What an assignment of partitions means: whose messages we let go of, and whose we take up."""

from __future__ import annotations

import asyncio

import structlog

from .broker.base import BrokerError, Place
from .engine import Engine
from .homes import Homes
from .intake import Intake
from .recovery import adopt
from .replica import Replica
from .router import Router

log = structlog.get_logger()

RETRY_AFTER = 0.5


class Takeover:
    def __init__(
        self, homes: Homes, engine: Engine, router: Router, replica: Replica, intake: Intake
    ) -> None:
        self.homes = homes
        self.engine = engine
        self.router = router
        self.replica = replica
        self.intake = intake
        self._gained: frozenset[Place] = frozenset()
        self._due = asyncio.Event()
        """Set while partitions came or went and that was not looked at."""
        self._busy = False
        """Whether it is being looked at."""

    def revoked(self) -> None:
        """Nothing is written or taken until the next assignment."""
        self.homes.revoked()
        if self.homes.lapsed:
            self.engine.forsake()
        self.intake.ready.clear()
        self.engine.claiming.withdraw()

    def assigned(self, places: frozenset[Place]) -> None:
        """These are all that is ours now; what is new is taken up by `run`."""
        if self.homes.every:
            return
        lost, self._gained = self.homes.assigned(places)
        if lost or self.homes.lapsed:
            self.engine.forsake()
        log.info("partitions", lost=_names(lost), gained=_names(self._gained), held=len(places))
        if lost or self._gained or self.homes.lapsed:
            self.intake.ready.clear()  # who had nothing was not told of a revocation
            self._due.set()
        self._go_on()
        for account in self.engine.accounts.values():
            account.nudge()

    async def run(self) -> None:
        """Take up what is new whenever something is, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            self._busy = True
            await self._take_up()
            self._busy = False
            self._go_on()

    async def _take_up(self) -> None:
        generation, gained = self.homes.generation, self._gained
        try:
            if gained or self.homes.lapsed:
                await self.replica.caught_up()
        except BrokerError as exc:
            log.warning("not taken over yet", error=str(exc))
            await asyncio.sleep(RETRY_AFTER)
            self._due.set()
            return
        if generation == self.homes.generation:
            await self.adopt(gained)

    async def adopt(self, places: frozenset[Place]) -> None:
        """These are ours from now on; all that was told of their messages is in our ledger."""
        self.homes.adopted(places)
        await adopt(self.engine.ledger, self.engine, self.router)
        await self.replica.stopping.again()
        self._go_on()

    def _go_on(self) -> None:
        """Jobs are taken when all that is assigned to us has been taken up."""
        if not (self.homes.rebalancing or self._busy or self._due.is_set()):
            self.intake.ready.set()


def _names(places: frozenset[Place]) -> list[str]:
    return sorted(f"{topic}/{partition}" for topic, partition in places)
