"""A message centre's words for tests, spelled with struct so that they can disagree with ours."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from protocols.session import Clock, Limits, Session
from protocols.smpp.account import SmppAccount
from protocols.smpp.session import SmppSession

BIND_RX, BIND_TX, QUERY, SUBMIT, DELIVER, UNBIND = 1, 2, 3, 4, 5, 6
BIND_TRX, OUTBIND, ENQUIRE, MULTI, ALERT, DATA = 9, 0x0B, 0x15, 0x21, 0x102, 0x103
NACK = ANSWER = 0x80000000
REQUESTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0B, 0x15, 0x21, 0x102, 0x103, 0x111, 0x7777)
COMMANDS = [c | a for c in REQUESTS for a in (0, ANSWER)] + [NACK]


class Frame(NamedTuple):
    command: int
    status: int
    sequence: int
    body: bytes


def frames(data: bytes) -> list[Frame]:
    """What was written; it must end on a boundary."""
    found, at = [], 0
    while at < len(data):
        length, command, status, sequence = struct.unpack_from("!IIII", data, at)
        found.append(Frame(command, status, sequence, data[at + 16 : at + length]))
        at += length
    assert at == len(data)
    return found


def frame(command: int, sequence: int, body: bytes = b"", status: int = 0) -> bytes:
    return struct.pack("!IIII", 16 + len(body), command, status, sequence) + body


def bind(name: bytes, password: bytes, command: int = BIND_TRX, version: int = 0x34) -> bytes:
    body = name + b"\0" + password + b"\0\0" + bytes((version, 0, 0, 0))
    return frame(command, 1, body)


def bind_resp(sequence: int, status: int = 0, version: int | None = 0x34) -> bytes:
    if status:
        return frame(BIND_TRX | ANSWER, sequence, b"", status)
    tlv = b"" if version is None else struct.pack("!HHB", 0x210, 1, version)
    return frame(BIND_TRX | ANSWER, sequence, b"SMSC01\0" + tlv)


def submit_resp(sequence: int, message_id: bytes = b"4f2a9c01", status: int = 0) -> bytes:
    return frame(SUBMIT | ANSWER, sequence, b"" if status else message_id + b"\0", status)


def tlv(tag: int, value: bytes) -> bytes:
    return struct.pack("!HH", tag, len(value)) + value


def deliver(
    sequence: int,
    text: bytes,
    tlvs: bytes = b"",
    *,
    esm_class: int = 0,
    coding: int = 0,
    source: bytes = b"13800138000",
    dest: bytes = b"106900001234",
) -> bytes:
    body = b"\0\1\1" + source + b"\0\1\1" + dest + b"\0"
    body += bytes((esm_class, 0, 0, 0, 0, 0, 0, coding, 0, len(text))) + text + tlvs
    return frame(DELIVER, sequence, body)


def receipt(
    sequence: int, message_id: bytes = b"4f2a9c01", stat: bytes = b"DELIVRD", tlvs: bytes = b""
) -> bytes:
    text = (
        b"id:" + message_id + b" sub:001 dlvrd:001 submit date:2611221015 done date:2611221016"
        b" stat:" + stat + b" err:000 text:Hello"
    )
    return deliver(sequence, text, tlvs, esm_class=4)


def limits(window: int = 4) -> Limits:
    return Limits(window=window, answer_within=5.0, bind_within=5.0, keepalive=30.0)


class SmppCarrier:
    """What `machine.py` wants to know of the other side."""

    name = "smpp-3.4"
    submit = SUBMIT
    deliver_answer = DELIVER | ANSWER
    commands = tuple(COMMANDS)
    throttle, refusal = 0x58, 0x0B
    wrong_password, busy = 0x0E, 0x0D

    def client(self, limits: Limits, *, first_sequence: int = 1) -> Session:
        account = SmppAccount("smppclient1", "password")
        return SmppSession(account, limits, Clock(), first_sequence=first_sequence)

    def frames(self, data: bytes) -> list[tuple[int, Any, bytes]]:
        return [(f.command, f.sequence, f.body) for f in frames(data)]

    def frame(self, command: int, sequence: Any, body: bytes = b"") -> bytes:
        return frame(command, sequence, body)

    def number(self, n: int) -> Any:
        return n

    def login_answer(self, login: tuple[int, Any, bytes], status: int = 0) -> bytes:
        return bind_resp(login[1], status)

    def submit_answer(self, sequence: Any, result: int = 0, message: int = 1) -> bytes:
        return submit_resp(sequence, b"%08x" % message, result)

    def report(self, n: int, message: int) -> bytes:
        return receipt(n, b"%08x" % message)

    def inbound(self, n: int, content: bytes) -> bytes:
        return deliver(n, content)

    def farewell(self, n: int) -> bytes:
        return frame(UNBIND, n)

    def farewell_answer(self, farewell: tuple[int, Any, bytes]) -> bytes:
        return frame(UNBIND | ANSWER, farewell[1])
