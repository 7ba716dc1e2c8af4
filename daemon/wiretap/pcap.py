"""PDUs as a capture file that Wireshark and other dissectors read.

The daemon sees octets and no packets, so these are made up around them: Ethernet, IP and TCP with
the connection's real addresses and ports, a handshake, sequence numbers without gaps, and right
checksums.  A PDU that was lost on the way here is missing without a gap, so that all others can
be read.  Format: pcap 2.4, link type Ethernet, microseconds.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import BinaryIO

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_TCP = struct.Struct("!HHIIBBHHH")
MAGIC, ETHERNET, SNAPLEN = 0xA1B2C3D4, 1, 262144
SEGMENT = 32768
"""Octets of one packet at most: IP has no room for the longest PDU."""
SYN, PSH, ACK = 0x02, 0x08, 0x10
TCP = 6
OURS, THEIRS = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
"""Locally administered addresses: nobody's."""

Address = tuple[str, int]


class Flow:
    """One connection; `called` when the peer made it."""

    def __init__(self, local: Address, remote: Address, *, called: bool = False) -> None:
        self.local, self.remote = local, remote
        self.called = called
        self.begun = False
        self.next = {True: 1, False: 1}
        """The next sequence number, incoming and outgoing."""


class Pcap:
    """Writes to a file as it comes, so that it can be read while it grows."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._id = 0
        file.write(_FILE.pack(MAGIC, 2, 4, 0, 0, SNAPLEN, ETHERNET))
        file.flush()

    def write(self, at: float, flow: Flow, incoming: bool, pdu: bytes) -> None:
        """One PDU; `at` is seconds since 1970."""
        if not flow.begun:
            flow.begun = True
            self._handshake(at, flow)
        for start in range(0, len(pdu), SEGMENT):
            piece = pdu[start : start + SEGMENT]
            ours, theirs = flow.next[incoming], flow.next[not incoming]
            self._packet(at, flow, incoming, ours, theirs, PSH | ACK, piece)
            flow.next[incoming] = (ours + len(piece)) & 0xFFFFFFFF
        self._file.flush()

    def _handshake(self, at: float, flow: Flow) -> None:
        caller = flow.called
        self._packet(at, flow, caller, 0, 0, SYN, b"")
        self._packet(at, flow, not caller, 0, 1, SYN | ACK, b"")
        self._packet(at, flow, caller, 1, 1, ACK, b"")

    def _packet(
        self,
        at: float,
        flow: Flow,
        incoming: bool,
        sequence: int,
        acknowledged: int,
        flags: int,
        data: bytes,
    ) -> None:
        source, target = (flow.remote, flow.local) if incoming else (flow.local, flow.remote)
        head = (source[1], target[1], sequence, acknowledged, 5 << 4, flags, 0xFFFF)
        here, there = ip_address(source[0]).packed, ip_address(target[0]).packed
        size = _TCP.size + len(data)
        pseudo = here + there + struct.pack("!HH" if len(here) == 4 else "!II", *_ends(here, size))
        checksum = _checksum(pseudo + _TCP.pack(*head, 0, 0) + data)
        segment = _TCP.pack(*head, checksum, 0) + data
        macs = OURS + THEIRS if incoming else THEIRS + OURS
        if len(here) == 4:
            packet = macs + b"\x08\x00" + self._ip4(here, there, size) + segment
        else:
            ip6 = struct.pack("!IHBB", 6 << 28, size, TCP, 64) + here + there
            packet = macs + b"\x86\xdd" + ip6 + segment
        second, micro = divmod(round(at * 1_000_000), 1_000_000)
        self._file.write(_RECORD.pack(second, micro, len(packet), len(packet)) + packet)

    def _ip4(self, here: bytes, there: bytes, size: int) -> bytes:
        self._id = self._id + 1 & 0xFFFF
        head = struct.pack("!BBHHHBB", 0x45, 0, 20 + size, self._id, 0x4000, 64, TCP)
        checksum = _checksum(head + b"\0\0" + here + there)
        return head + struct.pack("!H", checksum) + here + there


def _ends(here: bytes, size: int) -> tuple[int, int]:
    """How the pseudo header ends (RFC 9293 section 3.1, RFC 8200 section 8.1)."""
    return (TCP, size) if len(here) == 4 else (size, TCP)


def _checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
