"""Every address where carriers connect to us, and with what they log in there."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from protocols.session import Clock

from .account import Account
from .carriers import listener as listener_of
from .config import Address
from .inherited import Inherited
from .link import Link, Owner
from .listen import Listener


class Doors:
    """One listener for each address that the accounts name; accounts may share one."""

    def __init__(
        self,
        accounts: Iterable[Account],
        clock: Callable[[], Clock],
        engine: Owner,
        attach: Callable[[Link, Account], None],
        detach: Callable[[Link], None],
        inherited: Inherited,
    ) -> None:
        """`inherited` has the sockets that listen at some of these addresses already."""
        self._logins: dict[Address, dict[str, tuple[str, object]]] = {}
        """Password and account by login name, of each address."""
        self._accounts: dict[Address, dict[str, Account]] = {}
        """Those accounts, the same way."""
        for account in accounts:
            settings = account.settings
            if settings.listen is not None:
                shared = self._accounts.setdefault(settings.listen, {})
                shared[settings.listen_login or ""] = account
        self.listeners: list[Listener] = []
        for address, shared in sorted(self._accounts.items()):
            logins = self._logins[address] = {}
            for account in shared.values():
                self.admit(account)
            first = next(iter(shared.values()))
            make = listener_of(logins, first.settings, clock)
            there = inherited.take(*address)
            self.listeners.append(Listener(*address, shared, make, engine, attach, detach, there))

    def admit(self, account: Account) -> None:
        """The carrier logs in with what the account's settings say now."""
        settings = account.settings
        logins = self._logins.get(settings.listen) if settings.listen is not None else None
        if settings.listen is not None and logins is not None:
            password = settings.listen_password
            assert password is not None, "the configuration demands it beside `listen`"
            login = settings.listen_login or ""
            # A name that is another's until the restart stays that one's.
            if self._accounts[settings.listen].setdefault(login, account) is account:
                logins[login] = (password.reveal(), account)

    def dismiss(self, account: Account) -> None:
        """The account is not configured any more: the carrier cannot log in with it, and what is
        logged in ends.
        """
        settings = account.settings
        login = settings.listen_login or ""
        for listener in self.listeners:
            address = Address(listener.host, listener.port)
            if address == settings.listen and self._accounts[address].get(login) is account:
                del self._accounts[address][login], self._logins[address][login]
                listener.dismiss(login)

    async def open(self) -> None:
        """Raises OSError when an address cannot be had."""
        for listener in self.listeners:
            await listener.start()

    async def close(self) -> None:
        for listener in self.listeners:
            await listener.stop()
