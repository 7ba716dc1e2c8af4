"""What other daemons do not know of yet keeps its place in an account's window.

A daemon that is lost with its disk takes along what nobody else knew: whoever takes over sends it
again.  What was written and not answered is bounded by the window; so that all of it is (contract
section 6.1), an answer gives its place back when the others have been told, and that is once all
parts of the message are answered.
"""

from __future__ import annotations

from collections.abc import Sequence

from .link import Link
from .model import TAKEN, Message, State


class Untold:
    """Of an account, whose `links` are those that may submit."""

    def __init__(self, account: str, links: Sequence[Link]) -> None:
        self.answers = 0
        """Submits of messages that were answered to their last part, and not told of yet."""
        self._account = account
        self._links = links
        self._begun: dict[int, Message] = {}
        """Messages of several parts that may be answered in part."""

    def begin(self, message: Message) -> None:
        """The parts of the message are going to be written one by one."""
        self._begun[message.mid] = message

    def places(self) -> int:
        """How many more submits may be written."""
        places, _ = self.left()
        return places

    def left(self) -> tuple[int, bool]:
        """How many more submits may be written, and whether what was begun has all places, so that
        only the rest of that makes room.
        """
        owed = self.answers + sum(link.session.unanswered for link in self._links)
        windows = sum(link.session.limits.window for link in self._links)
        left = windows - owed - self._halves()
        # A message of more parts than that, with nothing beside it that could make room.
        return left if owed else max(1, left), left < 1

    def _halves(self) -> int:
        """Answered parts of messages of which others are not."""
        parts = 0
        for mid, message in list(self._begun.items()):
            done = message.final or message.state is State.ACCEPTED or not message.standing
            if done or message.account != self._account:  # unwritten, it followed its route
                del self._begun[mid]
            else:
                parts += sum(part.state in TAKEN for part in message.parts)
        return parts
