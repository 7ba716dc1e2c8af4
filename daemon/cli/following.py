"""Follows jobs to what becomes of their messages, on the reports and dead topics."""

from __future__ import annotations

import asyncio
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from daemon.broker.base import Broker, Tail
from daemon.cli.tail import BATCH, WAIT, line
from daemon.config import Config
from daemon.jobs import Job, JobError, decode, digest


class Following:
    """`start`, then `expect` jobs before they are published, then ask whether `delivered`.

    A repeat of a job that is over has no more events.  What became of it is in the ledger; without
    one on this machine it is waited for in vain.
    """

    def __init__(self, config: Config, broker: Broker) -> None:
        topics = config.broker.topics
        self._daemon = config.daemon
        self._protocols: dict[str, str] = {
            name: account.protocol for name, account in config.accounts.items()
        }
        self._reports = broker.tail(topics.reports)
        self._dead = broker.tail(topics.dead)
        self._open: set[str] = set()  # messages without a final event
        # What closes when a record comes out on the dead topic, by its value in base64.  For
        # one that is no job this is the value itself.
        self._closes: dict[str, set[str]] = {}
        self._all_well = True
        self._shown: set[tuple[Any, Any, Any]] = set()

    async def start(self) -> None:
        """Only what comes from now on is looked at."""
        await self._reports.start(None)
        await self._dead.start(None)

    def expect(self, values: Iterable[bytes]) -> None:
        now = time.time()
        jobs: list[Job] = []
        for value in values:
            spelled = b64encode(value).decode()
            try:
                job = decode(value, None, now)
            except JobError:
                closes = {spelled}
            else:
                closes = {f"{job.id}/{index}" for index in range(len(job.to))}
                jobs.append(job)
            self._closes[spelled] = closes
            self._open |= closes
        for event in self._over(jobs, now - self._daemon.remember_ids):
            self._tell(event, self._reported)

    async def delivered(self, within: float | None) -> bool:
        """Print every event as a line; True when each message was delivered in that time.

        Where no report was asked for, the gateway's acceptance is what there is to wait for.
        """
        following = [
            asyncio.create_task(self._follow(self._reports, self._reported)),
            asyncio.create_task(self._follow(self._dead, self._died)),
        ]
        try:
            async with asyncio.timeout(within):
                done, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except TimeoutError:
            print(
                f"carrierd send: {len(self._open)} without a final state after {within:g} s",
                file=sys.stderr,
            )
            return False
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        return self._all_well

    async def close(self) -> None:
        await self._reports.close()
        await self._dead.close()

    async def _follow(self, tail: Tail, seen: Callable[[dict[str, Any]], bool]) -> None:
        while self._open:
            for record in await tail.take(BATCH, WAIT):
                self._tell(record.value, seen)

    def _tell(self, value: bytes, seen: Callable[[dict[str, Any]], bool]) -> None:
        try:
            event = orjson.loads(value)
        except orjson.JSONDecodeError:
            return  # not from a daemon
        if isinstance(event, dict) and seen(event):
            print(line(value), end="", flush=True)

    def _over(self, jobs: Iterable[Job], since: float) -> Iterator[bytes]:
        """The last events of those whose ids were used for the same, later than `since`."""
        from daemon.clock import Stamps  # what commands that do not wait have no use for
        from daemon.ledger import History, LedgerError
        from daemon.recall import revive_all
        from daemon.records import Records

        records = Records(Stamps(self._daemon.timezone), self._protocols)
        try:
            with History.open(self._daemon.state_dir) as history:
                for job in jobs:
                    own = digest(job)
                    for message in revive_all(history.by_job(job.id)):
                        known = message.job
                        if message.final and known.received > since and known.digest == own:
                            yield records.report(message)[1]
        except LedgerError:
            return  # the daemon is on another machine, or was never started

    def _reported(self, event: dict[str, Any]) -> bool:
        """True when it is about ours and new."""
        message, state = event.get("message"), event.get("state")
        known = (message, state, event.get("attempts"))
        if message not in self._open or known in self._shown:
            return False
        self._shown.add(known)
        if event.get("final") is True:
            self._open.discard(message)
            self._all_well &= state in ("delivered", "accepted")
        return True

    def _died(self, event: dict[str, Any]) -> bool:
        closes = self._closes.pop(str(event.get("value_base64")), None)
        if closes is None:
            return False
        self._open -= closes
        self._all_well = False
        return True
