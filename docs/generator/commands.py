"""The command reference: what `carrierd COMMAND --help` says, from the parsers themselves."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from unittest import mock

from daemon import cli

from .markdown import block, code, table

WIDTH = 96
"""Columns of the help texts."""


def page() -> str:
    """The command reference in Markdown."""
    # What argparse asks the terminal for.
    with mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH), "NO_COLOR": "1"}):
        parts = [_BEGIN, block(cli._parser(None).format_help())]
        rows = [(f"[`carrierd {name}`](#command-{name})", text) for name, text in known().items()]
        parts.insert(1, table(("command", "does"), rows))
        for name in known():
            parts += _command(name)
    return "\n".join(parts)


def known() -> dict[str, str]:
    """Every command and what it does, in the order of `carrierd --help`."""
    return dict(cli.COMMANDS)


def _command(name: str) -> Iterator[str]:
    parser = _below(cli._parser(name))[name]
    yield f"(command-{name})=\n\n## carrierd {name}\n"
    yield block(parser.format_help())
    for inner, one in _below(parser).items():
        yield f"### carrierd {name} {inner}\n"
        yield block(one.format_help())


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a command's own commands."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


_BEGIN = f"""\
# Commands

{code("python -m daemon")} is the same program. Output for people is on stdout, logs are JSON
lines on stderr. Logs, metrics and `/status` show numbers as `138****8000`; message text and
passwords are never logged.

This page is written by `make docs` from the parsers of the commands.
"""
