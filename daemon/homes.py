"""Which messages are this daemon's: those of the partitions it holds.

A message belongs to the daemon that holds the partition its job came from.  After a rebalance a
partition is ours once everything that others told of its messages is in our ledger; until then, and
while the group may have given it away without our knowing, nothing of it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .broker.base import Place
from .model import Home, Job


class Homes:
    """`every`: there is no group, all messages are ours (the `local` broker).

    `sure()` says whether nobody else can have our partitions by now.
    """

    def __init__(
        self, topics: Iterable[str], *, every: bool, sure: Callable[[], bool] = lambda: True
    ) -> None:
        self.every = every
        self.owned: frozenset[Place] = frozenset()
        self.rebalancing = not every
        """Between a revocation and the assignment that follows."""
        self.lapsed = False
        """Whether others may have had what was ours, and we do not know yet what they told."""
        self.silences = 0
        """Counts how often it came to that."""
        self.generation = 0
        """Counts revocations: what was taken before one will be given again."""
        self.revision = 0
        """Goes up whenever partitions were lost."""
        self._topics = tuple(topics)
        self._sure = sure
        self._homes: dict[Place, Home] = {}

    def mine(self, job: Job) -> bool:
        """Whether this daemon decides what becomes of the job's messages."""
        home = job.home
        if home is None:  # asked of every message, again and again: the job remembers
            home = job.home = self._home(*job.source[:2])
        return home.mine

    def _home(self, topic: str, partition: int) -> Home:
        home = self._homes.get((topic, partition))
        if home is None:
            home = self._homes[topic, partition] = Home(self.has(topic, partition))
        return home

    def has(self, topic: str, partition: int) -> bool:
        return self.every or (topic, partition) in self.owned or self._inherited(topic)

    def _inherited(self, topic: str) -> bool:
        """Of a topic that is not read any more: whoever has the first partition looks after it."""
        return topic not in self._topics and (self._topics[0], 0) in self.owned

    @property
    def unsure(self) -> bool:
        """Whether others may have our partitions without our knowing: nothing can be decided."""
        return not self.every and not self._sure()

    @property
    def silent(self) -> bool:
        """Whether nothing may be published: another daemon may have said more of it since."""
        return self.lapsed or self.unsure

    @property
    def paused(self) -> bool:
        """Whether nothing may be written now, because it may be another daemon's."""
        return self.rebalancing or self.unsure

    def revoked(self) -> None:
        """All partitions may be given to others now, or have been while we were not heard of."""
        self.generation += 1
        if self.unsure:
            self._lapse()
        self.rebalancing = True

    def assigned(self, places: frozenset[Place]) -> tuple[frozenset[Place], frozenset[Place]]:
        """These are assigned now; returns those that were lost and those that are new.

        The new ones are not ours before `adopted`.  Where the group did not hear of us for so long
        that others may have had them all meanwhile, all are new.
        """
        if self.unsure:
            self._lapse()
        lost = self.owned - places
        gained = places - self.owned
        self._own(self.owned - lost)
        self.revision += 1
        self.rebalancing = False
        return lost, gained

    def _lapse(self) -> None:
        self.lapsed = True
        self.silences += 1
        self.revision += 1
        self._own(frozenset())

    def adopted(self, places: frozenset[Place]) -> None:
        self._own(self.owned | places)
        self.lapsed = False

    def _own(self, places: frozenset[Place]) -> None:
        self.owned = places
        for place, home in self._homes.items():
            home.mine = self.has(*place)
