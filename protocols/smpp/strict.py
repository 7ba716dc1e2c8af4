"""What a strict message centre finds wrong with a submit (SMPP 3.4 section 5.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import stamp
from ..part import Coding
from ..strict import text_fault
from ..text import header
from . import inbound, pdus, status, tlvs
from .frames import VERSIONS

SEPTETS = frozenset({0, 1})
"""Codings of one octet per character that travel as seven bits."""
CODINGS = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15})

_RELATIVE = re.compile(r"[0-9]{15}R")
_NUMBER = re.compile(r"(?:86)?1[3-9][0-9]{9}")

Submit = pdus.SubmitSm | pdus.SubmitMulti | pdus.DataSm


@dataclass(slots=True, frozen=True)
class Rules:
    """What the message centre knows of the account; "" is not checked."""

    access_number: str = ""
    service_id: str = ""


def submit_fault(
    body: Submit,
    parameters: dict[int, bytes],
    short: bytes,
    head: header.Header | None,
    interface_version: int,
    rules: Rules,
) -> tuple[int, str]:
    """Status and reason, 0 when nothing is wrong.

    `short` is the short_message, `head` what the user data header says.
    """
    if not body.source_addr.startswith(rules.access_number):
        allowed = f"{rules.access_number}… is allowed"
        return status.RINVSRCADR, f"source_addr {body.source_addr!r}, {allowed}"
    if rules.service_id and body.service_type != rules.service_id:
        allowed = f"{rules.service_id!r} is allowed"
        return status.RINVSERTYP, f"service_type {body.service_type!r}, {allowed}"
    found = pdus.oversized(body) or _wrong_address(body) or _wrong_flag(body, interface_version)
    if found is not None:
        return found
    payload = parameters.get(tlvs.MESSAGE_PAYLOAD)
    if short and payload is not None:
        return status.ROPTPARNOTALLWD, "message_payload beside a short_message"
    found = _wrong_sar(parameters, head)
    if found is not None:
        return found
    content, coding = short or payload or b"", body.data_coding
    if not content:
        return status.RINVMSGLEN, "an empty message"
    if body.esm_class & inbound.UDHI and head is None:
        return status.RINVESMCLASS, f"the user data header {content[:7].hex()} does not add up"
    text = content if head is None else head.rest
    if payload is None:
        before = len(content) - len(text)
        most = before + (140 - before) * 8 // 7 if coding in SEPTETS else 140
        if len(content) > most:
            return status.RINVMSGLEN, f"sm_length {len(content)}, at most {most} is allowed"
    why = text_fault(text, Coding.ASCII if coding in SEPTETS else coding)
    if not why and coding == 0 and text.endswith(b"\x1b"):
        why = "the text ends within an escape"
    return (status.RSUBMITFAIL, why) if why else (0, "")


def _wrong_address(
    body: Submit,
) -> tuple[int, str] | None:
    if not body.source_addr.isdecimal() and body.source_addr_ton != 5:
        return status.RINVSRCADR, f"source_addr {body.source_addr!r}, digits are allowed"
    if body.source_addr_ton > 6:
        return status.RINVSRCTON, f"source_addr_ton {body.source_addr_ton}, 0 to 6 is allowed"
    if body.source_addr_npi > 18:
        return status.RINVSRCNPI, f"source_addr_npi {body.source_addr_npi}, 0 to 18 is allowed"
    if not isinstance(body, pdus.SubmitMulti):
        dest = pdus.Destination(body.dest_addr_ton, body.dest_addr_npi, body.destination_addr)
        return _wrong_dest(dest)
    if not 1 <= len(body.dest_address) <= 254:
        return status.RINVNUMDESTS, f"number_of_dests {len(body.dest_address)}, 1 to 254 is allowed"
    for item in body.dest_address:
        if not isinstance(item, pdus.Destination):
            return status.RCNTSUBDL, f"no distribution list {item.dl_name!r}"
        found = _wrong_dest(item)
        if found is not None:
            return found
    return None


def _wrong_dest(dest: pdus.Destination) -> tuple[int, str] | None:
    ton, npi, number = dest
    if not _NUMBER.fullmatch(number):
        return status.RINVDSTADR, f"destination_addr {number!r}, a mobile number is allowed"
    if ton > 6:
        return status.RINVDSTTON, f"dest_addr_ton {ton}, 0 to 6 is allowed"
    if npi > 18:
        return status.RINVDSTNPI, f"dest_addr_npi {npi}, 0 to 18 is allowed"
    return None


def _wrong_flag(body: Submit, interface_version: int) -> tuple[int, str] | None:
    if body.esm_class & inbound.KIND not in (0x00, 0x08, 0x10):
        return status.RINVESMCLASS, f"esm_class {body.esm_class:#04x}: that kind is not submitted"
    wanted = body.registered_delivery
    # The message centre's receipt for successes alone is of SMPP 5.0.
    if wanted > 0x1F or (wanted & 3 == 3 and interface_version < VERSIONS["5.0"]):
        return status.RINVREGDLVFLG, f"registered_delivery {wanted:#04x}"
    if not (body.data_coding in CODINGS or 0x10 <= body.data_coding <= 0x1F) and (
        body.data_coding < 0xC0
    ):
        result = status.RINVDCS if interface_version >= VERSIONS["5.0"] else status.RSUBMITFAIL
        return result, f"data_coding {body.data_coding:#04x} is not known"
    if isinstance(body, pdus.DataSm):
        return None
    if body.priority_flag > 3:
        return status.RINVPRTFLG, f"priority_flag {body.priority_flag}, 0 to 3 is allowed"
    if body.replace_if_present_flag > 1:
        flag = body.replace_if_present_flag
        return status.RINVREPFLAG, f"replace_if_present_flag {flag}, 0 and 1 are allowed"
    if body.sm_default_msg_id > 254:
        return status.RINVDFTMSGID, "sm_default_msg_id 255, 0 to 254 is allowed"
    for name, result in (
        ("schedule_delivery_time", status.RINVSCHED),
        ("validity_period", status.RINVEXPIRY),
    ):
        value = getattr(body, name)
        if value and not (stamp.is_absolute(value) or _RELATIVE.fullmatch(value)):
            return result, f"{name} {value!r}, YYMMDDhhmmsstnnp is allowed"
    return None


def _wrong_sar(parameters: dict[int, bytes], head: header.Header | None) -> tuple[int, str] | None:
    sar = (tlvs.SAR_MSG_REF_NUM, tlvs.SAR_TOTAL_SEGMENTS, tlvs.SAR_SEGMENT_SEQNUM)
    there = [tag for tag in sar if tag in parameters]
    if not there:
        return None
    if head is not None:
        return status.ROPTPARNOTALLWD, "sar parameters beside a user data header"
    if len(there) < len(sar):
        missing = next(tag for tag in sar if tag not in parameters)
        return status.RMISSINGOPTPARAM, f"{tlvs.NAMES[missing]} is missing"
    if inbound.sar(parameters) is None:
        shown = ", ".join(f"{tlvs.NAMES[tag]} {parameters[tag].hex()}" for tag in sar)
        return status.RINVOPTPARAMVAL, f"{shown} do not add up"
    return None
