"""What runs beside what when workers share the tests, so that clocks are read in peace.

Workers take unit after unit from one queue.  A file is a unit, because its tests share what is
costly to start; the contract's tests are one together, so that the worker that has them leaves
only calm ones to the other; those of the built pages are one because building takes the time.

Workers beyond the machine's cores take only what mostly waits, which the others leave to them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling
    from xdist.workermanage import WorkerController

TIMED = ("tests/contract/",)
"""Against the clock: rates, windows, how soon something is seen."""
CALM = (
    "tests/mutations/",
    "tests/protocols/",
    "tests/fuzz/",
    "tests/daemon/engine/",
    "tests/daemon/ledger/",
    "tests/daemon/config/",
    "tests/daemon/jobs/",
    "tests/daemon/codes/",
)
"""By a clock that jumps, or by none: one process that computes."""
HEAVY = (
    "tests/compiled/",
    "tests/bench/test_suites.py",
    "tests/integration/",
    "tests/daemon/broker/",
    "tests/docs/test_getting_started.py",
    "tests/docs/pages/",
    "tests/observability/",
)
"""Many processes and long waits.  They come before what is short, which fills the end."""
ORDER = (*TIMED, *CALM, *HEAVY)
TOGETHER = (*TIMED, "tests/docs/pages/")
"""One unit, of however many files: what is started for one is there for all."""

WAITING = (
    "tests/compiled/",
    "tests/integration/test_smpp_clients.py",
    "tests/docs/test_getting_started.py",
    "tests/integration/test_java_gateways.py",
    "tests/integration/test_restart.py",
    "tests/observability/test_running.py",
    "tests/docs/pages/",
    "tests/integration/test_kafka.py",
    "tests/integration/test_parked.py",
)
"""For others most of their time, half a core and less used meanwhile, the calmest first; or not in
anybody's way: what compiles, and then tests that, lets others go before.
"""
CORES = len(os.sched_getaffinity(0))


def sort(items: list[pytest.Item]) -> None:
    """Into the order in which workers take them."""

    def place(item: pytest.Item) -> int:
        found = (n for n, start in enumerate(ORDER) if item.nodeid.startswith(start))
        return next(found, len(ORDER))

    items.sort(key=place)


def scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Of pytest-xdist: its own for files, in our order and with our units."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next(filter(nodeid.startswith, TOGETHER), super()._split_scope(nodeid))

        def _waiting(self) -> list[str]:
            """Units of those that nobody has yet, in their order."""
            return [unit for one in WAITING for unit in self.workqueue if unit.startswith(one)]

        def _beyond(self, node: WorkerController) -> bool:
            return list(self.nodes).index(node) >= CORES

        def _assign_work_unit(self, node: WorkerController) -> None:
            if len(self.nodes) > CORES:
                wanted = waiting = self._waiting()
                if not self._beyond(node):
                    wanted = [unit for unit in self.workqueue if unit not in waiting]
                if wanted:
                    self.workqueue.move_to_end(wanted[0], last=False)
            super()._assign_work_unit(node)

        def _reschedule(self, node: WorkerController) -> None:
            # What a worker that died had done comes back as well, and nobody would be done with it.
            for unit in [unit for unit, tests in self.workqueue.items() if all(tests.values())]:
                del self.workqueue[unit]
            if self._beyond(node) and not node.shutting_down and not self._waiting():
                node.shutdown()
            else:
                super()._reschedule(node)

    config.option.loadscopereorder = False
    return Scheduling(config, log)
