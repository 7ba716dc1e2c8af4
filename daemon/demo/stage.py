"""Gateways and daemon in processes of their own, with a state directory that goes away again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from daemon.broker import broker, topics
from daemon.broker.base import Outlet
from daemon.config import Config, load

from .ports import HOST, Ports
from .process import Child
from .settings import Settings

UP_WITHIN = 120.0
"""What ends meanwhile is seen at once: this is for a machine with much else to do."""
ANSWER_WITHIN = 30.0
LOOK_EVERY = 0.05
DOWN_WITHIN = 60.0
"""Longer than the daemon's own `drain_within`."""


class StageError(Exception):
    """A process did not start or ended early; the text has the end of its log."""


class Stage:
    """`async with` starts the gateways; the daemon is started when the caller wants it.

    Everything is stopped and removed at the end, whatever happened.
    """

    def __init__(
        self, settings: Settings, within: Path | None = None, away: Sequence[str] = ()
    ) -> None:
        """`within` is where the state directory is made; None is the system's own place.

        `away` goes in front of the gateways' command.
        """
        self.settings = settings
        self.directory = Path(tempfile.mkdtemp(prefix="carrierd-", dir=within))
        self._ports = Ports(settings.ports)
        try:
            path = settings.write(self.directory, self._ports.numbers)
            self.config: Config = load(path)
        except BaseException:
            self._remove()
            raise
        self.broker = broker(self.config)
        self.outlet: Outlet = self.broker.outlet(self.config.broker.topics.jobs)
        self.daemon = Child("run", path, self.directory / "daemon.log")
        self.gateways = Child("simulate", path, self.directory / "gateways.log", away)
        self._http: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.config.http.listen.port}"

    @property
    def state_dir(self) -> Path:
        return self.config.daemon.state_dir

    async def __aenter__(self) -> Self:
        try:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN))
            await self.broker.create(topics(self.config))
            await self.outlet.start()
            await self.gateways.start()
            await self.up(self.gateways, self._control("counts"))
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        try:
            if self._http is not None:
                await self._http.close()
            await self.outlet.close()
            await self.daemon.stop(DOWN_WITHIN)
            await self.gateways.stop(DOWN_WITHIN)
        finally:
            self._remove()

    def _remove(self) -> None:
        self._ports.__exit__(None, None, None)
        shutil.rmtree(self.directory, ignore_errors=True)

    # The daemon

    async def start_daemon(self) -> None:
        """Returns when every carrier can be sent to.  Raises StageError."""
        await self.daemon.start()
        await self.daemon_ready()

    async def daemon_ready(self) -> None:
        """Of one that was started.  Raises StageError."""
        await self.up(self.daemon, f"{self.url}/readyz")

    async def daemon_alive(self) -> None:
        """Of one that was started: it works, whatever its carriers do.  Raises StageError."""
        await self.up(self.daemon, f"{self.url}/healthz")

    async def stop_daemon(self) -> int:
        """Drains it; its exit status."""
        return await self.daemon.stop(DOWN_WITHIN)

    async def metrics(self) -> str:
        return (await self.get(f"{self.url}/metrics")).decode()

    # The gateways

    async def counts(self, *, seconds: bool = False) -> dict[str, Any]:
        """What reached the gateways; see GET /counts of `carrierd simulate`."""
        counts: dict[str, Any] = orjson.loads(
            await self.get(self._control("counts?seconds=1" if seconds else "counts"))
        )
        return counts

    async def missing(self, account: str, numbers: Sequence[str]) -> list[str]:
        """Those of the numbers, a few thousand at most, that nothing has reached."""
        asked = {"account": account, "to": list(numbers)}
        missing: list[str] = orjson.loads(await self._post("missing", asked))["missing"]
        return missing

    async def fault(self, node: str, **changes: Any) -> None:
        """POST /faults of `carrierd simulate`; `node` is account/node, an account or `*`."""
        await self._post("faults", {"node": node, **changes})

    async def write_in(self, account: str, sender: str, text: str) -> None:
        """A subscriber writes to the account's access number."""
        await self._post("mo", {"account": account, "from": sender, "text": text})

    def watch(self, *others: Child) -> None:
        """Raises StageError when one of the processes has ended by itself, or of these others."""
        for child in (self.gateways, self.daemon, *others):
            if child.ended:
                raise StageError(f"carrierd {child.command} ended: {child.said() or 'no word'}")

    # Any process with a URL

    async def up(self, child: Child, url: str) -> None:
        """Ask until it says 200: another process's readiness cannot be awaited.

        Raises StageError when the process has ended or takes too long.
        """
        assert self._http is not None, "inside `async with`"
        said = "no answer"
        try:
            async with asyncio.timeout(UP_WITHIN):
                while True:
                    self.watch(child)
                    try:
                        async with self._http.get(url) as response:
                            if response.status == 200:
                                return
                            said = await response.text()
                    except aiohttp.ClientConnectionError:
                        pass  # it does not listen yet
                    except TimeoutError:
                        said = f"no answer in {ANSWER_WITHIN:g} s"
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise StageError(
                f"carrierd {child.command} is not ready after {UP_WITHIN:g} s: {said.strip()}"
                f" {child.said()}"
            ) from None

    async def get(self, url: str) -> bytes:
        """The body of what is there, whatever the status.  Raises StageError."""
        assert self._http is not None, "inside `async with`"
        return await self._ask(url, self._http.get(url))

    # How it is done

    def _control(self, path: str) -> str:
        listen = self.config.simulate.listen
        assert listen is not None, "the file names one"
        return f"http://{listen.host}:{listen.port}/{path}"

    async def _post(self, path: str, body: dict[str, Any]) -> bytes:
        assert self._http is not None, "inside `async with`"
        url = self._control(path)
        return await self._ask(url, self._http.post(url, data=orjson.dumps(body)), only=200)

    async def _ask(
        self,
        url: str,
        request: AbstractAsyncContextManager[aiohttp.ClientResponse],
        only: int | None = None,
    ) -> bytes:
        try:
            async with request as response:
                if only is not None and response.status != only:
                    raise StageError(f"{url}: {response.status} {await response.text()}")
                return await response.read()
        except (aiohttp.ClientError, TimeoutError) as exc:
            self.watch()
            raise StageError(f"{url}: {str(exc) or 'no answer'}") from exc
