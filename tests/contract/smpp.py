"""An SMPP 3.4 gateway from the specification's tables."""

from __future__ import annotations

import struct
import time

from .gateways import Carrier, Connection, Gateway, Login, Report, Submit

BINDS = {1: "rx", 2: "tx", 9: "trx"}
SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK, SUBMIT_MULTI = 4, 5, 6, 0x15, 0x21
RESPONSE = 0x80000000


class Fields:
    """The mandatory fields of a body, one after the other."""

    def __init__(self, data: bytes, at: int = 16) -> None:
        self.data, self.at = data, at

    def text(self) -> str:
        end = self.data.index(b"\0", self.at)
        value = self.data[self.at : end].decode("ascii")
        self.at = end + 1
        return value

    def octet(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def octets(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def tlvs(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        while self.at < len(self.data):
            tag, size = struct.unpack(">HH", self.octets(4))
            found[tag] = self.octets(size)
        return found


class SmppGateway(Gateway):
    """`hexadecimal`: ids in answers are hexadecimal, in receipts decimal; `reversed`: contrary."""

    least = 16
    names_refused = True

    def __init__(self, carrier: Carrier, name: str, window: int = 16) -> None:
        super().__init__(carrier, name, window)
        self.hexadecimal = False
        self.reversed = False
        self.receipt_tlvs = False
        self.modes: list[str] = []

    def frame(self, connection: Connection, frame: bytes) -> None:
        _, command, status, sequence = struct.unpack_from(">IIII", frame)
        if not connection.bound and command not in BINDS:
            self.fault(f"command {command:#x} before the bind")
            connection.close()
        elif command in BINDS:
            if not self.frozen:
                self._bind(connection, frame, command, sequence)
        elif command in (SUBMIT_SM, SUBMIT_MULTI):
            self._submit(connection, frame, command)
        elif command == DELIVER_SM | RESPONSE:
            if frame[16:] not in (b"\0", b""):
                self.fault(f"deliver_sm_resp with {frame[16:].hex()}")
            connection.answered(sequence, status)
        elif command == ENQUIRE_LINK:
            self.keepalives.append(time.monotonic())
            if not self.frozen:
                connection.send(struct.pack(">IIII", 16, ENQUIRE_LINK | RESPONSE, 0, sequence))
        elif command == UNBIND:
            self.farewells += 1
            connection.send(struct.pack(">IIII", 16, UNBIND | RESPONSE, 0, sequence))
            connection.bound = False
        elif command not in (ENQUIRE_LINK | RESPONSE, UNBIND | RESPONSE):
            self.fault(f"command {command:#x}")

    def _bind(self, connection: Connection, frame: bytes, command: int, sequence: int) -> None:
        fields = Fields(frame)
        login, password, kind, version = fields.text(), fields.text(), fields.text(), fields.octet()
        good = (login, password) == (self.carrier.login, self.carrier.password)
        status = self.refuse if self.refuse is not None else 0 if good else 0x0E
        mode = BINDS[command]
        self.modes.append(mode)
        peer = connection.writer.get_extra_info("peername")[0]
        self.carrier.logins.append(
            Login(
                time.monotonic(),
                self.name,
                {"system_type": kind, "version": version, "mode": mode},
                peer,
                status,
            )
        )
        body = b"" if status else b"gateway\0" + struct.pack(">HHB", 0x210, 1, 0x34)
        connection.send(
            struct.pack(">IIII", 16 + len(body), command | RESPONSE, status, sequence) + body
        )
        connection.bound = not status
        connection.receives = not status and mode != "tx"
        if status:
            connection.close()

    def _submit(self, connection: Connection, frame: bytes, command: int) -> None:
        fields = Fields(frame)
        service = fields.text()
        source_kind = (fields.octet(), fields.octet())
        src = fields.text()
        count = fields.octet() if command == SUBMIT_MULTI else 1
        to = []
        for _ in range(count):
            if command == SUBMIT_MULTI and (flag := fields.octet()) != 1:
                self.fault(f"dest_flag {flag}")
            to_kind = (fields.octet(), fields.octet())
            to.append(fields.text())
        if command == SUBMIT_MULTI and not 2 <= count <= 254:
            self.fault(f"submit_multi to {count}")
        esm, pid, priority = fields.octet(), fields.octet(), fields.octet()
        schedule, valid = fields.text(), fields.text()
        registered, replace, coding, _ = (fields.octet() for _ in range(4))
        content = fields.octets(fields.octet())
        tlvs = fields.tlvs()
        if 0x0424 in tlvs:
            if content:
                self.fault("short_message and message_payload together")
            content = tlvs[0x0424]
        submit = Submit(
            time.monotonic(), self.name, connection, frame[12:16], src, tuple(to), coding,
            esm & 0x40, content, registered & 3 == 1,
            {
                "service_id": service, "esm": esm, "pid": pid, "priority": priority,
                "schedule": schedule, "valid": valid, "registered": registered,
                "replace": replace, "tlvs": tlvs, "source": source_kind, "destination": to_kind,
                "udhi": esm & 0x40, "command": command,
            },
            gsm=True,
        )  # fmt: skip
        if 0x020C in tlvs:
            submit.reference = int.from_bytes(tlvs[0x020C], "big")
            submit.total, submit.number = tlvs[0x020E][0], tlvs[0x020F][0]
            if esm & 0x40:
                self.fault("SAR together with a header")
        self.came(submit)

    def identify(self, submit: Submit) -> bytes:
        number = 0xA0000000 + self.carrier.next_id()
        return b"%x" % number if self.hexadecimal else b"%d" % number

    def say_answer(self, submit: Submit, result: int) -> None:
        body = b"" if result else submit.ident + b"\0"
        command = submit.fields["command"]
        if command == SUBMIT_MULTI and not result:
            failed = {to: one.result for to, one in submit.answers.items() if one.result}
            body += bytes([len(failed)])
            for to, status in failed.items():
                body += b"\0\1" + to.encode() + b"\0" + struct.pack(">I", status)
        head = struct.pack(">III", 16 + len(body), command | RESPONSE, result)
        submit.connection.send(head + submit.sequence + body)

    def say_report(self, submit: Submit, report: Report, to: str, sequence: int) -> bytes:
        number = int(submit.ident, 16) if self.hexadecimal else int(submit.ident)
        ident = b"%x" % number if self.reversed else b"%010d" % number
        receipt = (
            b"id:%s sub:001 dlvrd:001 submit date:2611220830 done date:2611220831 "
            b"stat:%s err:%s text:" % (ident, report.word.encode(), report.err.encode())
        )
        tlvs = b""
        if self.receipt_tlvs:
            receipt = b""
            state = {"DELIVRD": 2, "EXPIRED": 3, "UNDELIV": 5, "ENROUTE": 1, "REJECTD": 8}
            tlvs = struct.pack(">HH", 0x1E, len(submit.ident) + 1) + submit.ident + b"\0"
            tlvs += struct.pack(">HHB", 0x0427, 1, state[report.word])
        esm = 0x20 if report.word == "ENROUTE" and self.receipt_tlvs else 0x04
        return self._deliver(sequence, to, submit.src, receipt, 0, esm, tlvs)

    def _deliver(
        self, sequence: int, who: str, to: str, body: bytes, coding: int, esm: int,
        tlvs: bytes = b"",
    ) -> bytes:  # fmt: skip
        data = b"\0\1\1" + who.encode() + b"\0\0\1" + to.encode() + b"\0"
        data += bytes([esm, 0, 0]) + b"\0\0" + bytes([0, 0, coding, 0, len(body)]) + body + tlvs
        return struct.pack(">IIII", 16 + len(data), DELIVER_SM, 0, sequence) + data

    async def inbound(self, who: str, to: str, body: bytes, coding: int = 8, udhi: int = 0) -> int:
        esm = 0x40 if udhi else 0
        return await self.deliver(
            lambda sequence: self._deliver(sequence, who, to, body, coding, esm)
        )
