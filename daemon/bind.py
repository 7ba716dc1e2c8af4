"""One bind of an account to a node: connecting, logging in, staying up, coming back.

Refused credentials end the attempts at once, because a carrier locks accounts that go on trying;
it is looked at again every few minutes, in case the refusal was the gateway's trouble.  Everything
else is tried again with a growing, jittered delay.

An operator may hold a bind: `paused` it stays logged in and is dealt nothing, `drained` it says
goodbye and stays away, until it is let go.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

import structlog

from protocols.events import BindRefused, Bound, Closed, Event, Malformed
from protocols.session import Session

from .account import Account
from .clock import wall
from .config import Node
from .holds import How
from .link import Link, Owner

log = structlog.get_logger()

CONNECT_WITHIN = 10.0
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
RETIRE_LOOK = 0.05
REFUSED_DELAY = 300.0
"""Seconds between attempts with credentials that were refused."""
STATES = ("connecting", "login", "bound", "idle", "backoff", "refused", "closed")


def backoff() -> Iterator[float]:
    """Doubling, spread so that a carrier's binds do not all return at once."""
    delay = FIRST_DELAY
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(LONGEST_DELAY, delay * 2)


class Changed(Protocol):
    """Who is told when a bind may or may not be used any more."""

    def bind_opened(self, bind: Bind, link: Link) -> None: ...
    def bind_up(self, bind: Bind, link: Link) -> None: ...
    def bind_down(self, bind: Bind, link: Link | None) -> None: ...


class Bind:
    """`make` gives a new session for each connection; `mode` is trx, tx or rx.

    `state` is one of STATES; `since` the wall time of entering it.
    """

    def __init__(
        self,
        account: Account,
        node: Node,
        number: int,
        mode: str,
        make: Callable[[str], Session],
        owner: Owner,
        changed: Changed,
    ) -> None:
        self.account = account
        self.node = node
        self.number = number
        self.mode = mode
        self.make = make
        self.owner = owner
        self.changed = changed
        self.link: Link | None = None
        self.state = "connecting"
        self.since = wall()
        self.last_error: str | None = None
        self.refused = False
        self.was_up = False
        self.was_idle = False
        """Its gateway closed it idle, and no connect has failed since (contract section 3)."""
        self.hold: How | None = None
        """What an operator told it to do."""
        self.wanted = asyncio.Event()
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        """It was told to stop, to stay away or to come back: no waiting for the next attempt."""

    @property
    def name(self) -> str:
        return f"{self.account.name}/{self.node.name}#{self.number}"

    @property
    def writes(self) -> bool:
        return self.mode != "rx"

    def stays_away(self) -> bool:
        return self.hold == "drained"

    @property
    def usable(self) -> bool:
        """Whether it can take submits, or could after a connect that nobody asked for yet."""
        if not self.writes or self.hold is not None:
            return False
        return self.was_idle or (self.link is not None and self.link.bound)

    async def run(self) -> None:
        """Keep the bind up until `stop`, or until the task is cancelled."""
        delays = backoff()
        while not self._stopping.is_set():
            if self.stays_away():
                self.link = None
                self.was_idle = False
                self._enter("closed")
                self._news.clear()
                await self._news.wait()
                delays = backoff()
                continue
            await self._connect()
            link = self.link
            if link is not None:
                await asyncio.shield(link.closed)
                if link.bound_at is not None:
                    delays = backoff()
                if await self._idle(link):
                    continue
            self.link = None
            if self._stopping.is_set():
                break
            if self.stays_away():
                continue
            if self.refused:
                self._enter("refused")
                await self._wait(REFUSED_DELAY * random.uniform(0.9, 1.1))
            else:
                self._enter("backoff")
                await self._wait(next(delays))
        self._enter("closed")

    async def _wait(self, seconds: float) -> None:
        """So long, or until there is news."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def _connect(self) -> None:
        self.link = None
        self.refused = False
        self._enter("connecting")
        loop = asyncio.get_running_loop()
        within = CONNECT_WITHIN
        if self.was_idle:
            # It counts as usable meanwhile, and nodes of a larger priority wait for it.
            within = min(within, self.account.settings.answer_within)
        local = (self.node.local_address, 0) if self.node.local_address else None
        try:
            async with asyncio.timeout(within):
                _, link = await loop.create_connection(
                    self._make_link, self.node.host, self.node.port, local_addr=local
                )
        except (OSError, TimeoutError) as exc:
            where = f"{self.node.host}:{self.node.port}"
            reason = "no answer" if isinstance(exc, TimeoutError) else str(exc)
            self.was_idle = False
            self._failed(f"cannot connect to {where}: {reason}")
            self.changed.bind_down(self, None)
            return
        self.link = link
        if self._stopping.is_set() or self.stays_away():
            link.close()
            return
        self._enter("login")

    def _make_link(self) -> Link:
        link = Link(
            self.node.name,
            self.make(self.mode),
            self.owner,
            self.account.pacer,
            writes=self.writes,
        )
        self.changed.bind_opened(self, link)
        return link

    async def _idle(self, link: Link) -> bool:
        """SGIP: a gateway may close what is idle; come back when there is something to send."""
        if self.account.protocol != "sgip" or self._stopping.is_set() or self.stays_away():
            return False
        if link.bound_at is None or (link.failed and not link.quiet):
            return False
        self.link = None
        self.was_idle = True
        self._enter("idle")
        self.wanted.clear()
        self.changed.bind_down(self, None)
        await self.wanted.wait()
        return True

    # What the engine tells

    def on_event(self, link: Link, event: Event, now: float) -> None:
        """Of the connection itself: logged in, refused, closed, or something malformed."""
        if isinstance(event, Bound):
            link.returns(now, ramping=self.was_up and bool(self.account.links))
            self.was_up = True
            self.was_idle = False
            self.last_error = None
            self._enter("bound")
            log.info("bound", bind=self.name, version=event.version)
            self.changed.bind_up(self, link)
        elif isinstance(event, BindRefused):
            self.refused = not event.retry
            self.was_idle = False
            self._failed(f"login refused: {event.reason}")
            if self.refused:
                log.error("credentials refused", bind=self.name, status=event.status, alarm=True)
        elif isinstance(event, Malformed):
            log.warning("malformed PDU", bind=self.name, error=event.error)
        elif isinstance(event, Closed):
            ours = self._stopping.is_set() or self.stays_away()
            # SGIP's gateways say goodbye to what is idle.
            link.failed = event.error or not (ours or self.account.protocol == "sgip")
            if link.bound_at is None:
                self.was_idle = False  # its login was not answered
            if event.error:
                self._failed(event.reason)
            else:
                log.info("closed", bind=self.name, reason=event.reason)
            self.changed.bind_down(self, link)

    async def retire(self) -> None:
        """Say goodbye once every answer has come, or its time has passed."""
        self._stopping.set()
        self._look_again()
        link = self.link
        if link is None or link.closed.done():
            return
        await _answered(link)
        link.close()

    def told(self, hold: How | None) -> None:
        """An operator holds it, or lets it go.

        A pause wakes nobody: where credentials were refused it must not make another attempt.
        """
        before, self.hold = self.hold, hold
        if "drained" in (before, hold):
            self._look_again()

    async def drain(self) -> None:
        """Held drained: say goodbye as `retire` does, unless it is let go meanwhile."""
        link = self.link
        if link is None or link.closed.done():
            return
        await _answered(link)
        if self.stays_away():
            link.close()

    def stop(self) -> None:
        """Say goodbye and do not come back."""
        self._stopping.set()
        self._look_again()
        if self.link is not None:
            self.link.close()

    def _look_again(self) -> None:
        self._news.set()
        self.wanted.set()

    def _failed(self, error: str) -> None:
        if error != self.last_error:
            log.warning("bind failed", bind=self.name, error=error)
        self.last_error = error

    def _enter(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.since = wall()


async def _answered(link: Link) -> None:
    """Until every answer has come, or its time has passed."""
    within = link.session.limits.answer_within
    for _ in range(int(within / RETIRE_LOOK) + 1):
        if not link.session.unanswered:
            return
        await asyncio.sleep(RETIRE_LOOK)
