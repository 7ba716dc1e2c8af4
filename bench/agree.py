"""Whether the ledger and the gateways tell the same story, part by part, when all is over.

The ledger's steps say how often a part was written, answered and refused; a gateway knows whether
it has met a part's recipient and which parts came twice.  What was written and never answered may
have arrived or not: there, and only there, the two may differ.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

from daemon.demo.stage import Stage
from daemon.ledger import files, reader
from daemon.ledger.rows import INDEX_BITS
from daemon.model import Message
from daemon.recall import revive_all
from daemon.steps import Step

from .options import BenchError

AT_ONCE = 3_000
REFUSALS = frozenset({"refused", "throttled"})


class Difference(NamedTuple):
    """A part that arrived more or less often than it was answered."""

    part: str
    """Its message's id, `#` and its number."""
    account: str | None
    written: int
    """Refused and throttled writes left out."""
    answered: int
    reached: int
    """How often gateways have it."""

    @property
    def in_doubt(self) -> bool:
        """Whether unanswered writes explain it."""
        return self.answered <= self.reached <= self.written


@dataclass(slots=True)
class Agreement:
    parts: int = 0
    """In the ledger."""
    doubtful: list[Difference] = field(default_factory=list)
    wrong: list[Difference] = field(default_factory=list)

    def note(self, one: Difference) -> None:
        self.parts += 1
        if one.reached != one.answered:
            (self.doubtful if one.in_doubt else self.wrong).append(one)


async def compare(stage: Stage) -> Agreement:
    """After the daemon has ended; every message must have one part and a recipient of its own.

    Raises BenchError when more parts came twice than the gateways can name.
    """
    copies: Counter[str] = Counter()
    for name, account in (await stage.counts())["accounts"].items():
        if account["twice"] != len(account["copies"]):
            raise BenchError(f"{name}: {account['twice']} parts came twice, too many to be named")
        copies.update(copy["to"] for copy in account["copies"])
    found = Agreement()
    try:
        with closing(files.connect(stage.state_dir / files.LEDGER, readonly=True)) as db:
            for messages in _messages(db):
                missing = await _missing(stage, messages)
                for message in messages:
                    reached = 0 if message.to in missing else 1 + copies[message.to]
                    for number in range(1, len(message.parts) + 1):
                        found.note(difference(message, number, reached))
    except sqlite3.Error as exc:
        raise BenchError(f"{stage.state_dir / files.LEDGER}: {exc}") from exc
    return found


def difference(message: Message, number: int, reached: int) -> Difference:
    written, answered = counted(message.steps, number)
    return Difference(f"{message.id}#{number}", message.account, written, answered, reached)


def counted(steps: Sequence[Step], number: int) -> tuple[int, int]:
    """How often this part was written, refusals left out, and how often it was taken."""
    mine = Counter(step.step for step in steps if step.part == number)
    refused = sum(mine[word] for word in REFUSALS)
    return mine["written"] - refused, mine["answered"]


async def _missing(stage: Stage, messages: Sequence[Message]) -> set[str]:
    """Recipients that no gateway of their account has met, and those that had no account."""
    missing = {message.to for message in messages if message.account is None}
    for name in {message.account for message in messages} - {None}:
        assert name is not None
        numbers = [message.to for message in messages if message.account == name]
        missing.update(await stage.missing(name, numbers))
    return missing


def _messages(db: sqlite3.Connection) -> Iterator[list[Message]]:
    """All of the ledger, in pieces."""
    after = -1
    while True:
        sql = "select mid from message where mid > ? order by mid limit ?"
        mids = [mid for (mid,) in db.execute(sql, (after, AT_ONCE))]
        if not mids:
            return
        after = mids[-1]
        jobs = {row.seq: row for row in reader.jobs(db, {mid >> INDEX_BITS for mid in mids})}
        rows = reader.messages(db, mids)
        yield revive_all((jobs[row.mid >> INDEX_BITS], row) for row in rows)
