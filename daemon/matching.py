"""Which message a report is about that memory does not name at once.

The ledger is asked, and what it names is brought into memory; what is on its way to the ledger
counts, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocols.events import Reported

from . import lists
from .account import Account
from .changes import WITH_RECIPIENT
from .correlate import Correlate
from .homes import Homes
from .ledger import Ledger
from .memory import Memory
from .model import Message, Place, State, Write
from .recall import revive_all

Found = dict[tuple[str, bytes], list[tuple[int, int]]]
"""Messages and parts by account and key, newest first."""


class Matching:
    def __init__(
        self,
        *,
        ledger: Ledger,
        memory: Memory,
        correlate: Correlate,
        homes: Homes,
        accounts: dict[str, Account],
    ) -> None:
        self.ledger = ledger
        self.memory = memory
        self.correlate = correlate
        self.homes = homes
        self.accounts = accounts

    async def look(self, wanted: Sequence[tuple[str, bytes]]) -> Known:
        """What is known of accounts and keys, until memory's `reading` around this ends."""
        found = await self.ledger.find(wanted)
        brought = await self._bring({mid for places in found.values() for mid, _ in places})
        return Known(self, found, brought)

    async def _bring(self, mids: set[int]) -> dict[int, Message]:
        """All of these, read from the ledger into memory if need be; what is final stays out.

        The first of several reports may end what it is about: the others find it here.
        """
        brought: dict[int, Message] = {}
        away: list[int] = []
        for mid in mids:
            held = self.memory.held(mid)
            if held is None:
                away.append(mid)
            else:
                brought[mid] = held
        if away:
            for message in revive_all(await self.ledger.load(sorted(away))):
                held = self.memory.held(message.mid)
                brought[message.mid] = held or message
                if held is None and not message.final and self.homes.mine(message.job):
                    self._borrow(message)
        return brought

    def _borrow(self, message: Message) -> None:
        """A message that is not final was read back for a report, and stays for a while."""
        self.memory.open[message.mid] = message
        account = self.accounts.get(message.account or "")
        if message.state is State.WAITING and account is not None and message.job.whole:
            # Some of it was written and the rest waited in the ledger: it waits here now.
            account.bound.append(message)
            account.nudge()
        for name, key, part in self.memory.keys(message):
            self.correlate.register(name, key, Write(message, part, ""))
        if message.lists and account is not None:
            [part] = message.parts
            for keys in lists.known_by(message, account.protocol):
                self.correlate.register_member(account.name, keys, message, part)


class Known:
    """What one look found, for the reports that it was for."""

    __slots__ = ("_brought", "_found", "_of")

    def __init__(self, of: Matching, found: Found, brought: dict[int, Message]) -> None:
        self._of = of
        self._found = found
        self._brought = brought

    def place(self, account: str, event: Reported, to: str) -> Place | None:
        """The part that the report is about."""
        # The answer may have come while the ledger was asked.
        place = self._of.correlate.find(account, event.keys, event.exact, to)
        if place is None:
            place = self._among(account, event, to)
        if place is None:
            place = self._leaving(account, event.keys, to)
        return place

    def _among(self, account: str, event: Reported, to: str) -> Place | None:
        """The newest part under any of the keys, of this recipient if there is one."""
        for order, key in enumerate(event.keys):
            alone: Place | None = None
            for mid, number in self._found.get((account, key), ()):
                message = self._of.memory.held(mid) or self._brought.get(mid)
                if message is None or number > len(message.parts):
                    continue
                part = message.parts[number - 1 if number != WITH_RECIPIENT else 0]
                if message.to == to:
                    return message, part
                if alone is None and number != WITH_RECIPIENT:
                    alone = message, part
            if alone is not None and order < event.exact:
                return alone
        return None

    def _leaving(self, account: str, keys: Sequence[bytes], to: str) -> Place | None:
        """The part of this recipient under any of the keys whose id is on its way to the ledger."""
        for message in self._of.memory.leaving(account, {to}).get(to, ()):
            for _, key, part in self._of.memory.keys(message):
                if key in keys:
                    return message, part
            terms = self._of.accounts.get(account)
            if message.lists and terms is not None:
                for own in lists.known_by(message, terms.protocol):
                    if not set(own).isdisjoint(keys):
                        return message, message.parts[0]
        return None
