"""MsgID: how a gateway makes them (SMGP 3.0.3, section 6.2.26)."""

from __future__ import annotations

from datetime import datetime


def pack(moment: datetime, gateway: str, sequence: int) -> bytes:
    """The 10 octets of BCD: gateway 6 digits, MMDDhhmm, sequence 6 digits.

    Raises ValueError when `gateway` has not six digits.
    """
    if len(gateway) != 6 or not gateway.isascii() or not gateway.isdecimal():
        raise ValueError(f"gateway {gateway!r}: six digits are wanted")
    return bytes.fromhex(f"{gateway}{moment:%m%d%H%M}{sequence % 1_000_000:06}")


def parts(msg_id: bytes) -> tuple[str, str, str]:
    """Gateway, MMDDhhmm, sequence as hexadecimal digits.

    Real gateways put letters there too: an id is ten opaque octets to a client.
    """
    digits = msg_id.hex()
    return digits[:6], digits[6:14], digits[14:]


class MsgIds:
    """Allocates ids that are unique while fewer than a million are made in one minute."""

    __slots__ = ("_minute", "_stem", "gateway", "sequence")

    def __init__(self, gateway: str = "010061", first: int = 0) -> None:
        self.gateway = gateway
        self.sequence = first
        self._minute: tuple[int, ...] = ()
        self._stem = ""

    def next(self, moment: datetime) -> bytes:
        minute = (moment.month, moment.day, moment.hour, moment.minute)
        if minute != self._minute:
            self._minute = minute
            self._stem = pack(moment, self.gateway, 0).hex()[:14]
        made = bytes.fromhex(f"{self._stem}{self.sequence:06}")
        self.sequence = (self.sequence + 1) % 1_000_000
        return made
