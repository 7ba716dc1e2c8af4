"""`carrierd bench`: measure, and print the targets beside what was measured."""

from __future__ import annotations

from typing import Any


def add(subparsers: Any) -> None:
    # Nothing of the daemon needs the bench: only this command loads it.
    from bench import suites

    parser = subparsers.add_parser(
        "bench",
        help="measure, and print the targets beside what was measured",
        description="Runs one suite on loopback, gateways and daemon in processes of their own,"
        " and prints the machine, every parameter, and the targets beside what was measured. Exit"
        " 0 when every target is met.",
    )
    suites.arguments(parser)
    parser.set_defaults(run=suites.run)
