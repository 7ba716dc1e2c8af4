"""SIGHUP: another configuration, without dropping what it does not change.

Accounts, nodes, routes, rates, secrets and the policy for what is uncertain are taken over; binds
that the change does not touch stay up, the others finish what they have written before they end.
What was opened at start (state, broker, listeners, the HTTP address) needs a restart: that is
said, and the rest is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from protocols.session import Clock

from .account import Account
from .carriers import maker
from .config import Account as Settings
from .config import Config
from .doors import Doors
from .engine import Engine
from .parking import Parking
from .pool import Pool
from .records import Records
from .router import Router
from .settle import Settle
from .sweep import Sweep

log = structlog.get_logger()

OPENED_AT_START = ("name", "state_dir", "timezone", "remember_ids", "join_within", "codes")
"""Keys of [daemon] that need a restart."""
OF_THE_BIND = (
    "protocol",
    "version",
    "login",
    "password",
    "service_id",
    "window",
    "answer_within",
    "keepalive",
    "node_id",
    "corp_id",
    "udhi",
    "md5_pad",
    "report_id",
    "throttle_codes",
    "bind_mode",
    "system_type",
)
"""Keys of an account that its connections were made with."""
OF_THE_LISTENER = ("listen", "listen_login")


def needs_restart(old: Config, new: Config) -> list[str]:
    """The keys whose change only a restart can take over."""
    keys = [
        f"daemon.{key}"
        for key in OPENED_AT_START
        if getattr(old.daemon, key) != getattr(new.daemon, key)
    ]
    for section in ("broker", "http"):
        before, after = getattr(old, section), getattr(new, section)
        keys += [
            f"{section}.{key}"
            for key in before.__struct_fields__
            if getattr(before, key) != getattr(after, key)
        ]
    if old.routes.prefixes != new.routes.prefixes:
        keys.append("routes.prefixes")
    for name, account in new.accounts.items():
        before = old.accounts.get(name)
        if before is None:
            if account.listen is not None:
                keys.append(f"accounts.{name}.listen")
            continue
        keys += [
            f"accounts.{name}.{key}"
            for key in OF_THE_LISTENER
            if getattr(before, key) != getattr(account, key)
        ]
    return keys


def binds_anew(old: Settings, new: Settings) -> bool:
    """Whether connections of this account that are listed before and after must be made again."""
    return any(getattr(old, key) != getattr(new, key) for key in OF_THE_BIND)


def merged(old: Config, new: Config) -> Config:
    """The new configuration, with what needs a restart as it is."""
    accounts = {}
    for name, account in new.accounts.items():
        before = old.accounts.get(name)
        if before is not None:
            kept = {key: getattr(before, key) for key in OF_THE_LISTENER}
            account = msgspec.structs.replace(account, **kept)
        accounts[name] = account
    kept = {key: getattr(old.daemon, key) for key in OPENED_AT_START}
    return msgspec.structs.replace(
        new,
        daemon=msgspec.structs.replace(new.daemon, **kept),
        broker=old.broker,
        http=old.http,
        routes=msgspec.structs.replace(new.routes, prefixes=old.routes.prefixes),
        accounts=accounts,
    )


class Reloading:
    """`settings` are those of the accounts, by name: all that ever were."""

    def __init__(
        self,
        *,
        settings: dict[str, Settings],
        accounts: dict[str, Account],
        engine: Engine,
        settle: Settle,
        records: Records,
        sweep: Sweep,
        parking: Parking,
        pool: Pool,
        doors: Doors,
        router: Router,
        clock: Callable[[], Clock],
    ) -> None:
        self.settings = settings
        self.accounts = accounts
        self.engine = engine
        self.settle = settle
        self.records = records
        self.sweep = sweep
        self.parking = parking
        self.pool = pool
        self.doors = doors
        self.router = router
        self.clock = clock

    def take_over(self, old: Config, new: Config) -> Config:
        """Returns the configuration that is in force then; what needs a restart is logged."""
        for key in needs_restart(old, new):
            log.warning("needs a restart", key=key)
        config = merged(old, new)
        self.settle.hold = config.uncertain.hold
        self.settle.resend = config.uncertain.then == "resend"
        self.sweep.settings = config.daemon
        self.parking.after = config.daemon.park_after
        for name, settings in config.accounts.items():
            before = old.accounts.get(name)
            self.settings[name] = settings
            self.records.speaks(name, settings.protocol)
            account = self.accounts.get(name)
            if account is None:
                account = Account(name, settings, self.engine, asyncio.get_running_loop().time())
                self.accounts[name] = account
            elif before == settings:
                continue
            account.change(settings)
            self.doors.admit(account)
            self.pool.change(
                account,
                maker(settings, self.clock),
                anew=before is not None and binds_anew(before, settings),
            )
        for name in old.accounts.keys() - config.accounts.keys():
            self.pool.end(self.accounts[name])
            self.doors.dismiss(self.accounts[name])
        for account in self.router.change(config.routes, config.accounts):
            account.nudge()
        log.info("reloaded", accounts=len(config.accounts))
        return config
