"""SGIP 1.2 PDUs, in wire order and in the specification's words.

A header of 20 octets names the PDU by a 12-octet sequence: the node that first sent it, its time
as the number MMDDhhmmss, and a counter.  That sequence is also the id of a message: a Report
quotes the one of its Submit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from ..errors import DecodeError
from ..wire import U8, Body, Counted, Fixed, Rest, Secret, Sized, Text, Texts, body

HEADER = struct.Struct("!IIIII")
"""Message Length, Command ID, and the three words of the sequence."""

LONGEST = 16384
"""The specification says 2 KB and allows 100 numbers, which need 2,247; a Trace_Resp needs more."""

BIND = 0x00000001
BIND_RESP = 0x80000001
UNBIND = 0x00000002
UNBIND_RESP = 0x80000002
SUBMIT = 0x00000003
SUBMIT_RESP = 0x80000003
DELIVER = 0x00000004
DELIVER_RESP = 0x80000004
REPORT = 0x00000005
REPORT_RESP = 0x80000005
USERRPT = 0x00000011
USERRPT_RESP = 0x80000011
TRACE = 0x00001000
TRACE_RESP = 0x80001000
RESP = 0x80000000


class SequenceOctets(Fixed):
    """The 12 octets of a sequence, never taken apart; shown as their three numbers."""

    converts = True

    def __init__(self) -> None:
        super().__init__("12s")

    def put(self, value: bytes) -> bytes:
        if len(value) != 12:
            raise ValueError(f"{len(value)} octets, a sequence has 12")
        return value

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield name, list(struct.unpack("!III", value))


class TraceNode(NamedTuple):
    """What one node says of the message that is traced; times are yymmddhhmmsstnnp."""

    result: int = 0
    node_id: str = ""
    receive_time: str = ""
    send_time: str = ""
    reserve: str = ""


class Nodes(Sized):
    """The entries of a Trace_Resp behind their count.

    NodeId has 6 octets, in SGIP 1.3 it has 10: what arrived decides, and what has to be written.
    """

    def __init__(self) -> None:
        self.texts = {width: [Text(n) for n in (width, 16, 16, 8)] for width in (6, 10)}
        self.structs = {width: struct.Struct(f"!B{width}s16s16s8s") for width in (6, 10)}

    def put(self, value: tuple[TraceNode, ...]) -> bytes:
        if len(value) > 255:
            raise ValueError(f"{len(value)} nodes, at most 255 fit")
        width = 10 if any(len(node.node_id) > 6 for node in value) else 6
        out = [bytes((len(value),))]
        for node in value:
            texts = [kind.put(text) for kind, text in zip(self.texts[width], node[1:], strict=True)]
            out.append(self.structs[width].pack(node.result, *texts))
        return b"".join(out)

    def get(self, buf: bytes, at: int) -> tuple[tuple[TraceNode, ...], int]:
        count, at = buf[at], at + 1
        width = 10 if count and (len(buf) - at) // count >= self.structs[10].size else 6
        entry = self.structs[width]
        end = at + count * entry.size
        if end > len(buf):
            raise IndexError
        found = []
        for result, *raw in entry.iter_unpack(buf[at:end]):
            texts = [kind.get(text) for kind, text in zip(self.texts[width], raw, strict=True)]
            found.append(TraceNode(result, *texts))
        return tuple(found), end

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield name, [node._asdict() for node in value]


Sequence = Annotated[bytes, SequenceOctets()]
Reserve = Annotated[str, Text(8)]
MayReserve = Annotated[str, Rest(8)]
"""Some stacks answer with 21 octets, without Reserve."""


@body
class Empty(Body):
    """Unbind and Unbind_Resp are a header only."""


@body
class Bind(Body):
    login_type: U8 = 1
    login_name: Annotated[str, Text(16)] = ""
    login_password: Annotated[str, Secret(16)] = ""
    reserve: MayReserve = ""


@body
class Resp(Body):
    """Bind_Resp, Submit_Resp, Deliver_Resp, Report_Resp and Userrpt_Resp."""

    result: U8 = 0
    reserve: MayReserve = ""


@body
class Submit(Body):
    sp_number: Annotated[str, Text(21)] = ""
    charge_number: Annotated[str, Text(21)] = ""
    user_number: Annotated[tuple[str, ...], Texts(21, "user_count", most=100)] = ()
    corp_id: Annotated[str, Text(5)] = ""
    service_type: Annotated[str, Text(10)] = ""
    fee_type: U8 = 1
    fee_value: Annotated[str, Text(6)] = ""
    given_value: Annotated[str, Text(6)] = ""
    agent_flag: U8 = 0
    morelate_to_mt_flag: U8 = 2
    priority: U8 = 0
    expire_time: Annotated[str, Text(16)] = ""
    schedule_time: Annotated[str, Text(16)] = ""
    report_flag: U8 = 1
    tp_pid: U8 = 0
    tp_udhi: U8 = 0
    message_coding: U8 = 0
    message_type: U8 = 0
    message_content: Annotated[bytes, Counted("I", "message_length")] = b""
    reserve: MayReserve = ""


@body
class Deliver(Body):
    user_number: Annotated[str, Text(21)] = ""
    sp_number: Annotated[str, Text(21)] = ""
    tp_pid: U8 = 0
    tp_udhi: U8 = 0
    message_coding: U8 = 0
    message_content: Annotated[bytes, Counted("I", "message_length")] = b""
    reserve: MayReserve = ""


@body
class Report(Body):
    submit_sequence: Sequence = bytes(12)
    report_type: U8 = 0
    user_number: Annotated[str, Text(21)] = ""
    state: U8 = 0
    error_code: U8 = 0
    reserve: MayReserve = ""


@body
class Userrpt(Body):
    sp_number: Annotated[str, Text(21)] = ""
    user_number: Annotated[str, Text(21)] = ""
    user_condition: U8 = 0
    reserve: MayReserve = ""


@body
class Trace(Body):
    submit_sequence: Sequence = bytes(12)
    user_number: Annotated[str, Text(21)] = ""
    reserve: MayReserve = ""


@body
class TraceResp(Body):
    nodes: Annotated[tuple[TraceNode, ...], Nodes()] = ()


PDUS: dict[str, dict[int, tuple[str, type[Body]]]] = {
    "1.2": {
        BIND: ("bind", Bind),
        BIND_RESP: ("bind_resp", Resp),
        UNBIND: ("unbind", Empty),
        UNBIND_RESP: ("unbind_resp", Empty),
        SUBMIT: ("submit", Submit),
        SUBMIT_RESP: ("submit_resp", Resp),
        DELIVER: ("deliver", Deliver),
        DELIVER_RESP: ("deliver_resp", Resp),
        REPORT: ("report", Report),
        REPORT_RESP: ("report_resp", Resp),
        USERRPT: ("userrpt", Userrpt),
        USERRPT_RESP: ("userrpt_resp", Resp),
        TRACE: ("trace", Trace),
        TRACE_RESP: ("trace_resp", TraceResp),
    }
}


def show_header(head: tuple[int, ...]) -> dict[str, Any]:
    """The header's fields as `carrierd decode --json` prints them."""
    return {"sequence": list(head[2:5])}


def decode_body(version: str, command: int, pdu: bytes) -> tuple[str, Body]:
    """Name and body of a whole PDU.  Raises DecodeError with the offset in `pdu`."""
    found = PDUS[version].get(command)
    if found is None:
        raise DecodeError(f"no command {command:#010x} in SGIP {version}", offset=4)
    name, kind = found
    return name, kind.decode(pdu, HEADER.size)
