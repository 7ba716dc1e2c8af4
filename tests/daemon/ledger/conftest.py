from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.ledger import Ledger
from tests.daemon.ledger.content import Clock, start


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def ledger(state_dir: Path, clock: Clock) -> AsyncIterator[Ledger]:
    ledger = start(state_dir, clock)
    yield ledger
    await ledger.close()
