"""What the daemon says of itself: `/status`, readiness, and why messages wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .account import Account
from .bind import Bind
from .clock import Stamps, wall
from .holds import Hold
from .pool import Pool
from .router import CARRIERS, Router

PHASES = ("starting", "running", "draining")


class Status:
    """`broker_connected()` says whether jobs can come and reports can go; `uncertain(account)` how
    many messages are in doubt; `name` and `version` are the daemon's own.
    """

    def __init__(
        self,
        *,
        accounts: Mapping[str, Account],
        pool: Pool,
        router: Router,
        stamps: Stamps,
        broker_connected: Callable[[], bool],
        uncertain: Callable[[str], int],
        now: Callable[[], float],
        name: str,
        version: str,
    ) -> None:
        self.accounts = accounts
        self.pool = pool
        self.router = router
        self.stamps = stamps
        self.broker_connected = broker_connected
        self.uncertain = uncertain
        self.now = now
        self.name = name
        self.version = version
        self.since = wall()
        self.starting = True
        self.draining = False

    def why(self, name: str, now: float) -> str | None:
        """Why messages of an account wait; None when nothing waits.

        unbound: no bind can be used. paused, drained: an operator holds all of them. backoff: all
        that wait were told to come again later. window: every link waits for answers. throttled:
        the gateway has slowed us down, by saying so or by answering slowly. rate: the account's
        own.
        """
        account = self.accounts[name]
        if not account.own_waiting and not self.router.waiting(name):
            return None
        links = account.takers()
        if not links:
            return self._held(name) or "unbound"
        if not account.has_waiting():
            return "backoff"
        reasons = [link.why(now) for link in links]
        if all(reasons):
            return "throttled" if "throttled" in reasons else "window"
        if account.pacer.pace < account.pacer.rate:
            return "throttled"
        return "rate"

    def _held(self, name: str) -> str | None:
        """What holds every bind of an account that could take submits."""
        holds = [bind.hold for bind in self.pool.binds.get(name, ()) if bind.writes]
        if not holds or None in holds:
            return None
        return "paused" if "paused" in holds else "drained"

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
                held = ((name, self._held(name)) for name in accounts)
                names = [f"{name} ({how})" if how else name for name, how in held]
                reasons.append(f"carrier {carrier}: no usable account of {', '.join(names)}")
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
        return {
            "name": self.name,
            "version": self.version,
            "since": self.stamps.text(self.since),
            "not_ready": self.not_ready(),
            "accounts": [self._account(name, now) for name in self.accounts],
        }

    def _account(self, name: str, now: float) -> dict[str, Any]:
        account = self.accounts[name]
        binds = self.pool.binds.get(name, ())
        nodes = [
            {
                "name": node.name,
                "host": node.host,
                "port": node.port,
                "priority": node.priority,
                "held": self._hold(self.pool.holds.of(name, node.name)),
                "binds": [self._bind(bind, now) for bind in binds if bind.node.name == node.name],
            }
            for node in account.settings.nodes
        ]
        return {
            "name": name,
            "carrier": account.settings.carrier,
            "protocol": account.settings.protocol,
            "waiting": account.own_waiting + self.router.waiting(name),
            "uncertain": self.uncertain(name),
            "parked": self.router.parked(name),
            "why": self.why(name, now),
            "rate": account.settings.rate,
            "rate_now": round(account.pacer.pace_at(now), 1),
            "held": self._hold(self.pool.holds.of(name)),
            "nodes": nodes,
        }

    def _hold(self, hold: Hold | None) -> dict[str, Any] | None:
        if hold is None:
            return None
        return {"how": hold.how, "since": self.stamps.text(hold.since), "uid": hold.uid}

    def _bind(self, bind: Bind, now: float) -> dict[str, Any]:
        link = bind.link
        window = bind.account.settings.window
        used = link.session.unanswered if link is not None else 0
        why: str | None = None
        if bind.hold is not None:
            why = bind.hold
        elif bind.state != "bound":
            why = {"backoff": "backoff", "refused": "backoff"}.get(bind.state, "unbound")
        elif link is not None and bind.writes:
            why = link.why(now)
        return {
            "number": bind.number,
            "mode": bind.mode,
            "state": bind.state,
            "since": self.stamps.text(bind.since),
            "last_error": bind.last_error,
            "window": window,
            "window_in_use": used,
            "why": why,
        }
