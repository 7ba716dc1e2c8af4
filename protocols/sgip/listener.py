"""Our end of a connection that the carrier makes to us: it logs in with type 2 and reports.

The specification lets requests travel only from the side that dialled, so nothing is submitted
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from ..errors import DecodeError, StateError
from ..events import Event, Malformed
from ..part import Part
from ..session import TALKING, Clock, Limits, State
from . import inbound, pdus, status
from .frames import Counter, SgipFrames

SMG_TO_SP = 2
LONGEST_SILENCE = 600.0
"""Seconds after a carrier's last word; it calls again when it has another (section 3.1)."""


class SgipListener(SgipFrames):
    """`logins` has the password and the owner of every login name that is welcome here.

    After Bound, `login` and `owner` say whose connection it is.  A wrong name or password is
    answered with result 1, another login type with 4, and the connection ends.  So does one that
    is logged in and says nothing for long: places are few, and SGIP has no keepalive.
    """

    def __init__(
        self,
        logins: Mapping[str, tuple[str, Any]],
        limits: Limits,
        clock: Clock,
        *,
        node: int = 0,
        counter: Counter | None = None,
    ) -> None:
        super().__init__(limits, clock, node=node, counter=counter)
        self._logins = logins
        self.login = ""
        self.owner: Any = None

    @property
    def room(self) -> int:
        return 0

    def deadline(self) -> float | None:
        if self.state is State.BOUND:
            return self._heard_at + LONGEST_SILENCE
        return super().deadline()

    def tick(self, now: float) -> list[Event]:
        if self.state is State.BOUND and now >= self._heard_at + LONGEST_SILENCE:
            return self.close(now)
        return super().tick(now)

    def _bind(self, now: float) -> None:
        """The carrier logs in, not we."""

    def _probe(self, now: float) -> None:
        raise AssertionError("SGIP has no keepalive, and the limit for it is never set")

    def _submit(self, tag: Any, part: Part, now: float) -> bytes | None:
        raise StateError("the carrier's connection takes no submits")

    def _on_frame(self, head: tuple[int, ...], pdu: bytes, now: float) -> None:
        command = head[1]
        live = self.state in TALKING
        if live and command in inbound.COMMANDS:
            event = inbound.read(command, pdu)
            if command == pdus.USERRPT:
                self._result(command, pdu[8:20], 0)
            self._emit(event)
        elif command == pdus.BIND:
            self._on_bind(pdu, now, again=live)
        else:
            self._on_parting(command, pdu[8:20])

    def _on_bind(self, pdu: bytes, now: float, *, again: bool) -> None:
        sequence = pdu[8:20]
        if again:
            self._result(pdus.BIND, sequence, status.REPEATED_LOGIN)
            self._emit(Malformed("Bind: logged in already", pdu))
            return
        try:
            bind = pdus.Bind.decode(pdu, 20)
        except DecodeError as exc:
            self._turn_away(sequence, status.BAD_PARAMETER, str(exc))
            return
        if bind.login_type != SMG_TO_SP:
            why = f"login type {bind.login_type}, only {SMG_TO_SP} is allowed here"
            self._turn_away(sequence, status.WRONG_LOGIN_TYPE, why)
            return
        password, owner = self._logins.get(bind.login_name, ("", None))
        right = compare_digest(password.encode(), bind.login_password.encode())
        if not right or bind.login_name not in self._logins:
            self._turn_away(sequence, status.ILLEGAL_LOGIN, "wrong name or password")
            return
        self.login, self.owner = bind.login_name, owner
        self._result(pdus.BIND, sequence, 0)
        self._bound("1.2", now, bind.login_name)

    def _turn_away(self, sequence: bytes, result: int, why: str) -> None:
        self._result(pdus.BIND, sequence, result)
        self._end(f"login refused: {why}", error=True)
