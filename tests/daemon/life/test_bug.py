"""What a fault of our own does: the daemon says so and stops, and the next start goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon import changes
from daemon.lives import Lives
from daemon.model import Message, State
from tests.contract.process import until
from tests.contract.world import Account, job, number

from .whole import whole


@pytest.mark.interpreted
async def test_what_a_bug_kept_from_being_written_is_known_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = job(number())

    class Faulty(Lives):
        def pack(self, m: Message) -> bytes:
            if m.state is State.ACCEPTED:
                raise ValueError("a fault of our own")
            return super().pack(m)

    account = Account("a", "cmpp", "mobile")
    async with whole(tmp_path, account) as opened:
        with monkeypatch.context() as patch:
            patch.setattr(changes, "_lives", Faulty())
            await opened.take(one)
            await until(opened.app._stopping.is_set, what="the end")
        failure = opened.app._failure()
        assert isinstance(failure, ValueError)
        assert opened.states(one) == []
        opened.drained = 1
        app = opened.app
        await app._abandon()
        for part in (app.source, app.replica, app.outlet, app.sweep, app.ledger):
            await part.close()
    async with whole(tmp_path, Account("a", "cmpp", "mobile")) as again:
        await again.state(one, "delivered")
        assert again.states(one)[0] == "uncertain", "it had left"
