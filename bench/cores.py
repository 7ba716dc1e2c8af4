"""Who runs on which core: what is measured has one, gateways and the bench have the others.

Then a figure is of one core, and does not change with where the scheduler puts threads that wait
for each other.  Where there is one core only, everything shares it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Set


@contextlib.contextmanager
def apart() -> Iterator[Set[int]]:
    """The bench, and what it starts inside, keep off the cores that this gives."""
    every = os.sched_getaffinity(0)
    measured = {max(every)}
    with on(every - measured or measured):
        yield measured


@contextlib.contextmanager
def together() -> Iterator[Set[int]]:
    """Everybody has all cores."""
    yield os.sched_getaffinity(0)


@contextlib.contextmanager
def on(cores: Set[int]) -> Iterator[None]:
    """A process that is started inside runs on these, with all its threads; afterwards the
    starting thread is where it was.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
