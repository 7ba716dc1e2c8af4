"""Octets of one direction of a connection, cut into PDUs."""

from __future__ import annotations

from protocols.session import Session


class Frames:
    """`kept` is what came of the first PDU before anybody looked."""

    def __init__(self, session: type[Session] | Session, kept: bytes = b"") -> None:
        self._header, self._longest = session.header, session.longest
        self._buffer = bytearray(kept)
        self.broken = False
        """An impossible length came by: nothing behind it can be cut."""

    def feed(self, data: bytes) -> list[bytes]:
        """The PDUs that are whole now."""
        if self.broken:
            return []
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        at, size = 0, self._header.size
        while len(buffer) - at >= size:
            length = self._header.unpack_from(buffer, at)[0]
            if not size <= length <= self._longest:
                self.broken = True
                buffer.clear()
                return found
            if len(buffer) - at < length:
                break
            found.append(bytes(buffer[at : at + length]))
            at += length
        del buffer[:at]
        return found
