"""What the daemon asks of a broker: jobs come from a Source, reports go to an Outlet.

`Broker` opens both, and what the commands need besides.  There are two: `kafka`, and
`local`, a durable queue in a directory.  The same tests hold them to this text
(`tests/daemon/broker/test_contract.py`).

Everything here is driven from one event loop and is not safe from another thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .record import Record as Record

Place = tuple[str, int]
"""A topic and a partition of it."""

Placed = Callable[[frozenset[Place]], None]
"""Told of partitions that came; must not block."""

Released = Callable[[frozenset[Place]], Awaitable[None]]
"""Awaited before partitions go; what it raises is raised by `Source.take`."""

JSON = "application/json"
MSGPACK = "application/msgpack"


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


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be made.

    `compact` keeps the last record of each key, for ever or as long as `retain` says.
    """

    name: str
    compact: bool = False
    retain: float | None = None  # seconds; None: the broker's own
    longest: int | None = None  # bytes of one record; None: the broker's own limit


class Source(Protocol):
    """The jobs topics, each record to one member of the group.

    Records may be given again: after a rebalance every partition is read from its committed
    position, also one that stays with the member that had it.
    """

    async def start(self) -> None:
        """Raises BrokerError, which names every topic that is missing."""

    async def take(self, most: int, wait: float) -> list[Record]:
        """Up to `most` records; none when `wait` seconds brought none.

        Records of earlier topics come first, whatever waits in later ones.  While partitions
        are being revoked it gives nothing of them.  Cancelling loses nothing.  Raises
        BrokerError when reading cannot go on without an operator, and what a callback raised;
        a broker that is away is waited for instead.
        """

    def commit(self, positions: Mapping[Place, int]) -> None:
        """The next offset to read, per partition.  Sent about once a second, and at close.

        What it is told of a partition between its revocation and the next assignment is
        forgotten.
        """

    def sure(self) -> bool:
        """Whether nobody else can have what was assigned to us; cheap, to be asked often.

        That is so while the group has heard of us within the session timeout, and as long as
        we are its only member, however long the broker is away.  A member that joins meanwhile,
        while the broker is away from us alone, is not known: that is the price of going on
        through an outage.  Who has not asked for half a session may have stood still, and must
        be heard of again first, also when it was the only one.  While an assignment is told,
        this is about the time before it.
        """

    def pause(self, topics: Sequence[str] = ()) -> None:
        """`take` gives nothing of these topics until resumed; none named: of any."""

    def resume(self, topics: Sequence[str] = ()) -> None: ...

    def lag(self) -> dict[Place, int]:
        """Records behind the end of each partition, as last seen; a few seconds old at most."""

    async def close(self) -> None:
        """Commits what `commit` was told and leaves; `on_revoked` is not called."""


class Outlet(Protocol):
    """The topics that the daemon writes."""

    @property
    def connected(self) -> bool:
        """False while records cannot be made durable."""

    async def start(self) -> None:
        """Raises BrokerError, which names every topic that is missing."""

    async def publish(
        self,
        records: Sequence[tuple[str, bytes | None, bytes | None]],
        content_type: str | None = None,
    ) -> None:
        """Return when all of these (topic, key, value) would survive the broker's crash.

        A value of None takes its key out of a compacted topic, and is read as no octets.
        `content_type` None is that of each topic.  Records with one key keep the order in which
        they were published, over calls that overlap too.  While the broker is away this waits
        and tries again by itself.  Raises RecordsRefused, or BrokerError when closed meanwhile.
        """

    async def close(self) -> None: ...


class Tail(Protocol):
    """All partitions of some topics from a place on, read without a group."""

    async def start(self, at: int | Mapping[Place, int] | None = 0) -> None:
        """From offset `at`; a negative one counts from the end; None is the end itself.

        A mapping has the next offset of each place, as after the last record taken there.
        Places that it lacks, and offsets that are not kept any more or not written yet (the
        topic was made anew), begin at the first record there is; so do partitions
        added later.  Raises BrokerError, which names every topic that is missing.
        """

    async def take(self, most: int, wait: float) -> list[Record]:
        """Up to `most` records; none when `wait` seconds brought none.

        Only those of one partition are in order.  Cancelling loses nothing.  Raises BrokerError
        when reading cannot go on without an operator; a broker that is away is waited for.
        """

    def places(self) -> dict[Place, int]:
        """The next offset to take, of each partition; `start` goes on from there."""

    async def ends(self) -> dict[Place, int]:
        """The next offset to be written, of each partition that there is now.

        All that was published before the call is in front of these, whoever published it.
        Raises BrokerError while the broker is away.
        """

    async def reached(self, ends: Mapping[Place, int]) -> bool:
        """True when all that is in front of these has been taken.

        Offsets alone do not say so: the last ones in front of an end may have no record.
        """

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
        on_revoked: Released | None = None,
        instance: str | None = None,
    ) -> Source:
        """Earlier topics are taken first.

        Who opens a source under the name `instance` within the session timeout after whoever had
        that name has ended without `close` goes on with the same partitions at once; they are
        nobody else's in between.  When two have it at a time, the first fails with a
        BrokerError that names it.

        `on_assigned` gets all that is ours now, after every rebalance and also when that is
        nothing.  `on_revoked` is awaited while these partitions can still be committed, at most
        about five seconds; what it has told `commit` is committed before they go.  What
        was taken from them and is not committed then is given to whoever has them
        next.  A member that was thrown out is told the same way, but late: then its
        commits fail, and `Source.sure` is False.
        """

    def outlet(self, topics: Sequence[str], packed: Collection[str] = ()) -> Outlet:
        """Records of the topics in `packed` are said to be msgpack, those of others JSON."""

    def tail(self, *topics: str, others: bool = False) -> Tail:
        """`others`: what outlets of this broker write while it is read need not be given."""

    async def topics(self, names: Sequence[str]) -> dict[str, int | None]:
        """How many partitions each topic has; None when it is missing."""

    async def create(self, topics: Sequence[Topic]) -> None:
        """Make those that are missing and leave the others as they are."""
