"""`carrierd check`: every fault of a configuration file, or what it means.

The capacity of an account is the sum over its binds of window / round trip: what the windows
let through, however high the rate is set.  With --connect the round trip is measured as the
time a TCP connection takes, which is all that can be measured without logging in; the
gateway's own time for an answer comes on top.

Of an account that several instances share, everything is said of this one's share; a table of
its own shows the shares of all.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from daemon.cli.page import config_option, page
from daemon.config import Account, Config, Node, examine

ROUND_TRIPS = (0.02, 0.05, 0.1)
CONNECT_WITHIN = 5.0


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "check",
        help="validate a configuration file and show what it means",
        description=(__doc__ or "").partition("\n\n")[2],
        examples=[
            "carrierd check --config carrierd.toml",
            "carrierd check --config carrierd.toml --connect",
        ],
        statuses={0: "no faults", 2: "faults, each a line on stderr"},
    )
    config_option(parser, "a TOML file")
    parser.add_argument(
        "--connect", action="store_true", help="measure the round trip to every node"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError when there are faults."""
    config, warnings, whole = examine(args.config)
    print(*_inventory(config, whole), *_shares(config, whole), sep="\n")
    found = asyncio.run(_connect_all(config)) if args.connect else None
    lines, low = _capacity(config, found)
    print(*lines, sep="\n")
    warnings += low
    print(*(f"warning: {warning}" for warning in warnings), sep="\n", end="\n" * bool(warnings))
    print(f"{args.config}: no faults, {_count(len(warnings), 'warning')}")
    return 0


class Connection(NamedTuple):
    """What connecting to a node once gave: seconds, or why it could not be done."""

    seconds: float | None
    why: str = ""


Found = dict[tuple[str, str], Connection]
"""By account and node."""


async def _connect_all(config: Config) -> Found:
    places = [(name, node) for name, one in config.accounts.items() for node in one.nodes]
    found = await asyncio.gather(*(_connect(node) for _, node in places))
    return {
        (name, node.name): connection
        for (name, node), connection in zip(places, found, strict=True)
    }


async def _connect(node: Node) -> Connection:
    local = (node.local_address, 0) if node.local_address else None
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            _, writer = await asyncio.open_connection(node.host, node.port, local_addr=local)
    except TimeoutError:
        return Connection(None, f"no connection within {CONNECT_WITHIN:g} s")
    except OSError as exc:
        # asyncio puts its own sentence, address included, where the reason belongs.
        return Connection(None, os.strerror(exc.errno) if exc.errno and exc.errno > 0 else str(exc))
    seconds = time.perf_counter() - started
    writer.transport.abort()  # nothing was said, nothing is owed
    return Connection(seconds)


def _inventory(config: Config, whole: Config) -> Iterator[str]:
    accounts = [
        (
            name,
            account.carrier,
            f"{account.protocol} {account.version}",
            account.access_number,
            f"{account.rate:g}",
            str(account.window),
            str(account.binds),
        )
        for name, account in config.accounts.items()
    ]
    yield from _table("account carrier protocol number rate/s window binds", accounts)
    yield ""
    nodes = []
    for name, account in whole.accounts.items():
        own = _binds(config.accounts[name])
        nodes += [
            (
                name,
                node.name,
                f"{node.host}:{node.port}",
                str(own.get(node.name, 0)),
                str(node.priority),
            )
            for node in account.nodes
        ]
    yield from _table("account node address binds priority", nodes)
    yield ""


def _shares(config: Config, whole: Config) -> Iterator[str]:
    """Who has what of the accounts that several instances share; nothing when none is shared."""
    rows: list[tuple[str, ...]] = []
    for name, account in whole.accounts.items():
        own = [(instance, account.share(instance)) for instance in account.shares]
        if own:
            own.append(("(all)", account))
        for instance, share in own:
            by_node = ", ".join(f"{node} {binds}" for node, binds in _binds(share).items())
            rows.append((name, instance, f"{share.rate:g}", str(share.binds), by_node))
    if rows:
        yield f"shares; this instance is {config.daemon.name}"
        yield from _table("account instance rate/s binds by_node", rows)
        yield ""


def _binds(account: Account) -> dict[str, int]:
    """Connections to hold, by node."""
    return {
        node.name: binds
        for node, binds in zip(account.nodes, account.binds_by_node, strict=True)
        if binds
    }


def _capacity(config: Config, found: Found | None) -> tuple[list[str], list[str]]:
    """The table of capacities, and a warning wherever one is below the account's rate."""
    rows: list[tuple[str, ...]] = []
    low: list[str] = []
    for name, account in config.accounts.items():
        cells = [f"{account.binds * account.window / rtt:.0f}" for rtt in ROUND_TRIPS]
        low += _below(name, account)
        if found is not None:
            measured, said = _measured(name, account, found)
            cells.append(f"{measured:.0f}")
            low += said
        rows.append((name, f"{account.rate:g}", *cells))
    header = "account rate/s " + " ".join(f"{rtt * 1000:.0f}_ms" for rtt in ROUND_TRIPS)
    lines = ["parts per second that the windows let through, by round trip"]
    if found is not None:
        header += " measured"
        lines.append("(measured: of a TCP connection; the gateway's own time comes on top)")
    return [*lines, *_table(header, rows), ""], low


def _below(name: str, account: Account) -> Iterator[str]:
    """Where the windows cannot carry the rate at a round trip that is nothing unusual."""
    preferred = min(node.priority for node in account.nodes)
    own = _binds(account)
    first = sum(own.get(node.name, 0) for node in account.nodes if node.priority == preferred)
    for binds, which in ((account.binds, ""), (first, f" of priority {preferred} alone")):
        enough = binds * account.window / account.rate
        if enough < ROUND_TRIPS[-1]:
            yield (
                f"{name}: {_count(binds, 'bind')}{which} with window {account.window} carry "
                f"{account.rate:g}/s only up to a round trip of {enough * 1000:.0f} ms"
            )
            return


def _measured(name: str, account: Account, found: Found) -> tuple[float, list[str]]:
    """Parts per second at the measured round trips, and what is to be said of them."""
    said = []
    total = 0.0
    for node, binds in zip(account.nodes, account.binds_by_node, strict=True):
        seconds, why = found[name, node.name]
        if seconds is None:
            said.append(f"{name}: {node.name} ({node.host}:{node.port}) not reached: {why}")
        else:
            total += binds * account.window / max(seconds, 1e-6)
    if total < account.rate:
        said.append(f"{name}: measured, its binds carry {total:.0f}/s of {account.rate:g}/s")
    return total, said


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _table(header: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as they need be, figures to the right."""
    names = [name.replace("_", " ") for name in header.split()]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        cells = [
            cell.rjust(width) if at and _is_figure(rows, at) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _is_figure(rows: Sequence[Sequence[str]], at: int) -> bool:
    return all(len(row[at]) < 9 and row[at].replace(".", "").isdigit() for row in rows)
