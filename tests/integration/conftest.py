"""What scenes of several daemons stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio

from tests.contract.together import Together

from .cluster import Ground


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(
    kafka: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Ground]:
    """The session's Kafka; no scene of the module outlives it."""
    # Each scene has a reader of its own, which is a thread nearly all the time.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    yield Ground(kafka, tmp_path_factory)
    for value in vars(request.module).values():
        if isinstance(value, Together):
            await value.end()
