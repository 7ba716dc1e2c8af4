"""A report that nobody can be named for yet, as memory and ledger keep it."""

from __future__ import annotations

import msgspec

Where = tuple[str, bytes, str]
"""Account, first key and recipient of a report: one key may be that of a whole list."""


class Early(msgspec.Struct):
    """A report that came before its answer; `keys` as in `events.Reported`."""

    account: str
    keys: tuple[bytes, ...]
    exact: int
    fate: str
    code: str
    to: str
    at: float
    """Wall time since when it is kept."""
    before: float | None = None
    """Wall time when it came first: it may have come again, or to another daemon before."""
    counted: bool = False
    theirs: bool = False
    """Whether another daemon got it."""
    passed: bool = False
    """Whether other daemons were told of it, or told us."""
    ambiguous: bool = False
    """Whether it could ever have been about any of several parts in doubt: which of them is still
    in doubt later says nothing.
    """

    @property
    def since(self) -> float:
        """Wall time of its first coming: what was written later is not what it is about."""
        return self.at if self.before is None else self.before

    @property
    def where(self) -> Where:
        """What it goes by; nothing else waits under the same."""
        return self.account, self.keys[0], self.to
