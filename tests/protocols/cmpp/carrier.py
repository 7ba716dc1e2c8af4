"""A CMPP gateway of plain struct, so that it and `protocols/` cannot be wrong together."""

from __future__ import annotations

import struct
from hashlib import md5
from typing import Any

from protocols.cmpp.account import CmppAccount
from protocols.cmpp.session import CmppSession
from protocols.session import Clock, Limits

from ..machine import Frame

HEADER = struct.Struct("!III")
CONNECT, TERMINATE, SUBMIT, DELIVER, QUERY, CANCEL, ACTIVE_TEST = 1, 2, 4, 5, 6, 7, 8
ANSWER = 0x80000000
SECRET = "abcd1234"

CLOCK = Clock(epoch=1_795_313_730.0)  # 2026-11-22 10:15:30 in Beijing


def message_id(message: int) -> bytes:
    return struct.pack("!Q", 0xBB28F781E2400000 + message)


class CmppCarrier:
    submit = SUBMIT
    deliver_answer = DELIVER | ANSWER
    commands = tuple(c | a for c in (1, 2, 4, 5, 6, 7, 8, 9) for a in (0, ANSWER))
    throttle = 8
    refusal = 13
    wrong_password = 3
    busy = 56

    def __init__(self, version: str) -> None:
        self.version = version
        self.name = f"cmpp-{version}"
        self.result = "I" if version == "3.0" else "B"

    def client(self, limits: Limits, *, first_sequence: int = 1) -> CmppSession:
        account = CmppAccount("901234", SECRET, version=self.version)
        return CmppSession(account, limits, CLOCK, first_sequence=first_sequence)

    def frames(self, data: bytes) -> list[Frame]:
        """The data must end on a boundary."""
        out, at = [], 0
        while at < len(data):
            length, command, sequence = HEADER.unpack_from(data, at)
            out.append((command, sequence, data[at + 12 : at + length]))
            at += length
        assert at == len(data)
        return out

    def frame(self, command: int, sequence: Any, body: bytes = b"") -> bytes:
        return HEADER.pack(12 + len(body), command, sequence) + body

    def number(self, n: int) -> int:
        return n

    def login_answer(self, login: Frame, status: int = 0) -> bytes:
        command, sequence, body = login
        assert command == CONNECT
        said = struct.pack("!" + self.result, status)
        proof = bytes(16) if status else md5(said + body[6:22] + SECRET.encode()).digest()
        version = b"\x30" if self.version == "3.0" else b"\x20"
        return self.frame(CONNECT | ANSWER, sequence, said + proof + version)

    def submit_answer(self, sequence: Any, result: int = 0, message: int = 1) -> bytes:
        said = message_id(message) + struct.pack("!" + self.result, result)
        return self.frame(SUBMIT | ANSWER, sequence, said)

    def report(self, n: int, message: int, stat: bytes = b"DELIVRD", width: int = 0) -> bytes:
        width = width or (32 if self.version == "3.0" else 21)
        content = struct.pack(
            f"!8s7s10s10s{width}sI",
            message_id(message),
            stat,
            b"2611221015",
            b"2611221016",
            b"13800138000",
            7,
        )
        return self.deliver(n, content, registered_delivery=1)

    def inbound(self, n: int, content: bytes) -> bytes:
        return self.deliver(n, content)

    def deliver(
        self, n: int, content: bytes, *, registered_delivery: int = 0, udhi: int = 0, fmt: int = 0
    ) -> bytes:
        source = "32sB" if self.version == "3.0" else "21s"
        values: list[Any] = [b"13800138000", 0] if self.version == "3.0" else [b"13800138000"]
        head = struct.pack(
            f"!Q21s10sBBB{source}BB",
            0x5000 + n,
            b"106900001234",
            b"OTP",
            0,
            udhi,
            fmt,
            *values,
            registered_delivery,
            len(content),
        )
        tail = bytes(20 if self.version == "3.0" else 8)
        return self.frame(DELIVER, n, head + content + tail)

    def farewell(self, n: int) -> bytes:
        return self.frame(TERMINATE, n)

    def farewell_answer(self, farewell: Frame) -> bytes:
        command, sequence, _ = farewell
        assert command == TERMINATE
        return self.frame(TERMINATE | ANSWER, sequence)
