"""`carrierd restore`: a backup looked at, or put into an empty state directory."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.cli.page import config_option, page

if TYPE_CHECKING:
    from daemon.backup import Manifest, Restored
    from daemon.config import Config

FAILED = 1


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = page(
        subparsers,
        "restore",
        help="look at a backup, or put it into an empty state directory",
        description="""
            Puts a backup into the state directory of the configuration, which has to be empty and
            in nobody's use. What may have been sent since the backup was made is in doubt then:
            with Kafka the daemon learns from `topics.state` what became of it, with the `local`
            broker it is published as uncertain, held for its report, and sent again or left as
            `[uncertain]` says.

            With --verify nothing is written: every file is held against its digest, every index
            against its table, and jobs of every file are traced.
        """,
        examples=[
            "carrierd restore --config carrierd.toml --verify /var/backups/carrierd",
            "carrierd restore --config carrierd.toml /var/backups/carrierd",
        ],
        statuses={
            0: "restored; with --verify: sound",
            1: "not, and nothing starts on a half restored directory",
            2: "wrong use or a bad configuration",
        },
    )
    config_option(parser)
    parser.add_argument(
        "source", type=Path, metavar="FROM", help="a backup, or a directory of them: the last one"
    )
    parser.add_argument("--verify", action="store_true", help="only look whether it is sound")
    parser.add_argument(
        "--moved",
        action="store_true",
        help="the daemon has not run since the backup was made: nothing is in doubt",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from daemon.backup import BackupError, check, newest, restore
    from daemon.config import load
    from daemon.ledger import LedgerError

    config = load(args.config, secrets=False)
    try:
        where = newest(args.source)
        if args.verify:
            found = check(where, say=print)
            print(f"{where}: sound; {_described(found, config)}")
        else:
            done = restore(config, where, moved=args.moved, say=print)
            print(f"{config.daemon.state_dir}: restored from {where}")
            print(_described(done.manifest, config))
            print(_doubtful(done, config))
    except (BackupError, LedgerError) as exc:
        print(exc, file=sys.stderr)
        return FAILED
    return 0


def _described(found: Manifest, config: Config) -> str:
    from daemon.clock import Stamps

    octets = sum(entry.octets for entry in found.entries)
    return (
        f"made {Stamps(config.daemon.timezone).text(found.made)} by instance {found.instance},"
        f" carrierd {found.version}, schema {found.schema}; {len(found.entries)} files,"
        f" {octets / 1e6:,.1f} MB; unfinished messages: {found.unfinished}"
    )


def _doubtful(done: Restored, config: Config) -> str:
    since = done.since
    if since is None:
        return "nothing was changed: messages go on where they were"
    if config.broker.kind == "kafka":
        return (
            f"{since.waiting} messages wait: at its start the daemon reads in"
            f" {config.broker.topics.state} what became of them since"
        )
    said = f"in doubt at the next start: {since.doubtful} messages that waited then"
    if done.manifest.untaken:
        said += (
            f"; {done.manifest.untaken} jobs waited in the queue, and are sent at the next start"
            " (`carrierd stop` before it keeps them from that)"
        )
    return said
