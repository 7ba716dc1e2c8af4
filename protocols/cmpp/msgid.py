"""Msg_Id: how a gateway makes them (CMPP 3.0.0, section 7.4.3.2)."""

from __future__ import annotations

import struct
from datetime import datetime

_U64 = struct.Struct("!Q")


def pack(moment: datetime, gateway: int, sequence: int) -> bytes:
    """The 8 octets: month 4 bits, day 5, hour 5, minute 6, second 6, gateway 22, sequence 16."""
    time = (
        moment.month << 22
        | moment.day << 17
        | moment.hour << 12
        | moment.minute << 6
        | moment.second
    )
    return _U64.pack(time << 38 | (gateway & 0x3FFFFF) << 16 | sequence & 0xFFFF)


def parts(msg_id: bytes) -> tuple[int, int, int, int, int, int, int]:
    """Month, day, hour, minute, second, gateway, sequence.

    Ids of real gateways do not always hold a date that exists.
    """
    n: int = _U64.unpack(msg_id)[0]
    return (
        n >> 60,
        n >> 55 & 31,
        n >> 50 & 31,
        n >> 44 & 63,
        n >> 38 & 63,
        n >> 16 & 0x3FFFFF,
        n & 0xFFFF,
    )


def text(msg_id: bytes) -> str:
    """MMDDhhmmss, gateway in 7 digits, sequence in 5: one of the spellings in use."""
    *time, gateway, sequence = parts(msg_id)
    return "".join(f"{n:02}" for n in time) + f"{gateway:07}{sequence:05}"


class MsgIds:
    """Allocates ids that are unique while fewer than 65,536 are made in one second."""

    __slots__ = ("gateway", "sequence")

    def __init__(self, gateway: int, first: int = 0) -> None:
        self.gateway = gateway
        self.sequence = first

    def next(self, moment: datetime) -> bytes:
        made = pack(moment, self.gateway, self.sequence)
        self.sequence = (self.sequence + 1) & 0xFFFF
        return made
