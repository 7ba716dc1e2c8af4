"""The tests' Kafka for a shell, to be stopped and started from one command to the next.

    python -m tests.kafka start DIRECTORY     prints the bootstrap address
    python -m tests.kafka stop DIRECTORY      an orderly shutdown
    python -m tests.kafka kill DIRECTORY      SIGKILL

The directory keeps its address, its records and the server's process id.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from pathlib import Path

from tests.kafka.server import STOP_WITHIN, KafkaServer, KafkaUnavailableError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kafka", description=__doc__)
    parser.add_argument("do", choices=("start", "stop", "kill"))
    parser.add_argument("directory", type=Path)
    args = parser.parse_args()
    directory: Path = args.directory.resolve()
    pid = directory / "pid"
    try:
        if args.do == "start":
            print(_start(directory, pid))
        else:
            _end(pid, signal.SIGKILL if args.do == "kill" else signal.SIGTERM)
    except (KafkaUnavailableError, OSError) as exc:
        print(f"python -m tests.kafka: {exc}", file=sys.stderr)
        return 1
    return 0


def _start(directory: Path, pid: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    server = KafkaServer(directory)
    properties = directory / "server.properties"
    if properties.exists():
        # The address it was given the first time, for clients that know it.
        found = re.search(
            r"^listeners=PLAINTEXT://127\.0\.0\.1:(\d+)", properties.read_text(), re.M
        )
        if found is None:
            raise KafkaUnavailableError(f"{properties}: has no listener on 127.0.0.1")
        server.port = int(found[1])
    server.start()
    pid.write_text(f"{server.pid}\n")
    return server.bootstrap


def _end(pid: Path, how: signal.Signals) -> None:
    process = int(pid.read_text())
    os.kill(process, how)
    give_up = time.monotonic() + STOP_WITHIN
    while _runs(process):
        if time.monotonic() > give_up:
            os.kill(process, signal.SIGKILL)
            raise KafkaUnavailableError(f"Kafka {process} had to be killed: {STOP_WITHIN:g} s")
        time.sleep(0.02)
    pid.unlink()


def _runs(process: int) -> bool:
    """Somebody else's child: it cannot be waited for, and a zombie has ended."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="latin-1")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


if __name__ == "__main__":
    sys.exit(main())
