"""A gateway's words for tests, spelled with struct so that they can disagree with ours."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any, NamedTuple

from protocols.session import BEIJING, Clock, Limits, Session
from protocols.sgip.account import SgipAccount
from protocols.sgip.frames import Counter
from protocols.sgip.session import SgipSession

BIND, UNBIND, SUBMIT, DELIVER, REPORT, USERRPT, TRACE = 1, 2, 3, 4, 5, 0x11, 0x1000
ANSWER = 0x80000000
COMMANDS = [c | a for c in (1, 2, 3, 4, 5, 6, 0x10, 0x11, 0x1000) for a in (0, ANSWER)]

AT = datetime(2026, 1, 8, 9, 30, 5, tzinfo=BEIJING)
CLOCK = Clock(epoch=AT.timestamp())
"""Its zero is the time of the vectors' second sequence, 0108093005."""


class Frame(NamedTuple):
    command: int
    sequence: bytes
    body: bytes


def frames(data: bytes) -> list[Frame]:
    """What was written; it must end on a boundary."""
    found, at = [], 0
    while at < len(data):
        length, command = struct.unpack_from("!II", data, at)
        found.append(Frame(command, data[at + 8 : at + 20], data[at + 20 : at + length]))
        at += length
    assert at == len(data)
    return found


def frame(command: int, sequence: bytes, body: bytes = b"") -> bytes:
    return struct.pack("!II", 20 + len(body), command) + sequence + body


def sequence(counter: int, node: int = 10210, time: int = 1122101530) -> bytes:
    return struct.pack("!III", node, time, counter)


def resp(command: int, to: bytes, result: int = 0) -> bytes:
    return frame(command | ANSWER, to, struct.pack("!B8s", result, b""))


def bind(name: str, password: str, kind: int = 2, counter: int = 1) -> bytes:
    body = struct.pack("!B16s16s8s", kind, name.encode(), password.encode(), b"")
    return frame(BIND, sequence(counter), body)


def report(
    counter: int, submit: bytes, state: int = 0, error: int = 0, number: bytes = b"8613012345678"
) -> bytes:
    body = struct.pack("!12sB21sBB8s", submit, 0, number, state, error, b"")
    return frame(REPORT, sequence(counter), body)


def deliver(counter: int, content: bytes, coding: int = 0, udhi: int = 0) -> bytes:
    head = struct.pack(
        "!21s21sBBBI", b"8613012345678", b"106550101234", 0, udhi, coding, len(content)
    )
    return frame(DELIVER, sequence(counter), head + content + bytes(8))


def userrpt(counter: int, condition: int) -> bytes:
    body = struct.pack("!21s21sB8s", b"106550101234", b"8613012345678", condition, b"")
    return frame(USERRPT, sequence(counter), body)


def limits(window: int = 4) -> Limits:
    return Limits(window=window, answer_within=5.0, bind_within=5.0, keepalive=30.0)


class SgipCarrier:
    """What `machine.py` wants to know of the other side."""

    name = "sgip-1.2"
    submit = SUBMIT
    deliver_answer = DELIVER | ANSWER
    commands = tuple(COMMANDS)
    throttle, refusal = 88, 5
    wrong_password, busy = 1, 3

    def client(self, limits: Limits, *, first_sequence: int = 1) -> Session:
        account = SgipAccount("sp12345", "pw123456", 3010012345, "12345")
        return SgipSession(account, limits, CLOCK, counter=Counter(first_sequence))

    def frames(self, data: bytes) -> list[tuple[int, Any, bytes]]:
        return [*frames(data)]

    def frame(self, command: int, sequence: Any, body: bytes = b"") -> bytes:
        return frame(command, sequence, body)

    def number(self, n: int) -> Any:
        return sequence(n)

    def login_answer(self, login: tuple[int, Any, bytes], status: int = 0) -> bytes:
        return resp(BIND, login[1], status)

    def submit_answer(self, sequence: Any, result: int = 0, message: int = 1) -> bytes:
        return resp(SUBMIT, sequence, result)

    def report(self, n: int, message: int) -> bytes:
        return report(n, sequence(message), number=b"8613800138000")

    def inbound(self, n: int, content: bytes) -> bytes:
        return deliver(n, content)

    def farewell(self, n: int) -> bytes:
        return frame(UNBIND, sequence(n))

    def farewell_answer(self, farewell: tuple[int, Any, bytes]) -> bytes:
        return frame(UNBIND | ANSWER, farewell[1])
