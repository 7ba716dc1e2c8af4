"""What a process has used: CPU over all its threads, and memory."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

TICK = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True, frozen=True)
class Usage:
    """`cpu` is seconds since the process began; memory is octets that are resident."""

    cpu: float
    starved: float
    """Seconds that its threads could have run and had no core; 0 where the kernel does not say."""
    memory: int
    most_memory: int


def usage(pid: int) -> Usage:
    """Raises OSError when there is no such process."""
    # The command's name stands in brackets and may hold anything, brackets too.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text(encoding="latin-1")
    return Usage(
        (int(fields[11]) + int(fields[12])) * TICK,
        _starved(pid),
        _kilobytes(status, "VmRSS"),
        _kilobytes(status, "VmHWM"),
    )


def _starved(pid: int) -> float:
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has ended, or the kernel keeps no such figures
    return total * 1e-9


def _kilobytes(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def disk(directory: Path) -> int:
    """Octets of all files below, as far as they are still there."""
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue  # files come and go while the daemon runs
    return total
