"""What the state directory takes of its disk, and what that has left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from .ledger import files


class Usage(NamedTuple):
    """In octets."""

    size: int
    """Of the file system."""
    free: int
    """What a process without privileges may still take of it."""
    ledger: int
    archive: int


class Disk:
    """Looks when it is asked: a few system calls, also with years of archives."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    def usage(self) -> Usage:
        """Raises OSError, as when the directory is gone."""
        found = os.statvfs(self.state_dir)
        return Usage(
            found.f_blocks * found.f_frsize,
            found.f_bavail * found.f_frsize,
            _octets(self.state_dir, files.LEDGER),
            _octets(self.state_dir / files.ARCHIVE, ""),
        )


def _octets(directory: Path, prefix: str) -> int:
    """Of the files whose names begin so; a directory that is not there has none."""
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and entry.is_file():
                    total += entry.stat().st_size
    except FileNotFoundError:  # also a file that went away while we looked: the log, an archive
        pass
    return total
