"""`carrierd status`: accounts, nodes and binds now, and why each is not sending."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon.cli import asking
from daemon.cli.page import config_option, page
from daemon.cli.paint import Paint
from daemon.control.client import NotRunning, Refused, ask
from daemon.control.requests import Status

WATCH_EVERY = 2.0


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "status",
        help="accounts, nodes and binds now, and why each is not sending",
        description="""
            Asks the running daemon. One row an account, with the messages that wait, are
            uncertain or parked, the rate now of the rate that is configured, the submits that are
            unanswered of the windows, and why messages wait; under it a row for each bind.

            Why: unbound, no bind can be used; paused, drained, by an operator; rate, the
            account's own; window, all are waiting for answers; throttled, the gateway said
            "slower" or became slow; backoff, what waits comes again later. A bind that is down
            says what went wrong last.
        """,
        examples=[
            "carrierd status --config carrierd.toml",
            "carrierd status --watch --config carrierd.toml",
            "carrierd status --json --config carrierd.toml",
        ],
        statuses={0: "the daemon answered"}
        | asking.STATUSES
        | {130: "Ctrl-C, which is how --watch ends"},
    )
    config_option(parser)
    parser.add_argument(
        "--watch",
        type=asking.seconds,
        nargs="?",
        const=WATCH_EVERY,
        metavar="S",
        help=f"again and again, every S seconds ({WATCH_EVERY:g}), until Ctrl-C",
    )
    parser.add_argument("--json", action="store_true", help="what /status says, as one line")
    parser.set_defaults(run=run, logs=False)


def run(args: argparse.Namespace) -> int:
    state_dir = asking.configuration(args).daemon.state_dir
    paint = Paint(sys.stdout)
    if args.watch is not None:
        _watch(args, state_dir, paint)
    try:
        print(_shown(args, ask(state_dir, Status()), paint))
    except (NotRunning, Refused) as exc:
        return asking.ended(args, exc).status
    return 0


def _watch(args: argparse.Namespace, state_dir: Path, paint: Paint) -> None:
    """Until Ctrl-C; a daemon that is not there may come back."""
    terminal = sys.stdout.isatty() and not args.json
    with _screen(terminal):
        while True:
            try:
                shown = _shown(args, ask(state_dir, Status()), paint)
            except (NotRunning, Refused) as exc:
                shown = paint(str(exc), "red")
            if terminal:
                height = shutil.get_terminal_size().lines - 1
                lines = shown.splitlines()[:height]
                # Each line is cleared behind its end: no flicker, as clearing all first would give.
                shown = "\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J"
                print(shown, end="", flush=True)
            else:
                print(shown, flush=True)
            time.sleep(args.watch)


@contextmanager
def _screen(terminal: bool) -> Iterator[None]:
    """A screen of its own, and the old one back."""
    if not terminal:
        yield
        return
    print("\x1b[?1049h", end="", flush=True)
    try:
        yield
    finally:
        print("\x1b[?1049l", end="", flush=True)


def _shown(args: argparse.Namespace, status: dict[str, Any], paint: Paint) -> str:
    if args.json:
        return json.dumps(status, ensure_ascii=False)
    from daemon.cli.board import board

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return "\n".join(board(status, time.time(), paint, width))
