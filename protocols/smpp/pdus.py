"""SMPP 3.4 PDUs (Issue 1.2, section 4), in wire order and in the specification's words.

Optional parameters are read and written in the order in which they stand, known or not, so that
those of SMPP 5.0 pass through.  Any response may come without a body.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from ..errors import DecodeError
from ..wire import (
    U8,
    Body,
    Counted,
    CString,
    Sized,
    Tlv,
    Tlvs,
    body,
    unseen,
)
from . import status
from .tlvs import NAMES

HEADER: struct.Struct = struct.Struct("!IIII")
"""command_length, command_id, command_status, sequence_number."""

LONGEST = 0x11000
"""Octets: a message_payload of 64 KiB and everything beside it."""

RESP = 0x80000000
GENERIC_NACK = 0x80000000
BIND_RECEIVER = 0x00000001
BIND_TRANSMITTER = 0x00000002
QUERY_SM = 0x00000003
SUBMIT_SM, SUBMIT_SM_RESP = 0x00000004, 0x80000004
DELIVER_SM, DELIVER_SM_RESP = 0x00000005, 0x80000005
UNBIND, UNBIND_RESP = 0x00000006, 0x80000006
REPLACE_SM = 0x00000007
CANCEL_SM = 0x00000008
BIND_TRANSCEIVER = 0x00000009
OUTBIND = 0x0000000B
ENQUIRE_LINK, ENQUIRE_LINK_RESP = 0x00000015, 0x80000015
SUBMIT_MULTI = 0x00000021
ALERT_NOTIFICATION = 0x00000102
DATA_SM, DATA_SM_RESP = 0x00000103, 0x80000103

UNANSWERED = frozenset({OUTBIND, ALERT_NOTIFICATION})
"""Requests that have no response."""


class Bounded(CString):
    """A C-octet string of at most `size` octets, NUL included; `status` is for a longer one.

    Longer ones do arrive and their end is plain to see, so they are read: refusing them is left
    to a strict gateway (`oversized`).
    """

    def __init__(self, size: int, status: int = status.RSYSERR) -> None:
        super().__init__(size)
        self.status = status

    def get(self, buf: bytes, at: int) -> tuple[str, int]:
        end = buf.find(b"\0", at)
        if end < 0:
            raise IndexError
        return buf[at:end].decode("latin-1"), end + 1


class Password(Bounded):
    """Never shown, not in errors either."""

    hidden = True

    def put(self, value: str) -> bytes:
        return unseen(super().put, value)

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield name, "***"


class ShortMessage(Counted):
    """short_message behind sm_length, which is not shown beside it."""

    status = status.RINVMSGLEN

    def get(self, buf: bytes, at: int) -> tuple[bytes, int]:
        if at < len(buf) and at + 1 + buf[at] > len(buf):
            raise ValueError(f"sm_length {buf[at]}, {len(buf) - at - 1} octets are left")
        return super().get(buf, at)


class OptionalParameters(Tlvs):
    """Shown only when there are any."""

    status = status.RINVOPTPARSTREAM

    def __init__(self) -> None:
        super().__init__(NAMES)

    def get(self, buf: bytes, at: int) -> tuple[tuple[Tlv, ...], int]:
        try:
            return super().get(buf, at)
        except IndexError:
            raise ValueError("the last optional parameter is cut short") from None

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        if value:
            yield from super().show(name, value)


_NUMBER = Bounded(21)


class Destination(NamedTuple):
    """An SME address in submit_multi, after dest_flag 1."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""


class DistributionList(NamedTuple):
    """A list at the message centre, after dest_flag 2."""

    dl_name: str = ""


class Destinations(Sized):
    """number_of_dests and dest_address (section 4.5.1)."""

    def put(self, value: tuple[Destination | DistributionList, ...]) -> bytes:
        if len(value) > 254:
            raise ValueError(f"{len(value)} destinations, at most 254 are allowed")
        out = [bytes((len(value),))]
        for item in value:
            if isinstance(item, Destination):
                out.append(struct.pack("!BBB", 1, item.dest_addr_ton, item.dest_addr_npi))
                out.append(_NUMBER.put(item.destination_addr))
            else:
                out += [b"\x02", _NUMBER.put(item.dl_name)]
        return b"".join(out)

    def get(self, buf: bytes, at: int) -> tuple[tuple[Destination | DistributionList, ...], int]:
        found: list[Destination | DistributionList] = []
        count, at = buf[at], at + 1
        for _ in range(count):
            flag = buf[at]
            if flag == 1:
                ton, npi = buf[at + 1], buf[at + 2]
                number, at = _NUMBER.get(buf, at + 3)
                found.append(Destination(ton, npi, number))
            elif flag == 2:
                name, at = _NUMBER.get(buf, at + 1)
                found.append(DistributionList(name))
            else:
                raise ValueError(f"dest_flag {flag}, 1 and 2 are allowed")
        return tuple(found), at

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield (
            name,
            [
                {"dest_flag": 1 if isinstance(item, Destination) else 2, **item._asdict()}
                for item in value
            ],
        )


class Failure(NamedTuple):
    """A destination that submit_multi did not reach."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    error_status_code: int = 0


class Failures(Sized):
    """no_unsuccess and unsuccess_sme (section 4.5.2)."""

    def put(self, value: tuple[Failure, ...]) -> bytes:
        if len(value) > 255:
            raise ValueError(f"{len(value)} failed destinations, at most 255 fit")
        out = [bytes((len(value),))]
        for item in value:
            out.append(struct.pack("!BB", item.dest_addr_ton, item.dest_addr_npi))
            out.append(_NUMBER.put(item.destination_addr))
            out.append(struct.pack("!I", item.error_status_code))
        return b"".join(out)

    def get(self, buf: bytes, at: int) -> tuple[tuple[Failure, ...], int]:
        found = []
        count, at = buf[at], at + 1
        for _ in range(count):
            ton, npi = buf[at], buf[at + 1]
            number, at = _NUMBER.get(buf, at + 2)
            if at + 4 > len(buf):
                raise IndexError
            found.append(Failure(ton, npi, number, int.from_bytes(buf[at : at + 4], "big")))
            at += 4
        return tuple(found), at

    def show(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        yield name, [item._asdict() for item in value]


SystemId = Annotated[str, Bounded(16, status.RINVSYSID)]
SystemType = Annotated[str, Bounded(13, status.RINVSYSTYP)]
Secret = Annotated[str, Password(9, status.RINVPASWD)]
AddressRange = Annotated[str, Bounded(41)]
ServiceType = Annotated[str, Bounded(6, status.RINVSERTYP)]
Source = Annotated[str, Bounded(21, status.RINVSRCADR)]
Dest = Annotated[str, Bounded(21, status.RINVDSTADR)]
LongSource = Annotated[str, Bounded(65, status.RINVSRCADR)]
LongDest = Annotated[str, Bounded(65, status.RINVDSTADR)]
Schedule = Annotated[str, Bounded(17, status.RINVSCHED)]
Validity = Annotated[str, Bounded(17, status.RINVEXPIRY)]
MessageId = Annotated[str, Bounded(65, status.RINVMSGID)]
Time = Annotated[str, Bounded(17)]
Message = Annotated[bytes, ShortMessage()]
Parameters = Annotated[tuple[Tlv, ...], OptionalParameters()]


@body
class NoBody(Body):
    """A response that ends with its header, as most with an error status do."""


@body
class Bind(Body):
    """bind_receiver, bind_transmitter and bind_transceiver."""

    system_id: SystemId = ""
    password: Secret = ""
    system_type: SystemType = ""
    interface_version: U8 = 0x34
    addr_ton: U8 = 0
    addr_npi: U8 = 0
    address_range: AddressRange = ""


@body
class BindResp(Body):
    system_id: SystemId = ""
    tlv: Parameters = ()


@body
class Outbind(Body):
    """The password is C9 as in a bind; one implementation writes ten octets."""

    system_id: SystemId = ""
    password: Annotated[str, Password(10, status.RINVPASWD)] = ""


@body
class HeaderOnly(Body):
    """Requests and responses without mandatory parameters."""

    tlv: Parameters = ()


@body
class SubmitSm(Body):
    service_type: ServiceType = ""
    source_addr_ton: U8 = 0
    source_addr_npi: U8 = 0
    source_addr: Source = ""
    dest_addr_ton: U8 = 0
    dest_addr_npi: U8 = 0
    destination_addr: Dest = ""
    esm_class: U8 = 0
    protocol_id: U8 = 0
    priority_flag: U8 = 0
    schedule_delivery_time: Schedule = ""
    validity_period: Validity = ""
    registered_delivery: U8 = 0
    replace_if_present_flag: U8 = 0
    data_coding: U8 = 0
    sm_default_msg_id: U8 = 0
    short_message: Message = b""
    tlv: Parameters = ()


@body
class MessageIdResp(Body):
    """The response to submit_sm, deliver_sm and data_sm."""

    message_id: MessageId = ""
    tlv: Parameters = ()


@body
class SubmitMulti(Body):
    service_type: ServiceType = ""
    source_addr_ton: U8 = 0
    source_addr_npi: U8 = 0
    source_addr: Source = ""
    dest_address: Annotated[tuple[Destination | DistributionList, ...], Destinations()] = ()
    esm_class: U8 = 0
    protocol_id: U8 = 0
    priority_flag: U8 = 0
    schedule_delivery_time: Schedule = ""
    validity_period: Validity = ""
    registered_delivery: U8 = 0
    replace_if_present_flag: U8 = 0
    data_coding: U8 = 0
    sm_default_msg_id: U8 = 0
    short_message: Message = b""
    tlv: Parameters = ()


@body
class SubmitMultiResp(Body):
    message_id: MessageId = ""
    unsuccess_sme: Annotated[tuple[Failure, ...], Failures()] = ()
    tlv: Parameters = ()


@body
class DataSm(Body):
    service_type: ServiceType = ""
    source_addr_ton: U8 = 0
    source_addr_npi: U8 = 0
    source_addr: LongSource = ""
    dest_addr_ton: U8 = 0
    dest_addr_npi: U8 = 0
    destination_addr: LongDest = ""
    esm_class: U8 = 0
    registered_delivery: U8 = 0
    data_coding: U8 = 0
    tlv: Parameters = ()


@body
class QuerySm(Body):
    message_id: MessageId = ""
    source_addr_ton: U8 = 0
    source_addr_npi: U8 = 0
    source_addr: Source = ""


@body
class QuerySmResp(Body):
    message_id: MessageId = ""
    final_date: Time = ""
    message_state: U8 = 0
    error_code: U8 = 0
    tlv: Parameters = ()


@body
class CancelSm(Body):
    service_type: ServiceType = ""
    message_id: MessageId = ""
    source_addr_ton: U8 = 0
    source_addr_npi: U8 = 0
    source_addr: Source = ""
    dest_addr_ton: U8 = 0
    dest_addr_npi: U8 = 0
    destination_addr: Dest = ""


@body
class ReplaceSm(Body):
    message_id: MessageId = ""
    source_addr_ton: U8 = 0
    source_addr_npi: U8 = 0
    source_addr: Source = ""
    schedule_delivery_time: Schedule = ""
    validity_period: Validity = ""
    registered_delivery: U8 = 0
    sm_default_msg_id: U8 = 0
    short_message: Message = b""
    tlv: Parameters = ()


@body
class AlertNotification(Body):
    source_addr_ton: U8 = 0
    source_addr_npi: U8 = 0
    source_addr: LongSource = ""
    esme_addr_ton: U8 = 0
    esme_addr_npi: U8 = 0
    esme_addr: Annotated[str, Bounded(65)] = ""
    tlv: Parameters = ()


_REQUESTS: dict[int, tuple[str, type[Body], type[Body] | None]] = {
    BIND_RECEIVER: ("bind_receiver", Bind, BindResp),
    BIND_TRANSMITTER: ("bind_transmitter", Bind, BindResp),
    QUERY_SM: ("query_sm", QuerySm, QuerySmResp),
    SUBMIT_SM: ("submit_sm", SubmitSm, MessageIdResp),
    DELIVER_SM: ("deliver_sm", SubmitSm, MessageIdResp),
    UNBIND: ("unbind", HeaderOnly, HeaderOnly),
    REPLACE_SM: ("replace_sm", ReplaceSm, HeaderOnly),
    CANCEL_SM: ("cancel_sm", CancelSm, HeaderOnly),
    BIND_TRANSCEIVER: ("bind_transceiver", Bind, BindResp),
    OUTBIND: ("outbind", Outbind, None),
    ENQUIRE_LINK: ("enquire_link", HeaderOnly, HeaderOnly),
    SUBMIT_MULTI: ("submit_multi", SubmitMulti, SubmitMultiResp),
    ALERT_NOTIFICATION: ("alert_notification", AlertNotification, None),
    DATA_SM: ("data_sm", DataSm, MessageIdResp),
}

PDUS: dict[str, dict[int, tuple[str, type[Body]]]] = {
    "3.4": {
        **{command: (name, kind) for command, (name, kind, _) in _REQUESTS.items()},
        **{
            command | RESP: (f"{name}_resp", resp)
            for command, (name, _, resp) in _REQUESTS.items()
            if resp is not None
        },
        GENERIC_NACK: ("generic_nack", HeaderOnly),
    }
}


def show_header(head: tuple[int, ...]) -> dict[str, Any]:
    """The header's fields as `carrierd decode --json` prints them."""
    return {"sequence_id": head[3], "command_status": head[2]}


def decode_body(version: str, command: int, pdu: bytes) -> tuple[str, Body]:
    """Name and body of a whole PDU.  Raises DecodeError with the offset in `pdu`."""
    found = PDUS[version].get(command)
    if found is None:
        raise DecodeError(
            f"no command {command:#010x} in SMPP {version}", offset=4, status=status.RINVCMDID
        )
    name, kind = found
    if command & RESP and len(pdu) == HEADER.size:
        return name, NoBody()
    return name, kind.decode(pdu, HEADER.size)


_BOUNDS: dict[type[Body], list[tuple[str, Bounded]]] = {
    kind: [(name, k) for name, k in kind._kinds.items() if isinstance(k, Bounded)]
    for _, kind in PDUS["3.4"].values()
}


def oversized(body: Body) -> tuple[int, str] | None:
    """Status and reason for the first text of `body` that is longer than its field."""
    for name, kind in _BOUNDS[type(body)]:
        if len(getattr(body, name)) >= kind.size:
            return kind.status, f"{name} is longer than {kind.size - 1} octets"
    return None
