"""What commands that ask a running daemon have in common."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

from daemon.control.client import NotRunning, Refused, ask

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.control.requests import Request

REFUSED, NOT_RUNNING = 1, 3
STATUSES = {
    REFUSED: "the daemon refused, and says why: there is no such account, say",
    2: "wrong use or a bad configuration",
    NOT_RUNNING: "no daemon runs with this state_dir, or you may not ask it",
}
_PLACE = re.compile(r"([^/]+)(?:/([^/]+))?")


def configuration(args: argparse.Namespace) -> Config:
    """Of the daemon that is to be asked.  Raises ConfigError."""
    from daemon.config import load

    return load(args.config, secrets=False)


def asked(args: argparse.Namespace, request: Request) -> dict[str, Any]:
    """The daemon's answer.  Raises Ended when there is none, which has been said then."""
    try:
        return ask(configuration(args).daemon.state_dir, request)
    except (NotRunning, Refused) as exc:
        raise ended(args, exc) from None


class Ended(Exception):  # noqa: N818  # no fault
    """The command is over, with this exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def ended(args: argparse.Namespace, exc: NotRunning | Refused) -> Ended:
    """Says what went wrong."""
    print(f"carrierd {args.command}: {exc}", file=sys.stderr)
    return Ended(REFUSED if isinstance(exc, Refused) else NOT_RUNNING)


def place(text: str) -> tuple[str, str | None]:
    """ACCOUNT or ACCOUNT/NODE, as an argument."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not ACCOUNT or ACCOUNT/NODE")
    return found[1], found[2]


def seconds(text: str) -> float:
    """A duration up to a day, as an argument."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 86400")
    return value
