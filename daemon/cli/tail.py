"""`carrierd tail`: what was published, as JSON lines."""

from __future__ import annotations

import argparse
import sys
from base64 import b64encode
from typing import Any

import orjson

from daemon.broker.base import Broker
from daemon.cli.broker import with_broker
from daemon.cli.page import config_option, page
from daemon.config import Config

BATCH = 500
WAIT = 1.0


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "tail",
        help="show what was published, as JSON lines",
        description="Shows what was published, as JSON lines: all that is kept, or a part.",
        examples=[
            "carrierd tail reports --config carrierd.toml --follow",
            "carrierd tail dead --config carrierd.toml --from -10",
        ],
        statuses={
            0: "all was shown",
            1: "the broker could not be read",
            2: "wrong use or a bad configuration",
            130: "Ctrl-C, which is how --follow ends",
        },
    )
    parser.add_argument("topic", choices=("reports", "inbound", "dead"))
    config_option(parser)
    parser.add_argument("--follow", action="store_true", help="go on with what comes")
    parser.add_argument(
        "--from",
        dest="at",
        type=int,
        default=0,
        metavar="N",
        help="begin at offset N of each partition; a negative N counts from the end",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    async def work(config: Config, broker: Broker) -> int:
        tail = broker.tail(getattr(config.broker.topics, args.topic))
        await tail.start(args.at)
        try:
            while args.follow or not await tail.finished():
                records = await tail.take(BATCH, WAIT)
                if records:
                    sys.stdout.write("".join(line(record.value) for record in records))
                    sys.stdout.flush()
        finally:
            await tail.close()
        return 0

    return with_broker(args, work)


def line(value: bytes) -> str:
    """One line of JSON, whatever someone has put on the topic."""
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return f'{{"value_base64":"{b64encode(value).decode()}"}}\n'
    if b"\n" in value:
        value = orjson.dumps(parsed)
    return value.decode() + "\n"
