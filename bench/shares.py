"""How an account's submits are shared by its nodes over time, by the gateways' own counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

from daemon.demo.stage import Stage

LOOK_EVERY = 0.2
OVER = 1.0
"""Seconds that a share is taken over."""


class Look(NamedTuple):
    """At one moment; counts by account/node since the beginning."""

    at: float
    """Seconds since 1970."""
    submits: Mapping[str, int]
    accepted: Mapping[str, int]


class Shares:
    """`async with` looks at the gateways again and again until it is left."""

    def __init__(self, stage: Stage) -> None:
        self.looks: list[Look] = []
        self._stage = stage
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch(), name="shares")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None, "entered"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def share(self, node: str, upto: float, over: float = OVER) -> float:
        """Of its account's submits in the seconds up to `upto`; 0 where there were none."""
        looks = [look for look in self.looks if upto - over - LOOK_EVERY <= look.at <= upto]
        if len(looks) < 2:
            return 0.0
        account = node.partition("/")[0] + "/"
        all_of_it = sum(
            count - looks[0].submits[name]
            for name, count in looks[-1].submits.items()
            if name.startswith(account)
        )
        mine = looks[-1].submits[node] - looks[0].submits[node]
        return mine / all_of_it if all_of_it else 0.0

    def served(self, node: str, since: float) -> float | None:
        """When, at the latest, a submit was accepted there again after `since`."""
        before: int | None = None
        for look in self.looks:
            if look.at <= since:
                continue
            if before is not None and look.accepted[node] > before:
                return look.at
            before = look.accepted[node] if before is None else before
        return None

    def full(self, node: str, since: float, share: float) -> float | None:
        """When the node had at least this share after `since`."""
        for look in self.looks:
            if look.at > since and self.share(node, look.at) >= share:
                return look.at
        return None

    async def _watch(self) -> None:
        while True:
            nodes = (await self._stage.counts())["nodes"]
            self.looks.append(
                Look(
                    time.time(),
                    {name: node["submits"] for name, node in nodes.items()},
                    {name: node["accepted"] for name, node in nodes.items()},
                )
            )
            await asyncio.sleep(LOOK_EVERY)
