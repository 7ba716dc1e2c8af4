"""What the ledger's tests put: jobs with one message or several, and their later states."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from daemon.ledger import INDEX_BITS, Entries, Event, JobValues, Ledger, MessageValues

NOON = 1795320000.25
"""2026-11-22, midday in Shanghai."""
ACCOUNT = "xz-mobile"


class Clock:
    """A time of day that only moves when told."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def mid(seq: int, index: int = 0) -> int:
    return seq << INDEX_BITS | index


def number(seq: int, index: int = 0) -> str:
    return f"139{seq % 100_000:05}{index:03}"


def job(seq: int, job_id: str | None = None, received: float = NOON) -> JobValues:
    name = job_id or f"j-{seq}"
    return (seq, name, bytes(16), "sms.jobs", 0, seq, received - 1.5, received, b"body %d" % seq)


def message(seq: int, index: int = 0, state: int = 0, wake: float | None = None) -> MessageValues:
    to = number(seq, index)
    return (mid(seq, index), to, "mobile", 1, None, state, 0, wake, b"queued %d" % state)


def finished(seq: int, index: int = 0) -> MessageValues:
    return (mid(seq, index), number(seq, index), "mobile", 1, ACCOUNT, 9, 1, None, b"delivered")


def taken(seqs: Sequence[int], recipients: int = 1, received: float = NOON) -> Entries:
    return Entries(
        jobs=[job(seq, received=received) for seq in seqs],
        messages=[message(seq, index) for seq in seqs for index in range(recipients)],
    )


def key(seq: int) -> bytes:
    return seq.to_bytes(8, "big")


def delivered(seqs: Sequence[int], recipients: int = 1) -> Entries:
    return Entries(
        messages=[finished(seq, index) for seq in seqs for index in range(recipients)],
        carrier_ids=[(ACCOUNT, key(seq), mid(seq), 0) for seq in seqs],
    )


async def kept(ledger: Ledger, *entries: Entries) -> None:
    """Put these and wait until the last is durable."""
    done = asyncio.get_running_loop().create_future()
    for some in entries[:-1]:
        ledger.put(some)
    ledger.put(entries[-1], lambda: done.set_result(None))
    await asyncio.wait((done, ledger.failed), return_when=asyncio.FIRST_COMPLETED)
    if ledger.failed.done():
        ledger.failed.result()


def start(state_dir: Path, clock: Clock | None = None, remember_ids: float = 86400.0) -> Ledger:
    return Ledger.open(
        state_dir, on_events=ignore, remember_ids=remember_ids, clock=clock or Clock()
    )


def ignore(number: int, events: list[Event]) -> None:
    """For tests that are not about events."""
