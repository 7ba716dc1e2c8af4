"""SMGP bodies, in wire order and in the specification's words (SMGP 3.0.3, section 6.2).

Version 1.3 has the same PDUs but for a Submit without FixedFee; it is read, never written by us.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Annotated, Any

from ..errors import DecodeError
from ..wire import U8, U32, Body, Counted, Octets, Rest, Text, Texts, Tlv, Tlvs, body
from .report import parse

HEADER = struct.Struct("!III")
"""PacketLength, RequestID, SequenceID."""

LONGEST = 4096
"""A Submit of 140 octets to 100 numbers with every optional parameter has some 2,600."""

V1 = "1.3"
V3 = "3.0"

MOST_NUMBERS = 100


class Request(IntEnum):
    LOGIN = 0x00000001
    LOGIN_RESP = 0x80000001
    SUBMIT = 0x00000002
    SUBMIT_RESP = 0x80000002
    DELIVER = 0x00000003
    DELIVER_RESP = 0x80000003
    ACTIVE_TEST = 0x00000004
    ACTIVE_TEST_RESP = 0x80000004
    EXIT = 0x00000006
    EXIT_RESP = 0x80000006
    QUERY = 0x00000007
    QUERY_RESP = 0x80000007


class Tag(IntEnum):
    """Optional parameters (section 6.3)."""

    TP_PID = 0x0001
    TP_UDHI = 0x0002
    LINK_ID = 0x0003
    CHARGE_USER_TYPE = 0x0004
    CHARGE_TERM_TYPE = 0x0005
    CHARGE_TERM_PSEUDO = 0x0006
    DEST_TERM_TYPE = 0x0007
    DEST_TERM_PSEUDO = 0x0008
    PK_TOTAL = 0x0009
    PK_NUMBER = 0x000A
    SUBMIT_MSG_TYPE = 0x000B
    SP_DEAL_RESULT = 0x000C
    SRC_TERM_TYPE = 0x000D
    SRC_TERM_PSEUDO = 0x000E
    NODES_COUNT = 0x000F
    MSG_SRC = 0x0010
    SRC_TYPE = 0x0011
    M_SERVICE_ID = 0x0012


TAG_NAMES: dict[int, str] = {
    Tag.TP_PID: "TP_pid",
    Tag.TP_UDHI: "TP_udhi",
    Tag.LINK_ID: "LinkID",
    Tag.CHARGE_USER_TYPE: "ChargeUserType",
    Tag.CHARGE_TERM_TYPE: "ChargeTermType",
    Tag.CHARGE_TERM_PSEUDO: "ChargeTermPseudo",
    Tag.DEST_TERM_TYPE: "DestTermType",
    Tag.DEST_TERM_PSEUDO: "DestTermPseudo",
    Tag.PK_TOTAL: "PkTotal",
    Tag.PK_NUMBER: "PkNumber",
    Tag.SUBMIT_MSG_TYPE: "SubmitMsgType",
    Tag.SP_DEAL_RESULT: "SPDealResult",
    Tag.SRC_TERM_TYPE: "SrcTermType",
    Tag.SRC_TERM_PSEUDO: "SrcTermPseudo",
    Tag.NODES_COUNT: "NodesCount",
    Tag.MSG_SRC: "MsgSrc",
    Tag.SRC_TYPE: "SrcType",
    Tag.M_SERVICE_ID: "MServiceID",
}

# Gateways and clients leave stray octets behind the last one.
_TLVS = Tlvs(TAG_NAMES, lenient=True)


@body
class Login(Body):
    client_id: Annotated[str, Text(8)] = ""
    authenticator_client: Annotated[bytes, Octets(16)] = bytes(16)
    login_mode: U8 = 2
    timestamp: U32 = 0
    client_version: U8 = 0x30


@body
class LoginResp(Body):
    status: U32 = 0
    authenticator_server: Annotated[bytes, Octets(16)] = bytes(16)
    server_version: U8 = 0x30


@body
class Submit(Body):
    msg_type: U8 = 6
    need_report: U8 = 1
    priority: U8 = 1
    service_id: Annotated[str, Text(10)] = ""
    fee_type: Annotated[str, Text(2)] = "00"
    fee_code: Annotated[str, Text(6)] = "000000"
    fixed_fee: Annotated[str, Text(6)] = "000000"
    msg_format: U8 = 8
    valid_time: Annotated[str, Text(17)] = ""
    at_time: Annotated[str, Text(17)] = ""
    src_term_id: Annotated[str, Text(21)] = ""
    charge_term_id: Annotated[str, Text(21)] = ""
    dest_term_id: Annotated[tuple[str, ...], Texts(21, "dest_term_id_count")] = ()
    msg_content: Annotated[bytes, Counted("B", "msg_length")] = b""
    reserve: Annotated[str, Text(8)] = ""
    tlv: Annotated[tuple[Tlv, ...], _TLVS] = ()


@body
class Submit13(Body):
    """Version 1.3: without FixedFee."""

    msg_type: U8 = 6
    need_report: U8 = 1
    priority: U8 = 1
    service_id: Annotated[str, Text(10)] = ""
    fee_type: Annotated[str, Text(2)] = "00"
    fee_code: Annotated[str, Text(6)] = "000000"
    msg_format: U8 = 8
    valid_time: Annotated[str, Text(17)] = ""
    at_time: Annotated[str, Text(17)] = ""
    src_term_id: Annotated[str, Text(21)] = ""
    charge_term_id: Annotated[str, Text(21)] = ""
    dest_term_id: Annotated[tuple[str, ...], Texts(21, "dest_term_id_count")] = ()
    msg_content: Annotated[bytes, Counted("B", "msg_length")] = b""
    reserve: Annotated[str, Text(8)] = ""
    tlv: Annotated[tuple[Tlv, ...], _TLVS] = ()


@body
class SubmitResp(Body):
    msg_id: Annotated[bytes, Octets(10)] = bytes(10)
    status: U32 = 0


@body
class Deliver(Body):
    msg_id: Annotated[bytes, Octets(10)] = bytes(10)
    is_report: U8 = 0
    msg_format: U8 = 0
    recv_time: Annotated[str, Text(14)] = ""
    src_term_id: Annotated[str, Text(21)] = ""
    dest_term_id: Annotated[str, Text(21)] = ""
    msg_content: Annotated[bytes, Counted("B", "msg_length")] = b""
    reserve: Annotated[str, Rest(8)] = ""
    tlv: Annotated[tuple[Tlv, ...], _TLVS] = ()

    def show(self) -> dict[str, Any]:
        shown = Body.show(self)
        if self.is_report == 1:
            report = parse(self.msg_content)
            shown["report"] = None if report is None else report.show()
        return shown


@body
class DeliverResp(Body):
    msg_id: Annotated[bytes, Octets(10)] = bytes(10)
    status: U32 = 0


@body
class ActiveTest(Body):
    pass


@body
class ActiveTestResp(Body):
    pass


@body
class Exit(Body):
    pass


@body
class ExitResp(Body):
    pass


@body
class Query(Body):
    time: Annotated[str, Text(8)] = ""
    query_type: U8 = 0
    query_code: Annotated[str, Text(10)] = ""


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
    reserve: Annotated[str, Text(8)] = ""


_BOTH: dict[int, tuple[str, type[Body]]] = {
    Request.LOGIN: ("login", Login),
    Request.LOGIN_RESP: ("login_resp", LoginResp),
    Request.SUBMIT_RESP: ("submit_resp", SubmitResp),
    Request.DELIVER: ("deliver", Deliver),
    Request.DELIVER_RESP: ("deliver_resp", DeliverResp),
    Request.ACTIVE_TEST: ("active_test", ActiveTest),
    Request.ACTIVE_TEST_RESP: ("active_test_resp", ActiveTestResp),
    Request.EXIT: ("exit", Exit),
    Request.EXIT_RESP: ("exit_resp", ExitResp),
    Request.QUERY: ("query", Query),
    Request.QUERY_RESP: ("query_resp", QueryResp),
}
PDUS: dict[str, dict[int, tuple[str, type[Body]]]] = {
    V1: {**_BOTH, Request.SUBMIT: ("submit", Submit13)},
    V3: {**_BOTH, Request.SUBMIT: ("submit", Submit)},
}


def show_header(head: tuple[int, ...]) -> dict[str, Any]:
    return {"sequence_id": head[2]}


def decode_body(version: str, command: int, pdu: bytes) -> tuple[str, Body]:
    """The name and the body of a whole PDU.  Raises DecodeError."""
    known = PDUS[version].get(command)
    if known is None:
        raise DecodeError(f"no SMGP request is {command:#010x}", offset=4, status=11)
    name, kind = known
    return name, kind.decode(pdu, HEADER.size)
