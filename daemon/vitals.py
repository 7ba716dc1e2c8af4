"""The numbers that operators see of the process and its host: phase, clocks, disk, event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from .clock import wall
from .disk import Disk
from .metrics import gauge, histogram, observe
from .status import PHASES, Status
from .tally import Tally


class Vitals(Collector):
    """Register one.  `host` tells the time by the host's clock."""

    def __init__(
        self, *, status: Status, tally: Tally, disk: Disk, host: Callable[[], float]
    ) -> None:
        self.status = status
        self.tally = tally
        self.disk = disk
        self.host = host

    def describe(self) -> list[Metric]:
        """Nothing: the families are known only while the daemon runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        phase = gauge("phase", "1 for what the daemon is doing now.", ["phase"])
        for name in PHASES:
            phase.add_metric([name], name == self.status.phase)
        yield phase
        now = wall()
        for name, text, value in (
            ("ready", "Whether /readyz says 200.", not self.status.not_ready()),
            ("broker_connected", "Whether the broker answers.", self.status.broker_connected()),
            ("time_seconds", "The daemon's clock, seconds since 1970.", now),
            ("clock_skew_seconds", "The host's clock less the daemon's.", self.host() - now),
        ):
            one = gauge(name, text, [])
            one.add_metric([], value)
            yield one
        yield from self._disk()
        late = histogram("loop_late_seconds", "How late the event loop wakes who slept.", [])
        observe(late, [], self.tally.loop_late)
        yield late

    def _disk(self) -> Iterator[Metric]:
        """Absent while the disk cannot be asked: /metrics has to be there above all then."""
        try:
            usage = self.disk.usage()
        except OSError:
            return
        for name, text, value in (
            ("state_size_bytes", "Of the file system of state_dir.", usage.size),
            ("state_free_bytes", "What that file system has left.", usage.free),
            ("ledger_bytes", "The ledger's files.", usage.ledger),
            ("archive_bytes", "The archive's files.", usage.archive),
        ):
            one = gauge(name, text, [])
            one.add_metric([], value)
            yield one
