"""`carrierd stop`: no more of a job, a tenant or an account is to be written."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any, Literal, get_args

from daemon.broker.base import Broker, BrokerError, Outlet
from daemon.changelog import MSGPACK, Stop, pack_stop
from daemon.cli.broker import with_broker
from daemon.cli.page import config_option, page
from daemon.config import Config
from daemon.refusal import LONGEST_ID

WITHIN = 20.0
"""Seconds for the broker to store it: nobody waits for an emergency brake for ever."""
WRONG_USE = 2
Kind = Literal["job", "tenant", "account"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "stop",
        help="reject what is not yet written of a job, a tenant or an account",
        description="""
            Stops what was put on the jobs topics until now and is not yet written to a gateway,
            wherever it waits: it becomes rejected, LOCAL:STOPPED. A message of which a part is
            written goes on, and what is put on the topics later is sent. Every running daemon
            acts at once, any other when it starts.
        """,
        examples=[
            "carrierd stop --config carrierd.toml --job order-20261122-000017",
            "carrierd stop --config carrierd.toml --tenant parcels",
        ],
        statuses={
            0: "stored",
            1: "the broker did not store it",
            2: "wrong use or a bad configuration",
        },
    )
    config_option(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--job", type=_id, metavar="ID", help="all messages of a job")
    what.add_argument("--tenant", type=_text, metavar="NAME", help="all jobs of a tenant")
    what.add_argument("--account", type=_text, metavar="NAME", help="all that would go by it")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """0 when the stop is stored, 1 when not, 2 for an account that the file does not have."""
    kind: Kind = next(kind for kind in KINDS if getattr(args, kind) is not None)
    name: str = getattr(args, kind)

    async def work(config: Config, broker: Broker) -> int:
        if kind == "account" and name not in config.accounts:
            known = ", ".join(sorted(config.accounts)) or "none yet"
            print(
                f"carrierd stop: --account: {name!r} is no account of {args.config}, allowed are "
                f"{known}",
                file=sys.stderr,
            )
            return WRONG_USE
        await _store(config, broker, Stop(what=kind, name=name, at=time.time()))
        print(
            f"stopped {kind} {name if name.isprintable() else ascii(name)}: what is not yet "
            "written becomes rejected, LOCAL:STOPPED; messages with a part written go on"
        )
        return 0

    return with_broker(args, work)


async def _store(config: Config, broker: Broker, stop: Stop) -> None:
    """Raises BrokerError when that cannot be done in time."""
    topic = config.broker.topics.state
    outlet = broker.outlet([topic])
    try:
        await outlet.start()
        await _publish(outlet, topic, stop)
    finally:
        await outlet.close()


async def _publish(outlet: Outlet, topic: str, stop: Stop) -> None:
    try:
        async with asyncio.timeout(WITHIN):
            await outlet.publish([(topic, *pack_stop(stop))], MSGPACK)
    except TimeoutError as exc:
        raise BrokerError(
            f"not stored within {WITHIN:g} s, though it may be later: stop it again when the "
            "broker is there"
        ) from exc


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no UTF-8") from exc
    if not text:
        raise argparse.ArgumentTypeError("is empty, allowed is a name")
    return text


def _id(text: str) -> str:
    if len(_text(text)) > LONGEST_ID:
        raise argparse.ArgumentTypeError(
            f"has {len(text)} characters, allowed are 1 to {LONGEST_ID}"
        )
    return text
