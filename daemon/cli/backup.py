"""`carrierd backup`: the state directory, copied beside the running daemon."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from daemon.cli.page import config_option, page

FAILED = 1
MEGA = 1_000_000
RATE = 50.0


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = page(
        subparsers,
        "backup",
        help="copy ledger, archives and local queue, beside a running daemon",
        description="""
            Makes a backup of the state directory in DIR, beside the running daemon or without
            one. Each backup is a directory of its own, named by its time in UTC and whole by
            itself; what did not change since the last one is linked to it. It appears under its
            name only when all of it is on the disk. The configuration and its secrets are not in
            it. Look at it with `carrierd restore --verify`.
        """,
        examples=["carrierd backup --config carrierd.toml --keep 14 /var/backups/carrierd"],
        statuses={0: "the backup is there", 1: "it is not", 2: "wrong use or a bad configuration"},
    )
    config_option(parser)
    parser.add_argument("directory", type=Path, metavar="DIR", help="where backups are kept")
    parser.add_argument(
        "--keep", type=_count, default=0, metavar="N", help="remove all but the last N (all stay)"
    )
    parser.add_argument(
        "--rate",
        type=_rate,
        default=RATE,
        metavar="MB",
        help=f"copy at most so many megabytes a second, 0: no limit ({RATE:g})",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from daemon.backup import BackupError, take
    from daemon.config import load
    from daemon.ledger import LedgerError

    config = load(args.config, secrets=False)
    try:
        taken = take(
            config,
            args.directory,
            rate=args.rate * MEGA,
            keep=args.keep,
            say=_silent if args.json else print,
        )
    except (BackupError, LedgerError) as exc:
        print(exc, file=sys.stderr)
        return FAILED
    entries = taken.manifest.entries
    octets = sum(entry.octets for entry in entries)
    if args.json:
        told = {
            "path": str(taken.path),
            "files": len(entries),
            "octets": octets,
            "copied": taken.copied,
            "seconds": round(taken.seconds, 3),
            "unfinished": taken.manifest.unfinished,
            "removed": [str(path) for path in taken.removed],
        }
        print(orjson.dumps(told).decode())
        return 0
    for path in taken.removed:
        print(f"{path}: removed")
    print(
        f"{taken.path}: {len(entries)} files, {octets / MEGA:,.1f} MB, of which"
        f" {taken.copied / MEGA:,.1f} MB copied in {taken.seconds:.1f} s"
    )
    return 0


def _silent(_: str) -> None:
    pass


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError("0 to 1000000")
    return value
