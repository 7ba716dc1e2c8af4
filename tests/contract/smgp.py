"""An SMGP 3.0 gateway from the specification's tables."""

from __future__ import annotations

import hashlib
import struct
import time
from typing import Any

from .gateways import Connection, Gateway, Login, Report, Submit

LOGIN, SUBMIT, DELIVER, ACTIVE_TEST, EXIT = 1, 2, 3, 4, 6
RESPONSE = 0x80000000
HEAD = struct.Struct(">BBB10s2s6s6sB17s17s21s21sB")


def text(octets: bytes) -> str:
    return octets.split(b"\0", 1)[0].decode("ascii")


class SmgpGateway(Gateway):
    """`spelling`: how the report's text goes; the id in it is always ten raw octets."""

    spelling = (
        b"%s sub:001 dlvrd:001 submit date:2611220830 done date:2611220831 stat:%s err:%s text:%s"
    )

    def frame(self, connection: Connection, frame: bytes) -> None:
        _, command, sequence = struct.unpack_from(">III", frame)
        if not connection.bound and command != LOGIN:
            self.fault(f"command {command:#x} before the login")
            connection.close()
        elif command == LOGIN:
            if not self.frozen:
                self._login(connection, frame, sequence)
        elif command == SUBMIT:
            self._submit(connection, frame)
        elif command == DELIVER | RESPONSE:
            if len(frame) != 26:
                self.fault(f"deliver_resp of {len(frame)} octets")
            connection.answered(sequence, int.from_bytes(frame[22:26], "big"))
        elif command == ACTIVE_TEST:
            self.keepalives.append(time.monotonic())
            if not self.frozen:
                connection.send(struct.pack(">III", 12, ACTIVE_TEST | RESPONSE, sequence))
        elif command == EXIT:
            self.farewells += 1
            connection.send(struct.pack(">III", 12, EXIT | RESPONSE, sequence))
            connection.bound = False
        elif command not in (ACTIVE_TEST | RESPONSE, EXIT | RESPONSE):
            self.fault(f"command {command:#x}")

    def _login(self, connection: Connection, frame: bytes, sequence: int) -> None:
        client, digest, mode, stamp, version = struct.unpack_from(">8s16sBIB", frame, 12)
        account = self.carrier
        secret = account.password.encode()
        expected = hashlib.md5(client.rstrip(b"\0") + bytes(7) + secret + b"%010d" % stamp).digest()
        good = text(client) == account.login and digest == expected and len(frame) == 42
        status = self.refuse if self.refuse is not None else 0 if good else 21
        fields: dict[str, Any] = {"stamp": f"{stamp:010d}", "mode": mode, "version": version}
        peer = connection.writer.get_extra_info("peername")[0]
        account.logins.append(Login(time.monotonic(), self.name, fields, peer, status))
        said = struct.pack(">I", status)
        proof = hashlib.md5(said + digest + secret).digest() if not status else bytes(16)
        connection.send(
            struct.pack(">III", 33, LOGIN | RESPONSE, sequence) + said + proof + b"\x30"
        )
        connection.bound, connection.receives = not status, not status and mode != 0
        if status:
            connection.close()

    def _submit(self, connection: Connection, frame: bytes) -> None:
        (
            kind, need, priority, service, fee, code, fixed, coding, valid, at_time, src,
            charge, count,
        ) = HEAD.unpack_from(frame, 12)  # fmt: skip
        at = 12 + HEAD.size
        to = tuple(text(frame[at + i * 21 : at + (i + 1) * 21]) for i in range(count))
        at += 21 * count
        size = frame[at]
        content = frame[at + 1 : at + 1 + size]
        at += 1 + size + 8
        tlvs: dict[int, bytes] = {}
        while at < len(frame):
            tag, length = struct.unpack_from(">HH", frame, at)
            tlvs[tag] = frame[at + 4 : at + 4 + length]
            at += 4 + length
        udhi = tlvs.get(2, b"\0")[0]
        fields = {
            "kind": kind, "priority": priority, "service_id": text(service), "fee_type": text(fee),
            "fee_code": text(code), "fixed_fee": text(fixed), "valid": text(valid),
            "at_time": text(at_time), "charge": text(charge), "tlvs": tlvs, "udhi": udhi,
        }  # fmt: skip
        submit = Submit(
            time.monotonic(), self.name, connection, frame[8:12], text(src), to, coding, udhi,
            content, need == 1, fields,
        )  # fmt: skip
        if kind != 6 or at != len(frame) or size > 140:
            self.fault(f"submit of kind {kind}, {size} octets of text, {at} of {len(frame)}")
        if udhi and (tlvs.get(9), tlvs.get(10)) != (
            bytes([submit.total]),
            bytes([submit.number]),
        ):
            self.fault(f"PkTotal and PkNumber {tlvs} with header {submit.header.hex()}")
        self.came(submit)

    def identify(self, submit: Submit) -> bytes:
        """Octets that are no BCD and no text, as real gateways send them; lists count in BCD."""
        first, *others = [self.carrier.next_id() for _ in submit.to]
        number = bytes.fromhex(f"{first:06}") if others else first.to_bytes(3, "big")
        return b"\x64\x95\xc3\x6a\xc4\xea" + bytes([len(others) > 0]) + number

    def say_answer(self, submit: Submit, result: int) -> None:
        head = struct.pack(">II", 26, SUBMIT | RESPONSE) + submit.sequence
        submit.connection.send(head + submit.ident + struct.pack(">I", result))

    def say_report(self, submit: Submit, report: Report, to: str, sequence: int) -> bytes:
        ident, place = submit.ident, submit.place(to)
        if place and not self.same_id:
            ident = ident[:7] + bytes.fromhex(f"{int(ident[7:].hex()) + place:06}")
        body = b"id:" + self.spelling % (
            ident,
            report.word.encode(),
            report.err.encode(),
            b"020".ljust(20),
        )
        return self._deliver(sequence, to, submit.src, body, 0, 0, 1)

    def _deliver(
        self, sequence: int, who: str, to: str, body: bytes, coding: int, udhi: int, report: int,
        ident: bytes | None = None,
    ) -> bytes:  # fmt: skip
        outer = b"\x01\x00\x61\x11\x22\x08\x30" + self.carrier.next_id().to_bytes(3, "big")
        head = struct.pack(
            ">10sBB14s21s21sB", ident or outer, report, coding, b"20261122083000", who.encode(),
            to.encode(), len(body),
        )  # fmt: skip
        head += body + bytes(8)
        if udhi:
            head += struct.pack(">HHB", 2, 1, udhi)
        return struct.pack(">III", 12 + len(head), DELIVER, sequence) + head

    async def inbound(
        self, who: str, to: str, body: bytes, coding: int = 8, udhi: int = 0,
        ident: bytes | None = None,
    ) -> int:  # fmt: skip
        own = ident or b"\x01\x00\x61\x11\x22\x08\x31" + self.carrier.next_id().to_bytes(3, "big")
        return await self.deliver(
            lambda sequence: self._deliver(sequence, who, to, body, coding, udhi, 0, own)
        )
