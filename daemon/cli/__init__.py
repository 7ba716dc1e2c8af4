"""The command line: what every command has in common.

A command is a module of this package with `add(subparsers)`, which registers its parser and
sets `run`, a function from the parsed arguments to an exit status; `logs` False when nothing of
the daemon runs in it.  Only the module of the command that was asked for is imported, and what
takes long to import only where it is needed: people wait for `status` and `trace`.
"""

from __future__ import annotations

import argparse
import importlib
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
    "status": "accounts, nodes and binds now, and why each is not sending",
    "bind": "pause, drain or resume an account or a node of it",
    "loglevel": "another log level while the daemon runs",
    "wiretap": "PDUs of an account as they pass, decoded",
    "trace": "the whole life of a job or message",
    "backup": "copy ledger, archives and local queue, beside a running daemon",
    "restore": "look at a backup, or put it into an empty state directory",
    "decode": "protocol octets as text",
    "completion": "completion for bash, zsh and fish",
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
  carrierd status --config config/example.toml --watch
  carrierd stop --config config/example.toml --tenant parcels
  carrierd decode cmpp-3.0 0000000c0000000800000001

exit status:
  0    done
  1    not done, or not all of it
  2    wrong use or a bad configuration
  3    no daemon runs with the configuration's state_dir
  130  Ctrl-C
  141  whoever read the output has gone

'carrierd COMMAND --help' says more of each. Colours are for terminals only, and not where
NO_COLOR is set.
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
    if "_ARGCOMPLETE" in os.environ and "COMP_LINE" in os.environ:
        return _complete()
    parsed = _parser(_meant(arguments)).parse_args(arguments)
    if getattr(parsed, "logs", True):
        from daemon.logs import configure

        configure(parsed.log_level)
    try:
        status: int = parsed.run(parsed)
    except _config_error() as exc:
        print(exc, file=sys.stderr)
        return 2
    return status


def _config_error() -> type[Exception]:
    """Looked up only when something was raised: `decode` needs no configuration."""
    from daemon.config import ConfigError

    return ConfigError


def _meant(arguments: list[str]) -> str | None:
    """Only which command is meant, to import no other; the real parser judges the rest."""
    finder = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    _common(finder, default="")
    finder.add_argument("command", nargs="?")
    finder.add_argument("rest", nargs=argparse.REMAINDER)
    try:
        command = finder.parse_known_args(arguments)[0].command
    except argparse.ArgumentError:
        command = None
    return str(command) if command is not None else None


def _complete() -> int:
    """What a shell asks for when somebody presses TAB, see `completion`."""
    import argcomplete
    from argcomplete.lexers import split_line

    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    _, _, _, words, _ = split_line(line, point)
    argcomplete.autocomplete(_parser(_meant(words[1:])))
    return 0


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
        from importlib.metadata import version

        from daemon.compiled import build

        print(f"carrierd {version('carrierd')} ({build()})")
        parser.exit()
