"""Keeps aiokafka from repeating itself: while a broker is away it logs many times a second.

How it is with the broker is in the status, the metrics and our own log lines.
"""

from __future__ import annotations

import logging
import time

SILENCE = 30.0


class Seldom(logging.Filter):
    """Lets each text (before its arguments) through when it was not said for `SILENCE` seconds.

    So an outage has one line of each kind, however long it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[object, float] = {}  # when each was said last, also in vain

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        before = self._said.get(record.msg)
        self._said[record.msg] = now
        return before is None or now - before > SILENCE


def hush() -> None:
    """For each logger that aiokafka has by now: a filter is not handed down to those below."""
    seldom = Seldom()
    for name, logger in logging.root.manager.loggerDict.items():
        if f"{name}.".startswith("aiokafka.") and isinstance(logger, logging.Logger):
            logger.addFilter(seldom)
