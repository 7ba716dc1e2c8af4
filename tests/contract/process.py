"""The daemon as a user runs it: `carrierd run` in a process of its own, and the other commands.

Only the local broker's queue is reached into, as the transport of jobs and reports.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.broker.local import LocalBroker, LocalTail
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = (sys.executable, "-m", "daemon")
TOPICS = {"reports": "sms.reports", "inbound": "sms.inbound", "dead": "sms.dead"}
JOBS, URGENT = "sms.jobs", "sms.jobs.urgent"
FINAL = frozenset({"delivered", "undelivered", "rejected", "expired"})
REPORTED = ("delivered", "undelivered")
PATIENCE = 30.0
"""Seconds until what must come, and will, is given up: a busy machine has its slow ones."""


async def until(condition: Callable[[], Any], within: float = PATIENCE, what: object = "") -> Any:
    """What the condition gave when it held; an error that names `what` when it never did."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            shown = what() if callable(what) else what
            raise AssertionError(f"not within {within} s: {shown}")
        await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


async def command(
    *arguments: str, stdin: bytes = b"", within: float = 60.0, env: dict[str, str] | None = None
) -> Ended:
    """Runs one command of `carrierd` to its end."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, cwd=ROOT, env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def toml(config: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines of a configuration file; JSON's scalars and lists are TOML's too."""
    plain = {k: v for k, v in config.items() if not isinstance(v, dict) and k != "nodes"}
    if path and (plain or not config):
        yield f"[{'.'.join(path)}]"
    for key, value in plain.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    for node in config.get("nodes", ()):
        yield f"[[{'.'.join((*path, 'nodes'))}]]"
        yield from (f"{key} = {json.dumps(value)}" for key, value in node.items())
    for key, value in config.items():
        if isinstance(value, dict):
            yield from toml(value, (*path, key))


@dataclass(frozen=True, slots=True)
class Published:
    """One record that the daemon published."""

    topic: str
    key: str | None
    content_type: str | None
    offset: int
    value: dict[str, Any]


class Daemon:
    """`config` without `daemon.state_dir`, `broker` and `http`, which are this one's own."""

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        self.directory = directory
        self.port = free_port()
        self.file = directory / "carrierd.toml"
        self.log = directory / "stderr.log"
        self.config = {
            **config,
            "daemon": {
                "name": "outside",
                "state_dir": str(directory / "state"),
                "drain_within": 5.0,
                **config.get("daemon", {}),
            },
            "broker": {"kind": "local", **config.get("broker", {})},
            "http": {"listen": f"127.0.0.1:{self.port}"},
        }
        self.broker = LocalBroker(directory / "state" / "broker")
        self.published: dict[str, list[Published]] = {name: [] for name in TOPICS}
        self.process: asyncio.subprocess.Process | None = None
        self._outlet: Any = None
        self._opening = asyncio.Lock()
        self._tails: list[LocalTail] = []
        self._tasks: list[asyncio.Task[None]] = []

    # Life

    async def start(self, ready: bool = True) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file.write_text("\n".join(toml(self.config)) + "\n")
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *COMMAND, "run", "--config", str(self.file), cwd=ROOT, stdout=log, stderr=log
            )
        await self._until_answer("/readyz" if ready else "/healthz", 2 * PATIENCE)

    async def _until_answer(self, path: str, within: float) -> None:
        deadline = time.monotonic() + within
        last: object = None
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.returncode is not None:
                break
            try:
                last = await self.get(path)
            except OSError as exc:
                last = exc
            else:
                if last[0] == 200:
                    return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{path}: {last}\n{self.log.read_text()[-4000:]}")

    async def signal(self, number: int = signal.SIGTERM, within: float = PATIENCE) -> int:
        """The exit status it ends with."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def kill(self) -> None:
        await self.signal(signal.SIGKILL)

    async def close(self) -> None:
        try:
            if self.process is not None and self.process.returncode is None:
                try:
                    await self.signal(within=10.0)
                except TimeoutError:
                    await self.kill()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for tail in self._tails:
                await tail.close()
            if self._outlet is not None:
                await self._outlet.close()

    # Commands and HTTP

    async def run(self, name: str, *arguments: str, **more: Any) -> Ended:
        return await command(name, "--config", str(self.file), *arguments, **more)

    async def get(self, path: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read()
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    async def status(self) -> dict[str, Any]:
        code, body = await self.get("/status")
        assert code == 200
        found: dict[str, Any] = json.loads(body)
        return found

    async def metrics(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Sample name -> labels -> value."""
        from prometheus_client.parser import text_string_to_metric_families

        code, body = await self.get("/metrics")
        assert code == 200
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(body):
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[labels] = sample.value
        return found

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        wanted = set(labels.items())
        samples = (await self.metrics()).get(name, {})
        return sum(value for key, value in samples.items() if wanted <= set(key))

    async def reads(
        self, name: str, wanted: float, within: float = PATIENCE, **labels: str
    ) -> None:
        """Until the metric is as wanted."""
        found = -1.0
        try:
            async with asyncio.timeout(within):
                while found != wanted:
                    found = await self.metric(name, **labels)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{name}{labels} is {found}, not {wanted}") from None

    async def exceeds(
        self, name: str, least: float, within: float = PATIENCE, **labels: str
    ) -> None:
        """Until the metric is above that."""
        try:
            async with asyncio.timeout(within):
                while await self.metric(name, **labels) <= least:  # noqa: ASYNC110  # its metric
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{name}{labels} does not exceed {least}") from None

    # Records

    async def put(
        self, *values: bytes, topic: str = JOBS, key: bytes | None = None,
        content_type: str = "application/json",
    ) -> None:  # fmt: skip
        """Records as they are."""
        async with self._opening:
            if self._outlet is None:
                outlet = self.broker.outlet([JOBS, URGENT])
                await outlet.start()
                self._outlet = outlet
        await self._outlet.publish([(topic, key, value) for value in values], content_type)

    async def send(self, *jobs: dict[str, Any], topic: str = JOBS) -> None:
        await self.put(*(json.dumps(job).encode() for job in jobs), topic=topic)

    async def follow(self) -> None:
        """Reads all that is published from now on, and what was before."""
        for name, topic in TOPICS.items():
            tail = self.broker.tail(topic)
            await tail.start(0)
            self._tails.append(tail)
            self._tasks.append(asyncio.create_task(self._read(name, tail)))

    async def _read(self, name: str, tail: LocalTail) -> None:
        while True:
            for record in await tail.take(500, 1.0):
                self.published[name].append(
                    Published(
                        record.topic,
                        record.key.decode() if record.key is not None else None,
                        record.content_type,
                        record.offset,
                        json.loads(record.value),
                    )
                )

    def events(self, message: str) -> list[dict[str, Any]]:
        return [p.value for p in self.published["reports"] if p.value["message"] == message]

    async def final(self, message: str, within: float = PATIENCE) -> dict[str, Any]:
        found: dict[str, Any] = await until(
            lambda: next((e for e in self.events(message) if e["final"]), None),
            within,
            lambda: f"a final event of {message}, only {self.events(message)}",
        )
        return found

    def states(self, message: str) -> list[str]:
        """Its states in order.  The accepted event may be absent (contract section 5), as where the
        report came with the answer; it is here whenever the last event knows of the answer.
        """
        events = self.events(message)
        states: list[str] = [event["state"] for event in events]
        reported = bool(events) and events[-1]["state"] in REPORTED
        if reported and "accepted" not in states and events[-1]["times"]["answered"]:
            states.insert(-1, "accepted")
        return states

    async def state(self, message: str, state: str, within: float = PATIENCE) -> dict[str, Any]:
        """The event; for "accepted" the one of its report will do."""
        wanted = (state, *REPORTED) if state == "accepted" else (state,)
        found: dict[str, Any] = await until(
            lambda: next((e for e in self.events(message) if e["state"] in wanted), None),
            within,
            lambda: f"{state} of {message}, only {self.events(message)}",
        )
        return found

    async def trace(self, *arguments: str) -> list[dict[str, Any]]:
        ended = await self.run("trace", *arguments, "--json")
        assert ended.status in (0, 1), ended.err
        found: list[dict[str, Any]] = json.loads(ended.out or "[]")
        return found
