"""What both ends of an SMPP conversation share: frames, enquire_link, unbind, refusals."""

from __future__ import annotations

from ..errors import DecodeError
from ..marks import mypyc_attr
from ..session import TALKING, Session, State
from . import pdus, status

VERSIONS = {"3.3": 0x33, "3.4": 0x34, "5.0": 0x50}


def version_of(interface_version: int) -> str:
    """0x33 and lower is 3.3 (section 5.2.4); nothing is known above 5.0."""
    if interface_version <= 0x33:
        return "3.3"
    return "3.4" if interface_version < 0x50 else "5.0"


@mypyc_attr(allow_interpreted_subclasses=True)
class SmppFrames(Session):
    header = pdus.HEADER
    longest = pdus.LONGEST

    def _send(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self._out.append(pdus.HEADER.pack(16 + len(body), command, status, sequence) + body)

    def _probe(self, now: float) -> None:
        self._send(pdus.ENQUIRE_LINK, 0, self._next_sequence())

    def _farewell(self, now: float) -> None:
        self._send(pdus.UNBIND, 0, self._next_sequence())

    def _refuse(self, head: tuple[int, ...], pdu: bytes, error: DecodeError) -> None:
        command, sequence = head[1], head[3]
        if command & pdus.RESP or command in pdus.UNANSWERED:
            return
        if command not in pdus.PDUS["3.4"]:
            self._send(pdus.GENERIC_NACK, status.RINVCMDID, sequence)
            return
        # deliver_sm_resp always has its one NUL (section 4.6.2).
        body = b"\0" if command == pdus.DELIVER_SM else b""
        self._send(command | pdus.RESP, error.status or status.RINVCMDLEN, sequence, body)

    def _on_bad_length(self, head: tuple[int, ...]) -> None:
        # Of a PDU that cannot be decoded the sequence number is not known either (section 4.3.1).
        self._send(pdus.GENERIC_NACK, status.RINVCMDLEN, 0)

    def _on_any(self, head: tuple[int, ...], now: float) -> None:
        """Commands that either side may send at any time, and those that none may."""
        _, command, _, sequence = head
        live = self.state in TALKING
        if command == pdus.ENQUIRE_LINK:
            self._send(pdus.ENQUIRE_LINK_RESP, 0, sequence)
        elif command == pdus.ENQUIRE_LINK_RESP and live:
            self._probed(now)
        elif command == pdus.UNBIND:
            self._send(pdus.UNBIND_RESP, 0, sequence)
            self._end("the peer said goodbye", error=not live)
        elif command == pdus.UNBIND_RESP and self.state is State.CLOSING:
            self._end("closed by us", error=False)
        else:
            name = pdus.PDUS["3.4"].get(command, (f"command {command:#010x}", None))[0]
            raise DecodeError(
                f"{name} while {self.state.value}", offset=4, status=status.RINVBNDSTS
            )
