"""The help page of a command: what it does, examples, and what its exit statuses mean."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WIDTH = 80


def page(
    subparsers: Any,
    name: str,
    *,
    help: str,
    description: str,
    examples: Sequence[str],
    statuses: Mapping[int, str],
) -> argparse.ArgumentParser:
    """The command's parser.  Paragraphs of the description are set apart by empty lines; lines
    that begin with a space stay as they are.
    """
    shown = [f"  {line}" for line in examples]
    meant = [
        textwrap.fill(text, WIDTH, initial_indent=f"  {status:<3}  ", subsequent_indent=" " * 7)
        for status, text in statuses.items()
    ]
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=help,
        description="\n\n".join(map(_filled, textwrap.dedent(description).strip().split("\n\n"))),
        epilog="\n".join(["examples:", *shown, "", "exit status:", *meant]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _filled(paragraph: str) -> str:
    if paragraph.startswith(" "):
        return paragraph
    return textwrap.fill(" ".join(paragraph.split()), WIDTH)


def config_option(
    parser: argparse.ArgumentParser, text: str = "the daemon's configuration file"
) -> None:
    """The option that nearly every command has."""
    parser.add_argument("--config", type=Path, required=True, metavar="F", help=text)
