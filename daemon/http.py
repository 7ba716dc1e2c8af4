"""/metrics, /healthz, /readyz and /status (contract section 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

LONGEST_CONNECTION = 60.0
"""Seconds; nobody scrapes for longer, and a client that dribbles holds nothing for ever."""
MOST_CONNECTIONS = 100
"""Open at a time; the process has only so many files, and gateways and the ledger need theirs."""


class Http:
    """`not_ready()` gives the reasons why the daemon is not; `status()` what `/status` shows."""

    def __init__(
        self,
        registry: CollectorRegistry,
        not_ready: Callable[[], list[str]],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self.registry = registry
        self.not_ready = not_ready
        self.status = status
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> None:
        """Raises OSError when the address cannot be had; port 0 takes a free one."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/status", self._status)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, lingering_time=0.0)
        await runner.setup()
        self._runner = runner
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(partial(_admit, runner), host, port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweeper = asyncio.create_task(self._sweep(runner))

    async def stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _sweep(self, runner: web.AppRunner) -> None:
        """Close connections that have been there for long, whatever they do."""
        loop = asyncio.get_running_loop()
        seen: dict[web.RequestHandler, float] = {}
        while True:
            await asyncio.sleep(LONGEST_CONNECTION / 4)
            now = loop.time()
            server = runner.server
            open_now = server.connections if server is not None else []
            seen = {handler: seen.get(handler, now) for handler in open_now}
            for handler, since in seen.items():
                if now - since >= LONGEST_CONNECTION:
                    handler.force_close()

    async def _metrics(self, request: web.Request) -> web.Response:
        body = generate_latest(self.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        reasons = self.not_ready()
        if reasons:
            return web.Response(status=503, text="".join(f"{reason}\n" for reason in reasons))
        return web.Response(text="ready\n")

    async def _status(self, request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self.status()), content_type="application/json")


def _admit(runner: web.AppRunner) -> asyncio.Protocol:
    """For a new connection; whoever has been there longest makes room for it."""
    server = runner.server
    assert server is not None, "the runner is set up before anybody can connect"
    open_now = server.connections
    for handler in open_now[: max(0, len(open_now) + 1 - MOST_CONNECTIONS)]:
        handler.force_close()
    return server()
