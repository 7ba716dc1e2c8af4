"""What the daemon must still know after a crash, and the record of what became of it.

`Ledger` is the daemon's own, `Archiver` moves what is finished into files by period, `History`
reads both from any process.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from daemon.ledger.errors import LedgerError
from daemon.ledger.history import History
from daemon.ledger.periods import Period
from daemon.ledger.rows import (
    INDEX_BITS,
    LAST_INDEX,
    WAITING_STATES,
    Entries,
    Event,
    JobRow,
    JobValues,
    Known,
    MessageRow,
    MessageValues,
    Queued,
    Waiting,
)

if TYPE_CHECKING:
    from daemon.ledger.archive import Archiver
    from daemon.ledger.ledger import Ledger
    from daemon.ledger.retention import Retention

__all__ = [
    "INDEX_BITS",
    "LAST_INDEX",
    "WAITING_STATES",
    "Archiver",
    "Entries",
    "Event",
    "History",
    "JobRow",
    "JobValues",
    "Known",
    "Ledger",
    "LedgerError",
    "MessageRow",
    "MessageValues",
    "Period",
    "Queued",
    "Retention",
    "Waiting",
]

_WRITERS = {"Archiver": "archive", "Ledger": "ledger", "Retention": "retention"}
"""By module: what the daemon alone needs, with its threads and the loop.  `trace` does not wait."""


def __getattr__(name: str) -> Any:
    if name not in _WRITERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WRITERS[name]}"), name)
