"""`carrierd demo`: all four carriers simulated, the daemon between, a summary at the end."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import uuid
from typing import Any

import orjson
import uvloop
from rich.console import Console

from daemon.broker.base import BrokerError
from daemon.cli.page import page
from daemon.demo.play import Demo, well
from daemon.demo.settings import CARRIERS, Settings
from daemon.demo.show import Bars, table
from daemon.demo.stage import Stage, StageError
from daemon.demo.traffic import MIXED, Traffic

FAILED = 1
TERMINATED = 143
"""As shells report a process that SIGTERM ended."""
DELAY, REPORT_DELAY = 0.05, 0.5
"""Seconds until a simulated gateway answers, and from there to its report."""
LOOK_EVERY = 0.1


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "demo",
        help="all four carriers simulated, the daemon between, a summary at the end",
        description="""
            Plays the gateways of all four carriers on loopback, runs the daemon on a broker of
            its own in a temporary directory, and sends messages of one and several parts while
            subscribers write back.
        """,
        examples=["carrierd demo", "carrierd demo --messages 2000 --rate 200 --json"],
        statuses={
            0: "nothing was lost or sent twice",
            1: "something was, or the demo could not be set up",
            143: "ended by SIGTERM",
        },
    )
    parser.add_argument(
        "--messages", type=_count, default=400, metavar="N", help="in all (%(default)s)"
    )
    parser.add_argument(
        "--rate", type=_rate, default=60.0, metavar="R", help="messages a second (%(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="only the result, as JSON")
    parser.add_argument("--keep", action="store_true", help="leave the daemon running until Ctrl-C")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when nothing was lost or sent twice, 1 when something was, or it could not run."""
    console = Console(stderr=args.json, highlight=False, soft_wrap=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_play(args, console))
    except asyncio.CancelledError:
        return TERMINATED
    except (StageError, BrokerError, OSError) as exc:
        print(f"carrierd demo: {exc}", file=sys.stderr)
        return FAILED


async def _play(args: argparse.Namespace, console: Console) -> int:
    _end_on_sigterm()
    settings = Settings(
        # Parts, with room: the demonstration is not about the limits.
        rate=max(200.0, args.rate),
        binds=2,
        delay=DELAY,
        report_delay=REPORT_DELAY,
    )
    traffic = Traffic(f"demo-{uuid.uuid4().hex[:8]}", CARRIERS, MIXED)
    async with Stage(settings) as stage:
        await stage.start_daemon()
        demo = Demo(stage, args.messages, args.rate, traffic)
        if not args.json:
            console.print(
                f"{args.messages} messages at {args.rate:g} a second;"
                f" metrics while it runs: {stage.url}/metrics"
            )
        if args.json or not console.is_terminal:
            await demo.run()
        else:
            await _run_with_bars(demo, console)
        result = await demo.result()
        good = well(result)
        if args.json:
            sys.stdout.buffer.write(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))
            sys.stdout.buffer.flush()
        else:
            _show(result, good, console)
            if args.keep:
                console.print(f"still running: {stage.url}/metrics  /status  /readyz; Ctrl-C ends")
        if args.keep:
            await _until_told()
        status = await stage.stop_daemon()
        if status:
            raise StageError(f"carrierd run ended with {status}: {stage.daemon.said()}")
    return 0 if good else FAILED


async def _run_with_bars(demo: Demo, console: Console) -> None:
    carriers = demo.traffic.carriers
    totals = {
        name: len(range(place, demo.count, len(carriers))) for place, name in enumerate(carriers)
    }
    with Bars(console, totals, demo.owed_inbound) as bars:
        running = asyncio.create_task(demo.run())
        try:
            while not running.done():
                await asyncio.wait([running], timeout=LOOK_EVERY)
                bars.show(demo.delivered, len(demo.inbound))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        running.result()


def _show(result: dict[str, Any], good: bool, console: Console) -> None:
    inbound = result["inbound"]
    console.print(table(result))
    console.print(
        f"inbound: {inbound['sent']} written by subscribers, {inbound['received']} published"
        + ("" if inbound["as_sent"] else ", not all as they were written")
    )
    console.print(
        "submit: job received to first part written; delivery: job produced to final report,"
        f" of which the gateways take {(DELAY + REPORT_DELAY) * 1000:.0f} ms"
    )
    console.print(f"metrics page while the daemon runs: {result['metrics']} (--keep leaves it up)")
    console.print(
        "[bold green]nothing lost, nothing sent twice[/]"
        if good
        else "[bold red]not everything arrived once[/]"
    )


def _end_on_sigterm() -> None:
    """SIGTERM ends like Ctrl-C: the processes are stopped and the directory removed."""
    task = asyncio.current_task()
    assert task is not None, "called from the main task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _until_told() -> None:
    """Until SIGINT or SIGTERM, which are no failures any more."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text}: allowed is 1 to 1000000")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100_000:
        raise argparse.ArgumentTypeError(f"{text}: allowed is above 0, up to 100000")
    return value
