"""What may still be written: whether a message is wanted, asked before each of its steps.

Of what is not, because it has expired, was stopped, or is another daemon's now, note is taken when
that is found.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from .changes import Changes
from .clock import wall
from .homes import Homes
from .lists import Member
from .memory import Memory
from .model import ELSEWHERE, WRITTEN, Message, Part, PartState
from .settle import Settle
from .stops import STOPPED, Stops

log = structlog.get_logger()


class Wanted:
    def __init__(
        self,
        *,
        memory: Memory,
        settle: Settle,
        homes: Homes,
        stops: Stops,
        commit: Callable[[Changes], None],
    ) -> None:
        self.memory = memory
        self.settle = settle
        self.homes = homes
        self.stops = stops
        self.commit = commit
        self.open = memory.open

    @property
    def revision(self) -> int:
        """Goes up when what was claimed may be unwanted now, though neither expired nor settled:
        something was stopped, partitions went to others, memory let go of a message.
        """
        return self.memory.dropped + self.stops.revision + self.homes.revision

    def still(self, message: Message) -> bool:
        """False for a message that has expired or is settled, stopped, or not ours meanwhile."""
        if message.final or self.open.get(message.mid) is not message:
            return False
        homes = self.homes
        if not (homes.every or homes.mine(message.job)):
            self.leave_to_others(message)
            return False
        if self.stops.any and self.stops.cover(message):
            self.refuse(message, STOPPED)
            return False
        if message.job.fields.expires_at is None:
            return True
        at = wall()
        if not self.settle.gone(message, at):
            return True
        if any(p.doubts or p.state is not PartState.UNSENT for p in message.parts):
            self.settle.stays_in_doubt(message)
            if any(p.doubts or p.carrier_ids for p in message.parts):
                return False
        c = Changes()
        self.settle.expired(message, "LOCAL:QUEUE_EXPIRED", at, c)
        self.commit(c)
        return False

    def among(self, messages: list[Message]) -> list[Message]:
        """Those for which `still` is true."""
        if not self.stops.any:
            opened, every, mine = self.open, self.homes.every, self.homes.mine
            for m in messages:
                job = m.job
                if (
                    job.fields.expires_at is not None
                    or opened.get(m.mid) is not m
                    or not (every or mine(job))
                ):
                    break
            else:
                return messages
        return [m for m in messages if self.still(m)]

    def may_write(self, message: Message, part: Part) -> bool:
        """The same of a part that was claimed: what may not be written is taken back."""
        m = message
        if part.state is not WRITTEN or m.final or not self.still(m):
            m.take_back(part)
            self.settle.stays_in_doubt(m)
            if m.out == 0:
                self.memory.release(m)
            return False
        return True

    def may_write_all(self, writes: list[Member]) -> list[Member]:
        """Those of a job's parts for which `may_write` is true."""
        job = writes[0].message.job
        if self.stops.any or job.fields.expires_at is not None or not self.homes.mine(job):
            return [write for write in writes if self.may_write(write.message, write.part)]
        held = self.open
        return [
            write
            for write in writes
            if (
                write.part.state is WRITTEN
                and not write.message.final
                and held.get(write.message.mid) is write.message
            )
            or self.may_write(write.message, write.part)
        ]

    def unspelled(self, message: Message, part: Part, reason: str) -> None:
        """The session cannot put this part on the wire."""
        m = message
        m.take_back(part)
        log.error("part cannot be spelled", account=m.account, message=m.id, error=reason)
        self.refuse(m, "LOCAL:ENCODING")

    def unfit(self, message: Message, code: str, reason: str) -> None:
        """The message cannot go to its account at all."""
        log.info("message refused", message=message.id, code=code, error=reason)
        self.refuse(message, code)

    def refuse(self, message: Message, code: str) -> None:
        """Refuse it before the wire."""
        c = Changes()
        self.settle.refused(message, code, wall(), c)
        self.commit(c)

    def leave_to_others(self, message: Message) -> None:
        """It is another daemon's, but for what of it is on the wire: that has its answer here."""
        if not any(part.flying for part in message.parts):
            self.memory.let_go(message)
            return
        message.wake = ELSEWHERE  # should it be ours again, `adopt` looks at the rest
        c = Changes()
        c.touch(message)
        self.commit(c)
