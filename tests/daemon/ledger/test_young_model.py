"""Young rows beside plain ones: whatever comes in whatever order, readers see the last row."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from daemon.ledger import INDEX_BITS, Entries, History, Ledger, MessageValues, files, young
from tests.daemon.ledger.content import NOON, finished, job, kept, message, mid, number, start

STATES = (0, 0, 0, 0, 1, 2, 4, 9)
STEPS = 60


class Model:
    """What was put, and what is put next."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rows: dict[int, MessageValues] = {}
        self.jobs: set[int] = set()
        self.top = 1

    def commit(self) -> Entries:
        """New jobs, older numbers too, jobs once more, and news of messages, in any order."""
        entries = Entries()
        for _ in range(self.random.randrange(4)):
            self._new(entries)
        for number_ in self.random.sample(sorted(self.rows), min(len(self.rows), 4)):
            if self.random.random() < 0.7:
                self._put(entries, number_)
        if self.jobs and self.random.random() < 0.3:
            # A job of which more is known now, with some of its messages.
            seq = self.random.choice(sorted(self.jobs))
            entries.jobs.append(job(seq))
            for index in range(5):
                if self.random.random() < 0.5:
                    self._put(entries, mid(seq, index))
        self.random.shuffle(entries.jobs)
        return entries

    def _new(self, entries: Entries) -> None:
        self.top += self.random.choice((1, 1, 1, 3))
        gaps = [seq for seq in range(1, self.top) if seq not in self.jobs]
        seq = self.random.choice(gaps) if self.random.random() < 0.3 and gaps else self.top
        if seq in self.jobs:
            return
        self.jobs.add(seq)
        entries.jobs.append(job(seq))
        indexes = self.random.sample(range(5), self.random.randrange(1, 4))
        for index in indexes:
            self._put(entries, mid(seq, index))
            if self.random.random() < 0.2:
                self._put(entries, mid(seq, index))

    def _put(self, entries: Entries, number_: int) -> None:
        seq, index = number_ >> INDEX_BITS, number_ & 1023
        state = self.random.choice(STATES)
        wake = NOON + self.random.randrange(9) if self.random.random() < 0.5 else None
        row = finished(seq, index) if state == 9 else message(seq, index, state, wake)
        self.rows[number_] = row
        entries.messages.append(row)

    async def agrees(self, ledger: Ledger, state_dir: Path) -> None:
        """Whoever asks by number, without anything getting its row for that."""
        rows = dict(self.rows)
        asked = [*rows, mid(self.top + 1)]
        assert {row.mid: tuple(row) for _, row in await ledger.load(asked)} == rows
        known = await ledger.known([f"j-{seq}" for seq in self.jobs])
        open_ = {each >> INDEX_BITS for each, row in rows.items() if not row[6]}
        assert {known[f"j-{seq}"].seq for seq in self.jobs} == self.jobs
        assert {row.seq for row in known.values() if not row.finished} == open_
        with History.open(state_dir) as history:
            for seq in self.random.sample(sorted(self.jobs), min(len(self.jobs), 3)):
                mine = {each: row for each, row in rows.items() if each >> INDEX_BITS == seq}
                assert {r.mid: tuple(r) for _, r in history.by_job(f"j-{seq}")} == mine
                for each, row in mine.items():
                    found = history.by_to(number(seq, each & 1023))
                    assert [tuple(r) for _, r in found if r.mid == each] == [row]

    async def agrees_in_order(self, ledger: Ledger) -> None:
        """Whoever asks an index."""
        for state in (0, 1, 2):
            waiting = sorted(each for each, row in self.rows.items() if row[5] == state)
            assert await ledger.queued_mids("mobile", 1, state, 0, 9_999) == waiting
        await self.agrees_on_deadlines(ledger, NOON + 9)

    async def agrees_on_deadlines(self, ledger: Ledger, until: float) -> None:
        wakes = [(r[7], each) for each, r in self.rows.items() if r[7] is not None]
        due = sorted(pair for pair in wakes if pair[0] <= until)
        assert await ledger.due(None, until, 9_999) == due


@pytest.mark.parametrize("seed", range(8))
async def test_readers_see_the_last_row_of_every_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    model = Model(seed)
    monkeypatch.setattr(young, "MOST_COMMITS", model.random.randrange(2, 9))
    monkeypatch.setattr(young, "MOST_ROWS", model.random.randrange(4, 40))
    monkeypatch.setattr(young, "MOST_YOUNG", model.random.randrange(4, 40))
    monkeypatch.setattr(young, "DONE_AT_ONCE", model.random.randrange(1, 4))
    state_dir, kills = tmp_path / "state", 0
    ledger = start(state_dir)
    for _ in range(STEPS):
        await kept(ledger, model.commit())
        await model.agrees(ledger, state_dir)
        chance = model.random.random()
        if chance < 0.1:
            await model.agrees_in_order(ledger)
        elif chance > 0.7:
            await model.agrees_on_deadlines(ledger, NOON + model.random.randrange(-1, 9))
        elif chance < 0.2:
            # As a kill leaves it: what runs on is another one's.
            kills += 1
            killed = tmp_path / f"killed{kills}"
            shutil.copytree(state_dir, killed, ignore=shutil.ignore_patterns(files.LOCK))
            await ledger.close()
            state_dir, ledger = killed, start(killed)
            await model.agrees(ledger, state_dir)
    await model.agrees_in_order(ledger)
    await ledger.close()
