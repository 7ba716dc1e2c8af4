"""`carrierd decode`: PDUs in hexadecimal as text or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from daemon.cli.page import page
from protocols.errors import DecodeError
from protocols.explain import VERSIONS, Explained, explain

BAD_INPUT = 2

CONTENT = {
    "cmpp": ("msg_content_hex", "msg_fmt"),
    "sgip": ("message_content_hex", "message_coding"),
    "smgp": ("msg_content_hex", "msg_format"),
    "smpp": ("short_message_hex", "data_coding"),
}
"""Where each protocol has its text, and what says how to read it."""

WIDTH = 28


def add(subparsers: Any) -> None:
    parser = page(
        subparsers,
        "decode",
        help="PDUs in hexadecimal as text",
        description="Shows PDUs that are given in hexadecimal, as text or as JSON.",
        examples=[
            "carrierd decode cmpp-3.0 0000000c0000000800000001",
            "carrierd decode smpp --json 00000010 00000015 00000000 00000001",
            "xxd -p capture.bin | carrierd decode smgp -",
        ],
        statuses={0: "all is decoded", 2: "wrong use, or with the offset of the first wrong byte"},
    )
    parser.add_argument(
        "protocol",
        type=_protocol,
        metavar="PROTOCOL[-VERSION]",
        help=f"{', '.join(_names())}; the newest version when left out",
    )
    parser.add_argument("hex", nargs="+", metavar="HEX", help="the octets; - reads standard input")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=run, logs=False)


def run(args: argparse.Namespace) -> int:
    """0, or 2 when an octet is wrong; what comes before it is printed all the same."""
    protocol, version = args.protocol
    text = sys.stdin.read() if args.hex == ["-"] else " ".join(args.hex)
    data, stray = octets(text)
    found: list[Explained] = []
    wrong: DecodeError | None = None
    try:
        for pdu in explain(protocol, version, data):
            if args.json:
                found.append(pdu)
            else:
                print("\n".join(lines(protocol, pdu)))
    except DecodeError as exc:
        wrong = exc
    if args.json:
        print(json.dumps([_record(pdu) for pdu in found], ensure_ascii=False, indent=1))
    if stray and (wrong is None or wrong.offset >= len(data)):
        wrong = DecodeError(stray, offset=len(data))
    if wrong is None and not data:
        wrong = DecodeError("no octets were given")
    if wrong is None:
        return 0
    sys.stdout.flush()
    print(f"carrierd decode: wrong at offset {wrong.offset}: {wrong}", file=sys.stderr)
    return BAD_INPUT


def octets(text: str) -> tuple[bytes, str]:
    """The octets, and what is wrong behind the last of them ("" when nothing is).

    White space and a 0x in front of a group of digits do not count.
    """
    digits: list[str] = []
    for word in text.split():
        bare = word[2:] if word[:2] in ("0x", "0X") else word
        for place, character in enumerate(bare):
            if character not in "0123456789abcdefABCDEF":
                digits.append(bare[:place])
                whole = "".join(digits)
                return _pairs(whole), f"{character!r} is not a hexadecimal digit"
        digits.append(bare)
    whole = "".join(digits)
    return _pairs(whole), "half an octet at the end" if len(whole) % 2 else ""


def lines(protocol: str, pdu: Explained) -> Iterator[str]:
    """A PDU for people: a line that says what it is, a field a line, and its text."""
    yield f"{pdu.pdu}  version {pdu.version}, offset {pdu.offset}, {pdu.length} octets"
    yield from fields(pdu.fields, 1)
    yield from _text(protocol, pdu.fields)


def fields(values: dict[str, Any], depth: int) -> Iterator[str]:
    """A field a line, `depth` steps in."""
    for name, value in values.items():
        yield from _field(name, value, depth)


def _field(name: str, value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, dict):
        yield "  " * depth + name
        yield from fields(value, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, item in enumerate(value):
            yield from _field(f"{name}[{place}]", item, depth)
    else:
        yield _line(name, ", ".join(map(str, value)) if isinstance(value, list) else value, depth)


def _line(name: str, shown: Any, depth: int = 1) -> str:
    margin = "  " * depth
    return f"{margin + name:<{WIDTH}}  {shown}".rstrip()


def _text(protocol: str, fields: dict[str, Any]) -> Iterator[str]:
    content_name, coding_name = CONTENT[protocol]
    if not fields.get(content_name) or "report" in fields:
        return
    from protocols.text import coding, header  # alphabets, which take long

    content = bytes.fromhex(fields[content_name])
    head = header.guess(content)
    if head is not None:
        said = f"part {head.number} of {head.total}, reference {head.reference}"
        yield _line("= concatenation", said)
        content = head.rest
    text = coding.decode(content, fields[coding_name], protocol)
    yield _line("= text", "".join(c if c.isprintable() else repr(c)[1:-1] for c in text))


def _record(pdu: Explained) -> dict[str, Any]:
    return {
        "pdu": pdu.pdu,
        "version": pdu.version,
        "offset": pdu.offset,
        "length": pdu.length,
        "fields": pdu.fields,
    }


def _pairs(digits: str) -> bytes:
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def _names() -> list[str]:
    return [f"{protocol}-{version}" for protocol in VERSIONS for version in VERSIONS[protocol]]


def _protocol(text: str) -> tuple[str, str | None]:
    protocol, dash, version = text.partition("-")
    if protocol not in VERSIONS or (dash and version not in VERSIONS[protocol]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not known; allowed are {', '.join(VERSIONS)}, {', '.join(_names())}"
        )
    return protocol, version or None
