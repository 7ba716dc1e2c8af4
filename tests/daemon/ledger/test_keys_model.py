"""Keys after random commits, sweeps and kills: found by everybody, exactly as they were put."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from daemon.ledger import Archiver, Entries, History, keys, runs
from daemon.ledger import ledger as ledger_module
from tests.daemon.ledger.content import (
    ACCOUNT,
    NOON,
    Clock,
    delivered,
    kept,
    key,
    message,
    mid,
    number,
    start,
    taken,
)

HOUR = 3600.0
TURNS = 120


@pytest.mark.parametrize("seed", range(5, 8))
async def test_random_commits_sweeps_and_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for module in (keys, ledger_module):
        monkeypatch.setattr(module, "RECENT_ROWS", 20)
    monkeypatch.setattr(runs, "MOST_RUNS", 3)
    rng = random.Random(seed)
    clock = Clock()
    state_dir = tmp_path / "0"
    ledger = start(state_dir, clock)
    archiver = Archiver(ledger, zone=ZoneInfo("Asia/Shanghai"), archive_after=HOUR)
    last = swept = 0
    answered: set[int] = set()
    for turn in range(TURNS):
        what = rng.randrange(10)
        if what < 3:
            more = rng.choice((1, 1, 2, 12))
            await kept(ledger, taken(range(last + 1, last + more + 1)))
            last += more
        elif what < 5 and last > len(answered):
            seq = rng.choice([seq for seq in range(1, last + 1) if seq not in answered])
            answered.add(seq)
            await kept(ledger, delivered([seq]))
        elif what < 8:
            # Rows without a key, as a report or a retry has them.
            waiting = [message(seq, state=1) for seq in range(1, last + 1) if seq not in answered]
            await kept(ledger, Entries(messages=rng.sample(waiting, min(len(waiting), 15))))
            for _ in range(rng.randrange(runs.STEPS)):
                await kept(ledger, Entries(claims=[(1, NOON, b"")]))
        elif what == 8 and rng.random() < 0.3:
            clock.now = NOON + rng.choice((0, 2 * HOUR))
            await archiver.sweep(clock.now)
            swept += 1
        elif rng.random() < 0.3:
            killed = tmp_path / f"{turn + 1}"
            shutil.copytree(state_dir, killed)  # as the disk is at that moment, log and all
            await archiver.close()
            await ledger.close()
            state_dir = killed
            ledger = start(state_dir, clock)
            archiver = Archiver(ledger, zone=ZoneInfo("Asia/Shanghai"), archive_after=HOUR)
        if turn % 3 == 0:
            seqs = range(1, last + 1)
            known = await ledger.known(["new", *(f"j-{seq}" for seq in seqs)])
            assert {name: row.seq for name, row in known.items()} == {
                f"j-{seq}": seq for seq in seqs
            }
            found = await ledger.find([(ACCOUNT, key(seq)) for seq in seqs])
            open_ = {row.mid >> 10 for _, row in await ledger.load([mid(seq) for seq in seqs])}
            assert found == {(ACCOUNT, key(seq)): [(mid(seq), 0)] for seq in answered & open_}
            with History.open(state_dir) as history:
                for seq in rng.sample(seqs, min(last, 8)):
                    by_id = history.by_carrier_id([(None, key(seq))])
                    assert [row.mid for _, row in by_id] == [mid(seq)] * (seq in answered)
                    for rows in (history.by_job(f"j-{seq}"), history.by_to(number(seq))):
                        assert [row.mid for _, row in rows] == [mid(seq)]
    assert swept
    await archiver.close()
    await ledger.close()
