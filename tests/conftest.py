"""What tests everywhere may ask for: a Kafka, and the independent peers written in Java."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.kafka.fixture import (
    kafka,
    make_topics,
    own_kafka,
    pytest_collection_modifyitems,
    pytest_report_header,
)
from tests.peers.fixture import java_peer

__all__ = [
    "java_peer",
    "kafka",
    "make_topics",
    "own_kafka",
    "pytest_collection_modifyitems",
    "pytest_report_header",
]

# How long an example takes says more about what else the machine does.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
