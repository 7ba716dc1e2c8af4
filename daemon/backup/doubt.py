"""What may have happened between a backup and its restore, said in the restored ledger.

A daemon that ran on after the backup has written messages that wait in there.  Kafka's
`topics.state` knows what became of them: the ledger becomes another one, to which what this daemon
told itself after the backup is news, and reads it before it works.  Behind the `local` broker
nobody knows: there whatever waited may have been written, so it is claimed, as if the daemon had
been killed at that moment; a start publishes it as `uncertain`, holds it for its report, and then
sends it again or leaves it, as the job or `[uncertain]` says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from daemon.claims import START_BITS, Claim, Named, pack_all, unpack
from daemon.config import Config
from daemon.ledger import WAITING_STATES, files, reader
from daemon.ledger.errors import explain
from daemon.model import INDEX_BITS, Message
from daemon.prepare import Preparing, Refusal
from daemon.recall import revive_all
from daemon.router import OWN

SLICE = 1_000
NOWHERE = ""
"""The node of what may have gone to any."""


class Since(NamedTuple):
    """Messages of the ledger without a final state."""

    doubtful: int
    """In doubt from now on, beside those that a claim named already."""
    waiting: int
    """Still waiting: not due yet, or known to wait by who reads `topics.state`."""


def admit(ledger: Path, config: Config, made: float, now: float) -> Since:
    """Change the restored ledger, of a backup of `made`, for a start after `now`: LedgerError."""
    local = config.broker.kind == "local"
    try:
        with closing(files.connect(ledger)) as db:
            db.execute("begin immediate")
            doubtful = 0
            if local:
                first = _first_claim(db)
                claimed = _claimed(db)
                for number, some in enumerate(_waiting(db), first):
                    doubtful += _claim(db, number, some, claimed, config, made, now)
            else:
                db.execute("delete from counter where name = 'identity'")
            db.execute("commit")
            sql = "select count(*) from message where final = 0 and state < ?"
            waiting: int = db.execute(sql, (WAITING_STATES,)).fetchone()[0]
    except sqlite3.Error as exc:
        raise explain(exc, ledger) from exc
    return Since(doubtful, waiting - doubtful)


def _first_claim(db: sqlite3.Connection) -> int:
    """Higher than any claim there is, lower than those of the next start."""
    sql = "select coalesce(max(value), 0) from counter where name = 'starts'"
    starts: int = db.execute(sql).fetchone()[0]
    return (starts << START_BITS) + (1 << START_BITS - 1)


def _claimed(db: sqlite3.Connection) -> set[int]:
    """Messages that are in doubt without us."""
    rows = db.execute("select mids from claim").fetchall()
    return {named.mid for (raw,) in rows for claim in unpack(raw) for named in claim.messages}


def _waiting(db: sqlite3.Connection) -> Iterator[list[Message]]:
    """All that waits, oldest first."""
    sql = "select mid from message where final = 0 and state < ? and mid > ? order by mid limit ?"
    after = -1
    while mids := [mid for (mid,) in db.execute(sql, (WAITING_STATES, after, SLICE))]:
        after = mids[-1]
        jobs = {job.seq: job for job in reader.jobs(db, {mid >> INDEX_BITS for mid in mids})}
        rows = [(jobs[row.mid >> INDEX_BITS], row) for row in reader.messages(db, mids)]
        yield revive_all(rows, as_written=True)


def _claim(
    db: sqlite3.Connection,
    number: int,
    messages: list[Message],
    claimed: set[int],
    config: Config,
    made: float,
    now: float,
) -> int:
    """Claim those that may have been written; how many."""
    by_account: dict[str, list[Named]] = {}
    for message in messages:
        later = message.job.fields.not_before
        if message.mid in claimed or (later is not None and later > now):
            continue
        name = _account(message, config)
        if name is None or (not message.parts and not _cut(message, name, config)):
            continue
        named = Named(message.mid, message.reference, len(message.parts), message.node or NOWHERE)
        by_account.setdefault(name, []).append(named)
    if not by_account:
        return 0
    mids = pack_all([Claim(name, some) for name, some in by_account.items()])
    db.execute("insert into claim values (?, ?, ?)", (number, made, mids))
    return sum(map(len, by_account.values()))


def _account(message: Message, config: Config) -> str | None:
    """Where it went, or would go first."""
    names: tuple[str, ...]
    if message.account is not None:
        names = (message.account,)
    elif message.route.startswith(OWN):
        names = (message.route.removeprefix(OWN),)
    else:
        names = getattr(config.routes, message.route, ())
    return next((name for name in names if name in config.accounts), None)


def _cut(message: Message, name: str, config: Config) -> bool:
    """Into the parts that it would have there; whether it can go there."""
    try:
        Preparing(name, config.accounts[name]).prepare(message)
    except Refusal:
        return False
    return True
