"""Messages in memory, by mid, and when it lets go of them: the ledger knows all of them.

Who reads messages from the ledger may see a row of before; until nobody can, `held` knows what was
let go of, too.
"""

from __future__ import annotations

import asyncio
from functools import partial

from protocols import ids

from .alarms import Alarms
from .changes import Changes
from .claims import Claims
from .config import Account as Settings
from .correlate import Correlate
from .homes import Homes
from .ledger import Entries, Ledger
from .model import WAITS, Message, Part, PartState, State
from .reading import Reading

Gone = tuple[int, list[Message]]
"""Messages that memory let go of together, and how often it had done so."""
NOTHING = Entries()
"""Put where only the call afterwards is wanted."""


class Memory:
    """`settings` are those of the accounts."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        correlate: Correlate,
        homes: Homes,
        alarms: Alarms,
        claims: Claims,
        settings: dict[str, Settings],
    ) -> None:
        self.ledger = ledger
        self.correlate = correlate
        self.homes = homes
        self.alarms = alarms
        self.claims = claims
        self.settings = settings
        self.open: dict[int, Message] = {}
        """Messages in memory, by mid."""
        self.dropped = 0
        """Counts those that memory let go of before their end, with parts claimed or written."""
        self._closing: dict[int, Message] = {}
        """Messages that memory let go of and that a reader of the ledger may still see as they
        were, by mid: their last row is on its way to the disk, or got there after the reader
        looked.
        """
        self._times = 0
        """How often that was done."""
        self._reading = asyncio.Lock()
        self._let_go: list[Gone] = []
        """Of those, what may be forgotten once nobody reads."""

    def held(self, mid: int) -> Message | None:
        """The message, where memory knows more of it than the ledger does."""
        message = self.open.get(mid)
        return self._closing.get(mid) if message is None else message

    def leaving(self, account: str) -> list[Message]:
        """Messages that were let go of just now: the ledger may not know their ids yet."""
        return [message for message in self._closing.values() if message.account == account]

    def reading(self) -> Reading:
        """Around reading messages from the ledger and taking them into memory.

        One reads at a time; until it has ended, `held` knows every message that was in memory when
        it began, so that no old row becomes a second message.
        """
        return Reading(self._reading, self._read)

    def _read(self) -> None:
        let_go, self._let_go = self._let_go, []
        for gone in let_go:
            self._forget(gone)

    def touched(self, c: Changes) -> None:
        """Let go of messages that are over, and of claims on those that are; note wake times."""
        touched, open_ = c.touched, self.open
        if not self.homes.every:
            mine = self.homes.mine
            for m in touched:
                if m.out == 0 and not mine(m.job) and open_.get(m.mid) is m:
                    self.let_go(m)
        gone: list[Message] = []
        times, closing = self._times + 1, self._closing
        horizon = self.alarms.horizon
        claim = count = 0  # neighbours have one claim
        for m in touched:
            if m.claim and m.out == 0:
                if m.claim != claim:
                    self.claims.release(claim, count)
                    claim, count = m.claim, 0
                count += 1
                m.released = max(m.released, claim)
                m.claim = 0
            # What waits here is left to the queues, which read back all that they do not hold.
            if m.final or (
                m.mid not in open_ and (m.state not in WAITS or not self.homes.mine(m.job))
            ):
                m.let_go = times
                closing[m.mid] = m
                gone.append(m)
                if m.final:
                    continue
            wake = m.wake
            if wake is not None and wake <= horizon:
                self.alarms.push(wake, m.mid)
        self.claims.release(claim, count)
        if gone:
            self._times = times
            c.then.append(partial(self._forget, (times, gone)))

    def release(self, m: Message) -> None:
        """The message is not in doubt by its claim any more."""
        if m.claim:
            self.claims.release(m.claim)
            m.released = max(m.released, m.claim)
            m.claim = 0

    def closed(self, message: Message) -> None:
        """The message is final: memory lets go of it."""
        self.open.pop(message.mid, None)
        if message.out and not message.final:
            self.dropped += 1
        if message.queued is not None:
            message.queued.died(message)
        if message.lists and message.account is not None:
            self.correlate.forget_member(message.account, message)
        forget = self.correlate.forget
        for account, key, part in self.keys(message):
            forget(account, key, part)

    def evict(self, message: Message) -> None:
        """Answered long ago: the ledger knows the rest, once it has the last row.

        That may be on its way there still, when one of several parts was reported just now.
        """
        if message.state is State.ACCEPTED and message.out == 0:
            self._leave(message)

    def let_go(self, message: Message) -> None:
        """The ledger knows all of the message, and nothing is to be done about it here."""
        for part in message.parts:
            if part.state is PartState.IN_DOUBT:
                self.correlate.doubt(message, part, False)
        self._leave(message)

    def _leave(self, message: Message) -> None:
        """To the ledger; its last row may be on its way there, or come after a reader looked."""
        self._times += 1
        message.let_go = self._times
        self._closing[message.mid] = message
        self.ledger.put(NOTHING, partial(self._forget, (self._times, [message])))
        self.closed(message)

    def _forget(self, gone: Gone) -> None:
        """Every reader of the ledger sees these as they are."""
        if self._reading.locked():
            self._let_go.append(gone)
            return
        times, messages = gone
        closing = self._closing
        for message in messages:
            # Else it was back in memory since, and let go of again.
            if message.let_go == times and closing.get(message.mid) is message:
                del closing[message.mid]

    def keys(self, message: Message) -> list[tuple[str, bytes, Part]]:
        """What reports about a message are matched by, but for those that need the recipient, too:
        of the lists that it left in.
        """
        account = self.settings.get(message.account or "")
        found: list[tuple[str, bytes, Part]] = []
        if account is None:
            return found
        assert message.account is not None
        name, protocol = message.account, account.protocol
        of_lists = [carrier_id for _, carrier_id in message.lists] if message.lists else ()
        for part in message.parts:
            for carrier_id in part.carrier_ids:
                if carrier_id and carrier_id not in of_lists:
                    found.append((name, ids.key(protocol, carrier_id), part))
            if part.written_id and part.written_id not in of_lists:
                found.append((name, ids.key(protocol, part.written_id), part))
        return found
