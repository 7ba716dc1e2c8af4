"""What `/metrics` says of the record's retention: archives dropped, and what disk that freed."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from .ledger import Retention


class Kept(Collector):
    """To be registered beside `Metrics`."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention

    def describe(self) -> list[Metric]:
        return list(self.collect())

    def collect(self) -> Iterator[Metric]:
        for name, text, value in (
            ("archives_dropped", "Archive files dropped as too old.", self._retention.dropped),
            ("archive_freed_bytes", "Octets of disk freed by that.", self._retention.freed),
        ):
            yield CounterMetricFamily(f"carrierd_{name}", text, value=value)
