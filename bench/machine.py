"""What a figure was measured on: it means nothing without this."""

from __future__ import annotations

import math
import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from daemon.compiled import build
from daemon.demo.fates import quantile

SYNCS = 400
BLOCK = bytes(4096)
PACKAGES = ("carrierd", "uvloop", "aiokafka", "orjson", "msgspec")


def machine(load: float) -> dict[str, Any]:
    """`load` is the load average before the bench added to it."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "build": build(),
        "packages": {name: version(name) for name in PACKAGES},
        "load_before": round(load, 2),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def syncs(directory: Path, count: int = SYNCS) -> list[float]:
    """Seconds of `count` fdatasyncs of one 4 KiB block each, where the ledger will lie."""
    path = directory / "fdatasync.probe"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    found = []
    try:
        for _ in range(count):
            os.write(fd, BLOCK)
            began = time.perf_counter()
            os.fdatasync(fd)
            found.append(time.perf_counter() - began)
    finally:
        os.close(fd)
        path.unlink()
    return found


def shown_syncs(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds, for the machine's description."""
    ordered = sorted(seconds)
    return {
        "fdatasync_p50_ms": round(quantile(ordered, 0.5) * 1e3, 3),
        "fdatasync_p99_ms": round(quantile(ordered, 0.99) * 1e3, 3),
        "fdatasync_max_ms": round(max(ordered, default=math.nan) * 1e3, 3),
    }
