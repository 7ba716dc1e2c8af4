"""CMPP bodies, in wire order and in the specification's words (CMPP 3.0.0, section 7.4).

Where 2.0 and 3.0 differ there are two classes; the rest is the same in both. Numbers have 21
octets in 2.0 and 32 in 3.0, results one octet and four.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Annotated, Any

from ..errors import DecodeError
from ..wire import U8, U32, U64, Body, Counted, Octets, Rest, Sized, Text, Texts, body

HEADER = struct.Struct("!III")
"""Total_Length, Command_Id, Sequence_Id."""

LONGEST = 4096
"""The longest legal PDU is a 3.0 Submit to 100 numbers: 3523 octets."""

V2 = "2.0"
V3 = "3.0"


class Command(IntEnum):
    CONNECT = 0x00000001
    CONNECT_RESP = 0x80000001
    TERMINATE = 0x00000002
    TERMINATE_RESP = 0x80000002
    SUBMIT = 0x00000004
    SUBMIT_RESP = 0x80000004
    DELIVER = 0x00000005
    DELIVER_RESP = 0x80000005
    QUERY = 0x00000006
    QUERY_RESP = 0x80000006
    CANCEL = 0x00000007
    CANCEL_RESP = 0x80000007
    ACTIVE_TEST = 0x00000008
    ACTIVE_TEST_RESP = 0x80000008


class Octet(Sized):
    """One octet that some peers leave out: None then, and not shown."""

    def put(self, value: int | None) -> bytes:
        return b"" if value is None else bytes((value,))

    def get(self, buf: bytes, at: int) -> tuple[int | None, int]:
        return (buf[at], at + 1) if at < len(buf) else (None, at)

    def show(self, name: str, value: Any) -> Any:
        if value is not None:
            yield name, value


@body
class Connect(Body):
    source_addr: Annotated[str, Text(6)] = ""
    authenticator_source: Annotated[bytes, Octets(16)] = bytes(16)
    version: U8 = 0x30
    timestamp: U32 = 0


@body
class ConnectResp2(Body):
    status: U8 = 0
    authenticator_ismg: Annotated[bytes, Octets(16)] = bytes(16)
    version: U8 = 0x20


@body
class ConnectResp3(Body):
    status: U32 = 0
    authenticator_ismg: Annotated[bytes, Octets(16)] = bytes(16)
    version: U8 = 0x30


@body
class Terminate(Body):
    pass


@body
class TerminateResp(Body):
    pass


@body
class Submit2(Body):
    msg_id: U64 = 0
    pk_total: U8 = 1
    pk_number: U8 = 1
    registered_delivery: U8 = 1
    msg_level: U8 = 0
    service_id: Annotated[str, Text(10)] = ""
    fee_user_type: U8 = 2
    fee_terminal_id: Annotated[str, Text(21)] = ""
    tp_pid: U8 = 0
    tp_udhi: U8 = 0
    msg_fmt: U8 = 8
    msg_src: Annotated[str, Text(6)] = ""
    fee_type: Annotated[str, Text(2)] = "01"
    fee_code: Annotated[str, Text(6)] = "000000"
    valid_time: Annotated[str, Text(17)] = ""
    at_time: Annotated[str, Text(17)] = ""
    src_id: Annotated[str, Text(21)] = ""
    dest_terminal_id: Annotated[tuple[str, ...], Texts(21, "dest_usr_tl")] = ()
    msg_content: Annotated[bytes, Counted("B", "msg_length")] = b""
    reserve: Annotated[str, Text(8)] = ""


@body
class Submit3(Body):
    msg_id: U64 = 0
    pk_total: U8 = 1
    pk_number: U8 = 1
    registered_delivery: U8 = 1
    msg_level: U8 = 0
    service_id: Annotated[str, Text(10)] = ""
    fee_user_type: U8 = 2
    fee_terminal_id: Annotated[str, Text(32)] = ""
    fee_terminal_type: U8 = 0
    tp_pid: U8 = 0
    tp_udhi: U8 = 0
    msg_fmt: U8 = 8
    msg_src: Annotated[str, Text(6)] = ""
    fee_type: Annotated[str, Text(2)] = "01"
    fee_code: Annotated[str, Text(6)] = "000000"
    valid_time: Annotated[str, Text(17)] = ""
    at_time: Annotated[str, Text(17)] = ""
    src_id: Annotated[str, Text(21)] = ""
    dest_terminal_id: Annotated[tuple[str, ...], Texts(32, "dest_usr_tl")] = ()
    dest_terminal_type: U8 = 0
    msg_content: Annotated[bytes, Counted("B", "msg_length")] = b""
    link_id: Annotated[str, Text(20)] = ""


@body
class SubmitResp2(Body):
    msg_id: U64 = 0
    result: U8 = 0


@body
class SubmitResp3(Body):
    msg_id: U64 = 0
    result: U32 = 0


@body
class Report2(Body):
    """What a Deliver with `registered_delivery` 1 holds as its content: 60 octets."""

    msg_id: U64 = 0
    stat: Annotated[str, Text(7)] = ""
    submit_time: Annotated[str, Text(10)] = ""
    done_time: Annotated[str, Text(10)] = ""
    dest_terminal_id: Annotated[str, Text(21)] = ""
    smsc_sequence: U32 = 0


@body
class Report3(Body):
    """The same with a number of 32 octets: 71 octets."""

    msg_id: U64 = 0
    stat: Annotated[str, Text(7)] = ""
    submit_time: Annotated[str, Text(10)] = ""
    done_time: Annotated[str, Text(10)] = ""
    dest_terminal_id: Annotated[str, Text(32)] = ""
    smsc_sequence: U32 = 0


SHORT_REPORT = 60
LONG_REPORT = 71


def read_report(content: bytes) -> Report2 | Report3:
    """By its length, not by the version: both lengths come from gateways of both versions."""
    return Report3.decode(content) if len(content) >= LONG_REPORT else Report2.decode(content)


def _show_report(content: bytes) -> dict[str, Any] | None:
    try:
        report = read_report(content)
    except DecodeError:
        return None
    width = 32 if isinstance(report, Report3) else 21
    return {**report.show(), "dest_terminal_id_width": width}


@body
class Deliver2(Body):
    msg_id: U64 = 0
    dest_id: Annotated[str, Text(21)] = ""
    service_id: Annotated[str, Text(10)] = ""
    tp_pid: U8 = 0
    tp_udhi: U8 = 0
    msg_fmt: U8 = 0
    src_terminal_id: Annotated[str, Text(21)] = ""
    registered_delivery: U8 = 0
    msg_content: Annotated[bytes, Counted("B", "msg_length")] = b""
    reserve: Annotated[str, Rest(8)] = ""

    def show(self) -> dict[str, Any]:
        shown = Body.show(self)
        if self.registered_delivery == 1:
            shown["report"] = _show_report(self.msg_content)
        return shown


@body
class Deliver3(Body):
    msg_id: U64 = 0
    dest_id: Annotated[str, Text(21)] = ""
    service_id: Annotated[str, Text(10)] = ""
    tp_pid: U8 = 0
    tp_udhi: U8 = 0
    msg_fmt: U8 = 0
    src_terminal_id: Annotated[str, Text(32)] = ""
    src_terminal_type: U8 = 0
    registered_delivery: U8 = 0
    msg_content: Annotated[bytes, Counted("B", "msg_length")] = b""
    # Some platforms cut it short.
    link_id: Annotated[str, Rest(20)] = ""

    def show(self) -> dict[str, Any]:
        shown = Body.show(self)
        if self.registered_delivery == 1:
            shown["report"] = _show_report(self.msg_content)
        return shown


@body
class DeliverResp2(Body):
    msg_id: U64 = 0
    result: U8 = 0


@body
class DeliverResp3(Body):
    msg_id: U64 = 0
    result: U32 = 0


@body
class Query(Body):
    time: Annotated[str, Text(8)] = ""
    query_type: U8 = 0
    query_code: Annotated[str, Text(10)] = ""
    reserve: Annotated[str, Text(8)] = ""


@body
class QueryResp(Body):
    time: Annotated[str, Text(8)] = ""
    query_type: U8 = 0
    query_code: Annotated[str, Text(10)] = ""
    mt_tlmsg: U32 = 0
    mt_tlusr: U32 = 0
    mt_scs: U32 = 0
    mt_wt: U32 = 0
    mt_fl: U32 = 0
    mo_scs: U32 = 0
    mo_wt: U32 = 0
    mo_fl: U32 = 0


@body
class Cancel(Body):
    msg_id: U64 = 0


@body
class CancelResp2(Body):
    success_id: U8 = 0


@body
class CancelResp3(Body):
    success_id: U32 = 0


@body
class ActiveTest(Body):
    pass


@body
class ActiveTestResp(Body):
    reserved: Annotated[int | None, Octet()] = 0


_BOTH: dict[int, tuple[str, type[Body]]] = {
    Command.CONNECT: ("connect", Connect),
    Command.TERMINATE: ("terminate", Terminate),
    Command.TERMINATE_RESP: ("terminate_resp", TerminateResp),
    Command.QUERY: ("query", Query),
    Command.QUERY_RESP: ("query_resp", QueryResp),
    Command.CANCEL: ("cancel", Cancel),
    Command.ACTIVE_TEST: ("active_test", ActiveTest),
    Command.ACTIVE_TEST_RESP: ("active_test_resp", ActiveTestResp),
}
PDUS: dict[str, dict[int, tuple[str, type[Body]]]] = {
    V2: {
        **_BOTH,
        Command.CONNECT_RESP: ("connect_resp", ConnectResp2),
        Command.SUBMIT: ("submit", Submit2),
        Command.SUBMIT_RESP: ("submit_resp", SubmitResp2),
        Command.DELIVER: ("deliver", Deliver2),
        Command.DELIVER_RESP: ("deliver_resp", DeliverResp2),
        Command.CANCEL_RESP: ("cancel_resp", CancelResp2),
    },
    V3: {
        **_BOTH,
        Command.CONNECT_RESP: ("connect_resp", ConnectResp3),
        Command.SUBMIT: ("submit", Submit3),
        Command.SUBMIT_RESP: ("submit_resp", SubmitResp3),
        Command.DELIVER: ("deliver", Deliver3),
        Command.DELIVER_RESP: ("deliver_resp", DeliverResp3),
        Command.CANCEL_RESP: ("cancel_resp", CancelResp3),
    },
}

# Some gateways answer in the other version's width: what arrived decides (whole PDU's length).
_BY_LENGTH: dict[tuple[int, int], type[Body]] = {
    (Command.CONNECT_RESP, 30): ConnectResp2,
    (Command.CONNECT_RESP, 33): ConnectResp3,
    (Command.SUBMIT_RESP, 21): SubmitResp2,
    (Command.SUBMIT_RESP, 24): SubmitResp3,
    (Command.DELIVER_RESP, 21): DeliverResp2,
    (Command.DELIVER_RESP, 24): DeliverResp3,
    (Command.CANCEL_RESP, 13): CancelResp2,
    (Command.CANCEL_RESP, 16): CancelResp3,
}

_DELIVER3_FIXED = 109
"""Octets of a 3.0 Deliver without its content."""


def show_header(head: tuple[int, ...]) -> dict[str, Any]:
    return {"sequence_id": head[2]}


def decode_body(version: str, command: int, pdu: bytes) -> tuple[str, Body]:
    """The name and the body of a whole PDU.  Raises DecodeError."""
    known = PDUS[version].get(command)
    if known is None:
        raise DecodeError(f"no CMPP command is {command:#010x}", offset=4, status=2)
    name, kind = known
    found = _BY_LENGTH.get((command, len(pdu)), kind).decode(pdu, HEADER.size)
    if (
        isinstance(found, Deliver3)
        and found.registered_delivery == 1
        and len(found.msg_content) == SHORT_REPORT
        and len(pdu) == _DELIVER3_FIXED + LONG_REPORT
    ):
        # One stack writes 71 octets and says 60; only the PDU's own length tells.
        at = _DELIVER3_FIXED - 20
        found.msg_content = pdu[at : at + LONG_REPORT]
        found.link_id = Rest(20).get(pdu, at + LONG_REPORT)[0]
    return name, found
