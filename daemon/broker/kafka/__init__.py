"""Apache Kafka.  The only package of the daemon that imports a Kafka client."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..base import Placed, Released, Topic
from .outlet import KafkaOutlet
from .repairs import repair
from .seldom import hush
from .settings import KafkaSettings
from .source import KafkaSource
from .tail import KafkaTail
from .topics import create, describe

__all__ = ["KafkaBroker", "KafkaOutlet", "KafkaSettings", "KafkaSource", "KafkaTail"]

hush()
repair()


class KafkaBroker:
    """See `daemon.broker.base.Broker`.

    `partitions` and `replicas` are for the topics it makes; 0 replicas: three, or as many as
    there are brokers.
    """

    def __init__(self, settings: KafkaSettings, partitions: int = 6, replicas: int = 0) -> None:
        self.settings = settings
        self._partitions = partitions
        self._replicas = replicas
        self._producers: set[int] = set()
        """The numbers that its outlets had from the brokers."""

    def source(
        self,
        topics: Sequence[str],
        *,
        on_assigned: Placed | None = None,
        on_revoked: Released | None = None,
        instance: str | None = None,
    ) -> KafkaSource:
        return KafkaSource(
            self.settings,
            topics,
            on_assigned=on_assigned,
            on_revoked=on_revoked,
            instance=instance,
        )

    def outlet(self, topics: Sequence[str], packed: Collection[str] = ()) -> KafkaOutlet:
        return KafkaOutlet(self.settings, topics, packed, self._producers)

    def tail(self, *topics: str, others: bool = False) -> KafkaTail:
        return KafkaTail(self.settings, topics, self._producers if others else ())

    async def topics(self, names: Sequence[str]) -> dict[str, int | None]:
        return await describe(self.settings, names)

    async def create(self, topics: Sequence[Topic]) -> None:
        await create(self.settings, topics, self._partitions, self._replicas)
