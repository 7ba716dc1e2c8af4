"""What was stopped: messages of a job, a tenant or an account that are not wanted any more.

A stop is about what was produced until then and is not written yet, wherever it waits: in memory,
in the ledger, parked, or in the broker still.  It is therefore remembered, and looked at whenever a
job is taken and whenever a message is dealt out.
"""

from __future__ import annotations

from collections.abc import Callable

from .changelog import Stop, What
from .model import WAITS, Message, PartState

KIND = "stop"
"""Of the ledger's small things."""
STOPPED = "LOCAL:STOPPED"
REMEMBERED = 30 * 86400.0
"""Seconds after which nothing that old waits anywhere: the broker has dropped it."""


class Stops:
    """`goes_to(message)`: the account that a waiting message would be given to now."""

    def __init__(self, goes_to: Callable[[Message], str | None]) -> None:
        self._goes_to = goes_to
        self._at: dict[tuple[What, str], float] = {}
        self.any = False
        """Whether there is anything to look at."""
        self.revision = 0
        """Goes up with every stop."""

    def all(self) -> list[Stop]:
        """Those that may mean something still."""
        return [Stop(what=what, name=name, at=at) for (what, name), at in self._at.items()]

    def add(self, stop: Stop) -> None:
        key = (stop.what, stop.name)
        self._at[key] = max(stop.at, self._at.get(key, stop.at))
        self.any = True
        self.revision += 1

    def forget(self, stop: Stop) -> None:
        """The stop is so old that nothing can be meant by it; a later one of the same stays."""
        key = (stop.what, stop.name)
        if self._at.get(key) == stop.at:
            del self._at[key]
            self.any = bool(self._at)

    def cover(self, m: Message) -> bool:
        """Whether the message is stopped: named, produced before, and nothing of it written."""
        if m.final or m.state not in WAITS:
            return False
        fields = m.job.fields
        produced = m.job.produced
        named = (
            produced <= self._at.get(("job", fields.id), 0.0)
            or produced <= self._at.get(("tenant", fields.tenant), 0.0)
            or self._by_account(m, produced)
        )
        return named and unwritten(m)

    def _by_account(self, m: Message, produced: float) -> bool:
        account = m.account or self._goes_to(m)
        return account is not None and produced <= self._at.get(("account", account), 0.0)


def unwritten(m: Message) -> bool:
    """Whether no gateway can have any part of the message: refused ones are not had."""
    return not any(
        part.doubts or part.flying or part.carrier_ids or part.state is PartState.IN_DOUBT
        for part in m.parts
    )
