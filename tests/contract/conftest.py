"""A daemon with all four carriers, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .together import Together
from .world import Account, World, world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def four(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One account per carrier and protocol, none of which any test takes down."""
    async with world(
        tmp_path_factory.mktemp("four"),
        Account("mobile", "cmpp", "mobile", service_id="XZ12123"),
        Account("unicom", "sgip", "unicom", service_id="XZU"),
        Account("telecom", "smgp", "telecom", service_id="XZT"),
        Account("broadnet", "smpp", "broadnet", service_id="XZB"),
        check=False,
    ) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def scenes_end(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """No scene outlives its module."""
    yield
    for value in vars(request.module).values():
        if isinstance(value, Together):
            await value.end()
