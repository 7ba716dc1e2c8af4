"""A whole daemon in this process, with gateways on real sockets around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from daemon import clock
from daemon.app import App
from daemon.broker.base import Record
from daemon.config import load
from tests.contract.process import toml, until
from tests.contract.world import Account


class Whole:
    """`drained` is the exit status once somebody has drained it."""

    def __init__(self, file: Path, config: dict[str, Any]) -> None:
        self.file = file
        self.config = config
        self.told: list[dict[str, Any]] = []
        self.drained: int | None = None
        self._offset = 0
        self._write()
        self.app = App(load(file))
        publish = self.app._publish

        def watch(n: int, events: list[Any]) -> None:
            self.told.extend(orjson.loads(value) for _, _, value in events)
            publish(n, events)

        self.app.ledger._on_events = watch

    def _write(self) -> None:
        self.file.write_text("\n".join(toml(self.config)) + "\n")

    async def take(self, *jobs: dict[str, Any]) -> None:
        records = []
        for one in jobs:
            value = orjson.dumps(one)
            records.append(Record("sms.jobs", 0, self._offset, None, value, None, clock.host()))
            self._offset += 1
        await self.app.intake.take(records)

    def reload(self) -> None:
        """What SIGHUP does with `config` as it is now."""
        self._write()
        self.app.reload(load(self.file))

    async def drain(self) -> int:
        self.drained = await self.app.drain()
        return self.drained

    def of(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        return [event for event in self.told if event.get("message") == f"{job['id']}/0"]

    def states(self, job: dict[str, Any]) -> list[str]:
        return [event["state"] for event in self.of(job)]

    async def state(self, job: dict[str, Any], state: str, within: float = 30.0) -> None:
        await until(lambda: state in self.states(job), within, lambda: f"{state}: {self.told}")


@asynccontextmanager
async def whole(
    directory: Path,
    *accounts: Account,
    before_start: Callable[[Whole], None] = lambda opened: None,
    **config: Any,
) -> AsyncIterator[Whole]:
    """Bound everywhere at the beginning; drained at the end, if that was not done before."""
    routes: dict[str, list[str]] = {}
    for account in accounts:
        routes.setdefault(account.keys["carrier"], []).append(account.name)
        for gateway in account.gateways:
            if not gateway.listening:
                await gateway.start()
    state = {"name": "life", "state_dir": str(directory / "state")}
    opened = Whole(
        directory / "carrierd.toml",
        {
            "broker": {"kind": "local"},
            "http": {"listen": "127.0.0.1:0"},
            "routes": routes,
            "uncertain": {"hold": 0.4},
            **config,
            "daemon": {**state, **config.get("daemon", {})},
            "accounts": {account.name: account.table() for account in accounts},
        },
    )
    before_start(opened)
    await opened.app.start()
    try:
        pool = opened.app.pool
        nodes = [
            (account.name, gateway.name) for account in accounts for gateway in account.gateways
        ]
        await until(lambda: all(pool.up(*node) for node in nodes), what="bound")
        yield opened
    finally:
        if opened.drained is None:
            await opened.drain()
        for account in accounts:
            for gateway in account.gateways:
                await gateway.close()
