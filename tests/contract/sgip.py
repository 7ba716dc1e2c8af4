"""An SGIP 1.2 gateway from the specification's tables: both directions of binding."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Sequence
from typing import Any

from .gateways import Carrier, Connection, Gateway, Login, Report, Submit
from .process import PATIENCE

BIND, UNBIND, SUBMIT, DELIVER, REPORT = 1, 2, 3, 4, 5
RESPONSE = 0x80000000
SMG_NODE = 1025000001


def text(octets: bytes) -> str:
    return octets.split(b"\0", 1)[0].decode("ascii")


def head(size: int, command: int, sequence: bytes) -> bytes:
    return struct.pack(">II", 20 + size, command) + sequence


def own_sequence(counter: int) -> bytes:
    return struct.pack(">III", SMG_NODE, 1122083000, counter)


class Caller:
    """A connection that the gateway opens to the daemon's listening side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._counter = 0

    @classmethod
    async def dial(cls, port: int, host: str = "127.0.0.1", source: str | None = None) -> Caller:
        local = (source, 0) if source is not None else None
        return cls(*await asyncio.open_connection(host, port, local_addr=local))

    async def bind(self, login: str, password: str, kind: int = 2) -> int:
        """The result, or -1 when the daemon closed without an answer."""
        body = struct.pack(">B16s16s8s", kind, login.encode(), password.encode(), b"")
        return await self.ask(BIND, body)

    async def ask(self, command: int, body: bytes, sequence: bytes | None = None) -> int:
        self._counter += 1
        words = own_sequence(self._counter) if sequence is None else sequence
        self.writer.write(head(len(body), command, words) + body)
        try:
            async with asyncio.timeout(PATIENCE):
                frame = await self.frame()
        except (asyncio.IncompleteReadError, ConnectionError):
            return -1
        assert frame[4:8] == struct.pack(">I", command | RESPONSE)
        assert frame[8:20] == words
        return frame[20] if len(frame) > 20 else 0

    async def frame(self) -> bytes:
        size = await self.reader.readexactly(4)
        return size + await self.reader.readexactly(int.from_bytes(size, "big") - 4)

    async def closed(self, within: float = PATIENCE) -> bool:
        try:
            async with asyncio.timeout(within):
                return await self.reader.read(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class SgipGateway(Gateway):
    """`listen`: the daemon's port, which is dialled for the first Report or Deliver.

    `own_link`: reports go on the connection that the daemon opened instead.
    """

    least = 20

    def __init__(
        self, carrier: Carrier, name: str, listen: int = 0, login: str = "smg",
        password: str = "smgpass", node_id: int = 3025112345, window: int = 16,
    ) -> None:  # fmt: skip
        super().__init__(carrier, name, window)
        self.listen, self.listen_login, self.listen_password = listen, login, password
        self.node_id = node_id
        self.own_link = False
        self.unbinds = 0
        self._back: Connection | None = None
        self._dialling: asyncio.Lock | None = None

    def frame(self, connection: Connection, frame: bytes) -> None:
        _, command = struct.unpack_from(">II", frame)
        sequence = frame[8:20]
        if not connection.bound and command not in (BIND, BIND | RESPONSE):
            self.fault(f"command {command:#x} before the bind")
            connection.close()
        elif command == BIND:
            if not self.frozen:
                self._bind(connection, frame, sequence)
        elif command == SUBMIT:
            self._submit(connection, frame)
        elif command in (DELIVER | RESPONSE, REPORT | RESPONSE):
            connection.answered(int.from_bytes(sequence[8:], "big"), frame[20])
        elif command == UNBIND:
            self.unbinds += 1
            connection.send(head(0, UNBIND | RESPONSE, sequence))
            connection.bound = False
        elif command not in (UNBIND | RESPONSE, BIND | RESPONSE):
            self.fault(f"command {command:#x}")

    def _bind(self, connection: Connection, frame: bytes, sequence: bytes) -> None:
        kind, login, password = struct.unpack_from(">B16s16s", frame, 20)
        good = (text(login), text(password)) == (self.carrier.login, self.carrier.password)
        status = self.refuse if self.refuse is not None else 0 if good else 1
        if kind != 1 or len(frame) != 61:
            self.fault(f"a bind of type {kind}, {len(frame)} octets")
        peer = connection.writer.get_extra_info("peername")[0]
        fields: dict[str, Any] = {"node": int.from_bytes(sequence[:4], "big"), "kind": kind}
        self.carrier.logins.append(Login(time.monotonic(), self.name, fields, peer, status))
        connection.send(head(9, BIND | RESPONSE, sequence) + bytes([status]) + bytes(8))
        connection.bound = not status
        if status:
            connection.close()

    def _submit(self, connection: Connection, frame: bytes) -> None:
        src, charge, count = struct.unpack_from(">21s21sB", frame, 20)
        at = 63
        to = tuple(text(frame[at + i * 21 : at + (i + 1) * 21]) for i in range(count))
        at += 21 * count
        rest = struct.Struct(">5s10sB6s6sBBB16s16sBBBBBI")
        (
            corp, service, fee, value, given, agent, more, priority, expire, schedule, report,
            pid, udhi, coding, kind, size,
        ) = rest.unpack_from(frame, at)  # fmt: skip
        at += rest.size
        content = frame[at : at + size]
        fields = {
            "charge": charge, "corp_id": text(corp), "service_id": text(service), "fee_type": fee,
            "fee_value": text(value), "given": text(given), "agent": agent, "more": more,
            "priority": priority, "valid": text(expire), "schedule": text(schedule),
            "report": report, "pid": pid, "udhi": udhi, "kind": kind,
        }  # fmt: skip
        submit = Submit(
            time.monotonic(), self.name, connection, frame[8:20], text(src), to, coding, udhi,
            content, report == 1, fields,
        )  # fmt: skip
        if any(not n.startswith("86") or len(n) != 13 for n in to):
            self.fault(f"user numbers {to}")
        if len(frame) != at + size + 8 or size > 140 or len(frame) > 2048:
            self.fault(f"{size} octets of text in {len(frame)}")
        if int.from_bytes(frame[8:12], "big") != self.node_id:
            self.fault(f"node {int.from_bytes(frame[8:12], 'big')} in the sequence")
        if any(s.sequence == submit.sequence for s in self.carrier.submits):
            self.fault(f"sequence {submit.sequence.hex()} a second time")
        self.came(submit)

    def identify(self, submit: Submit) -> bytes:
        return submit.sequence

    def say_answer(self, submit: Submit, result: int) -> None:
        submit.connection.send(
            head(9, SUBMIT | RESPONSE, submit.sequence) + bytes([result]) + bytes(8)
        )

    def say_report(self, submit: Submit, report: Report, to: str, sequence: int) -> bytes:
        state, _, error = report.word.partition("/")
        number = to.encode()
        body = struct.pack(
            ">12sB21sBB8s", submit.ident, 0, number,
            0 if state == "DELIVRD" else int(state), int(error or 0), b"",
        )  # fmt: skip
        return head(len(body), REPORT, own_sequence(sequence)) + body

    async def inbound(
        self, who: str, to: str, body: bytes, coding: int = 8, udhi: int = 0,
        ident: bytes | None = None,
    ) -> int:  # fmt: skip
        def say(sequence: int) -> bytes:
            data = struct.pack(">21s21sBBBI", who.encode(), to.encode(), 0, udhi, coding, len(body))
            data += body + bytes(8)
            words = own_sequence(sequence)
            if ident is not None:
                words = ident[:8] + words[8:]
            return head(len(data), DELIVER, words) + data

        return await self.deliver(say)

    def outlets(self) -> Sequence[Connection]:
        if self.own_link:
            return [c for c in self.bound if not self.frozen]
        return [self._back] if self._back is not None and self._back.bound else []

    async def deliver(self, say: Any) -> int:
        if not self.own_link:
            await self._dial()
        return await super().deliver(say)

    async def _dial(self) -> None:
        """The connection that the daemon listens for, with its answers read in a task."""
        if self._dialling is None:
            self._dialling = asyncio.Lock()
        async with self._dialling:
            while self._back is None or not self._back.bound:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.listen)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                caller = Caller(reader, writer)
                try:
                    result = await caller.bind(self.listen_login, self.listen_password)
                except asyncio.CancelledError:
                    caller.writer.close()
                    raise
                except TimeoutError:  # one that is stopped has a system that takes calls for it
                    result = -1
                if result:
                    if result > 0:
                        self.fault(f"the daemon refused our bind with {result}")
                    await caller.close()
                    await asyncio.sleep(0.2)
                    continue
                back = Connection(self, reader, writer)
                back.bound = True
                self._back = back
                self.spawn(self._read_back(back))

    async def _read_back(self, back: Connection) -> None:
        try:
            await self.read(back)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            back.bound = False
            for future in back.due.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("closed"))
            back.writer.close()
            if self._back is back:
                self._back = None
                if self.listening:
                    self.spawn(self._dial())

    def hang_up(self) -> None:
        """Closes the connection to the daemon's listening side."""
        if self._back is not None:
            self._back.close()
