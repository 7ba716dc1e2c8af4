"""A second daemon of a stage's group, with a disk and addresses of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from daemon.config import examine, load
from daemon.demo.ports import HOST, Ports
from daemon.demo.process import Child
from daemon.demo.settings import FILE
from daemon.demo.stage import DOWN_WITHIN, Stage


class Fellow:
    """Its accounts and gateways are the stage's.  `async with` ends it at the last."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        whole = examine(stage.directory / FILE).whole
        control = whole.simulate.listen
        assert control is not None, "the stage's file names one"
        self._ports = Ports(2)
        http, listen = self._ports.numbers
        nodes = [node.port for account in whole.accounts.values() for node in account.nodes]
        more = stage.settings.more
        settings = replace(
            stage.settings, more={**more, "daemon": {**more.get("daemon", {}), "name": name}}
        )
        directory = stage.directory / name
        directory.mkdir()
        path = settings.write(directory, [http, control.port, listen, *nodes])
        self.state_dir = load(path).daemon.state_dir
        self.url = f"http://{HOST}:{http}"
        self.process = Child("run", path, directory / "daemon.log")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.process.stop(DOWN_WITHIN)
        self._ports.__exit__(None, None, None)

    async def start(self) -> None:
        """Returns when every carrier can be sent to.  Raises StageError."""
        await self.process.start()
        await self._stage.up(self.process, f"{self.url}/readyz")

    async def metrics(self) -> str:
        return (await self._stage.get(f"{self.url}/metrics")).decode()

    async def lose(self) -> None:
        """SIGKILL, and nothing is left of its disk."""
        await self.process.kill()
        shutil.rmtree(self.state_dir)


def held(page: str, topic: str) -> frozenset[int]:
    """The partitions of a topic that a daemon has, by its metrics."""
    return frozenset(
        int(sample.labels["partition"])
        for family in text_string_to_metric_families(page)
        if family.name == "carrierd_broker_lag"
        for sample in family.samples
        if sample.labels["topic"] == topic
    )
