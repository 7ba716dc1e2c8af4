"""`carrierd loglevel`: another log level while the daemon runs."""

from __future__ import annotations

import argparse
from typing import Any

from daemon.cli import asking
from daemon.cli.page import config_option, page
from daemon.control import requests


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "loglevel",
        help="another log level while the daemon runs",
        description="""
            Sets the level of the running daemon's log, for a while with --for; then it is what
            the daemon was started with again. A restart forgets it.
        """,
        examples=[
            "carrierd loglevel debug --for 300 --config carrierd.toml",
            "carrierd loglevel info --config carrierd.toml",
        ],
        statuses={0: "done"} | asking.STATUSES,
    )
    parser.add_argument("level", choices=requests.LEVELS)
    parser.add_argument(
        "--for", dest="seconds", type=asking.seconds, metavar="S", help="so many seconds"
    )
    config_option(parser)
    parser.set_defaults(run=run, logs=False)


def run(args: argparse.Namespace) -> int:
    try:
        asking.asked(args, requests.Level(level=args.level, seconds=args.seconds))
    except asking.Ended as exc:
        return exc.status
    lasts = "" if args.seconds is None else f" for {args.seconds:g} s"
    print(f"log level {args.level}{lasts}")
    return 0
