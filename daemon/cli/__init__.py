"""The command line: what every command has in common.

A command is a module of this package with `add(subparsers)`, which registers its parser and
sets `run`, a function from the parsed arguments to an exit status.  Only the module of the
command that was asked for is imported, so that `decode` needs no Kafka client.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "run": "the daemon; SIGTERM drains and stops it, SIGHUP reloads its configuration",
    "check": "validate a configuration file and show what it means",
    "demo": "all four carriers simulated, the daemon between, a summary at the end",
    "simulate": "play the gateways of a configuration file, on loopback",
    "send": "put jobs on the jobs topic",
    "tail": "show what was published: reports, inbound or dead",
    "stop": "reject what is not yet written of a job, a tenant or an account",
    "topics": "check or create the broker's topics",
    "trace": "the whole life of a job or message",
    "backup": "copy ledger, archives and local queue, beside a running daemon",
    "restore": "look at a backup, or put it into an empty state directory",
    "decode": "protocol octets as text",
    "bench": "measure, and print the targets beside what was measured",
}
LEVELS = ("debug", "info", "warning", "error")

EXAMPLES = """\
examples:
  carrierd demo
  carrierd check --config config/example.toml
  carrierd simulate --config config/example.toml
  carrierd run --config config/example.toml
  carrierd send --config config/example.toml --to 13800138000 --text Hello --wait
  carrierd tail reports --config config/example.toml --follow
  carrierd trace --config config/example.toml --to 13800138000
  carrierd stop --config config/example.toml --tenant parcels
  carrierd decode cmpp-3.0 0000000c0000000800000001

'carrierd COMMAND --help' says more of each.
"""

INTERRUPTED = 130
"""As shells report a process that SIGINT ended."""
BROKEN_PIPE = 141
"""As shells report a process that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command in `argv` (by default the process's own); returns its exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough.  Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as exc:  # argparse has printed what it had to say
        return exc.code if isinstance(exc.code, int) else 0
    return status


def _run(arguments: list[str]) -> int:
    # First only which command is meant, to import no other; the real parser judges the rest.
    finder = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    _common(finder, default="")
    finder.add_argument("command", nargs="?")
    finder.add_argument("rest", nargs=argparse.REMAINDER)
    try:
        command = finder.parse_known_args(arguments)[0].command
    except argparse.ArgumentError:
        command = None
    parsed = _parser(command).parse_args(arguments)

    from daemon.config import ConfigError
    from daemon.logs import configure

    configure(parsed.log_level)
    try:
        status: int = parsed.run(parsed)
    except ConfigError as exc:
        print(exc, file=sys.stderr)
        return 2
    return status


def _parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of this command, or one that can only list them all."""
    parser = argparse.ArgumentParser(
        prog="carrierd",
        description="Takes SMS jobs from Kafka to carriers' gateways and brings back what "
        "became of every message.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    _common(parser, default="info")
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands"
    )
    if command in COMMANDS:
        importlib.import_module(f"{__name__}.{command}").add(subparsers)
        _common(subparsers.choices[command], default=argparse.SUPPRESS)
    else:
        for name, text in COMMANDS.items():
            subparsers.add_parser(name, help=text)
    return parser


def _common(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--log-level", choices=LEVELS, default=default, help="of the JSON lines on stderr (info)"
    )


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        print(f"carrierd {importlib.metadata.version('carrierd')}")
        parser.exit()
