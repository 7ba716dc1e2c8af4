"""What the daemon must still know after a crash, and the record of what became of it.

`Ledger` is the daemon's own, `Archiver` moves what is finished into files by period, `History`
reads both from any process.
"""

from daemon.ledger.archive import Archiver
from daemon.ledger.errors import LedgerError
from daemon.ledger.history import History
from daemon.ledger.ledger import Ledger
from daemon.ledger.periods import Period
from daemon.ledger.retention import Retention
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
