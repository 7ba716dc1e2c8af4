"""What all SGIP conversations share, whoever dialled: frames, sequences, the farewell."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final

from .. import stamp
from ..errors import DecodeError, EncodeError, FramingError
from ..marks import mypyc_attr
from ..session import Clock, Limits, Session, State
from . import pdus, status

COMMAND: Final = struct.Struct("!II12s")
RESULT: Final = struct.Struct("!II12sB8s")
ANSWERED = frozenset({pdus.SUBMIT, pdus.DELIVER, pdus.REPORT, pdus.USERRPT})
"""Requests whose answer is a result."""


class Counter:
    """The third word of a sequence: from `first`, step 1, back to 0 after 0xffffffff.

    One for all connections of an account: the words before it are the same on all of them within
    one second.  `value` is the next one, to be kept over a restart.
    """

    __slots__ = ("value",)

    def __init__(self, first: int = 0) -> None:
        self.value = first & 0xFFFFFFFF

    def take(self) -> int:
        taken = self.value
        self.value = (taken + 1) & 0xFFFFFFFF
        return taken


class Sequences:
    """Sequences of one node: its number, the time as MMDDhhmmss, and the counter."""

    __slots__ = ("_clock", "_counter", "_head", "_node", "_second")

    def __init__(self, node: int, counter: Counter, clock: Clock) -> None:
        if not 0 <= node <= 0xFFFFFFFF:
            raise EncodeError(f"node id {node}: 0 to {0xFFFFFFFF} is allowed")
        self._node, self._counter, self._clock = node, counter, clock
        self._second: int | None = None
        self._head = b""

    def take(self, now: float) -> bytes:
        second = int(now + self._clock.epoch)
        if second != self._second:
            self._second = second
            word = int(stamp.login(self._clock.at(now)))
            self._head = self._node.to_bytes(4, "big") + word.to_bytes(4, "big")
        return self._head + self._counter.take().to_bytes(4, "big")


@mypyc_attr(allow_interpreted_subclasses=True)
class SgipFrames(Session):
    """SGIP has no keepalive: the limit is not used, an idle connection may be closed (section 3).

    An illegal command, or one that is out of turn, ends the connection without an answer.
    """

    header = struct.Struct("!II12x")
    longest = pdus.LONGEST

    _resp_reserve = True

    def __init__(
        self, limits: Limits, clock: Clock, *, node: int = 0, counter: Counter | None = None
    ) -> None:
        # Not super(): a gateway's ends have GatewaySession in between, and set its part themselves.
        Session.__init__(self, replace(limits, keepalive=None), clock)
        self._sequences = Sequences(node, Counter() if counter is None else counter, clock)

    def _send(self, command: int, sequence: bytes, body: bytes = b"") -> None:
        self._out.append(COMMAND.pack(20 + len(body), command, sequence) + body)

    def _result(self, command: int, sequence: bytes, result: int) -> None:
        """Answer the request `command`."""
        if self._resp_reserve:
            self._out.append(RESULT.pack(29, command | pdus.RESP, sequence, result, b""))
        else:
            self._send(command | pdus.RESP, sequence, bytes((result,)))

    def _farewell(self, now: float) -> None:
        self._send(pdus.UNBIND, self._sequences.take(now))

    def _refuse(self, head: tuple[int, ...], pdu: bytes, error: DecodeError) -> None:
        if head[1] in ANSWERED:
            self._result(head[1], pdu[8:20], error.status or status.BAD_PARAMETER)

    def _on_parting(self, command: int, sequence: bytes) -> None:
        """What is left when a command is none that this side expects."""
        if command == pdus.UNBIND and self.state in (State.BOUND, State.CLOSING):
            self._send(pdus.UNBIND_RESP, sequence)
            self._end("the peer said goodbye", error=False)
        elif command == pdus.UNBIND_RESP and self.state is State.CLOSING:
            self._end("closed by us", error=False)
        else:
            name = pdus.PDUS["1.2"].get(command, ("", None))[0]
            raise FramingError(f"command {name or f'{command:#010x}'} while {self.state.value}")


def result_of(pdu: bytes) -> int:
    """The result of an answer, without or with Reserve behind it."""
    if len(pdu) < 21:
        raise DecodeError("Resp.result: cut short, 0 octets left at 20", offset=20)
    return pdu[20]
