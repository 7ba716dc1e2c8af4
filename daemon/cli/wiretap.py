"""`carrierd wiretap`: PDUs of an account as they pass, decoded, with nothing secret in them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

from daemon.cli import asking, names
from daemon.cli.page import config_option, page
from daemon.cli.paint import Paint
from daemon.control.client import NotRunning, Refused, follow
from daemon.control.requests import Wiretap

if TYPE_CHECKING:
    from daemon.clock import Stamps
    from daemon.wiretap.pcap import Flow, Pcap

USUAL = 60.0


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "wiretap",
        help="PDUs of an account as they pass, decoded",
        description="""
            Shows what goes over an account's connections from now on, a PDU each, those that are
            made meanwhile included. The daemon hides what is nobody's business before it lets it
            out: of phone numbers the middle, of texts everything but their length, passwords and
            login digests, octets and optional parameters that it does not know. Lengths stay as
            they are. The account's own access number is shown.

            The daemon waits for nobody: what cannot be shown in time, some 2000 PDUs a second, is
            left out and counted. Who looked at what is logged.

            With --pcap the same goes into a capture file, in packets made up with the real
            addresses and ports; - writes it to standard output. Wireshark knows CMPP at port
            7890 and SMPP, which it finds anywhere and also where it is none. So for CMPP:

             tshark --disable-heuristic smpp_tcp -d tcp.port==7891,cmpp -r FILE
        """,
        examples=[
            "carrierd wiretap xz-mobile --for 60 --config carrierd.toml",
            "carrierd wiretap xz-mobile --node nj-1 --json --config carrierd.toml",
            "carrierd wiretap xz-mobile --pcap mobile.pcap --config carrierd.toml",
            "carrierd wiretap xz-mobile --pcap - --config carrierd.toml | wireshark -k -i -",
        ],
        statuses={0: "the time has passed"} | asking.STATUSES | {130: "Ctrl-C"},
    )
    account = parser.add_argument("account", metavar="ACCOUNT")
    account.completer = names.accounts  # type: ignore[attr-defined]
    node = parser.add_argument("--node", metavar="N", help="only connections to this node")
    node.completer = names.nodes  # type: ignore[attr-defined]
    parser.add_argument(
        "--for",
        dest="seconds",
        type=asking.seconds,
        default=USUAL,
        metavar="S",
        help="so many seconds (%(default)g)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON object a line")
    how.add_argument("--pcap", metavar="FILE", help="a capture file; - is standard output")
    config_option(parser)
    parser.set_defaults(run=run, logs=False)


def run(args: argparse.Namespace) -> int:
    from daemon.clock import Stamps

    settings = asking.configuration(args).daemon
    stamps = Stamps(settings.timezone)
    request = Wiretap(account=args.account, node=args.node, seconds=args.seconds)
    with ExitStack() as stack:
        try:
            lines = follow(settings.state_dir, request)
            head = next(lines)
            show = _Shower(args, head["protocol"], stamps, _file(args, stack))
            for line in lines:
                show.take(line)
        except (NotRunning, Refused) as exc:
            return asking.ended(args, exc).status
        except OSError as exc:
            if args.pcap is None or isinstance(exc, BrokenPipeError):
                raise
            print(f"carrierd wiretap: {args.pcap}: {exc.strerror}", file=sys.stderr)
            return asking.REFUSED
    return 0


def _file(args: argparse.Namespace, stack: ExitStack) -> BinaryIO | None:
    if args.pcap is None:
        return None
    if args.pcap == "-":
        return sys.stdout.buffer
    # Whom people write to is in it, stars or not.
    made = os.open(args.pcap, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return stack.enter_context(os.fdopen(made, "wb"))


class _Shower:
    """Lines of the daemon, to standard output or into a capture."""

    def __init__(
        self, args: argparse.Namespace, protocol: str, stamps: Stamps, file: BinaryIO | None
    ) -> None:
        self.args = args
        self.protocol = protocol
        self.stamps = stamps
        self.links: dict[int, dict[str, Any]] = {}
        self.paint = Paint(sys.stdout)
        self.pcap: Pcap | None = None
        self.flows: dict[int, Flow] = {}
        if file is not None:
            from daemon.wiretap.pcap import Pcap

            self.pcap = Pcap(file)

    def take(self, line: dict[str, Any]) -> None:
        if "pdu" in line:
            self._pdu(line)
        elif "link" in line:
            self.links[line["link"]] = line
        elif "end" in line:
            lost = f", {line['lost']} left out" if line["lost"] else ""
            print(f"carrierd wiretap: {line['shown']} PDUs{lost}", file=sys.stderr)
        elif self.args.json:
            print(json.dumps(line), flush=True)
        else:
            print(f"carrierd wiretap: {line['lost']} PDUs left out", file=sys.stderr)

    def _pdu(self, line: dict[str, Any]) -> None:
        link = self.links[line["link"]]
        pdu = bytes.fromhex(line["pdu"])
        if self.pcap is not None:
            self._capture(line, link, pdu)
            return
        from daemon.wiretap.reading import read

        found = read(self.protocol, line["version"], pdu)
        at = self.stamps.text(line["at"]) or ""
        if self.args.json:
            seen = {"at": at, "node": link["node"], "link": line["link"], "dir": line["dir"]}
            print(json.dumps(seen | found, ensure_ascii=False), flush=True)
            return
        print("\n".join(self._lines(at, link, line, found)), flush=True)

    def _lines(
        self, at: str, link: dict[str, Any], line: dict[str, Any], found: dict[str, Any]
    ) -> Iterator[str]:
        incoming = line["dir"] == "in"
        arrow = self.paint("<" if incoming else ">", "cyan" if incoming else "green")
        # Not a bind's number: it counts connections, of which a bind has one after the other.
        where = f"{link['node']}, connection {line['link']}"
        name = self.paint(found["pdu"], "bold")
        yield f"{at[11:23]}  {where}  {arrow} {name}  {found['length']} octets"
        if "error" in found:
            yield f"    {self.paint(found['error'], 'red')}"
        from daemon.cli.decode import fields

        # Half of a submit's fields are empty, and there are many submits.
        yield from fields({k: v for k, v in found["fields"].items() if v not in ("", [])}, 2)

    def _capture(self, line: dict[str, Any], link: dict[str, Any], pdu: bytes) -> None:
        assert self.pcap is not None, "asked for"
        from daemon.wiretap.pcap import Flow

        flow = self.flows.get(line["link"])
        if flow is None:
            local, remote = (_address(link[end]) for end in ("local", "remote"))
            flow = Flow(local, remote, called=link["called"])
            self.flows[line["link"]] = flow
        self.pcap.write(line["at"], flow, line["dir"] == "in", pdu)


def _address(end: list[Any] | None) -> tuple[str, int]:
    """A connection that ended before it could be asked has none."""
    if end is None:
        return "0.0.0.0", 0  # noqa: S104  # nothing is bound to it
    return str(end[0]).partition("%")[0], int(end[1])
