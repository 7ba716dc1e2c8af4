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
        (row.topic, row.partition, row.offset),
        0,
    )


def revive(job_row: JobRow, row: MessageRow, job: Job | None = None) -> Message:
    """The message of a row.

    What was claimed or written when the row was made is not known to be out any more: such parts
    are unsent here, and recovery decides by the claims what to make of them.
    """
    job = job or job_of(job_row)
    m = Message(job, row.mid & (1 << INDEX_BITS) - 1, row.to, None, row.lane)
    m.route = row.route
    m.account = row.account
    m.state = State(row.state)
    m.final = bool(row.final)
    m.wake = row.wake
    unpack_life(m, row.life)
    for part in m.parts:
        if part.state is PartState.WRITTEN:
            part.state = PartState.UNSENT
    return m


def revive_all(rows: Iterable[tuple[JobRow, MessageRow]]) -> list[Message]:
    """Messages of one job share it."""
    made: dict[int, Job] = {}
    found = []
    for job_row, row in rows:
        job = made.get(job_row.seq)
        if job is None:
            job = made[job_row.seq] = job_of(job_row)
        found.append(revive(job_row, row, job))
    return found
