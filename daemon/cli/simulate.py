"""`carrierd simulate`: the carriers' gateways of a configuration file, played on loopback.

Every node of every account is played on its host and port by the file that `carrierd run` reads,
passwords included; of an account that several instances share, all of it.  What goes wrong there
is set in its [simulate] section and, while it runs, over HTTP at simulate.listen: POST /faults,
POST /mo, GET /counts.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from daemon.cli.page import config_option, page
from daemon.config import Config, examine
from daemon.sim.control import Control
from daemon.sim.fleet import Fleet, FleetError

EXAMPLES = (
    "carrierd simulate --config config/example.toml",
    """curl -d '{"node":"*","throttle":0.1}' 127.0.0.1:9465/faults""",
    """curl -d '{"node":"ex-mobile","freeze":true}' 127.0.0.1:9465/faults""",
    """curl -d '{"account":"ex-mobile","from":"13912345678","text":"T"}' 127.0.0.1:9465/mo""",
    "curl 127.0.0.1:9465/counts",
)
WIDTH = 160
"""Columns of a table that no person's terminal limits."""


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "simulate",
        help="play the gateways of a configuration file, on loopback",
        description=(__doc__ or "").partition("\n\n")[2],
        examples=EXAMPLES,
        statuses={
            0: "ended by SIGINT or SIGTERM",
            1: "an address is taken",
            2: "bad configuration",
        },
    )
    config_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError when the file has faults."""
    config = examine(args.config).whole
    try:
        fleet = Fleet(config)
    except FleetError as exc:
        print(f"{args.config}: {exc}", file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_play(fleet, config))


async def _play(fleet: Fleet, config: Config) -> int:
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    control = Control(fleet)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        await fleet.start()
        console.print(_addresses(fleet))
        if config.simulate.listen is not None:
            host, port = config.simulate.listen
            port = await control.start(host, port)
            console.print(f"POST /faults, POST /mo, GET /counts at http://{host}:{port}")
        console.print("playing until SIGINT or SIGTERM")
        sys.stdout.flush()
        await ended.wait()
    except OSError as exc:
        print(f"simulate: {exc}", file=sys.stderr)
        return 1
    finally:
        await control.stop()
        await fleet.stop()
    console.print(_summary(fleet))
    return 0


def _addresses(fleet: Fleet) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("node", "protocol", "address", "login", "reports"):
        table.add_column(name, no_wrap=True)
    for name, place in fleet.places.items():
        account, gateway = place.node.account, place.gateway
        listener = account.listener
        back = f"to {listener.host}:{listener.port}" if listener is not None else "same connection"
        address = f"{gateway.host}:{gateway.port}"
        table.add_row(name, f"{account.protocol} {account.version}", address, account.login, back)
    return table


SUMMARY = {
    "submits": "submits",
    "answered": "answered",
    "throttled": "throttled",
    "refused": "refused",
    "swallowed": "lost",
    "reports_taken": "reported",
    "twice": "twice",
}
"""Figures of `Counts` and what they are called in the table."""


def _summary(fleet: Fleet) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("node", no_wrap=True)
    for name in (*SUMMARY.values(), "peak/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, place in fleet.places.items():
        counts = place.node.counts
        figures = [str(getattr(counts, figure)) for figure in SUMMARY]
        table.add_row(name, *figures, str(place.node.meter.peak))
    return table
