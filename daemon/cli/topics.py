"""`carrierd topics`: whether the topics of the configuration are there, and making them."""

from __future__ import annotations

import argparse
from typing import Any

from daemon.broker import topics
from daemon.broker.base import Broker
from daemon.cli.broker import FAILED, with_broker
from daemon.cli.page import config_option, page
from daemon.config import Config

PURPOSES = ("reports", "inbound", "dead", "parked", "state")


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "topics",
        help="check or make the topics",
        description="Lists the topics that the configuration names, and whether they are there.",
        examples=[
            "carrierd topics --config carrierd.toml",
            "carrierd topics --config carrierd.toml --create --partitions 12",
        ],
        statuses={
            0: "all are there",
            1: "one is missing, or the broker cannot be reached",
            2: "wrong use or a bad configuration",
        },
    )
    config_option(parser)
    parser.add_argument("--create", action="store_true", help="make those that are missing")
    parser.add_argument(
        "--partitions",
        type=_positive,
        default=6,
        metavar="N",
        help="of each topic made; more than one lets several daemons share the jobs (default 6)",
    )
    parser.add_argument(
        "--replicas",
        type=_positive,
        default=0,
        metavar="N",
        help="of each topic made (default 3, or as many as there are brokers)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when all topics are there, 1 otherwise."""

    async def work(config: Config, broker: Broker) -> int:
        wanted = topics(config)
        if args.create:
            await broker.create(wanted)
        found = await broker.topics([topic.name for topic in wanted])
        width = max(len(name) for name in found)
        for (name, partitions), purpose in zip(found.items(), _purposes(config), strict=True):
            if partitions is None:
                state = "missing"
            else:
                state = f"{partitions} partition{'s' if partitions != 1 else ''}"
            print(f"{name:{width}}  {purpose:7}  {state}")
        return 0 if all(found.values()) else FAILED

    return with_broker(args, work, partitions=args.partitions, replicas=args.replicas)


def _purposes(config: Config) -> list[str]:
    return ["jobs"] * len(config.broker.topics.jobs) + list(PURPOSES)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)
