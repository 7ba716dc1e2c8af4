"""What a peer, or a caller, can get wrong.

The class says what to do next, so nobody has to read the message:

    ProtocolError
        EncodeError    ours    this part cannot be put on the wire; fail it, keep the session
        StateError     ours    the session is not in a state to do that; a bug in the caller
        DecodeError    theirs  one bad PDU in a whole frame; refuse it, keep the session
        FramingError   theirs  frame boundaries are lost; nothing after this can be read, close
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of the four; never raised itself."""


class EncodeError(ProtocolError):
    """A value does not fit its field; the message names the field and what is allowed."""


class StateError(ProtocolError):
    """A call that the session's state does not allow; a bug in the caller."""


class DecodeError(ProtocolError):
    """One PDU in a sound frame cannot be read.

    `offset` is the octet of the PDU, header included, where reading stopped, and `status` the
    result that the protocol's own table has for it (0 when the protocol decides by itself).
    """

    def __init__(self, message: str, *, offset: int = 0, status: int = 0) -> None:
        super().__init__(message)
        self.offset = offset
        self.status = status


class FramingError(ProtocolError):
    """A length that no frame can have: where the next frame starts is not known any more."""
