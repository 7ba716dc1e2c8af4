"""Messages read back from the ledger, as if they had never left memory."""

from __future__ import annotations

from collections.abc import Iterable

from . import jobs
from .ledger.rows import JobRow, MessageRow
from .model import INDEX_BITS, Job, Message, PartState, State, unpack_life


def job_of(row: JobRow) -> Job:
    return Job(
        row.seq,
        jobs.unpack(row.body),
        row.produced,
        row.received,
        (row.topic, row.partition, row.offset if row.offset >= 0 else -1 - row.offset),
        0,
        row.digest,
    )


def _revive(job: Job, row: MessageRow) -> Message:
    m = Message(job, row.mid & (1 << INDEX_BITS) - 1, row.to, None, row.lane)
    m.route = row.route
    m.account = row.account
    m.state = State(row.state)
    m.final = bool(row.final)
    m.wake = row.wake
    unpack_life(m, row.life)
    return m


def revive_all(
    rows: Iterable[tuple[JobRow, MessageRow]], *, as_written: bool = False
) -> list[Message]:
    """The messages of these rows; those of one job share it.

    A part that was claimed or written when its row was made is not out any more, and unsent here;
    with `as_written` it is left as it was, for recovery to judge by the claims.
    """
    made: dict[int, Job] = {}
    found = []
    for job_row, row in rows:
        job = made.get(job_row.seq)
        if job is None:
            job = made[job_row.seq] = job_of(job_row)
        message = _revive(job, row)
        if not as_written:
            message.claim = 0
            for part in message.parts:
                if part.state is PartState.WRITTEN:
                    part.state = PartState.UNSENT
        found.append(message)
    return found
