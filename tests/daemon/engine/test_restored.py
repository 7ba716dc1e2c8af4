"""A ledger restored from a backup, behind Kafka: what was told after the backup is news to it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from daemon.backup import restore, take
from daemon.config import Config, examine

from .conftest import MakeGroup
from .group import Group, Member

TO = "13912345678"


def of(member: Member, state: Path) -> Config:
    """The member's configuration with another state directory."""
    file = member.state.parent / f"{member.state.name}.toml"
    config = examine(file, environ={}).config
    daemon = msgspec.structs.replace(config.daemon, state_dir=state)
    return msgspec.structs.replace(config, daemon=daemon)


async def restored(group: Group, *, moved: bool) -> tuple[Member, bytes]:
    """A member on a backup in which a message waits that was sent, and answered, after it; and the
    carrier's id of that."""
    a = await group.make()
    await group.assign([0])
    await group.job(id="j")
    taken = take(of(a, a.state), group.directory / "backups")
    assert taken.manifest.unfinished == 1
    peer = a.peer()
    [(sequence, _, _)] = await a.written(peer)
    key = peer.accepts(sequence)
    await group.settle()
    config = of(a, group.directory / "restored")
    await group.kill(a)
    done = restore(config, taken.path, moved=moved)
    assert (done.since is None) == moved
    b = await group.make(config.daemon.state_dir)
    await group.assign([0])
    return b, key


async def test_what_was_sent_after_the_backup_is_not_sent_again(make_group: MakeGroup) -> None:
    group = make_group()
    b, key = await restored(group, moved=False)
    peer = b.peer()
    assert not await b.written(peer, most=0.05)
    peer.reports(key, to=TO)
    await group.settle()
    assert group.states("j/0") == ["accepted", "delivered"]


async def test_it_would_be_if_the_ledger_took_it_for_its_own_words(make_group: MakeGroup) -> None:
    """Which is what `--moved` says, wrongly here."""
    group = make_group()
    b, _ = await restored(group, moved=True)
    assert len(await b.written(b.peer())) == 1


@pytest.mark.parametrize("told", [True, False])
async def test_what_waits_for_all_that_anybody_knows_is_sent_once(
    make_group: MakeGroup, told: bool
) -> None:
    group = make_group()
    a = await group.make()
    await group.assign([0])
    await group.job(id="j")
    taken = take(of(a, a.state), group.directory / "backups")
    if told:  # it waited for long, and is parked by now
        await group.pass_(61.0)
    config = of(a, group.directory / "restored")
    await group.kill(a)
    restore(config, taken.path)
    b = await group.make(config.daemon.state_dir)
    await group.assign([0])
    peer = b.peer()
    assert len(await b.written(peer)) == 1
    await group.pass_(1.0)
    assert peer.written() == []
