"""What the carrier tells the SP: Report, Deliver and Userrpt, on whichever connection."""

from __future__ import annotations

import struct
from typing import Final

from ..errors import DecodeError
from ..events import Fate, Received, Reported, UserChanged
from . import pdus

COMMANDS: Final = frozenset({pdus.REPORT, pdus.DELIVER, pdus.USERRPT})
_REPORT: Final = 0x00000005  # as in pdus, but known when this is compiled

# pdus.Report behind a header of 20 octets, without Reserve.
REPORT: Final = struct.Struct("!20x12sB21sBB")

FATES: Final = {0: Fate.DELIVERED, 1: Fate.INTERMEDIATE, 2: Fate.FAILED}


def read(command: int, pdu: bytes) -> Reported | Received | UserChanged:
    """The event of one of `COMMANDS`; raises DecodeError.

    Reports are matched by time and counter of our Submit: some gateways alter the node word, which
    is the same in all of them.
    """
    sequence = pdu[8:20]
    if command == _REPORT:
        if len(pdu) < REPORT.size:
            pdus.Report.decode(pdu, 20)
            raise DecodeError("Report: cut short", offset=20)
        submit: bytes
        number: bytes
        submit, _, number, state, error = REPORT.unpack_from(pdu)
        to = number.partition(b"\0")[0].decode("latin-1").rstrip(" ")
        # A state that the specification does not have is none to wait behind.
        fate = FATES.get(state, Fate.FAILED)
        receipt = b"\0\0\0\x1d\x80\0\0\5" + sequence + bytes(9)
        return Reported((submit[4:],), 1, fate, str(error), to, receipt)
    if command == pdus.DELIVER:
        deliver = pdus.Deliver.decode(pdu, 20)
        return Received(
            sender=deliver.user_number,
            to=deliver.sp_number,
            content=deliver.message_content,
            coding=deliver.message_coding,
            udh=deliver.tp_udhi != 0,
            receipt=b"\0\0\0\x1d\x80\0\0\4" + sequence + bytes(9),
            identity=sequence,
        )
    rpt = pdus.Userrpt.decode(pdu, 20)
    return UserChanged(rpt.user_number, rpt.sp_number, rpt.user_condition)
