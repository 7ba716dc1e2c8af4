"""What the daemon does when it is asked over its control socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from daemon.account import Account
from daemon.clock import wall
from daemon.holds import HeldWhole
from daemon.holds import Hold as Held
from daemon.pool import Pool
from daemon.wiretap.taps import Taps, TooMany

from .door import Refused, Stream
from .level import Level
from .requests import Hold, Request, Resume, Status, Wiretap

log = structlog.get_logger()


class Answers:
    """`status()` gives the body of `/status`."""

    def __init__(
        self,
        *,
        accounts: Mapping[str, Account],
        pool: Pool,
        status: Callable[[], dict[str, Any]],
        taps: Taps,
    ) -> None:
        self.accounts = accounts
        self.pool = pool
        self.status = status
        self.taps = taps
        self.level = Level()

    def answer(self, request: Request, uid: int) -> dict[str, Any] | Stream:
        """Raises Refused."""
        if isinstance(request, Status):
            return self.status()
        if isinstance(request, Hold):
            return self._hold(request, uid)
        if isinstance(request, Resume):
            return self._resume(request, uid)
        if isinstance(request, Wiretap):
            return self._wiretap(request, uid)
        self.level.set(request.level, request.seconds, uid)
        return {"level": request.level, "seconds": request.seconds}

    def _hold(self, request: Hold, uid: int) -> dict[str, Any]:
        account = self._known(request.account, request.node)
        log.warning("held", account=account.name, node=request.node, how=request.how, uid=uid)
        self.pool.holds.put(account.name, request.node, Held(request.how, wall(), uid))
        self.pool.follow_holds(account)
        return self._binds(account, request.node)

    def _resume(self, request: Resume, uid: int) -> dict[str, Any]:
        account = self._known(request.account, request.node)
        try:
            held = self.pool.holds.lift(account.name, request.node)
        except HeldWhole:
            raise Refused(
                f"{account.name} is held as a whole: resume it without naming a node"
            ) from None
        if held:
            log.warning("let go", account=account.name, node=request.node, uid=uid)
            self.pool.follow_holds(account)
        return {"held": held, **self._binds(account, request.node)}

    def _wiretap(self, request: Wiretap, uid: int) -> Stream:
        account = self._known(request.account, request.node)
        try:
            tap = self.taps.open(account, request.node, request.seconds)
        except TooMany as exc:
            raise Refused(str(exc)) from None
        log.warning(
            "wiretap", account=account.name, node=request.node, seconds=request.seconds, uid=uid
        )
        return tap

    def _known(self, name: str, node: str | None) -> Account:
        """The account, when it and the node are configured."""
        if name not in self.pool.binds:
            raise Refused(f"no account {name}, there are {', '.join(self.pool.binds)}")
        account = self.accounts[name]
        nodes = [one.name for one in account.settings.nodes]
        if node is not None and node not in nodes:
            raise Refused(f"{name} has no node {node}, it has {', '.join(nodes)}")
        return account

    def _binds(self, account: Account, node: str | None) -> dict[str, Any]:
        """How many binds it is about, and how many answers those are owed."""
        binds = [b for b in self.pool.binds[account.name] if node in (None, b.node.name)]
        owed = sum(b.link.session.unanswered for b in binds if b.link is not None)
        return {"binds": len(binds), "unanswered": owed}
