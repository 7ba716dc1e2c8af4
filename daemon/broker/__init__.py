"""Where jobs come from and where reports go: a Kafka, or a durable queue in a directory."""

from __future__ import annotations

from daemon.broker.base import Broker, Topic
from daemon.config import Config
from daemon.refusal import FARTHEST

__all__ = ["broker", "topics"]

LONGEST = 2 << 20
"""Bytes of the longest record on topics that carry a job inside: a job has up to 1 MiB by
Kafka's default, and is a third longer in base64."""

DAY = 86400.0


def broker(config: Config, *, partitions: int = 6, replicas: int = 0) -> Broker:
    """The broker that the configuration names; nothing is opened yet.

    `partitions` and `replicas` are for topics that it is asked to make; 0 replicas: three, or
    as many as there are brokers.
    """
    section = config.broker
    if section.kind == "local":
        from daemon.broker.local import RETAIN, LocalBroker

        names = section.topics
        kept = dict.fromkeys((names.reports, names.inbound, names.dead), RETAIN)
        kept |= {topic.name: topic.retain for topic in topics(config) if topic.retain is not None}
        return LocalBroker(config.daemon.state_dir / "broker", kept)
    from daemon.broker.kafka import KafkaBroker, KafkaSettings

    settings = KafkaSettings(
        bootstrap=section.bootstrap,
        group=section.group,
        client_id=f"carrierd-{config.daemon.name}",
        security=section.security,
        sasl_mechanism=section.sasl_mechanism,
        username=section.username,
        password=section.password.reveal() if section.password is not None else None,
        ca_file=str(section.ca_file) if section.ca_file is not None else None,
    )
    return KafkaBroker(settings, partitions, replicas)


def topics(config: Config) -> list[Topic]:
    """All topics that the configuration names, as they should be made.

    What is parked is kept for as long as a message may wait there.  State is kept for as long
    as its job's id is known and a report may come, and until then only the last of each key.
    """
    names = config.broker.topics
    report = max((account.report_within for account in config.accounts.values()), default=0.0)
    return [
        *(Topic(name) for name in names.jobs),
        Topic(names.reports),
        Topic(names.inbound),
        Topic(names.dead, longest=LONGEST),
        Topic(names.parked, longest=LONGEST, retain=FARTHEST + report + DAY),
        # Longer than what is parked: else a message that ended would come to life again.
        Topic(
            names.state,
            compact=True,
            retain=max(config.daemon.remember_ids, FARTHEST + report + DAY) + DAY,
        ),
    ]
