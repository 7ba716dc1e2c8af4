"""Scenes that spend their time waiting run together; each is a test of its own.

A scene is an async function.  The first test of a group that runs starts all its scenes as
tasks, every other one only waits for its own.  They must not get in each other's way: own
numbers, no metrics that others move, or a daemon of their own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

Scene = Callable[..., Coroutine[Any, Any, None]]
TestFunction = Callable[..., Awaitable[None]]


class Together:
    """`fixture`: what scenes are given; `tmp_path` means a directory for each."""

    def __init__(self, fixture: str, at_once: int = 100) -> None:
        self.fixture = "tmp_path_factory" if fixture == "tmp_path" else fixture
        self._room = asyncio.Semaphore(at_once)
        self._scenes: dict[tuple[str, int], tuple[Scene, tuple[Any, ...]]] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def __call__(self, *sets: Any) -> Callable[[Scene], TestFunction]:
        """One test for each set of arguments (a tuple, or one argument), or one without any."""
        arguments = [one if isinstance(one, tuple) else (one,) for one in sets] or [()]

        def take(scene: Scene) -> TestFunction:
            name = scene.__name__
            for which, one in enumerate(arguments):
                self._scenes[name, which] = (scene, one)

            async def test(request: pytest.FixtureRequest, which: int, **given: Any) -> None:
                self._start(request, given[self.fixture])
                await self._tasks[name, which]

            kind = inspect.Parameter.KEYWORD_ONLY
            names = ("request", "which", self.fixture)
            test.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
                [inspect.Parameter(one, kind) for one in names]
            )
            test.__name__ = test.__qualname__ = name
            test.__module__, test.__doc__ = scene.__module__, scene.__doc__
            ids = [str(one[0])[:40] if one else "-" for one in arguments]
            return pytest.mark.parametrize("which", range(len(arguments)), ids=ids)(test)

        return take

    def _start(self, request: pytest.FixtureRequest, given: Any) -> None:
        """All scenes whose tests will run."""
        if self._tasks:
            return
        wanted = {
            (item.originalname, item.callspec.params["which"])
            for item in request.session.items
            if isinstance(item, pytest.Function)
            and item.module is request.module
            and hasattr(item, "callspec")
            and "which" in item.callspec.params
        }
        for key, (scene, arguments) in self._scenes.items():
            if key in wanted:
                work = self._play(scene, given, arguments)
                self._tasks[key] = asyncio.create_task(work, name=key[0])

    async def _play(self, scene: Scene, given: Any, arguments: tuple[Any, ...]) -> None:
        async with self._room:
            own = given.mktemp("scene") if self.fixture == "tmp_path_factory" else given
            await scene(own, *arguments)

    async def end(self) -> None:
        """What no test waited for, as after a test that ended the run."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
