"""A real Prometheus and its promtool, as Debian's package `prometheus` has them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import urllib.parse
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import aiohttp

from tests.ports import free_port

REQUIRE = "CARRIERD_REQUIRE_PROMETHEUS"
UP_WITHIN = 20.0
LOOK_EVERY = 0.05


def missing() -> str | None:
    """What this machine lacks, or None."""
    lacking = [tool for tool in ("prometheus", "promtool") if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not found on PATH" if lacking else None


def required() -> bool:
    return os.environ.get(REQUIRE) == "1"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


class Prometheus:
    """`async with` runs one in `directory`, with the rule files there, that scrapes `target`."""

    def __init__(self, directory: Path, target: str, every: str) -> None:
        self.directory = directory
        self.target = target
        self.every = every
        self.port = free_port()
        self._process: Process | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Prometheus:
        config = {
            "global": {
                "scrape_interval": self.every,
                "scrape_timeout": self.every,
                "evaluation_interval": self.every,
            },
            "rule_files": ["*.yml"],
            "scrape_configs": [
                {"job_name": "carrierd", "static_configs": [{"targets": [self.target]}]}
            ],
        }
        file = self.directory / "prometheus.json"  # JSON is YAML too
        file.write_text(json.dumps(config))
        with (self.directory / "prometheus.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={self.directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--query.lookback-delta=2s",
                "--log.level=warn",
                stdout=log,
                stderr=log,
            )
        self._http = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")
        async with asyncio.timeout(UP_WITHIN):
            while not await self._answers():
                assert self._process.returncode is None, self.said()
                await asyncio.sleep(LOOK_EVERY)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()  # its data go with its directory
            await self._process.wait()

    def said(self) -> str:
        return (self.directory / "prometheus.log").read_text()[-2000:]

    async def _answers(self) -> bool:
        assert self._http is not None, "inside `async with`"
        try:
            async with self._http.get("/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """What it says now: each has `metric` and `value`."""
        found = await self._get(f"query?query={urllib.parse.quote(expression)}")
        if found["resultType"] == "scalar":
            return [{"metric": {}, "value": found["result"]}]
        series: list[dict[str, Any]] = found["result"]
        return series

    async def firing(self) -> set[tuple[str, str, str]]:
        """Name, account or carrier, and node of each alert that fires."""
        alerts = (await self._get("alerts"))["alerts"]
        return {
            (of["alertname"], of.get("account", of.get("carrier", "")), of.get("node", ""))
            for of in (alert["labels"] for alert in alerts if alert["state"] == "firing")
        }

    async def _get(self, path: str) -> dict[str, Any]:
        assert self._http is not None, "inside `async with`"
        async with self._http.get(f"/api/v1/{path}") as response:
            body = await response.json()
        assert body["status"] == "success", f"{path}: {body}"
        data: dict[str, Any] = body["data"]
        return data
