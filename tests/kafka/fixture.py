"""The Kafka that tests talk to: the real one, or where that cannot run a mock cluster.

The mock cluster is librdkafka's, inside confluent-kafka: it listens on a real port and
speaks the protocol, but it cannot be stopped and started again and it makes any
topic it is asked about.  Tests marked `real_kafka` are skipped with it, unless
CARRIERD_REQUIRE_REAL_KAFKA=1 asks for an error instead.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kafka.server import KafkaServer, KafkaUnavailableError, jars

REQUIRE = "CARRIERD_REQUIRE_REAL_KAFKA"
_why_not: list[str] = []  # one entry once it was tried: why there is no real Kafka, or ""


def why_no_real_kafka() -> str:
    """Empty when the real one can run; fetches it when need be."""
    if not _why_not:
        try:
            jars()
        except KafkaUnavailableError as exc:
            _why_not.append(str(exc))
        else:
            _why_not.append("")
    return _why_not[0]


def pytest_report_header() -> str:
    reason = why_no_real_kafka()
    if not reason:
        version = next(jars().glob("kafka_*.jar")).stem.rpartition("-")[2]
        return f"kafka: real Apache Kafka {version} (KRaft, one node)"
    return f"kafka: mock cluster of confluent-kafka, real_kafka tests are not run: {reason}"


def real_or_not(items: list[pytest.Item]) -> None:
    """Skips what needs the real Kafka where there is none.

    Raises pytest.UsageError instead with CARRIERD_REQUIRE_REAL_KAFKA=1.
    """
    marked = [item for item in items if item.get_closest_marker("real_kafka")]
    if not marked or not why_no_real_kafka():
        return
    if os.environ.get(REQUIRE) == "1":
        raise pytest.UsageError(
            f"{REQUIRE}=1, but {len(marked)} tests cannot run: {why_no_real_kafka()}"
        )
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=f"not run: {why_no_real_kafka()}"))


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of a Kafka that lives as long as the test session."""
    if why_no_real_kafka():
        if os.environ.get(REQUIRE) == "1":
            raise KafkaUnavailableError(why_no_real_kafka())
        yield from _mock()
        return
    yield from (server.bootstrap for server in _real())


@pytest.fixture
def own_kafka() -> Iterator[KafkaServer]:
    """A real Kafka of the test's own, to stop, kill and start again."""
    yield from _real()


@pytest.fixture
def make_topics(kafka: str) -> Callable[..., None]:
    """`make_topics(*names, partitions=3)`; the mock cluster always makes four partitions."""

    def make(*names: str, partitions: int = 3) -> None:
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient, NewTopic

        if why_no_real_kafka():
            asker = Producer({"bootstrap.servers": kafka})
            for name in names:
                asker.list_topics(name, timeout=10)
            return
        admin = AdminClient({"bootstrap.servers": kafka})
        made = admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        for future in made.values():
            future.result(timeout=30)
        give_up = time.monotonic() + 30
        while not set(names) <= set(admin.list_topics(timeout=10).topics):
            assert time.monotonic() < give_up, "topics are made and do not show"
            time.sleep(0.02)

    return make


def _real() -> Iterator[KafkaServer]:
    directory = Path(tempfile.mkdtemp(prefix="carrierd-kafka-"))
    server = KafkaServer(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _mock() -> Iterator[str]:
    from confluent_kafka import Producer

    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
    give_up = time.monotonic() + 10
    while True:
        brokers = [f"{b.host}:{b.port}" for b in cluster.list_topics(timeout=5).brokers.values()]
        if brokers and "unused" not in brokers[0]:
            break
        if time.monotonic() > give_up:
            raise KafkaUnavailableError("the mock cluster of confluent-kafka does not answer")
    yield brokers[0]
    cluster.flush(1)
