"""The suites there are, and how one is run from the command line."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import cast

import orjson
import uvloop
from rich.console import Console

from daemon.broker.base import BrokerError
from daemon.demo.settings import LINES
from daemon.demo.stage import StageError

from .faults import BACKLOG, FAILOVER, NETWORK
from .options import BenchError, Options
from .result import Result, describe, report

SUITES = {
    "contract": "the contract's rate over all four protocols: seconds, latencies, losses",
    "throughput": "messages a second from broker to broker; CPU, memory and how they grow",
    "peers": "other SMPP clients at the same gateway, as ratios",
    "failover": "nodes killed, frozen, refusing, throttling, a carrier gone: outage, losses, rate",
    "crash": "the daemon killed and stopped under load again and again: losses, copies",
    "broker": "a Kafka stopped and restarted under load: losses, copies, memory",
    "takeover": "one of two daemons killed for good with its disk: seconds, losses, copies",
    "soak": "the contract's rate with fault after fault: memory, losses, copies",
    "idle": "32 binds with nothing to do, and with the contract's rate: CPU, memory",
    "record": "traces in months of archives, reports for open messages, archiving",
}
PROTOCOLS = ("mixed", *(line.protocol for line in LINES.values()))
FAULTS = (*FAILOVER, BACKLOG, *NETWORK)
FAILED = 1
TERMINATED = 143
"""As shells report a process that SIGTERM ended."""

Measure = Callable[[Options], Coroutine[None, None, Result]]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "suite",
        choices=SUITES,
        metavar="SUITE",
        help="; ".join(f"{name}: {text}" for name, text in SUITES.items()),
    )
    parser.add_argument("--json", action="store_true", help="only the result, as JSON")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="D",
        help="write the result there as SUITE.json; contract, throughput: and SUITE.svg, which for"
        " contract has rate and latency over rising loads",
    )
    parser.add_argument(
        "--bootstrap",
        metavar="H:P",
        help="a Kafka to measure with (default: the broker `local`); topics are made and removed",
    )
    parser.add_argument(
        "--stop", metavar="COMMAND", help="broker: what stops the Kafka that --bootstrap names"
    )
    parser.add_argument(
        "--start", metavar="COMMAND", help="broker: what starts it again, topics and all"
    )
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="D",
        help="where state directories are made: their disk is measured too (default: $TMPDIR)",
    )
    parser.add_argument("--seconds", type=_seconds, metavar="S", help="of each measured run")
    parser.add_argument(
        "--rate",
        type=_rate,
        metavar="R",
        help="messages a second; contract (220), without urgent ones then;"
        " crash (2000); broker (500)",
    )
    parser.add_argument(
        "--repeats",
        type=_count,
        metavar="N",
        help="throughput, peers: runs of each kind; failover: pairs",
    )
    parser.add_argument(
        "--recipients",
        type=_recipients,
        default=1,
        metavar="N",
        help="throughput: of each job, sent in lists; sustained only (1)",
    )
    parser.add_argument(
        "--jasmin",
        type=Path,
        nargs="?",
        const=Path(sys.executable),
        metavar="PYTHON",
        help="peers: Jasmin too, as installed for this interpreter (default: this one); needs"
        " rabbitmq-server and redis-server",
    )
    parser.add_argument(
        "--restarts", type=_count, metavar="N", help="broker: restarts after the long stop (2)"
    )
    parser.add_argument(
        "--most",
        type=_count,
        metavar="N",
        help="throughput, failover: messages of the largest backlog; contract: bulk ones that"
        " urgent ones overtake (100000); record: messages in archives",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="throughput: backlogs up to ten million messages; failover: up to a million;"
        " crash: 50 kills, 20 restarts; broker: stopped for 60 s, 10 restarts; takeover: 10 kills;"
        " record: 53 million messages in archives, a million open",
    )
    parser.add_argument(
        "--protocols",
        type=_protocols,
        default=(),
        metavar="P,…",
        help=f"throughput, failover: only these of {', '.join(PROTOCOLS)}",
    )
    parser.add_argument(
        "--faults",
        type=_faults,
        default=(),
        metavar="F,…",
        help=f"failover: only these of {', '.join(FAULTS)}",
    )
    parser.add_argument(
        "--netns",
        action="store_true",
        help="failover: a network between daemon and gateways, in namespaces of its own, and"
        f" {', '.join(NETWORK)} unless --faults says otherwise (root, Linux)",
    )
    parser.add_argument(
        "--kills",
        type=_count,
        metavar="N",
        help="crash: SIGKILLs in each of two runs (5); takeover: runs (2)",
    )
    parser.add_argument("--terms", type=_count, metavar="N", help="crash: restarts by SIGTERM (5)")
    parser.add_argument("--hours", type=_hours, metavar="H", help="soak: of its time (4)")
    parser.add_argument(
        "--compress",
        type=_compress,
        metavar="K",
        help="soak: hours and every configured duration are divided by this (16)",
    )


def run(args: argparse.Namespace) -> int:
    """0 when every target is met, 1 when one is not or the suite could not be measured."""
    console = Console(stderr=args.json, highlight=False)
    options = Options(
        bootstrap=args.bootstrap,
        stop=args.stop,
        start=args.start,
        directory=args.dir,
        seconds=args.seconds,
        rate=args.rate,
        repeats=args.repeats,
        restarts=args.restarts,
        recipients=args.recipients,
        most=args.most,
        full=args.full,
        protocols=args.protocols,
        faults=args.faults,
        netns=args.netns,
        report=args.report,
        jasmin=args.jasmin,
        kills=args.kills,
        terms=args.terms,
        hours=args.hours,
        compress=args.compress,
        note=lambda text: console.print(text, style="dim", soft_wrap=True),
    )
    measure = cast(Measure, importlib.import_module(f"bench.{args.suite}").measure)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_until_sigterm(measure(options)))
        if args.report is not None:
            for path in report(result, args.report):
                options.note(f"written: {path}")
    except asyncio.CancelledError:
        return TERMINATED
    except (BenchError, BrokerError, StageError, OSError) as exc:
        print(f"carrierd bench: {exc}", file=sys.stderr)
        return FAILED
    if args.json:
        sys.stdout.buffer.write(orjson.dumps(result.show(), option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    else:
        describe(console, args.suite, result.machine, "machine")
        describe(console, args.suite, result.parameters, "parameters")
        result.print(console)
    return 0 if result.met else FAILED


async def _until_sigterm(work: Coroutine[None, None, Result]) -> Result:
    """SIGTERM ends like Ctrl-C: processes are stopped and directories removed."""
    task = asyncio.current_task()
    assert task is not None, "called from the main task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _seconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text}: allowed is 1 to 86400")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 100_000:
        raise argparse.ArgumentTypeError(f"{text}: allowed is 1 to 100000")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100_000_000:
        raise argparse.ArgumentTypeError(f"{text}: allowed is 1 to 100000000")
    return value


def _recipients(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text}: allowed is 1 to 1000")
    return value


def _hours(text: str) -> float:
    value = float(text)
    if not 0.01 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text}: allowed is 0.01 to 1000")
    return value


def _compress(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text}: allowed is 1 to 60")
    return value


def _faults(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in FAULTS:
            raise argparse.ArgumentTypeError(f"{name!r}: allowed are {', '.join(FAULTS)}")
    return names


def _protocols(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in PROTOCOLS:
            raise argparse.ArgumentTypeError(f"{name!r}: allowed are {', '.join(PROTOCOLS)}")
    return names
