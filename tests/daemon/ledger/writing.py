"""A process that puts without end and says what was called back; the crash tests kill it.

`python -m tests.daemon.ledger.writing DIR`: a line per callback, `taken SEQ`, `done SEQ` or
`events N`.  Jobs go on from the last one there is; every third is finished at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from daemon.ledger import Entries, Event, Ledger
from tests.daemon.ledger.content import delivered, taken


async def main(state_dir: Path) -> None:
    def said(what: str, number: int) -> None:
        # One system call: either the parent gets the line or it was not said.
        os.write(1, f"{what} {number}\n".encode())

    def published(number: int, events: list[Event]) -> None:
        said("events", number)

    ledger = Ledger.open(state_dir, on_events=published)
    seq = ledger.last_seq()
    while not ledger.failed.done():
        seq += 1
        event: Event = ("reports", b"j", b"%d" % seq)
        ledger.put(taken([seq]), lambda seq=seq: said("taken", seq))
        if seq % 3 == 0:
            ledger.put(delivered([seq]))
            ledger.put(Entries(events=[event]), lambda seq=seq: said("done", seq))
        if ledger.waiting > 100:
            await asyncio.sleep(0)
    ledger.failed.result()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
