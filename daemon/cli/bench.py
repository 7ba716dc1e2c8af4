"""`carrierd bench`: measure, and print the targets beside what was measured."""

from __future__ import annotations

from typing import Any

from daemon.cli.page import page


def add(subparsers: Any) -> None:
    # Nothing of the daemon needs the bench: only this command loads it.
    from bench import suites

    parser = page(
        subparsers,
        "bench",
        help="measure, and print the targets beside what was measured",
        description="""
            Runs one suite on loopback, gateways and daemon in processes of their own, and prints
            the machine, every parameter, and the targets beside what was measured.
        """,
        examples=["carrierd bench contract", "carrierd bench throughput --json"],
        statuses={0: "every target is met", 1: "not", 2: "wrong use"},
    )
    suites.arguments(parser)
    parser.set_defaults(run=suites.run)
