"""`carrierd run`: the daemon itself."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import faulthandler
import gc
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

from daemon.cli.page import config_option, page

if TYPE_CHECKING:
    from daemon.app import App
    from daemon.config import Config

log = structlog.get_logger()

UNUSABLE = 2
"""What is configured cannot be opened: a topic, a file, an address."""
FAILED = 1
_M_ARENA_MAX, ARENAS = -8, 2
"""Heaps of the C library: one for each of our eight threads would keep 10 MB more in pieces."""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = page(
        subparsers,
        "run",
        help="the daemon",
        description="""
            Runs the daemon. SIGTERM drains and stops it: no new jobs, answers awaited, reports
            published. SIGHUP reads the configuration again; a file with a fault changes nothing.
        """,
        examples=["carrierd run --config carrierd.toml"],
        statuses={
            0: "stopped after a clean drain",
            1: "`drain_within` passed, or the daemon failed; nothing is lost",
            2: "the configuration or what it names is unusable",
        },
    )
    config_option(parser, "a TOML file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from daemon.config import examine

    config, warnings, _ = examine(args.config, at_start=True)
    _warn(warnings)
    # A core file would hold passwords and texts.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if (set_option := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:  # glibc's
        set_option(_M_ARENA_MAX, ARENAS)
    # The watchdog ends a stuck loop with SIGABRT: where it was stuck goes to stderr.
    faulthandler.enable()
    return uvloop.run(_serve(config, args.config))


async def _serve(config: Config, path: Path) -> int:
    from daemon.app import App, Stopped
    from daemon.broker.base import BrokerError
    from daemon.inherited import Inherited
    from daemon.ledger import LedgerError
    from daemon.notify import Notify

    # Finished messages are freed by their reference counts; the collector finds little.  With fewer
    # it would look at all that is in flight, again and again.
    gc.set_threshold(500_000, 20, 50)
    loop = asyncio.get_running_loop()
    try:
        notify = Notify.of(os.environ, os.getpid())
        inherited = Inherited.of(os.environ, os.getpid())
    except ValueError as exc:
        log.critical("cannot start", error=str(exc))
        return UNUSABLE
    try:
        app = App(config, notify=notify, inherited=inherited)
        notify.begin(app.status.line)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, app.stop)
        loop.add_signal_handler(signal.SIGHUP, _reload, app, path)
        return await app.run()
    except (BrokerError, LedgerError, OSError) as exc:
        log.critical("cannot start", error=str(exc))
        return UNUSABLE
    except Stopped:
        return FAILED
    finally:
        notify.close()


def _reload(app: App, path: Path) -> None:
    """SIGHUP: a file with a fault changes nothing."""
    from daemon.config import ConfigError, examine

    with app.notify.reloading():
        try:
            # The running name, not the file's: two instances with one share would pass the rate.
            config, warnings, _ = examine(path, instance=app.config.daemon.name, at_start=True)
        except ConfigError as exc:
            log.error("configuration refused, the old one stays", error=str(exc))
        else:
            _warn(warnings)
            app.reload(config)


def _warn(warnings: list[str]) -> None:
    """What `carrierd check` would say: a secret that others can read, for one."""
    for warning in warnings:
        log.warning("odd in the configuration", warning=warning)
