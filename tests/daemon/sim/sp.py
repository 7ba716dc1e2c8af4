"""Clients for the simulated gateways: one over the project's own sessions, one of plain structs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import struct
import time
from collections.abc import Callable
from typing import Any

from protocols.cmpp.account import CmppAccount
from protocols.cmpp.session import CmppSession
from protocols.events import Bound, Event, Received, Reported
from protocols.part import Coding, Part
from protocols.session import Clock, Limits, Session, State
from protocols.sgip.frames import Counter
from protocols.sgip.session import SgipAccount, SgipSession
from protocols.smgp.account import SmgpAccount
from protocols.smgp.session import SmgpSession
from protocols.smpp.account import SmppAccount
from protocols.smpp.session import SmppSession

SOON = 30.0

OPENED: list[Sp | PlainCmpp] = []
"""What a test opened and the fixture `closing` closes."""


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until both ends have got that far."""
    async with asyncio.timeout(SOON):
        # Both ends live in this loop, and neither tells the test.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.0005)


class Sp(asyncio.Protocol):
    """Drives one client session, keeps its events, and acknowledges what it is told."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[Event] = []
        self.acknowledges: tuple[type[Any], ...] = (Reported, Received)
        self.closed = False
        self.chunks: list[int] = []
        self.loop = asyncio.get_running_loop()
        self._transport: Any = None
        OPENED.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.session.start(self.loop.time())
        self._turn([])

    def data_received(self, data: bytes) -> None:
        self.chunks.append(len(data))
        self._turn(self.session.receive(data, self.loop.time()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._turn(self.session.lost("connection lost"))

    def submit(self, *parts: Part) -> None:
        for part in parts:
            self.session.submit(part, part, self.loop.time())
        self._turn([])

    def tick(self) -> None:
        self._turn(self.session.tick(self.loop.time()))

    def hang_up(self) -> None:
        self._transport.abort()

    async def end(self) -> None:
        if self._transport is not None and not self.closed:
            self.hang_up()
            await until(lambda: self.closed)

    def farewell(self) -> None:
        self._turn(self.session.close(self.loop.time()))

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def got(self, kind: type[Any], count: int = 1) -> list[Any]:
        await until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def _turn(self, events: list[Event]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, self.acknowledges):
                self.session.acknowledge(event.receipt)
        data = self.session.outgoing()
        if data and not self.closed:
            self._transport.write(data)
        if self.session.state is State.CLOSED and not self.closed:
            self._transport.close()


async def connect(session: Session, port: int) -> Sp:
    """A client whose login is on its way."""
    loop = asyncio.get_running_loop()
    _, sp = await loop.create_connection(lambda: Sp(session), "127.0.0.1", port)
    return sp


async def bound(session: Session, port: int) -> Sp:
    """A client that is logged in."""
    sp = await connect(session, port)
    await sp.got(Bound)
    return sp


def clock() -> Clock:
    return Clock(time.time() - asyncio.get_running_loop().time())


CREDENTIALS = {
    "cmpp": ("901234", "abcd1234"),
    "sgip": ("user", "gipsecret"),
    "smgp": ("85001234", "shared-secret"),
    "smpp": ("esme", "password"),
}


def client(
    protocol: str = "cmpp", *, secret: str | None = None, window: int = 64, mode: str = "trx"
) -> Session:
    """A client session with the right credentials, or another secret."""
    login, right = CREDENTIALS[protocol]
    said = right if secret is None else secret
    limits = Limits(window=window, answer_within=1.0)
    if protocol == "cmpp":
        return CmppSession(CmppAccount(source_addr=login, secret=said), limits, clock())
    if protocol == "sgip":
        sgip = SgipAccount(login=login, secret=said, node_id=3025112345, corp_id="12345")
        return SgipSession(sgip, limits, clock(), counter=Counter())
    if protocol == "smgp":
        return SmgpSession(SmgpAccount(client_id=login, secret=said), limits, clock())
    smpp = SmppAccount(login=login, secret=said, mode=mode)  # type: ignore[arg-type]
    return SmppSession(smpp, limits, clock())


def part(number: int = 0, to: str = "", text: str = "") -> Part:
    """One of many different parts."""
    content = (text or f"验证码{number:06}").encode("utf-16-be")
    return Part(to or f"139{number:08}", "106575257777", content, Coding.UCS2)


class PlainCmpp:
    """CMPP 3.0 as the specification's tables have it, without anything of the project."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.sequence = 0
        OPENED.append(self)

    @classmethod
    async def connect(cls, port: int) -> PlainCmpp:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def write(self, command: int, body: bytes = b"", sequence: int | None = None) -> int:
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        self.writer.write(struct.pack("!III", 12 + len(body), command, sequence) + body)
        return sequence

    async def read(self) -> tuple[int, int, bytes]:
        async with asyncio.timeout(SOON):
            length, command, sequence = struct.unpack("!III", await self.reader.readexactly(12))
            return command, sequence, await self.reader.readexactly(length - 12)

    async def login(self, name: bytes = b"901234", secret: bytes = b"abcd1234") -> int:
        """The status of the answer."""
        digest = hashlib.md5(name + bytes(9) + secret + b"1122101530").digest()
        self.write(1, struct.pack("!6s16sBI", name, digest, 0x30, 1122101530))
        command, _, body = await self.read()
        assert command == 0x80000001
        status, _, version = struct.unpack("!I16sB", body)
        assert version == 0x30
        return status

    def submit(self, to: bytes = b"13912345678", text: str = "你好", src: bytes = b"1065") -> int:
        content = text.encode("utf-16-be")
        body = struct.pack(
            "!QBBBB10sB32sBBBB6s2s6s17s17s21sB32sBB",
            *(0, 1, 1, 1, 1, b"XZ12123", 2, b"", 0, 0, 0, 8, b"901234", b"01", b"000000"),
            *(b"", b"", src, 1, to, 0, len(content)),
        )
        return self.write(4, body + content + bytes(20))

    async def answer(self) -> tuple[int, int, int]:
        """Sequence, Msg_Id and result of the next answer to a submit."""
        command, sequence, body = await self.read()
        assert command == 0x80000004
        msg_id, result = struct.unpack("!QI", body)
        return sequence, msg_id, result

    async def deliver(self) -> tuple[int, int, int, bytes]:
        """Sequence, Msg_Id, Registered_Delivery and content of the next delivery, answered."""
        command, sequence, body = await self.read()
        assert command == 5
        fields = struct.unpack_from("!Q21s10sBBB32sBBB", body)
        self.write(0x80000005, struct.pack("!QI", fields[0], 0), sequence)
        return sequence, fields[0], fields[8], body[77 : 77 + fields[9]]

    async def end(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
