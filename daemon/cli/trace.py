"""`carrierd trace`: where a message went, from the ledger and its archives."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import orjson

from daemon.cli.lifeline import lifeline
from daemon.cli.page import config_option, page
from daemon.cli.paint import Paint

if TYPE_CHECKING:
    from daemon.clock import Stamps
    from daemon.config import Config
    from daemon.ledger import History
    from daemon.ledger.history import Found
    from daemon.model import Message

FOUND, NONE = 0, 1


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = page(
        subparsers,
        "trace",
        help="the whole life of a job or message",
        description="""
            Shows the life of the messages found, from the ledger and its archives, also beside a
            running daemon: when each step was, how long after the one before, and how long it all
            took.
        """,
        examples=[
            "carrierd trace --config carrierd.toml --to 13800138000",
            "carrierd trace --config carrierd.toml --job order-20261122-000017 --json",
            "carrierd trace --config carrierd.toml --carrier-id 0x8b16b4a3c0de0001",
        ],
        statuses={
            0: "something was found",
            1: "nothing, or there is no ledger",
            2: "wrong use or a bad configuration",
        },
    )
    config_option(parser, "a TOML file")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--job", metavar="ID", help="all messages of a job")
    what.add_argument("--message", metavar="ID", help="one message: <job id>/<index>")
    what.add_argument("--to", metavar="N", help="all messages to a number, in any spelling")
    what.add_argument(
        "--carrier-id",
        metavar="ID",
        help="by the carrier's id, as records show it or as carriers write it",
    )
    parser.add_argument("--json", action="store_true", help="one JSON list instead of text")
    parser.set_defaults(run=run, logs=False)


def run(args: argparse.Namespace) -> int:
    from daemon.clock import Stamps
    from daemon.config import load
    from daemon.ledger import History, LedgerError
    from daemon.recall import revive_all

    config = load(args.config, secrets=False)
    since = None
    try:
        with History.open(config.daemon.state_dir) as history:
            found = revive_all(_look(history, args))
            since = history.kept_since(config.daemon.timezone)
    except LedgerError as exc:
        print(exc, file=sys.stderr)
        found = []
    stamps = Stamps(config.daemon.timezone)
    lives = [_life(message, stamps, config) for message in found]
    if args.json:
        print(orjson.dumps(lives).decode())
    elif lives:
        paint = Paint(sys.stdout)
        print("\n\n".join("\n".join(lifeline(life, paint)) for life in lives))
    if not lives:
        older = f"; of before {since} there are no records any more (`daemon.retain`)"
        print("nothing found" + (older if since else ""), file=sys.stderr)
    return FOUND if lives else NONE


def _look(history: History, args: argparse.Namespace) -> Found:
    from daemon.numbers.normalise import folded
    from protocols.ids import spoken

    if args.job is not None:
        return history.by_job(args.job)
    if args.message is not None:
        return history.by_message(args.message)
    if args.to is not None:
        return history.by_to(folded(args.to))
    return history.by_carrier_id([(None, key) for key in spoken(args.carrier_id)])


def _life(message: Message, stamps: Stamps, config: Config) -> dict[str, Any]:
    """The message as `--json` prints it (contract section 2)."""
    from daemon.records import Records

    records = Records(stamps, {name: a.protocol for name, a in config.accounts.items()})
    job = message.job
    steps: list[dict[str, Any]] = [_step(stamps, job.produced, "produced")]
    steps.append(_step(stamps, job.received, "received"))
    for step in message.steps:
        shown = _step(stamps, step.at, step.step, step.part, step.attempt, step.node, step.code)
        if step.matched is not None:
            shown["matched"] = step.matched
        steps.append(shown)
    return {
        "message": message.id,
        "job": job.fields.id,
        "to": message.to,
        "state": message.state.word,
        "final": message.final,
        "account": message.account,
        "carrier": message.carrier,
        "code": message.code,
        "cause": message.cause,
        "parts": len(message.parts),
        "attempts": message.attempts,
        "carrier_ids": records.carrier_ids(message),
        "source": dict(zip(("topic", "partition", "offset"), job.source, strict=True)),
        "steps": steps,
    }


def _step(
    stamps: Stamps,
    at: float,
    step: str,
    part: int | None = None,
    attempt: int | None = None,
    node: str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    return {
        "at": stamps.text(at),
        "step": step,
        "part": part,
        "attempt": attempt,
        "node": node,
        "code": code,
    }
