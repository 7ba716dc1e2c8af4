"""A CMPP gateway, 2.0 or 3.0, from the specification's tables."""

from __future__ import annotations

import hashlib
import struct
import time
from typing import Any

from .gateways import Carrier, Connection, Gateway, Login, Report, Submit

CONNECT, TERMINATE, SUBMIT, DELIVER, ACTIVE_TEST = 1, 2, 4, 5, 8
RESPONSE = 0x80000000
GATEWAY = 0xB << 60 | 0x16B2 << 44
"""Ids of November: the top bit is set, as from August on."""


def text(octets: bytes) -> str:
    return octets.split(b"\0", 1)[0].decode("ascii")


class CmppGateway(Gateway):
    """`report_size`: 71 or 60 octets of report; None as the version has it."""

    def __init__(self, carrier: Carrier, name: str, version: str = "3.0", window: int = 16) -> None:
        super().__init__(carrier, name, window)
        self.three = version == "3.0"
        self.pad = False
        self.report_size: int | None = None
        self.report_number: str | None = None

    def frame(self, connection: Connection, frame: bytes) -> None:
        _, command, sequence = struct.unpack_from(">III", frame)
        if not connection.bound and command != CONNECT:
            self.fault(f"command {command:#x} before the login")
            connection.close()
        elif command == CONNECT:
            if not self.frozen:
                self._connect(connection, frame, sequence)
        elif command == SUBMIT:
            self._submit(connection, frame)
        elif command == DELIVER | RESPONSE:
            size = 24 if self.three else 21
            if len(frame) != size:
                self.fault(f"deliver_resp of {len(frame)} octets, not {size}")
            connection.answered(sequence, int.from_bytes(frame[20:], "big"))
        elif command == ACTIVE_TEST:
            self.keepalives.append(time.monotonic())
            if not self.frozen:
                connection.send(struct.pack(">IIIB", 13, ACTIVE_TEST | RESPONSE, sequence, 0))
        elif command == TERMINATE:
            self.farewells += 1
            connection.send(struct.pack(">III", 12, TERMINATE | RESPONSE, sequence))
            connection.bound = False
        elif command not in (ACTIVE_TEST | RESPONSE, TERMINATE | RESPONSE):
            self.fault(f"command {command:#x}")

    def _connect(self, connection: Connection, frame: bytes, sequence: int) -> None:
        source, digest, version, stamp = struct.unpack_from(">6s16sBI", frame, 12)
        account = self.carrier
        name = source if self.pad else source.rstrip(b"\0")
        secret = account.password.encode()
        expected = hashlib.md5(name + bytes(9) + secret + b"%010d" % stamp).digest()
        good = text(source) == account.login and digest == expected and len(frame) == 39
        if version != (0x30 if self.three else 0x20):
            self.fault(f"version {version:#x}")
        status = self.refuse if self.refuse is not None else 0 if good else 3
        fields: dict[str, Any] = {"stamp": f"{stamp:010d}", "version": version}
        peer = connection.writer.get_extra_info("peername")[0]
        account.logins.append(Login(time.monotonic(), self.name, fields, peer, status))
        form = ">I" if self.three else ">B"
        said = struct.pack(form, status)
        proof = hashlib.md5(said + digest + secret).digest() if not status else bytes(16)
        body = said + proof + bytes([version])
        connection.send(struct.pack(">III", 12 + len(body), CONNECT | RESPONSE, sequence) + body)
        connection.bound = connection.receives = not status
        if status:
            connection.close()

    def _submit(self, connection: Connection, frame: bytes) -> None:
        wide = 32 if self.three else 21
        head = struct.Struct(f">QBBBB10sB{wide}s{'B' if self.three else ''}BBB6s2s6s17s17s21sB")
        got = list(head.unpack_from(frame, 12))
        if not self.three:
            got.insert(8, 0)
        (ident, total, number, registered, level, service, fee_user, fee_number, fee_type) = got[:9]
        (pid, udhi, coding, source, fee, code, valid, at_time, src, count) = got[9:]
        at = 12 + head.size
        to = tuple(text(frame[at + i * wide : at + (i + 1) * wide]) for i in range(count))
        at += count * wide
        if self.three:
            at += 1
        size = frame[at]
        content = frame[at + 1 : at + 1 + size]
        rest = frame[at + 1 + size :]
        fields = {
            "service_id": text(service), "pk_total": total, "pk_number": number,
            "registered": registered, "level": level, "fee_user": fee_user, "pid": pid,
            "udhi": udhi, "msg_src": text(source), "fee_type": text(fee), "fee_code": text(code),
            "valid": text(valid), "at_time": text(at_time), "fee_number": text(fee_number),
            "fee_number_type": fee_type,
        }  # fmt: skip
        submit = Submit(
            time.monotonic(), self.name, connection, frame[8:12], text(src), to, coding, udhi,
            content, registered == 1, fields,
        )  # fmt: skip
        if ident or len(rest) != (20 if self.three else 8) or not 1 <= count < 100:
            self.fault(f"submit with id {ident}, {count} numbers, {len(rest)} octets at the end")
        if size > 140 and coding != 0:
            self.fault(f"{size} octets of content")
        if (total, number) != (submit.total, submit.number) and submit.udhi:
            self.fault(f"pk {number} of {total}, header {submit.number} of {submit.total}")
        if fields["msg_src"] != self.carrier.login:
            self.fault(f"msg_src {fields['msg_src']}")
        self.came(submit)

    def identify(self, submit: Submit) -> bytes:
        first, *_ = [self.carrier.next_id() for _ in submit.to]
        return struct.pack(">Q", GATEWAY + first)

    def say_answer(self, submit: Submit, result: int) -> None:
        body = submit.ident + struct.pack(">I" if self.three else ">B", result)
        head = struct.pack(">II", 12 + len(body), SUBMIT | RESPONSE) + submit.sequence
        submit.connection.send(head + body)

    def say_report(self, submit: Submit, report: Report, to: str, sequence: int) -> bytes:
        size = self.report_size or (71 if self.three else 60)
        shown = to if self.report_number is None else self.report_number
        number = shown.encode().ljust(32 if size == 71 else 21, b"\0")
        word = report.word.encode().ljust(7, b"\0")
        ident = submit.ident
        if not self.same_id:
            ident = struct.pack(">Q", int.from_bytes(ident, "big") + submit.place(to))
        body = ident + word + b"2611220830" + b"2611220831" + number + bytes(4)
        return self._deliver(sequence, shown, submit.src, body, 0, 0, 1)

    def _deliver(
        self, sequence: int, who: str, to: str, body: bytes, coding: int, udhi: int, report: int,
        ident: int | None = None,
    ) -> bytes:  # fmt: skip
        outer = GATEWAY + (1 << 15) + self.carrier.next_id() if ident is None else ident
        wide = 32 if self.three else 21
        head = struct.pack(
            f">Q21s10sBBB{wide}s", outer, to.encode(), b"", 0, udhi, coding, who.encode()
        )
        if self.three:
            head += b"\0"
        head += bytes([report, len(body)]) + body + bytes(20 if self.three else 8)
        return struct.pack(">III", 12 + len(head), DELIVER, sequence) + head

    async def inbound(
        self, who: str, to: str, body: bytes, coding: int = 8, udhi: int = 0,
        ident: int | None = None,
    ) -> int:  # fmt: skip
        """A subscriber's message; `ident` the same as before: the gateway repeats it."""
        own = GATEWAY + (1 << 14) + self.carrier.next_id() if ident is None else ident
        return await self.deliver(
            lambda sequence: self._deliver(sequence, who, to, body, coding, udhi, 0, own)
        )
