"""Where the control socket is, however long the path to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "control.sock"
LONGEST = 107
"""Octets of a path that fit into a socket's address, its NUL not counted (unix(7))."""


@contextmanager
def address(state_dir: Path, name: str = NAME) -> Iterator[str]:
    """A path to bind or connect to while this is open.

    One that is too long is reached by way of its directory's descriptor.  Raises OSError when
    there is no such directory.
    """
    path = os.fspath(state_dir / name)
    if len(os.fsencode(path)) <= LONGEST:
        yield path
        return
    directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{name}"
    finally:
        os.close(directory)
