"""What the daemon asks of a broker: jobs come from a Source, reports go to an Outlet.

`Broker` opens both, and what the commands need besides.  There are two: `kafka`, and
`local`, a durable queue in a directory.  The same tests hold them to this text
(`tests/daemon/broker/test_contract.py`).

Everything here is driven from one event loop and is not safe from another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Place = tuple[str, int]
"""A topic and a partition of it."""

Placed = Callable[[frozenset[Place]], None]
"""Told of partitions that came or went; must not block."""

JSON = "application/json"


class BrokerError(Exception):
    """The broker cannot do this; the text names the broker, topic or file and the reason."""


class RecordsRefused(BrokerError):  # noqa: N818  # what became of them
    """The broker will never take these records; all others of the same call are durable.

    `refused` maps the record's index in the call to the reason.
    """

    def __init__(self, refused: Mapping[int, str]) -> None:
        first = min(refused)
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        super().__init__(f"record {first}: {refused[first]}{more}")
        self.refused = refused


@dataclass(slots=True)
class Record:
    """One record as it was read.

    `timestamp` is the record's own, in seconds since 1970 (Kafka: what the producer put
    there, or the broker when the topic says `LogAppendTime`).
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    content_type: str | None
    timestamp: float


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be made: `compact` keeps the last record of each key for ever."""

    name: str
    compact: bool = False
    longest: int | None = None  # bytes of one record; None: the broker's own limit


class Source(Protocol):
    """The jobs topics, each record to one member of the group."""

    async def start(self) -> None:
        """Raises BrokerError, which names every topic that is missing."""

    async def take(self, most: int, wait: float) -> list[Record]:
        """Up to `most` records; none when `wait` seconds brought none.

        Records of earlier topics come first, whatever waits in later ones.  Cancelling loses
        nothing.  Raises BrokerError when reading cannot go on without an operator; a
        broker that is away is waited for instead.
        """

    def commit(self, positions: Mapping[Place, int]) -> None:
        """The next offset to read, per partition.  Sent about once a second, and at close."""

    def pause(self, topics: Sequence[str] = ()) -> None:
        """`take` gives nothing of these topics until resumed; none named: of any."""

    def resume(self, topics: Sequence[str] = ()) -> None: ...

    def lag(self) -> dict[Place, int]:
        """Records behind the end of each partition, as last seen; a few seconds old at most."""

    async def close(self) -> None:
        """Commits what `commit` was told and leaves."""


class Outlet(Protocol):
    """The topics that the daemon writes."""

    @property
    def connected(self) -> bool:
        """False while records cannot be made durable."""

    async def start(self) -> None:
        """Raises BrokerError, which names every topic that is missing."""

    async def publish(
        self, records: Sequence[tuple[str, bytes | None, bytes]], content_type: str = JSON
    ) -> None:
        """Return when all of these (topic, key, value) would survive the broker's crash.

        Records with one key keep the order in which they were published, over calls that
        overlap too.  While the broker is away this waits and tries again by itself.  Raises
        RecordsRefused, or BrokerError when closed meanwhile.
        """

    async def close(self) -> None: ...


class Tail(Protocol):
    """All partitions of one topic from a place on, read without a group."""

    async def start(self, at: int | None = 0) -> None:
        """From offset `at`; a negative one counts from the end; None is the end itself.

        Raises BrokerError when the topic is missing.
        """

    async def take(self, most: int, wait: float) -> list[Record]: ...

    async def finished(self) -> bool:
        """True when everything that was there at `start` has been taken."""

    async def close(self) -> None: ...


class Broker(Protocol):
    """One kind of broker with its settings; opening anything of it is cheap until `start`."""

    def source(
        self,
        topics: Sequence[str],
        *,
        on_assigned: Placed | None = None,
        on_revoked: Placed | None = None,
    ) -> Source:
        """Earlier topics are taken first.

        `on_revoked` is called while these partitions can still be committed; what was taken
        from them and is not committed when it returns will be given to whoever has them next.
        """

    def outlet(self, topics: Sequence[str]) -> Outlet: ...

    def tail(self, topic: str) -> Tail: ...

    async def topics(self, names: Sequence[str]) -> dict[str, int | None]:
        """How many partitions each topic has; None when it is missing."""

    async def create(self, topics: Sequence[Topic]) -> None:
        """Make those that are missing and leave the others as they are."""
