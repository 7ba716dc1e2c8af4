"""Scenes of one daemon that spend their time waiting run together; each is a test of its own.

A scene is an async function of a World.  The first test that runs starts all scenes of its
module as tasks, every other one only waits for its own.  They must not get in each other's way:
own numbers, no metrics that others move.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from .world import World

Scene = Callable[..., Coroutine[Any, Any, None]]


class Together:
    """`fixture`: the name of the module's World."""

    def __init__(self, fixture: str) -> None:
        self.fixture = fixture
        self._scenes: list[tuple[str, Scene, tuple[Any, ...]]] = []
        self._tasks: dict[tuple[str, tuple[Any, ...]], asyncio.Task[None]] = {}

    def __call__(self, *sets: Any) -> Callable[[Scene], Callable[..., Awaitable[None]]]:
        """Once for each set of arguments (a tuple, or one argument), or once without any."""

        def take(scene: Scene) -> Callable[..., Awaitable[None]]:
            name = scene.__name__
            arguments = [one if isinstance(one, tuple) else (one,) for one in sets] or [()]
            self._scenes += [(name, scene, one) for one in arguments]

            async def test(request: pytest.FixtureRequest, world: World, which: int) -> None:
                self._start(world)
                await self._tasks[name, arguments[which]]

            if sets:
                marked = pytest.mark.parametrize(
                    "which", range(len(arguments)), ids=[str(one[0])[:40] for one in arguments]
                )(test)
            else:
                marked = pytest.mark.parametrize("which", [0], ids=["-"])(test)
            marked.__name__ = marked.__qualname__ = name
            marked.__doc__ = scene.__doc__
            return marked

        return take

    def _start(self, world: World) -> None:
        if not self._tasks:
            for name, scene, arguments in self._scenes:
                task = asyncio.create_task(scene(world, *arguments), name=name)
                self._tasks[name, arguments] = task

    async def end(self) -> None:
        """Scenes that no test waited for."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
