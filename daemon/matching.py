"""Which message a report is about that memory does not name at once.

The ledger is asked, and what it names is brought into memory; what is on its way to the ledger
counts, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocols import ids
from protocols.events import Reported

from . import lists
from .account import Account
from .changes import WITH_RECIPIENT
from .correlate import Correlate
from .homes import Homes
from .ledger import Ledger
from .memory import Memory
from .model import Message, Part, Place, State, Write
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

    def leaving(self, account: str) -> Leaving:
        terms = self.accounts.get(account)
        if terms is None:
            return Leaving((), "")
        return Leaving(self.memory.leaving(account), terms.protocol)

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
                member = lists.Member(message, part, "")
                member.keys = keys
                self.correlate.register_member(account.name, member)


class Known:
    """What one look found, for the reports that it was for."""

    __slots__ = ("_brought", "_found", "_leaving", "_of")

    def __init__(self, of: Matching, found: Found, brought: dict[int, Message]) -> None:
        self._of = of
        self._found = found
        self._brought = brought
        self._leaving: dict[str, Leaving] = {}
        """By account, as they are asked for."""

    def place(self, account: str, event: Reported, to: str) -> Place | None:
        """The part that the report is about: the newest of this recipient under any of the keys,
        else the newest under one that is exact.

        Gateways use ids again, and some spell the recipient in ways of their own.
        """
        correlate, exact = self._of.correlate, event.keys[: event.exact]
        leaving = self._leaving.get(account)
        if leaving is None:
            leaving = self._leaving[account] = self._of.leaving(account)
        # The answer may have come while the ledger was asked.
        place = correlate.find(account, event.keys, to)
        if place is None:
            place = leaving.find(event.keys, to) or self._find(account, event.keys, to)
            if place is not None:
                return place
            place = correlate.alone(account, exact)
        if place is not None:
            leaving.add(place[0])  # if this ends it, the next report is about it all the same
            return place
        return leaving.alone(exact) or self._alone(account, exact)

    def _find(self, account: str, keys: Sequence[bytes], to: str) -> Place | None:
        for key in keys:
            for mid, number in self._found.get((account, key), ()):
                message = self._message(mid)
                if message is not None and message.to == to and number <= len(message.parts):
                    return message, message.parts[number - 1 if number != WITH_RECIPIENT else 0]
        return None

    def _alone(self, account: str, keys: Sequence[bytes]) -> Place | None:
        for key in keys:
            for mid, number in self._found.get((account, key), ()):
                message = self._message(mid)
                if message is None or number > len(message.parts):
                    continue
                if number != WITH_RECIPIENT:
                    return message, message.parts[number - 1]
        return None

    def _message(self, mid: int) -> Message | None:
        return self._of.memory.held(mid) or self._brought.get(mid)


class Leaving:
    """Messages of one account that left memory just now: the ledger may not know their ids yet.

    Under one key the newest counts.
    """

    __slots__ = ("_by_key", "_by_recipient", "_named", "_protocol")

    def __init__(self, messages: Sequence[Message], protocol: str) -> None:
        self._protocol = protocol
        self._by_recipient: dict[str, list[Message]] = {}
        self._named: dict[str, dict[bytes, Place]] = {}
        """By key, of the recipients that were asked for."""
        self._by_key: dict[bytes, Place] | None = None
        """Of those that an id alone names; made when it is asked for."""
        for message in messages:
            self._by_recipient.setdefault(message.to, []).append(message)

    def add(self, message: Message) -> None:
        self._by_recipient.setdefault(message.to, []).append(message)
        if (named := self._named.get(message.to)) is not None:
            self._name(message, named)
        if self._by_key is not None:
            self._name_alone(message, self._by_key)

    def find(self, keys: Sequence[bytes], to: str) -> Place | None:
        """The part of this recipient under the first of the keys that leads to any."""
        named = self._named.get(to)
        if named is None:
            messages = self._by_recipient.get(to)
            if messages is None:
                return None
            named = self._named[to] = {}
            for message in messages:
                self._name(message, named)
        return _first(named, keys)

    def alone(self, keys: Sequence[bytes]) -> Place | None:
        """A part under any of the keys, whoever its recipient is."""
        by_key = self._by_key
        if by_key is None:
            by_key = self._by_key = {}
            for messages in self._by_recipient.values():
                for message in messages:
                    self._name_alone(message, by_key)
        return _first(by_key, keys)

    def _name(self, message: Message, named: dict[bytes, Place]) -> None:
        for part in message.parts:
            _put(named, self._keys(part), message, part)
        for own in lists.known_by(message, self._protocol):
            _put(named, own, message, message.parts[0])

    def _name_alone(self, message: Message, by_key: dict[bytes, Place]) -> None:
        if not message.lists:
            for part in message.parts:
                _put(by_key, self._keys(part), message, part)

    def _keys(self, part: Part) -> list[bytes]:
        own = [*part.carrier_ids, part.written_id] if part.written_id else [*part.carrier_ids]
        return ids.keys(self._protocol, own)


def _put(places: dict[bytes, Place], keys: Sequence[bytes], message: Message, part: Part) -> None:
    for key in keys:
        before = places.get(key)
        if before is None or before[0].mid <= message.mid:
            places[key] = (message, part)


def _first(places: dict[bytes, Place], keys: Sequence[bytes]) -> Place | None:
    for key in keys:
        if (place := places.get(key)) is not None:
            return place
    return None
