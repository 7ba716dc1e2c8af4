"""The three SMPP clients do their part against a gateway written here from the specification.

The gateway shares nothing with the project: struct and the field tables of SMPP 3.4 section 4.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.peers.smpp import NAMES, Message, Name, RefusedError, submit_with

ENQUIRE_LINK, SUBMIT_SM, DELIVER_SM, UNBIND, BIND_TRANSCEIVER = 0x15, 4, 5, 6, 9
ANSWER = 0x80000000
MESSAGE_PAYLOAD, SAR_REF, SAR_TOTAL, SAR_NUMBER = 0x0424, 0x020C, 0x020E, 0x020F
LONG = "长短信" * 40 + "😀完"


@dataclass
class Submit:
    source: str
    destination: str
    esm_class: int
    registered: int
    coding: int
    octets: bytes
    tlvs: dict[int, bytes]

    @property
    def way(self) -> str:
        if MESSAGE_PAYLOAD in self.tlvs:
            return "payload"
        if self.esm_class & 0x40:
            return "udh"
        return "sar" if SAR_REF in self.tlvs else "whole"

    @property
    def text(self) -> bytes:
        body = self.tlvs.get(MESSAGE_PAYLOAD, self.octets)
        return body[1 + body[0] :] if self.way == "udh" else body


@dataclass
class Smsc:
    """Accepts one login, answers every submit with an id of its own and a receipt."""

    port: int = 0
    status: int = 0
    receipts: bool = True
    submits: list[Submit] = field(default_factory=list)
    taken: list[tuple[int, int]] = field(default_factory=list)
    unbound: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self.unbound:
                head = await reader.readexactly(16)
                length, command, status, sequence = struct.unpack(">4I", head)
                body = await reader.readexactly(length - 16)
                self.answer(writer, command, status, sequence, body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.gone.set()

    def answer(
        self,
        writer: asyncio.StreamWriter,
        command: int,
        status: int,
        sequence: int,
        body: bytes,
    ) -> None:
        if command == BIND_TRANSCEIVER:
            login, password = body.split(b"\0")[:2]
            good = (login, password) == (b"esme", b"secret")
            tlv = struct.pack(">HHB", 0x0210, 1, 0x34)
            send(writer, command | ANSWER, sequence, b"smsc\0" + tlv, 0 if good else 0x0E)
        elif command == SUBMIT_SM and self.status:
            send(writer, command | ANSWER, sequence, b"", self.status)
        elif command == SUBMIT_SM:
            submit = parse_submit(body)
            self.submits.append(submit)
            id_ = f"id-{len(self.submits):04d}"
            send(writer, command | ANSWER, sequence, id_.encode() + b"\0")
            if self.receipts and submit.registered & 3 == 1:
                send(writer, DELIVER_SM, 1000 + len(self.submits), receipt(submit, id_))
        elif command == DELIVER_SM | ANSWER:
            self.taken.append((sequence, status))
        elif command in (ENQUIRE_LINK, UNBIND):
            self.unbound = command == UNBIND
            send(writer, command | ANSWER, sequence, b"")


def send(
    writer: asyncio.StreamWriter, command: int, sequence: int, body: bytes, status: int = 0
) -> None:
    body = b"" if status else body
    writer.write(struct.pack(">4I", 16 + len(body), command, status, sequence) + body)


def receipt(submit: Submit, id_: str) -> bytes:
    text = (
        f"id:{id_} sub:001 dlvrd:001 submit date:2611221030 done date:2611221031"
        " stat:DELIVRD err:000 text:"
    ).encode()
    addresses = f"\0\0{submit.destination}\0\0\0{submit.source}\0".encode()
    tlv = struct.pack(">HH", 0x001E, len(id_) + 1) + id_.encode() + b"\0"
    state = struct.pack(">HHB", 0x0427, 1, 2)
    flags = b"\x04\0\0\0\0\0\0\0\0"
    return b"\0" + addresses + flags + bytes([len(text)]) + text + tlv + state


def parse_submit(body: bytes) -> Submit:
    at = 0

    def string() -> str:
        nonlocal at
        end = body.index(b"\0", at)
        value, at = body[at:end], end + 1
        return value.decode("ascii")

    def octet() -> int:
        nonlocal at
        at += 1
        return body[at - 1]

    string()
    octet(), octet()
    source = string()
    octet(), octet()
    destination = string()
    esm_class, _protocol, _priority = octet(), octet(), octet()
    string(), string()
    registered, _replace, coding, _default = octet(), octet(), octet(), octet()
    length = octet()
    octets, at = body[at : at + length], at + length
    tlvs = {}
    while at < len(body):
        tag, size = struct.unpack_from(">HH", body, at)
        tlvs[tag] = body[at + 4 : at + 4 + size]
        at += 4 + size
    return Submit(source, destination, esm_class, registered, coding, octets, tlvs)


@asynccontextmanager
async def gateway(status: int = 0, receipts: bool = True) -> AsyncIterator[Smsc]:
    smsc = Smsc(status=status, receipts=receipts)
    server = await asyncio.start_server(smsc.serve, "127.0.0.1", 0)
    smsc.port = server.sockets[0].getsockname()[1]
    async with server:
        yield smsc


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> Name:
    name: Name = request.param
    return name


async def test_every_message_gets_its_ids_and_a_receipt_for_each(name: Name) -> None:
    messages = [
        Message("8613800138000", "hello, world"),
        Message("8613800138001", "你好，世界"),
        Message("8613800138002", LONG),
        Message("8613800138003", "x" * 200),
    ]
    async with gateway() as smsc:
        outcome = await submit_with(name, "127.0.0.1", smsc.port, "esme", "secret", messages)
        ids = [id_ for part in outcome.ids for id_ in part]
        assert ids == [f"id-{n:04d}" for n in range(1, len(smsc.submits) + 1)]
        assert outcome.receipts == dict.fromkeys(ids, "DELIVRD")
        assert sorted(smsc.taken) == [(1000 + n, 0) for n in range(1, len(ids) + 1)]
        await asyncio.wait_for(smsc.gone.wait(), 5)
        assert smsc.unbound


async def test_texts_arrive_whole_each_library_in_its_own_way(name: Name) -> None:
    messages = [
        Message("8613800138000", "hello, world", sender="10690099"),
        Message("8613800138001", "你好，世界"),
        Message("8613800138002", LONG),
    ]
    async with gateway() as smsc:
        await submit_with(name, "127.0.0.1", smsc.port, "esme", "secret", messages)
    short, chinese, *parts = smsc.submits
    assert (short.source, short.destination) == ("10690099", "8613800138000")
    assert (short.coding, short.octets) == (0, b"hello, world")
    assert (chinese.coding, chinese.octets) == (8, "你好，世界".encode("utf-16-be"))
    assert {part.way for part in parts} == {
        {"aiosmpplib": "payload", "smpplib": "udh", "smpp34": "sar"}[name]
    }
    assert b"".join(part.text for part in parts).decode("utf-16-be") == LONG
    if name == "smpplib":
        assert [part.octets[:3] for part in parts] == [b"\x05\x00\x03"] * 2
        assert [tuple(part.octets[4:6]) for part in parts] == [(2, 1), (2, 2)]
    if name == "smpp34":
        numbers = [(part.tlvs[SAR_TOTAL], part.tlvs[SAR_NUMBER]) for part in parts]
        assert numbers == [(b"\2", b"\1"), (b"\2", b"\2")]


async def test_without_messages_it_only_binds_and_unbinds(name: Name) -> None:
    async with gateway() as smsc:
        outcome = await submit_with(name, "127.0.0.1", smsc.port, "esme", "secret", [], within=5)
        assert (outcome.ids, outcome.receipts) == ([], {})
        await asyncio.wait_for(smsc.gone.wait(), 5)
        assert smsc.unbound


async def test_a_refused_bind_is_said_so(name: Name) -> None:
    async with gateway() as smsc:
        with pytest.raises(RefusedError):
            await submit_with(name, "127.0.0.1", smsc.port, "esme", "wrong", [], within=2)


async def test_nobody_at_the_address_is_a_connection_error(name: Name) -> None:
    async with gateway() as smsc:
        port = smsc.port
    with pytest.raises(ConnectionError):
        await submit_with(name, "127.0.0.1", port, "esme", "secret", [], within=2)


async def test_a_refused_submit_is_said_so(name: Name) -> None:
    async with gateway(status=0x0B) as smsc:
        with pytest.raises(RefusedError):
            await submit_with(
                name, "127.0.0.1", smsc.port, "esme", "secret", [Message("0", "nowhere")]
            )


async def test_a_missing_receipt_is_a_timeout_that_shows_what_came(name: Name) -> None:
    async with gateway(receipts=False) as smsc:
        with pytest.raises(TimeoutError, match="id-0001"):
            await submit_with(
                name,
                "127.0.0.1",
                smsc.port,
                "esme",
                "secret",
                [Message("8613800138000", "hello")],
                within=1,
            )
