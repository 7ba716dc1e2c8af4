"""What the daemon says of itself: `/status`, readiness, and why messages wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .account import Account
from .bind import Bind
from .clock import Stamps
from .pool import Pool
from .router import CARRIERS, Router

PHASES = ("starting", "running", "draining")


class Status:
    """`broker_connected()` says whether jobs can come and reports can go."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, Account],
        pool: Pool,
        router: Router,
        stamps: Stamps,
        broker_connected: Callable[[], bool],
        now: Callable[[], float],
    ) -> None:
        self.accounts = accounts
        self.pool = pool
        self.router = router
        self.stamps = stamps
        self.broker_connected = broker_connected
        self.now = now
        self.starting = True
        self.draining = False

    def why(self, name: str, now: float) -> str | None:
        """Why messages of an account wait; None when nothing waits.

        unbound: no bind can be used. backoff: all that wait were told to come again later. window:
        every link waits for answers. throttled: the gateway has slowed us down, by saying so or by
        answering slowly. rate: the account's own.
        """
        account = self.accounts[name]
        if not account.own_waiting and not self.router.waiting(name):
            return None
        links = account.takers()
        if not links:
            return "unbound"
        if not account.has_waiting():
            return "backoff"
        reasons = [link.why(now) for link in links]
        if all(reasons):
            return "throttled" if "throttled" in reasons else "window"
        if account.pacer.pace < account.pacer.rate:
            return "throttled"
        return "rate"

    @property
    def phase(self) -> str:
        """One of PHASES."""
        if self.draining:
            return "draining"
        return "starting" if self.starting else "running"

    def not_ready(self) -> list[str]:
        """The reasons for which `/readyz` says 503."""
        reasons = []
        if not self.broker_connected():
            reasons.append("broker: not connected")
        if self.starting:
            reasons.append("daemon: starting")
        if self.draining:
            reasons.append("daemon: draining")
        for carrier in CARRIERS:
            accounts = self.router.queues[carrier].accounts
            if accounts and not any(self.pool.usable(name) for name in accounts):
                reasons.append(f"carrier {carrier}: no usable account of {', '.join(accounts)}")
        return reasons

    def line(self) -> str:
        """How it goes, in one line: what `systemctl status` shows."""
        binds = up = 0
        for name, account in self.accounts.items():
            binds += len(self.pool.binds.get(name, ()))
            up += sum(self.pool.up(name, node.name) for node in account.settings.nodes)
        waiting = sum(
            account.own_waiting + self.router.waiting(name)
            for name, account in self.accounts.items()
        )
        said = [f"{up} of {binds} binds up, {waiting} messages waiting", *self.not_ready()]
        return "; ".join(said)

    def show(self) -> dict[str, Any]:
        """The body of `/status`."""
        now = self.now()
        found = []
        for name, account in self.accounts.items():
            nodes = []
            for node in account.settings.nodes:
                binds = [b for b in self.pool.binds.get(name, ()) if b.node.name == node.name]
                nodes.append(
                    {"name": node.name, "binds": [self._bind(bind, now) for bind in binds]}
                )
            found.append(
                {
                    "name": name,
                    "waiting": account.own_waiting + self.router.waiting(name),
                    "why": self.why(name, now),
                    "nodes": nodes,
                }
            )
        return {"accounts": found}

    def _bind(self, bind: Bind, now: float) -> dict[str, Any]:
        link = bind.link
        window = bind.account.settings.window
        used = link.session.unanswered if link is not None else 0
        why = None
        if bind.state != "bound":
            why = {"backoff": "backoff", "refused": "backoff"}.get(bind.state, "unbound")
        elif link is not None and bind.writes:
            why = link.why(now)
        return {
            "state": bind.state,
            "since": self.stamps.text(bind.since),
            "last_error": bind.last_error,
            "window": window,
            "window_in_use": used,
            "why": why,
        }
