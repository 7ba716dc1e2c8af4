"""A load for a system that runs already: jobs at a steady rate, until it is stopped.

    python -m daemon.demo.load --config FILE --rate 40

puts them on the last jobs topic of the file, carriers and texts in turn, as `carrierd demo` does.
For gateways on loopback: anything else is refused, so that nobody gets a message by mistake.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import uvloop

from daemon.broker import broker as broker_of
from daemon.broker.base import BrokerError
from daemon.config import Config, ConfigError, load
from daemon.router import CARRIERS
from daemon.sim.loopback import is_loopback

from .traffic import MIXED, Traffic, offer

NUMBERS = 10**8
"""As many as a prefix has; then they begin again."""
AT_A_TIME = 60.0
"""Seconds that are planned ahead."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 when it was stopped, 1 when the broker takes no more, 2 for a file that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True, metavar="F", help="a TOML file")
    parser.add_argument("--rate", type=float, default=40.0, metavar="R", help="jobs a second (40)")
    args = parser.parse_args(argv)
    if not 0 < args.rate <= 10_000:
        parser.error(f"--rate is {args.rate:g}, allowed is above 0 and up to 10000")
    try:
        config = load(args.config, secrets=False)
    except ConfigError as exc:
        print(exc, file=sys.stderr)
        return 2
    if away := away_from_loopback(config):
        print(f"{args.config}: {', '.join(away)}: not on loopback, and a load is", file=sys.stderr)
        return 2
    return uvloop.run(_load(config, args.rate))


def away_from_loopback(config: Config) -> list[str]:
    """The nodes that are elsewhere."""
    return [
        f"accounts.{name}.nodes.{node.name}"
        for name, account in config.accounts.items()
        for node in account.nodes
        if not is_loopback(node.host)
    ]


async def _load(config: Config, rate: float) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    carriers = [name for name in CARRIERS if getattr(config.routes, name)]
    topic = config.broker.topics.jobs[-1]
    outlet = broker_of(config).outlet([topic])
    try:
        await outlet.start()
        count = max(1, round(rate * AT_A_TIME))
        first = NUMBERS
        while not stop.is_set():
            if first + count > NUMBERS:
                first = 0
                traffic = Traffic(f"load-{uuid.uuid4().hex[:8]}", carriers, MIXED)
            await offer(traffic, outlet, topic, count, rate, stop, first)
            first += count
    except BrokerError as exc:
        print(f"load: {exc}", file=sys.stderr)
        return 1
    finally:
        await outlet.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
