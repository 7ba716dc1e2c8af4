"""`carrierd bind`: take an account or a node out of service for a while, and back."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from daemon.cli import asking, names
from daemon.cli.page import config_option, page
from daemon.control import requests

LOOK_EVERY = 0.1
NOT_YET = 1


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "bind",
        help="pause, drain or resume an account or a node of it",
        description="""
            pause: takes no new submits and stays logged in, so that reports and inbound messages
            go on. drain: takes no new submits, waits until everything written is answered or its
            time has passed, logs out and stays out. resume: back, its share growing to full in
            ten seconds where others go on.

            What was not written yet follows its route to the next account, or waits when there
            is none. A message of which a part is written waits here. Connections that a carrier
            makes to us (SGIP) are not touched.

            A reload by SIGHUP keeps what is held; a restart of the daemon forgets it.
        """,
        examples=[
            "carrierd bind pause xz-mobile --config carrierd.toml",
            "carrierd bind drain xz-mobile/nj-1 --wait 30 --config carrierd.toml",
            "carrierd bind resume xz-mobile --config carrierd.toml",
        ],
        statuses={0: "done; with --wait: it is logged out"}
        | asking.STATUSES
        | {
            NOT_YET: "the daemon refused, and says why; with --wait: not logged out in that time",
        },
    )
    parser.add_argument("what", choices=("pause", "drain", "resume"))
    place = parser.add_argument("place", type=asking.place, metavar="ACCOUNT[/NODE]")
    place.completer = names.places  # type: ignore[attr-defined]
    parser.add_argument(
        "--wait", type=asking.seconds, metavar="S", help="drain: until it is logged out, so long"
    )
    config_option(parser)
    parser.set_defaults(run=run, parser=parser, logs=False)


def run(args: argparse.Namespace) -> int:
    account, node = args.place
    if args.wait is not None and args.what != "drain":
        args.parser.error("--wait is for drain only")
    try:
        if args.what == "resume":
            answer = asking.asked(args, requests.Resume(account=account, node=node))
            print(f"{_name(args)}: " + ("in service again" if answer["held"] else "was not held"))
            return 0
        how = requests.PAUSED if args.what == "pause" else requests.DRAINED
        answer = asking.asked(args, requests.Hold(how=how, account=account, node=node))
        binds = "1 bind" if answer["binds"] == 1 else f"{answer['binds']} binds"
        print(
            f"{_name(args)}: {how}, {binds}, {answer['unanswered']} submits unanswered; until"
            " `carrierd bind resume` or a restart of the daemon"
        )
        return _logged_out(args, account, node) if args.wait is not None else 0
    except asking.Ended as exc:
        return exc.status


def _logged_out(args: argparse.Namespace, account: str, node: str | None) -> int:
    deadline = time.monotonic() + args.wait
    while True:
        status = asking.asked(args, requests.Status())
        states = [
            bind["state"]
            for one in status["accounts"]
            if one["name"] == account
            for place in one["nodes"]
            if node in (None, place["name"])
            for bind in place["binds"]
        ]
        up = sum(state != "closed" for state in states)
        if not up:
            print(f"{_name(args)}: logged out")
            return 0
        if time.monotonic() >= deadline:
            print(f"{_name(args)}: {up} not logged out within {args.wait:g} s", file=sys.stderr)
            return NOT_YET
        time.sleep(LOOK_EVERY)


def _name(args: argparse.Namespace) -> str:
    account, node = args.place
    return account if node is None else f"{account}/{node}"
