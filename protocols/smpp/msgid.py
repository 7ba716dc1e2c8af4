"""Message ids as a message centre makes them; to an ESME they are opaque text."""

from __future__ import annotations

from datetime import datetime


def pack(moment: datetime, gateway: int, sequence: int) -> bytes:
    """15 hexadecimal digits: seconds since 1970 28 bits, gateway 12, sequence 20."""
    seconds = int(moment.timestamp()) & 0xFFFFFFF
    return b"%015x" % (seconds << 32 | (gateway & 0xFFF) << 20 | sequence & 0xFFFFF)


class MsgIds:
    """Allocates ids that are unique while fewer than 2^20 are made in one second."""

    __slots__ = ("gateway", "sequence")

    def __init__(self, gateway: int, first: int = 0) -> None:
        self.gateway = gateway
        self.sequence = first

    def next(self, moment: datetime) -> bytes:
        made = pack(moment, self.gateway, self.sequence)
        self.sequence = (self.sequence + 1) & 0xFFFFF
        return made
