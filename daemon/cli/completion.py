"""`carrierd completion`: what a shell has to read to complete commands, options and accounts."""

from __future__ import annotations

import argparse
from typing import Any

from daemon.cli.page import page

SHELLS = ("bash", "zsh", "fish")


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "completion",
        help="completion for bash, zsh and fish",
        description="""
            Prints what the shell has to read. Commands, options and their values are completed,
            files, and names of accounts and nodes from the file that --config names, when that
            stands in front of them.
        """,
        examples=[
            'eval "$(carrierd completion bash)"    # in ~/.bashrc',
            'eval "$(carrierd completion zsh)"     # in ~/.zshrc, after compinit',
            "carrierd completion fish > ~/.config/fish/completions/carrierd.fish",
        ],
        statuses={0: "printed", 2: "wrong use"},
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run, logs=False)


def run(args: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(shellcode(["carrierd"], shell=args.shell))
    return 0
