"""The gateway's side of a conversation: what the simulated gateways are made of.

The same machine as a client's session, with the other half of the words.  It checks what it
receives as strictly as the specification allows a gateway to, and leaves every decision to its
owner:

    LoginAsked   -> admit(ticket, now) or refuse(ticket, status)
    Submitted    -> answer(ticket, status, carrier_id)
    report(tag, report, now), deliver(tag, part, now)   while `room` > 0; come back as Taken
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import StateError
from .events import Fate
from .part import Part
from .session import Clock, Limits, Session


@dataclass(slots=True)
class Report:
    """A delivery report as a gateway sends it.

    `carrier_id` is what the submit was answered with (SGIP: the submit's own sequence), `code` the
    word or number in the contract's spelling ("DELIVRD", "UNDELIV/003", "29"), `to` the part's
    recipient, `sender` its source number; times are seconds since 1970.
    """

    carrier_id: bytes
    to: str
    sender: str
    fate: Fate
    code: str
    submitted_at: float
    done_at: float


class GatewaySession(Session):
    """`secrets` gives the password of a login name, or None for a name that is not known."""

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        secrets: Callable[[str], str | None],
        *,
        first_sequence: int = 1,
    ) -> None:
        super().__init__(limits, clock, first_sequence=first_sequence)
        self.secrets = secrets

    def _bind(self, now: float) -> None:
        """A gateway waits for the client's login."""

    def _submit(self, tag: Any, part: Part, now: float) -> bytes | None:
        raise StateError("a gateway delivers, it does not submit")

    def admit(self, ticket: Any, now: float) -> None:
        """Answer the login with yes; raises Bound with the next events."""
        raise NotImplementedError

    def refuse(self, ticket: Any, status: int) -> None:
        """Answer the login with `status` and end the conversation once that is written."""
        raise NotImplementedError

    def answer(self, ticket: Any, status: int, carrier_id: bytes = b"") -> None:
        """Answer a submit; does nothing after the conversation ended."""
        raise NotImplementedError

    def report(self, tag: Any, report: Report, now: float) -> None:
        """Send a delivery report.  Raises StateError without room, EncodeError."""
        raise NotImplementedError

    def deliver(self, tag: Any, part: Part, now: float) -> None:
        """Send a subscriber's message: from `part.sender` to the access number `part.to`."""
        raise NotImplementedError
