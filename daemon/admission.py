"""From new jobs to messages that wait on their routes, or have ended before that.

Most messages of a batch meet the same few doors: one per carrier, where all is known that does
not depend on the message.  What is unusual about a message, or its batch, is looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .changes import Changes
from .engine import Engine
from .model import LANES, Job, Message, State, untouched
from .numbers.normalise import DIGITS, normalise
from .numbers.plan import Plan
from .parking import Parking
from .prepare import Refusal, fits
from .queues import RouteQueue
from .router import OWN, Router
from .stops import STOPPED
from .tally import Tally

WAITING: Final = int(State.WAITING)
_untouched: Final = untouched


class Door:
    """What all messages of a batch that take one route meet there."""

    __slots__ = ("code", "open", "parks", "patience", "queue", "route", "serving", "waiting")

    def __init__(
        self,
        queue: RouteQueue | None,
        code: str | None,
        patience: float,
        parks: bool,
        serving: str | None,
    ) -> None:
        self.queue = queue
        """None when the account that was asked for is not known."""
        self.route = "" if queue is None else queue.name
        self.code = code
        """A LOCAL one, when there is no way to go on."""
        self.patience = patience
        """Seconds that they may wait."""
        self.parks = parks
        """Whether they are parked at once."""
        self.serving = serving
        """The account that they go to now."""
        self.open = False
        """Whether what asks for nothing unusual goes through unseen."""
        self.waiting: tuple[list[Message], ...] = tuple([] for _ in range(LANES))
        """Those that are to be queued, by lane."""


class Admission:
    def __init__(
        self, *, engine: Engine, router: Router, plan: Plan, tally: Tally, parking: Parking
    ) -> None:
        self.engine = engine
        self.router = router
        self.plan = plan
        self.tally = tally
        self.parking = parking
        self._known = plan.known

    # Messages of a job

    def messages(self, job: Job) -> list[Message]:
        """One for each recipient; a number that cannot be sent to has its code already."""
        lane, known = int(job.fields.priority), self._known
        found: list[Message] = []
        for index, raw in enumerate(job.fields.to):
            # As `message` begins.
            carrier = known.get(raw[:3])
            if carrier is not None and len(raw) == DIGITS and raw.isdigit() and raw.isascii():
                found.append(Message(job, index, raw, carrier, lane))
            else:
                found.append(self.message(job, index, raw))
        numbers = [message.to for message in found if message.code is None]
        if len(set(numbers)) < len(numbers):
            seen: set[str] = set()
            for message in found:
                if message.code is None and message.to in seen:
                    message.code = "LOCAL:DUPLICATE"
                seen.add(message.to)
        return found

    def message(self, job: Job, index: int, raw: str) -> Message:
        """As one of `messages`, for a job with one recipient."""
        lane = job.fields.priority
        carrier = self._known.get(raw[:3])
        if carrier is not None and len(raw) == DIGITS and raw.isdigit() and raw.isascii():
            return Message(job, index, raw, carrier, lane)
        number = normalise(raw)
        if isinstance(number, str):
            return Message(job, index, number, self.plan.carrier(number), lane)
        message = Message(job, index, raw, None, lane)
        message.code = number.value
        return message

    # To their routes

    def admit(
        self, messages: Sequence[Message], at: float, c: Changes, *, new: bool = True
    ) -> set[str]:
        """Queue them, in the order of their numbers; returns the accounts that have more to do.

        `new`: their jobs were received at `at`.
        """
        engine = self.engine
        open_, mine, every = engine.open, engine.homes.mine, engine.homes.every
        rows = c.entries.messages
        plain = new and not engine.stops.any
        doors: dict[str | None, Door] = {}
        job: Job | None = None
        life, units = b"", -1  # neighbours mostly have one
        of: str | None = None
        for m in messages:
            if m.job is not job:
                job = m.job
                fields = job.fields
                account = fields.account
                usual = (
                    not fields.ext
                    and fields.expires_at is None
                    and fields.not_before is None
                    and (every or mine(job))
                )
            open_[m.mid] = m
            if m.code is not None:
                engine.settle.refused(m, m.code, at, c)
                continue
            carrier = m.carrier
            if carrier is None:
                self.tally.unknown_prefix += 1
            name = carrier if account is None else OWN + account
            door = doors.get(name)
            if door is None:
                door = doors[name] = self._door(carrier, account, at)
                door.open &= plain
            m.route = door.route
            if usual and door.open:
                # Nothing else can happen to it in this commit: its row is what all have.
                m.wake = wake = at + door.patience
                if of is not carrier or units != job.bill_units:
                    of, units = carrier, job.bill_units
                    life = _untouched(carrier, units)
                rows.append((m.mid, m.to, door.route, m.lane, None, WAITING, 0, wake, life))
                door.waiting[m.lane].append(m)
            else:
                self._look(m, door, at, c)
        return self._queue(doors)

    def _queue(self, doors: dict[str | None, Door]) -> set[str]:
        accounts: set[str] = set()
        for door in doors.values():
            queue = door.queue
            for lane, waiting in enumerate(door.waiting):
                if not waiting or queue is None:
                    continue
                for m in waiting[queue.offer_all(lane, waiting) :]:
                    del self.engine.open[m.mid]
                if door.serving is not None:
                    accounts.add(door.serving)
        return accounts

    def _look(self, m: Message, door: Door, at: float, c: Changes) -> None:
        """At all that may become of a message before it waits."""
        engine = self.engine
        c.touch(m)
        queue = door.queue
        code = door.code or self._unfit(m, queue)
        if code is not None or queue is None:
            engine.settle.refused(m, code or "LOCAL:ACCOUNT", at, c)
            return
        fields = m.job.fields
        if engine.stops.any and engine.stops.cover(m):
            engine.settle.refused(m, STOPPED, at, c)
            return
        if fields.expires_at is not None and engine.settle.gone(m, at):
            engine.settle.expired(m, "LOCAL:QUEUE_EXPIRED", at, c)
            return
        not_before = fields.not_before
        if not_before is not None and not_before > at:
            m.state = State.HELD
            expires = fields.expires_at
            m.wake = not_before if expires is None else min(not_before, expires)
            queue.held += 1
            if self.parking.far(m, at):
                self.parking.hold(m, c)
            del engine.open[m.mid]
            return
        m.wake = engine.settle.waiting_until(m, door.patience)
        if door.parks:
            self.parking.park(m, queue, c)
            del engine.open[m.mid]
            return
        door.waiting[m.lane].append(m)

    def _door(self, carrier: str | None, account: str | None, at: float) -> Door:
        router = self.router
        queue = router.choose(carrier, account)
        if queue is None:
            return Door(None, "LOCAL:ACCOUNT", 0.0, False, None)
        if not queue.accounts:
            return Door(queue, "LOCAL:NO_ROUTE", 0.0, False, None)
        serving = router.serving.get(queue.name)
        door = Door(queue, None, router.waits(queue), self.parking.takes(queue, at), serving)
        # What ends within the horizon needs an alarm, which a commit makes of what was touched.
        door.open = not door.parks and at + door.patience > self.engine.alarms.horizon
        return door

    def _unfit(self, m: Message, queue: RouteQueue | None) -> str | None:
        """A LOCAL code when the account cannot send it so."""
        if queue is None or not m.job.fields.ext:
            return None  # an access number alone fits
        try:
            fits(m, self.router.accounts[self.router.first(queue)].settings)
        except Refusal as exc:
            return exc.code
        return None

    def unhold(self, m: Message) -> None:
        """Its `not_before` has come."""
        queue = self.router.queues.get(m.route)
        if queue is not None:
            queue.held = max(0, queue.held - 1)
        if queue is None or not queue.accounts:
            # Its account was taken out of the configuration meanwhile.
            code = "LOCAL:ACCOUNT" if m.job.fields.account is not None else "LOCAL:NO_ROUTE"
            self.engine.wanted.refuse(m, code)
            return
        if not queue.admit(m):
            self.engine.open.pop(m.mid, None)
            return
        serving = self.router.serving.get(m.route)
        if serving is not None:
            self.router.accounts[serving].nudge()
