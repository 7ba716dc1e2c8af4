"""What tests everywhere may ask for: a Kafka, and the independent peers written in Java."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import order
from tests.kafka.fixture import kafka, make_topics, own_kafka, pytest_report_header, real_or_not
from tests.peers.fixture import java_peer

__all__ = ["java_peer", "kafka", "make_topics", "own_kafka", "pytest_report_header"]

# How long an example takes says more about what else the machine does.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

GATEWAYS = ("tests/contract/", "tests/integration/")
"""Where tests are gateways themselves, and must answer within a second or three."""


@pytest.fixture(scope="module", autouse=True)
def swept(request: pytest.FixtureRequest) -> None:
    """What other files left is collected before, not while a daemon waits for answers: it takes
    more than a second where the mutations were.
    """
    if request.node.nodeid.startswith(GATEWAYS):
        gc.collect()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    real_or_not(items)
    order.sort(items)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return order.scheduler(config, log)
