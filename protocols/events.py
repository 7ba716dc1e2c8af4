"""What a session tells its owner: the same words for every carrier protocol.

`tag` is whatever the owner gave with a request; the session never looks at it. `receipt` goes
back to `acknowledge` once the news is safe; until then the peer believes it undelivered and will
tell it again. `ticket` goes back to the gateway session that raised it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple


class Fate(Enum):
    """What a delivery report says of its part."""

    DELIVERED = "delivered"
    FAILED = "failed"
    INTERMEDIATE = "intermediate"
    """Not final (ACCEPTD, ENROUTE, SGIP state 1): keep waiting."""


# Both sides


@dataclass(slots=True)
class Bound:
    """The login succeeded; `version` is what both sides speak, `login` who logged in."""

    version: str
    login: str = ""


@dataclass(slots=True)
class Malformed:
    """One PDU could not be read, or came out of turn; it was refused and the session goes on."""

    error: str
    frame: bytes


@dataclass(slots=True)
class Unanswered:
    """Written, and no word came back in time.  The peer may well have it.

    While the connection lives a late answer may still follow as Accepted or Rejected.
    """

    tag: Any


@dataclass(slots=True)
class Closed:
    """The conversation is over: close the connection.  Always the last event."""

    reason: str
    error: bool


# The client's side


@dataclass(slots=True)
class BindRefused:
    status: int
    reason: str
    retry: bool
    """False when trying again with the same credentials cannot help."""


class Refused(NamedTuple):
    """One recipient that the answer to a list excepts (SMPP submit_multi_resp, section 4.5.2)."""

    to: str
    """As the answer spells it."""
    status: int
    code: str
    """`status` in the contract's spelling."""
    throttled: bool


# Two of these are made for every message: compiled, an `__init__` that is written down costs a
# quarter of one that `dataclass` makes, which stays Python.


@dataclass(slots=True, init=False)
class Accepted:
    tag: Any
    carrier_id: bytes
    """What a report will quote, as octets: CMPP 8, SMGP 10, SGIP our own 12, SMPP its text."""
    refused: tuple[Refused, ...]
    """Of a list: the recipients that were not taken."""

    def __init__(self, tag: Any, carrier_id: bytes, refused: tuple[Refused, ...] = ()) -> None:
        self.tag = tag
        self.carrier_id = carrier_id
        self.refused = refused


@dataclass(slots=True)
class Rejected:
    tag: Any
    status: int
    code: str
    """`status` in the contract's spelling: decimal, SMPP 0x%08X."""
    throttled: bool


@dataclass(slots=True, init=False)
class Reported:
    """A delivery report.

    `keys` are matching keys (see `ids.py`), best first; the first `exact` of them identify the
    part alone, the others only together with the recipient.
    """

    keys: tuple[bytes, ...]
    exact: int
    fate: Fate
    code: str
    to: str
    receipt: Any

    def __init__(
        self,
        keys: tuple[bytes, ...],
        exact: int,
        fate: Fate,
        code: str,
        to: str,
        receipt: Any,
    ) -> None:
        self.keys = keys
        self.exact = exact
        self.fate = fate
        self.code = code
        self.to = to
        self.receipt = receipt


@dataclass(slots=True)
class Received:
    """A message from a subscriber, or one part of it."""

    sender: str
    to: str
    content: bytes
    coding: int
    udh: bool
    receipt: Any
    identity: bytes
    """The same octets when the carrier delivers this again."""
    sar: tuple[int, int, int] | None = None
    """Reference, total and number from SAR TLVs."""


@dataclass(slots=True)
class UserChanged:
    """A subscriber's standing with the access number changed (SGIP UserRpt); answered already.

    `condition` is 0 for cancelled, 1 for suspended, 2 for restored.
    """

    number: str
    to: str
    condition: int


# The gateway's side


@dataclass(slots=True)
class LoginAsked:
    """`status` is 0, or the protocol's own refusal for what is wrong with this login."""

    ticket: Any
    login: str
    version: str
    status: int
    mode: str = "trx"
    """`tx`, `rx` or `trx`: which directions this connection is to carry."""


@dataclass(slots=True)
class Submitted:
    """A part that reached the gateway.

    `fault` is 0, or the result that a strict gateway answers it with, and `why` says what is wrong.
    """

    ticket: Any
    to: tuple[str, ...]
    sender: str
    content: bytes
    coding: int
    udh: bool
    number: int
    total: int
    wants_report: bool
    fault: int = 0
    why: str = ""
    fields: Any = field(default=None, repr=False)
    """The PDU's body, whole."""


@dataclass(slots=True)
class Taken:
    """The client answered a report or an inbound message; `result` 0 is yes."""

    tag: Any
    result: int


Event = (
    Bound
    | Malformed
    | Unanswered
    | Closed
    | BindRefused
    | Accepted
    | Rejected
    | Reported
    | Received
    | UserChanged
    | LoginAsked
    | Submitted
    | Taken
)
