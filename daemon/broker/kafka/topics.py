"""Which topics a cluster has, and making those it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from ..base import BrokerError, Topic
from .settings import KafkaSettings

KNOWN_WITHIN = 10.0


async def describe(settings: KafkaSettings, names: Sequence[str]) -> dict[str, int | None]:
    """Partitions of each topic, None when it is missing.  Raises BrokerError.

    The cluster is asked for all topics: asking for one by name makes it where
    `auto.create.topics.enable` is on.
    """
    async with _admin(settings) as admin:
        there = {topic["topic"]: topic for topic in await admin.describe_topics()}
    # Authorisation hides a topic in the same way as absence does.
    return {name: len(there[name]["partitions"]) if name in there else None for name in names}


async def require(settings: KafkaSettings, names: Sequence[str]) -> dict[str, int]:
    """Partitions of each topic.  Raises BrokerError, which names all that are missing."""
    found = await describe(settings, names)
    missing = [name for name, partitions in found.items() if not partitions]
    if missing:
        raise BrokerError(
            f"{settings.where}: no topic {', '.join(missing)};"
            " `carrierd topics --create` makes what is missing"
        )
    return {name: partitions for name, partitions in found.items() if partitions}


async def create(
    settings: KafkaSettings, topics: Sequence[Topic], partitions: int, replicas: int
) -> None:
    """Make what is missing.  Raises BrokerError, which names each topic with the reason.

    0 `replicas`: three, or as many as there are brokers.
    """
    found = await describe(settings, [topic.name for topic in topics])
    missing = [topic for topic in topics if found[topic.name] is None]
    if not missing:
        return
    async with _admin(settings) as admin:
        cluster = await admin.describe_cluster()
        if cluster["controller_id"] < 0:  # aiokafka stumbles over that
            raise BrokerError(f"Kafka at {settings.where}: has no controller now; try again")
        if not replicas:
            replicas = min(3, len(cluster["brokers"]))
        wanted = [
            NewTopic(topic.name, partitions, replicas, topic_configs=_config(topic))
            for topic in missing
        ]
        answer = await admin.create_topics(wanted)
    faults = [
        f"{name}: {text or for_code(code).__name__}"
        for name, code, text in answer.topic_errors
        if for_code(code) not in (NoError, TopicAlreadyExistsError)
    ]
    if faults:
        raise BrokerError(f"{settings.where}: not made: {'; '.join(faults)}")
    # The controller has them now; the brokers hear of it a little later.
    try:
        async with asyncio.timeout(KNOWN_WITHIN):
            names = [topic.name for topic in missing]
            while not all((await describe(settings, names)).values()):  # noqa: ASYNC110
                await asyncio.sleep(KNOWN_WITHIN / 100)
    except TimeoutError:
        raise BrokerError(f"{settings.where}: made, but not there yet; try again") from None


def _config(topic: Topic) -> dict[str, str]:
    config = {}
    if topic.compact:
        config["cleanup.policy"] = "compact" if topic.retain is None else "compact,delete"
    if topic.retain is not None:
        config["retention.ms"] = str(round(topic.retain * 1000))
    if topic.longest is not None:
        config["max.message.bytes"] = str(topic.longest)
    return config


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**settings.client())
    try:
        await admin.start()
        yield admin
    except KafkaError as exc:
        raise BrokerError(f"Kafka at {settings.where}: {exc}") from exc
    except TimeoutError as exc:
        raise BrokerError(f"Kafka at {settings.where}: no answer in time") from exc
    finally:
        await admin.close()
