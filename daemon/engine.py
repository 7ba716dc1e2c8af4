"""The submit engine: what links hear goes in, what must be kept and told comes out.

It turns the events of one read into one `Changes`, which `answers` and `reports` fill and `keeping`
writes down.  It is made of the parts that have to do with messages in `memory`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from protocols import ids
from protocols.events import (
    Accepted,
    Event,
    Received,
    Rejected,
    Reported,
    Unanswered,
)

from .account import Account
from .alarms import Alarms
from .answers import Answers
from .changes import Changes
from .claiming import Claiming
from .claims import Claims
from .clock import wall
from .config import Account as Settings
from .correlate import Correlate
from .dealing import Dealt
from .homes import Homes
from .keeping import Keeping
from .ledger import Ledger
from .link import Link
from .lists import Member, together
from .matching import Matching
from .memory import Memory
from .model import ELSEWHERE, WAITS, Message, State, Write
from .offsets import Offsets
from .queues import RouteQueue
from .reports import Reports
from .settle import Settle
from .stops import Stops, unwritten
from .tally import Tally
from .teller import Teller
from .usual import Usual
from .wanted import Wanted

log = structlog.get_logger()

BEGUN = frozenset({State.WAITING, State.UNCERTAIN})
"""States in which some parts of a message may have left and others not."""
ABOUT_MESSAGES = (Accepted, Rejected, Unanswered, Reported)


class Engine:
    """`inbound` takes subscribers' messages, `refill` reads those of a queue back from the ledger,
    `requeue` puts one back on its route.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        settle: Settle,
        correlate: Correlate,
        offsets: Offsets,
        alarms: Alarms,
        claims: Claims,
        homes: Homes,
        stops: Stops,
        teller: Teller | None,
        tally: Tally,
        connected: Callable[[], bool],
        stored_is_safe: bool,
        inbound: Callable[[Account, Link, Received, Changes], None],
        refill: Callable[[RouteQueue, int], None],
        requeue: Callable[[Message], None],
        accounts: dict[str, Account],
        settings: dict[str, Settings],
        on_connection: Callable[[Account, Link, Event, float], None],
    ) -> None:
        self.ledger = ledger
        self.settle = settle
        self.correlate = correlate
        self.offsets = offsets
        self.alarms = alarms
        self.homes = homes
        self.stops = stops
        self.teller = teller
        """Tells other daemons; None where there can be none."""
        self.tally = tally
        self.stored_is_safe = stored_is_safe
        self.inbound = inbound
        self.refill_from_ledger = refill
        self.on_connection = on_connection
        """Told of what concerns the connection itself: the bind that holds it looks after that."""
        self.accounts = accounts
        self.of_link: dict[Link, Account] = {}
        self.memory = Memory(
            ledger=ledger,
            correlate=correlate,
            homes=homes,
            alarms=alarms,
            claims=claims,
            settings=settings,
        )
        self.open = self.memory.open
        """Messages in memory, by mid."""
        self.keeping = Keeping(
            ledger=ledger,
            memory=self.memory,
            claims=claims,
            offsets=offsets,
            accounts=accounts,
            connected=connected,
            tells=teller is not None,
        )
        self.wanted = Wanted(
            memory=self.memory,
            settle=settle,
            homes=homes,
            stops=stops,
            commit=self.keeping.commit,
        )
        self.claiming = Claiming(
            claims=claims,
            keeping=self.keeping,
            memory=self.memory,
            wanted=self.wanted,
            settle=settle,
            homes=homes,
            accounts=accounts,
            of_link=self.of_link,
            requeue=requeue,
        )
        self.usual = Usual(settle, correlate, homes, self.open)
        matching = Matching(
            ledger=ledger,
            memory=self.memory,
            correlate=correlate,
            homes=homes,
            accounts=accounts,
        )
        self.reports = Reports(
            matching=matching,
            memory=self.memory,
            keeping=self.keeping,
            settle=settle,
            correlate=correlate,
            homes=homes,
            usual=self.usual,
            teller=teller,
            tally=tally,
        )
        self.answers = Answers(
            settle=settle,
            correlate=correlate,
            tally=tally,
            usual=self.usual,
            reports=self.reports,
        )
        self._deferred: list[tuple[Account, Link, list[Event]]] = []
        self.loop = asyncio.get_running_loop()

    # Links tell

    def attach(self, link: Link, account: Account) -> None:
        """The link belongs to this account from now on."""
        self.of_link[link] = account
        link.answers = self.tally.answer[account.name, link.label]

    def detach(self, link: Link) -> None:
        self.of_link.pop(link, None)

    def heard(self, link: Link, events: Sequence[Event], now: float) -> None:
        account = self.of_link.get(link)
        if account is None:
            return  # a connection that has ended already
        if self.homes.unsure:
            events = self._defer(account, link, events)
        self._heard(account, link, events, now)

    def _heard(self, account: Account, link: Link, events: Sequence[Event], now: float) -> None:
        if events:
            c = Changes()
            at = wall()
            accepted: list[Accepted] = []
            reported: list[Reported] = []
            connection: list[Event] = []
            for event in events:
                kind = type(event)
                if kind is Accepted:
                    accepted.append(event)  # type: ignore[arg-type]
                    continue
                if kind is Reported:
                    reported.append(event)  # type: ignore[arg-type]
                    continue
                if accepted:
                    self.answers.accepted(account, link, accepted, now, at, c)
                    accepted = []
                if kind is Rejected:
                    self.answers.rejected(account, link, event, now, at, c)  # type: ignore[arg-type]
                elif kind is Unanswered:
                    link.doubtful = True
                    self.answers.unanswered(account, event, at, c)  # type: ignore[arg-type]
                elif kind is Received:
                    self.inbound(account, link, event, c)  # type: ignore[arg-type]
                else:
                    connection.append(event)
            if accepted:
                self.answers.accepted(account, link, accepted, now, at, c)
            if reported:
                self.reports.came(account, link, reported, at, c)
            self.keeping.commit(c)
            for event in connection:
                self.on_connection(account, link, event, now)
        account.pull(now)

    def _defer(self, account: Account, link: Link, events: Sequence[Event]) -> list[Event]:
        """Keep what is about messages until we know whose they are; returns the rest.

        Nothing is acknowledged meanwhile, so a carrier's own window bounds what it says.
        """
        deferred: list[Event] = []
        rest: list[Event] = []
        for event in events:
            (deferred if isinstance(event, ABOUT_MESSAGES) else rest).append(event)
        if deferred:
            self._deferred.append((account, link, deferred))
        return rest

    @property
    def defers(self) -> bool:
        """Whether anything that was heard waits for `resume`."""
        return bool(self._deferred)

    def resume(self) -> None:
        """We know whose the messages are: what was heard meanwhile is looked at now."""
        deferred, self._deferred = self._deferred, []
        for account, link, events in deferred:
            self._heard(account, link, events, self.loop.time())
        for account in self.accounts.values():
            account.nudge()

    def wrote(self, link: Link, writes: Sequence[Write], now: float) -> None:
        at = wall()
        account = self.of_link[link]
        name, protocol = account.name, account.protocol
        fresh = self.settle.written(writes, link.label, at)
        if fresh:
            self.tally.first_written(name, fresh, at)
        if writes[0].carrier_id is None:
            return  # a protocol in which the answer says it
        of_list: list[tuple[bytes, ...]] = []
        for position, write in enumerate(writes):
            m, carrier_id = write.message, write.carrier_id
            assert carrier_id is not None, "all go by one protocol"
            write.part.written_id = carrier_id
            if write.place is None:
                self.correlate.register(name, ids.key(protocol, carrier_id), write)
                continue
            if not write.place:
                size = together(writes, position)
                of_list = ids.list_keys(protocol, carrier_id, range(size))
            assert isinstance(write, Member), "only these have a place"
            write.keys = of_list[write.place]
            m.lists += ((write.place, carrier_id),)
            self.correlate.register_member(name, write)

    # Accounts ask

    @property
    def tells(self) -> bool:
        return self.teller is not None

    @property
    def paused(self) -> bool:
        return self.homes.paused

    def claim(self, account: str, dealt: Sequence[Dealt]) -> None:
        self.claiming.claim(account, dealt)

    def give_back(self, messages: Sequence[Message]) -> None:
        self.claiming.give_back(messages)

    def refill(self, queue: RouteQueue, lane: int) -> None:
        self.refill_from_ledger(queue, lane)

    def forsake(self) -> None:
        """Others have some partitions now: memory lets go of their messages.

        What is on the wire stays until its answer: that is told to who has the message now.
        """
        for message in list(self.open.values()):
            if message.out == 0 and not self.homes.mine(message.job):
                self.memory.let_go(message)

    def tell_doubts(self) -> None:
        """Tell the others of what has left in part, or may have: they may have it next."""
        if self.teller is None:
            return
        c = Changes()
        for message in self.open.values():
            begun = message.state in BEGUN and not unwritten(message)
            if (message.out or begun) and self.homes.mine(message.job):
                c.touch(message)
                c.tells[message] = self.teller.outcome
        self.keeping.commit(c)

    # Time

    def wake(self, messages: Sequence[Message]) -> None:
        """The wake time of these has come."""
        at = wall()
        c = Changes()
        for message in messages:
            if self.homes.mine(message.job):
                self.settle.woken(message, at, c)
                if message.state in WAITS and not message.standing:
                    self.open.pop(message.mid, None)  # too early: it stays in the ledger alone
            else:
                message.wake = ELSEWHERE
                c.touch(message)
                self.memory.let_go(message)
        self.keeping.commit(c)
