"""Which account a number goes to: carrier of its prefix, route of that, first usable account.

Messages wait on their route.  Whenever an account becomes usable or stops being so, the routes
are dealt again: each is served by its first usable account, and waits while there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .account import Account
from .clock import wall
from .config import Routes
from .model import Message, State
from .queues import RouteQueue

LONGEST_WAIT = 259200.0
"""Seconds; where no account says otherwise."""
CARRIERS = ("mobile", "unicom", "telecom", "broadnet")
DEFAULT = "default"
OWN = "account:"
"""Before the name of an account: the route of the jobs that name it."""


class Router:
    """`usable(name)` says whether at least one bind of an account can take submits."""

    def __init__(
        self, routes: Routes, accounts: Mapping[str, Account], usable: Callable[[str], bool]
    ) -> None:
        self.accounts = accounts
        self.usable = usable
        self.queues: dict[str, RouteQueue] = {
            name: RouteQueue(name, getattr(routes, name)) for name in (*CARRIERS, DEFAULT)
        }
        for name in accounts:
            self.queues[OWN + name] = RouteQueue(OWN + name, (name,))
        self.serving: dict[str, str | None] = {}
        """Account by route, None while none is usable."""
        self._unserved: dict[str, float] = {}
        """Since when, on the wall clock, by route that no account serves."""
        self.changed()

    def change(self, routes: Routes, accounts: Iterable[str]) -> list[Account]:
        """Other routes, and perhaps other accounts; returns the accounts that serve more now."""
        for name in (*CARRIERS, DEFAULT):
            self.queues[name].accounts = getattr(routes, name)
        configured = set(accounts)
        for name in configured:
            self.queues.setdefault(OWN + name, RouteQueue(OWN + name, (name,)))
        for name, queue in self.queues.items():
            if name.startswith(OWN):
                own = name.removeprefix(OWN)
                queue.accounts = (own,) if own in configured else ()
        return self.changed()

    def choose(self, carrier: str | None, account: str | None) -> RouteQueue | None:
        """The queue for a message; None when the account is not known.

        A queue without accounts is no route.
        """
        if account is not None:
            queue = self.queues.get(OWN + account)
            return queue if queue is not None and queue.accounts else None
        return self.queues[carrier if carrier is not None else DEFAULT]

    def first(self, queue: RouteQueue) -> str:
        """The account that serves a route, or the preferred one while none is usable."""
        return self.serving.get(queue.name) or queue.accounts[0]

    def patience(self, message: Message) -> float:
        """Seconds that a message may wait: `report_within` of the account it would go to."""
        queue = self.queues.get(message.route)
        if queue is None or not queue.accounts:
            return LONGEST_WAIT
        return self.waits(queue)

    def waits(self, queue: RouteQueue) -> float:
        """Seconds that a message may wait on a route that has accounts."""
        return self.accounts[self.first(queue)].settings.report_within

    def changed(self) -> list[Account]:
        """Deal the routes again; returns the accounts that got a new one."""
        dealt: dict[str, list[RouteQueue]] = {name: [] for name in self.accounts}
        gained: dict[str, Account] = {}
        for queue in self.queues.values():
            now = next((name for name in queue.accounts if self.usable(name)), None)
            before = self.serving.get(queue.name)
            self.serving[queue.name] = now
            if now is None:
                self._unserved.setdefault(queue.name, wall())
            else:
                self._unserved.pop(queue.name, None)
                dealt[now].append(queue)
                if now != before:
                    gained[now] = self.accounts[now]
        for name, account in self.accounts.items():
            account.dealing.queues = dealt[name]
        return list(gained.values())

    def unserved(self, queue: RouteQueue, at: float) -> float:
        """Seconds for which no account of the route could be used."""
        return at - self._unserved.get(queue.name, at)

    def goes_to(self, message: Message) -> str | None:
        """The account that a message on its route would be given to now."""
        queue = self.queues.get(message.route)
        return self.first(queue) if queue is not None and queue.accounts else None

    def left(self, message: Message) -> None:
        """A message that waits in the ledger alone will not come back into memory."""
        queue = self.queues.get(message.route)
        if queue is None or message.standing:
            return
        if message.state is State.WAITING and not message.written:
            queue.spilled[message.lane] = max(0, queue.spilled[message.lane] - 1)
        elif message.state is State.PARKED:
            queue.parked[message.lane] = max(0, queue.parked[message.lane] - 1)
        elif message.state is State.HELD:
            queue.held = max(0, queue.held - 1)

    def parked(self, account: str) -> int:
        """Messages that are parked and would go to this account now."""
        return sum(
            sum(queue.parked) + queue.held
            for queue in self.queues.values()
            if queue.accounts and self.first(queue) == account
        )

    def requeue(self, message: Message) -> None:
        """A message that was never written waits again, in front."""
        message.account = None
        message.link = None
        self.queues[message.route].lanes.put_back(message)
        serving = self.serving.get(message.route)
        if serving is not None:
            self.accounts[serving].nudge()

    def waiting(self, account: str) -> int:
        """Messages that would go to this account, or wait for it, now."""
        return sum(
            len(queue)
            for queue in self.queues.values()
            if queue.accounts and self.first(queue) == account
        )
