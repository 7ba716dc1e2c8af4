"""The daemon from its start to its end: started in order, stopped in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

import structlog

from .assembly import Assembly
from .broker import topics as topics_of
from .broker.base import BrokerError
from .changes import Changes
from .config import Config
from .recovery import durable, recover

log = structlog.get_logger()


class Stopped(Exception):  # noqa: N818  # an end, not a fault of the caller
    """A part of the daemon ended that must not; the cause says why."""


class App(Assembly):
    """Nothing is open to anybody, and nothing is taken or written, before `start`."""

    # Running

    async def start(self) -> None:
        """Raises BrokerError, LedgerError and OSError: what cannot be opened at start.

        Takes nothing where it was told to stop meanwhile: `drain` is next.
        """
        self.tasks.watch()
        wanted = topics_of(self.config)
        if self.config.broker.kind == "local":
            await self.broker.create(wanted)
        found = await self.broker.topics([topic.name for topic in wanted])
        if missing := [name for name, partitions in found.items() if partitions is None]:
            raise BrokerError(
                f"missing topics: {', '.join(missing)}; see `carrierd topics --create`"
            )
        await self.outlet.start()
        await self.http.start(*self.config.http.listen)
        await self.control.open()
        await self.replica.start()
        await recover(self.ledger, self.engine, self.inbound)
        self.replica.stopping.restore()
        self.tasks.run("replica", self.replica.run())
        # Before anything is assigned to us: who has a partition should be able to work on it.
        await self.replica.caught_up()
        if self.homes.every:
            await self.takeover.adopt(frozenset())
        await self.doors.open()
        if left := self.inherited.left():
            log.warning("inherited sockets that are no account's `listen`", addresses=left)
        self.tasks.run("outbox", self.outbox.run())
        self.tasks.run("ticker", self.ticker.run())
        self.tasks.run("refill", self.refill.run())
        self.tasks.run("sweep", self.sweep.run())
        self.tasks.run("parking", self.parking.run())
        self.tasks.run("takeover", self.takeover.run())
        self.pool.start()
        # The group may keep us waiting: a member that was killed has its partitions for a while.
        await self._unless_stopped(self.source.start())
        if self._stopping.is_set():
            return
        self.tasks.run("intake", self.intake.run())
        self.status.starting = False
        self.notify.ready()
        log.info(
            "started",
            name=self.config.daemon.name,
            accounts=len(self.accounts),
            http=self.http.port,
        )

    async def run(self) -> int:
        """From start to the end of the drain; returns the exit status of `carrierd run`."""
        await self.start()
        stop = asyncio.create_task(self._stopped())
        ends: list[asyncio.Future[None]] = [stop, self.ledger.failed, *self.tasks]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        cause = self._failure()
        stop.cancel()
        if cause is not None:
            log.critical("stopping", error=str(cause) or repr(cause), exc_info=cause)
            await self._abandon()
            raise Stopped(str(cause)) from cause
        return await self.drain()

    async def _stopped(self) -> None:
        await self._stopping.wait()

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Until it is done, or is no use any more because the daemon is to stop."""
        working, stop = asyncio.create_task(work), asyncio.create_task(self._stopped())
        await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not working.done():
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    def stop(self) -> None:
        """Drain and end; what SIGTERM does."""
        self._stopping.set()

    def _failure(self) -> BaseException | None:
        if self.tasks.bug is None and self.ledger.failed.done():
            return self.ledger.failed.exception()
        return self.tasks.failure()

    def reload(self, config: Config) -> None:
        """Take over another configuration; what only a restart can take over is logged.

        A daemon that drains takes over nothing: it would connect, and write, anew.
        """
        if self.status.draining:
            log.warning("not reloaded", reason="draining")
            return
        self.config = self.reloading.take_over(self.config, config)

    # Stopping

    async def drain(self) -> int:
        """No new jobs, answers awaited, everything told; 0, or 1 when that took too long."""
        within = self.config.daemon.drain_within
        deadline = self.loop.time() + within
        log.info("draining", within=within)
        self.status.draining = True
        self.notify.stopping(within)
        self.intake.stop()
        for account in self.accounts.values():
            account.dealing.draining = True
        await self.tasks.ended("intake", deadline)
        await durable(self.ledger)  # claims under way reach their links
        self.handover.unload()
        clean = await self.handover.answered_by(deadline)
        await self.engine.reports.settled()
        await self.handover.told()  # and acknowledged to the carriers
        await self.doors.close()
        await self.pool.stop()
        await self.engine.reports.settled()
        self.engine.reports.hand_over()
        self.engine.tell_doubts()
        self.engine.keeping.commit(Changes())  # claims that were given up last
        await durable(self.ledger)
        try:
            async with asyncio.timeout(max(1.0, deadline - self.loop.time())):
                await self.outbox.flushed()
        except TimeoutError:
            clean = False
        self.ticker.commit_offsets()
        await self._close()
        log.info("stopped", clean=clean)
        return 0 if clean else 1

    async def _abandon(self) -> None:
        """Something failed: close what can be closed, promise nothing."""
        await self.tasks.cancel()
        for account in self.accounts.values():
            account.stop()
            for link in list(account.links):
                link.abort()
        await self.http.stop()
        await self.control.close()

    async def _close(self) -> None:
        for account in self.accounts.values():
            account.stop()
        await self.tasks.cancel()
        await self.http.stop()
        await self.control.close()
        await self.source.close()
        await self.replica.close()
        await self.engine.reports.settled()
        await self.outlet.close()
        await self.sweep.close()
        await self.ledger.close()
