"""`carrierd send`: put jobs on the jobs topic, and follow them if asked to."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import orjson

from daemon.broker.base import Broker, BrokerError, Outlet
from daemon.cli.broker import FAILED, with_broker
from daemon.cli.following import Following
from daemon.cli.page import config_option, page
from daemon.config import Config
from daemon.jobs import JobError, Lane, decode

BATCH = 500

# flag, field of the job
FIELDS = (
    ("signature", "put in front of the text as 【…】"),
    ("tenant", ""),
    ("ext", "digits behind the access number"),
    ("priority", "urgent, normal or bulk"),
    ("not-before", "RFC 3339 with offset"),
    ("expires-at", "RFC 3339 with offset"),
    ("account", "instead of what the routes say"),
    ("on-uncertain", "resend or wait"),
)


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "send",
        help="put jobs on the jobs topic",
        description="""
            Puts one job on the jobs topic, or with --file one for each line. It works beside a
            running daemon and without one.
        """,
        examples=[
            'carrierd send --config carrierd.toml --to 13800138000 --text "Hello" --wait',
            "carrierd send --config carrierd.toml --file jobs.jsonl",
        ],
        statuses={
            0: "all are stored; with --wait: all messages were delivered",
            1: "not",
            2: "wrong use or a bad configuration",
        },
    )
    config_option(parser)
    parser.add_argument(
        "--to", action="append", metavar="N", help="a recipient; several by commas or repetition"
    )
    parser.add_argument("--text", metavar="T")
    parser.add_argument("--id", metavar="ID", help="the idempotency key (default: a new one)")
    for flag, text in FIELDS:
        parser.add_argument(f"--{flag}", metavar="V", help=text or None)
    parser.add_argument("--no-report", action="store_true", help="ask for no delivery reports")
    parser.add_argument("--meta", type=_object, metavar="JSON", help="comes back in every report")
    parser.add_argument(
        "--file", metavar="F", help="JSON lines, one job each, sent as they are; - reads the input"
    )
    parser.add_argument("--wait", action="store_true", help="print what becomes of them")
    parser.add_argument("--timeout", type=float, metavar="S", help="of --wait, in seconds")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """0 when stored (with --wait: all delivered), 1 when not."""
    if args.file is None and not (args.to and args.text is not None):
        args.parser.error("--to and --text are required, or --file")
    if args.file is not None and (args.to or args.text is not None or args.id):
        args.parser.error("--file brings its own jobs: no --to, --text or --id with it")
    if args.file in (None, "-"):
        return _send(args, sys.stdin.buffer)
    try:
        with open(args.file, "rb") as file:
            return _send(args, file)
    except OSError as exc:
        print(f"carrierd send: {args.file}: {exc.strerror}", file=sys.stderr)
        return FAILED


def job(args: argparse.Namespace) -> dict[str, Any]:
    """The job that the flags describe, with the fields that were given."""
    fields: dict[str, Any] = {
        "id": args.id or str(uuid.uuid4()),
        "to": [number for each in args.to for number in each.split(",") if number.strip()],
        "text": args.text,
    }
    for flag, _ in FIELDS:
        name = flag.replace("-", "_")
        value = getattr(args, name)
        if value is not None:
            fields[name] = value
    if args.no_report:
        fields["report"] = False
    if args.meta is not None:
        fields["meta"] = args.meta
    return fields


def _send(args: argparse.Namespace, file: BinaryIO) -> int:
    if args.file is None:
        try:
            values = iter([orjson.dumps(job(args))])
        except TypeError as exc:  # an argument of bytes that are no text
            print(f"carrierd send: {exc}", file=sys.stderr)
            return FAILED
    else:
        values = _lines(file)

    async def work(config: Config, broker: Broker) -> int:
        following = Following(config, broker) if args.wait else None
        outlet = broker.outlet(config.broker.topics.jobs)
        try:
            await outlet.start()
            if following is not None:
                await following.start()
            count = await _store(outlet, config.broker.topics.jobs, values, following)
            print(
                f"stored {count} job{'s' if count != 1 else ''}",
                file=sys.stdout if following is None else sys.stderr,
                flush=True,
            )
            if following is None or await following.delivered(args.timeout):
                return 0
            return FAILED
        finally:
            await outlet.close()
            if following is not None:
                await following.close()

    return with_broker(args, work)


async def _store(
    outlet: Outlet,
    topics: Sequence[str],
    values: Iterator[bytes],
    following: Following | None,
) -> int:
    """How many jobs are stored: all, or BrokerError is raised and says where it stopped."""
    count = 0
    while batch := list(itertools.islice(values, BATCH)):
        records: list[tuple[str, bytes | None, bytes]] = []
        for value in batch:
            key, urgent = _look(value, count + len(records) + 1)
            records.append((topics[0] if urgent else topics[-1], key, value))
        if following is not None:
            following.expect(batch)
        try:
            await outlet.publish(records)
        except BrokerError as exc:
            raise BrokerError(
                f"{count} jobs are stored, the next {len(batch)} not all: {exc}"
            ) from exc
        count += len(batch)
    return count


def _look(value: bytes, number: int) -> tuple[bytes | None, bool]:
    """Key of a job, and whether it is urgent.

    One that the daemon will not take is stored all the same, and ends on the dead topic; the
    operator hears of it now.
    """
    try:
        parsed = decode(value, None, time.time())
    except JobError as exc:
        print(
            f"carrierd send: job {number}: {exc}; it will come out on the dead topic",
            file=sys.stderr,
        )
        return _key(value), False
    return parsed.id.encode(), parsed.priority is Lane.URGENT


def _key(value: bytes) -> bytes | None:
    try:
        name = orjson.loads(value)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    return name.encode() if isinstance(name, str) else None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return (stripped for line in file if (stripped := line.strip()))


def _object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return value
