"""SMPP command_status: what the values are called, and which of them mean what to us."""

from __future__ import annotations

from aiosmpplib.state import SmppCommandStatus

ROK = 0x00
RINVMSGLEN = 0x01
RINVCMDLEN = 0x02
RINVCMDID = 0x03
RINVBNDSTS = 0x04
RALYBND = 0x05
RINVPRTFLG = 0x06
RINVREGDLVFLG = 0x07
RSYSERR = 0x08
RINVSRCADR = 0x0A
RINVDSTADR = 0x0B
RINVMSGID = 0x0C
RINVPASWD = 0x0E
RINVSYSID = 0x0F
RCANCELFAIL = 0x11
RREPLACEFAIL = 0x13
RMSGQFUL = 0x14
RINVSERTYP = 0x15
RINVNUMDESTS = 0x33
RINVESMCLASS = 0x43
RCNTSUBDL = 0x44
RSUBMITFAIL = 0x45
RINVSRCTON = 0x48
RINVSRCNPI = 0x49
RINVDSTTON = 0x50
RINVDSTNPI = 0x51
RINVSYSTYP = 0x53
RINVREPFLAG = 0x54
RTHROTTLED = 0x58
RINVSCHED = 0x61
RINVEXPIRY = 0x62
RINVDFTMSGID = 0x63
RX_P_APPN = 0x65
RQUERYFAIL = 0x67
RINVOPTPARSTREAM = 0xC0
ROPTPARNOTALLWD = 0xC1
RMISSINGOPTPARAM = 0xC3
RINVOPTPARAMVAL = 0xC4
RINVDCS = 0x104

THROTTLED = frozenset({RMSGQFUL, RTHROTTLED})

HOPELESS_LOGINS = frozenset({RINVCMDID, RINVPASWD, RINVSYSID, RINVSYSTYP, 0x100, 0x101, 0x103})
"""Credentials or configuration: the same bind will be refused again.

Others pass: RALYBND and RBINDFAIL stand while the gateway believes an old connection alive.
"""

# SMPP 5.0, section 4.7.6, beyond what 3.4 names.
_SINCE_5_0 = {
    0x100: "ESME_RSERTYPUNAUTH",
    0x101: "ESME_RPROHIBITED",
    0x102: "ESME_RSERTYPUNAVAIL",
    0x103: "ESME_RSERTYPDENIED",
    0x104: "ESME_RINVDCS",
    0x105: "ESME_RINVSRCADDRSUBUNIT",
    0x106: "ESME_RINVDSTADDRSUBUNIT",
    0x107: "ESME_RINVBCASTFREQINT",
    0x108: "ESME_RINVBCASTALIAS_NAME",
    0x109: "ESME_RINVBCASTAREAFMT",
    0x10A: "ESME_RINVNUMBCAST_AREAS",
    0x10B: "ESME_RINVBCASTCNTTYPE",
    0x10C: "ESME_RINVBCASTMSGCLASS",
    0x10D: "ESME_RBCASTFAIL",
    0x10E: "ESME_RBCASTQUERYFAIL",
    0x10F: "ESME_RBCASTCANCELFAIL",
    0x110: "ESME_RINVBCAST_REP",
    0x111: "ESME_RINVBCASTSRVGRP",
    0x112: "ESME_RINVBCASTCHANIND",
}

NAMES: dict[int, str] = {int(known): known.name for known in SmppCommandStatus} | _SINCE_5_0


def meaning(status: int) -> str:
    """The specification's name and the number, for people."""
    return f"{NAMES.get(status, 'status')} {code(status)}"


def code(status: int) -> str:
    """The status as reports spell it."""
    return f"0x{status:08X}"
