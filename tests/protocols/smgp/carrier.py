"""An SMGP gateway of plain struct, so that it and `protocols/` cannot be wrong together."""

from __future__ import annotations

import struct
from hashlib import md5
from typing import Any

from protocols.session import Clock, Limits
from protocols.smgp.account import SmgpAccount
from protocols.smgp.session import SmgpSession

from ..machine import Frame

HEADER = struct.Struct("!III")
LOGIN, SUBMIT, DELIVER, ACTIVE_TEST, EXIT, QUERY = 1, 2, 3, 4, 6, 7
ANSWER = 0x80000000
SECRET = "0555"

CLOCK = Clock(epoch=1_795_313_730.0)  # 2026-11-22 10:15:30 in Beijing


def message_id(message: int) -> bytes:
    """With letters and NULs inside, as real gateways have them."""
    return bytes.fromhex("6495c36ac4ea6b00") + struct.pack("!H", message)


class SmgpCarrier:
    name = "smgp-3.0"
    submit = SUBMIT
    deliver_answer = DELIVER | ANSWER
    commands = tuple(c | a for c in (1, 2, 3, 4, 5, 6, 7, 12) for a in (0, ANSWER))
    throttle = 1
    refusal = 47
    wrong_password = 21
    busy = 2

    def client(self, limits: Limits, *, first_sequence: int = 1) -> SmgpSession:
        return SmgpSession(SmgpAccount("333", SECRET), limits, CLOCK, first_sequence=first_sequence)

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
        assert command == LOGIN
        said = struct.pack("!I", status)
        proof = bytes(16) if status else md5(said + body[8:24] + SECRET.encode()).digest()
        return self.frame(LOGIN | ANSWER, sequence, said + proof + b"\x30")

    def submit_answer(self, sequence: Any, result: int = 0, message: int = 1) -> bytes:
        said = message_id(message) + struct.pack("!I", result)
        return self.frame(SUBMIT | ANSWER, sequence, said)

    def report(self, n: int, message: int, said: bytes = b"DELIVRD err:000") -> bytes:
        content = b"id:%b sub:001 dlvrd:001 submit date:2611221015 done date:2611221016 stat:%b" % (
            message_id(message),
            said,
        )
        return self.deliver(n, content + b" text:" + bytes(20), is_report=1)

    def inbound(self, n: int, content: bytes) -> bytes:
        return self.deliver(n, content)

    def deliver(
        self, n: int, content: bytes, *, is_report: int = 0, fmt: int = 0, tail: bytes = b""
    ) -> bytes:
        head = struct.pack(
            "!8sHBB14s21s21sB",
            b"\x01\x00\x61\x01\x16\x17\x00\x01",
            n & 0xFFFF,
            is_report,
            fmt,
            b"20261122101530",
            b"13300133000",
            b"106590001234",
            len(content),
        )
        return self.frame(DELIVER, n, head + content + bytes(8) + tail)

    def farewell(self, n: int) -> bytes:
        return self.frame(EXIT, n)

    def farewell_answer(self, farewell: Frame) -> bytes:
        command, sequence, _ = farewell
        assert command == EXIT
        return self.frame(EXIT | ANSWER, sequence)
