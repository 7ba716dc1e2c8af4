"""What the commands that talk to the broker have in common: the configuration and the loop."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from daemon.broker import broker
from daemon.broker.base import Broker, BrokerError
from daemon.config import Config, load

FAILED = 1


def with_broker(
    args: argparse.Namespace,
    work: Callable[[Config, Broker], Awaitable[int]],
    *,
    partitions: int = 6,
    replicas: int = 0,
) -> int:
    """The exit status of `work`; 1 when the broker cannot do it.  Raises ConfigError."""
    config = load(args.config, secrets=False)

    async def main() -> int:
        return await work(config, broker(config, partitions=partitions, replicas=replicas))

    try:
        return asyncio.run(main())
    except BrokerError as exc:
        print(f"carrierd {args.command}: {exc}", file=sys.stderr)
        return FAILED
