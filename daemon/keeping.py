"""Writing down what a turn changed, and what waits for that: for our disk, and for the broker.

Offsets, claimed parts and acknowledgements wait for the disk.  Where there may be other daemons,
acknowledgements and the places of answers wait for the broker, too, while it is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from . import lists
from .account import Account
from .changes import Changes, Receipts
from .claims import Claims
from .ledger import Ledger
from .memory import Memory
from .model import TAKEN
from .offsets import Offsets


class Keeping:
    """`tells` says whether there may be other daemons."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        memory: Memory,
        claims: Claims,
        offsets: Offsets,
        accounts: dict[str, Account],
        connected: Callable[[], bool],
        tells: bool,
    ) -> None:
        self.ledger = ledger
        self.memory = memory
        self.claims = claims
        self.offsets = offsets
        self.accounts = accounts
        self.connected = connected
        """Whether what is durable here will be published soon; False where nothing waits for it."""
        self.tells = tells
        self._batch = ledger.last_batch
        """The last batch of events that became durable."""
        self._published = 0
        self._owed: deque[tuple[int, Receipts, dict[Account, int]]] = deque()
        """What waits until the broker has a batch; the changes would keep their messages alive."""

    def commit(self, c: Changes) -> None:
        if c.touched:
            self.memory.touched(c)
        if c.answered:
            self._note_untold(c)
        c.entries.unclaims += self.claims.done()
        if not c:
            return
        entries = c.finish()
        if c.safe or c.receipts or c.then or c.answered:
            self.ledger.put(entries, partial(self._durable, c))
        else:
            self.ledger.put(entries, None)

    def _note_untold(self, c: Changes) -> None:
        """Other daemons do not know of these answers yet."""
        of_lists: set[bytes] = set()
        for message in c.answered:
            account = self.accounts.get(message.account or "")
            if account is None or account.untold is None:
                continue
            if message.lists and (carrier_id := lists.answered_in(message)) is not None:
                if carrier_id in of_lists:
                    continue  # all of a list had one place in the window
                of_lists.add(carrier_id)
            parts = message.parts
            submits = 1 if len(parts) == 1 else sum(part.state in TAKEN for part in parts)
            account.untold.answers += submits
            c.untold[account] = c.untold.get(account, 0) + submits

    def _durable(self, c: Changes) -> None:
        if c.safe:
            self.safe([message.mid for message in c.safe])
        if c.receipts or c.answered:
            if self._batch > self._published and self.connected():
                self._owed.append((self._batch, c.receipts, c.untold))
            else:
                self._pay(c.receipts, c.untold)
        for then in c.then:
            then()

    def safe(self, mids: Sequence[int]) -> None:
        """These depend on this machine no more, once what is durable by now is published, too."""
        self.offsets.release_with(self._batch if self.tells else 0, mids)

    @property
    def last_batch(self) -> int:
        """The last batch of events that is durable."""
        return self._batch

    def batch(self, n: int) -> None:
        """The events of this batch are durable; what waited for it is called next."""
        self._batch = n

    def published(self, n: int) -> None:
        """Every batch of events up to this one is the broker's."""
        self._published = n
        self.offsets.published(n)
        while self._owed and self._owed[0][0] <= n:
            _, receipts, untold = self._owed.popleft()
            self._pay(receipts, untold)

    def owe_nothing(self) -> None:
        """The broker is away: our disk has to do, for carriers do not wait as long."""
        while self._owed:
            _, receipts, untold = self._owed.popleft()
            self._pay(receipts, untold)

    def _pay(self, receipts: Receipts, untold: dict[Account, int]) -> None:
        """Do what waited for the broker."""
        for link, of_link in receipts.items():
            link.acknowledge(of_link)
        for account, submits in untold.items():
            if account.untold is not None:
                account.untold.answers -= submits
            account.nudge()
