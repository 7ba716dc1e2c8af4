"""The record as `trace` reads it: the ledger and all archives, from any process, at any time.

Needs no lock: every read sees some committed state, and what is archived meanwhile is in the
archive before it leaves the ledger, which is therefore read first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from types import TracebackType
from typing import Self

from daemon.ledger import files, reader
from daemon.ledger.errors import LedgerError, explain
from daemon.ledger.rows import (
    INDEX_BITS,
    LAST_INDEX,
    JobRow,
    MessageRow,
    hash_carrier_id,
    hash_job,
    hash_to,
    is_job,
)

Found = list[tuple[JobRow, MessageRow]]


class History:
    """Looks in the ledger and its archives, read-only; newest last in what it returns."""

    @classmethod
    def open(cls, state_dir: Path, *, immutable: bool = False) -> Self:
        """Raises LedgerError when there is no ledger in `state_dir`, or none that can be read.

        `immutable`: nobody writes there, as in a backup; nothing is made beside the files then.
        """
        if not (state_dir / files.LEDGER).exists():
            raise LedgerError(
                f"{state_dir}: has no {files.LEDGER}; check state_dir, or start the daemon once"
            )
        return cls(state_dir, immutable)

    def __init__(self, state_dir: Path, immutable: bool = False) -> None:
        self._state_dir = state_dir
        self._immutable = immutable
        self._open: dict[Path, sqlite3.Connection] = {}
        try:
            self._files()
        except LedgerError:
            self.close()
            raise

    def by_job(self, job_id: str) -> Found:
        """The messages of the job; of all jobs of that id, when it was used again later."""
        return self._rows(self._mids(lambda db: reader.mids_of(db, _seqs(db, job_id))))

    def by_message(self, message_id: str) -> Found:
        """The message `<job id>/<index>`."""
        job_id, _, index = message_id.rpartition("/")
        if not (index.isascii() and index.isdecimal()) or int(index) > LAST_INDEX:
            return []
        number = int(index)
        return self._rows(
            self._mids(lambda db: [seq << INDEX_BITS | number for seq in _seqs(db, job_id)])
        )

    def by_to(self, number: str) -> Found:
        """The messages to `number`, spelled as it was put."""

        def look(db: sqlite3.Connection) -> list[int]:
            found = _refs(db, [hash_to(number)])
            rows = reader.messages(db, (ref for ref in found if not is_job(ref)))
            return [row.mid for row in rows if row.to == number]

        return self._rows(self._mids(look))

    def by_carrier_id(self, keys: Sequence[tuple[str | None, bytes]]) -> Found:
        """The messages that got one of these (account or None for any, carrier id)."""
        wanted = set(keys)

        def look(db: sqlite3.Connection) -> list[int]:
            found = _refs(db, {hash_carrier_id(key) for _, key in keys})
            rows = reader.carrier_ids(db, (ref for ref in found if not is_job(ref)))
            return [
                mid
                for account, key, mid, _ in rows
                if (account, key) in wanted or (None, key) in wanted
            ]

        return self._rows(self._mids(look))

    def kept_since(self, zone: tzinfo) -> str | None:
        """The first day, `2026-05-01`, of which nothing was dropped; None: nothing ever was."""
        path, db = self._files()[0]
        with _snapshot(path, db):
            until = reader.dropped_until(db)
        return None if until is None else datetime.fromtimestamp(until, zone).strftime("%Y-%m-%d")

    def close(self) -> None:
        for db in self._open.values():
            db.close()
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def _mids(self, look: Callable[[sqlite3.Connection], Iterable[int]]) -> set[int]:
        mids: set[int] = set()
        for path, db in self._files():
            with _snapshot(path, db):
                mids.update(look(db))
        return mids

    def _rows(self, mids: set[int]) -> Found:
        messages: dict[int, MessageRow] = {}
        jobs: dict[int, JobRow] = {}
        seqs = {mid >> INDEX_BITS for mid in mids}
        if mids:
            for path, db in self._files():
                with _snapshot(path, db):
                    for message in reader.messages(db, mids):
                        messages.setdefault(message.mid, message)
                    for job in reader.jobs(db, seqs):
                        jobs.setdefault(job.seq, job)
        return [
            (jobs[mid >> INDEX_BITS], message)
            for mid, message in sorted(messages.items())
            if mid >> INDEX_BITS in jobs
        ]

    def _files(self) -> list[tuple[Path, sqlite3.Connection]]:
        """The ledger, then the archives there are now, the newest first."""
        paths = [self._state_dir / files.LEDGER, *reversed(files.archives(self._state_dir))]
        for path in self._open.keys() - set(paths):
            self._open.pop(path).close()
        for path in paths:
            if path not in self._open:
                self._open[path] = files.connect(path, readonly=True, immutable=self._immutable)
        return [(path, self._open[path]) for path in paths]


@contextmanager
def _snapshot(path: Path, db: sqlite3.Connection) -> Iterator[None]:
    """Everything read within is of one moment."""
    try:
        db.execute("begin")
        try:
            yield
        finally:
            db.execute("commit")
    except sqlite3.Error as exc:
        raise explain(exc, path) from exc


def _refs(db: sqlite3.Connection, hashes: Collection[int]) -> set[int]:
    return reader.refs(db, hashes) | reader.recent_refs(db, hashes)


def _seqs(db: sqlite3.Connection, job_id: str) -> list[int]:
    found = _refs(db, [hash_job(job_id)])
    rows = reader.jobs(db, (ref >> INDEX_BITS for ref in found if is_job(ref)))
    return [row.seq for row in rows if row.id == job_id]
