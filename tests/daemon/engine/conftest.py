"""Desks to try the submit engine on; each is closed at the end of its test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from .desk import Desk, Terms, configured, stand_still
from .group import Group

MakeDesk = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def make_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeDesk]:
    desks: list[Desk] = []

    async def make(*terms: Terms, after: Desk | None = None, **settings: object) -> Desk:
        if after is not None:
            desk = await after.crash()
        else:
            text = configured(*(terms or (Terms(),)), **settings)  # type: ignore[arg-type]
            desk = Desk(tmp_path / "state", text)
        stand_still(monkeypatch, desk)
        await desk.start()
        desks.append(desk)
        return desk

    yield make
    for desk in desks:
        await desk.close()


MakeGroup = Callable[..., Group]


@pytest.fixture
async def make_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeGroup]:
    groups: list[Group] = []

    def make(*terms: Terms, **settings: object) -> Group:
        group = Group(tmp_path, monkeypatch, *terms, **settings)
        groups.append(group)
        return group

    yield make
    for group in groups:
        for member in group.members:
            await member.close()
