"""Keeps aiokafka from repeating itself: while a broker is away it logs many times a second."""

from __future__ import annotations

import logging
import time

EVERY = 30.0


class Seldom(logging.Filter):
    """Lets each text (before its arguments) through once in `EVERY` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next.get(record.msg, 0.0):
            return False
        self._next[record.msg] = now + EVERY
        return True


def hush() -> None:
    """For each logger that aiokafka has by now: a filter is not handed down to those below."""
    seldom = Seldom()
    for name, logger in logging.root.manager.loggerDict.items():
        if f"{name}.".startswith("aiokafka.") and isinstance(logger, logging.Logger):
            logger.addFilter(seldom)
