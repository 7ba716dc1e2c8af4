"""The submit engine: what links hear goes in, what must be kept and told comes out.

It turns the events of one read into one `Changes`, has `settle` decide, and commits to the ledger;
acknowledgements, offsets and claimed parts wait for the disk.  It owns the messages in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

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

from . import lists
from .account import Account
from .alarms import Alarms
from .changes import Changes, Receipts
from .claiming import Claiming
from .claims import Claims
from .clock import wall
from .correlate import Correlate
from .dealing import Dealt
from .homes import Homes
from .ledger import Entries, Ledger
from .link import Link
from .lists import ListWrite, Member
from .model import ELSEWHERE, TAKEN, WAITS, WRITTEN, Message, Part, PartState, State, Write
from .numbers.normalise import folded
from .offsets import Offsets
from .queues import RouteQueue
from .reading import Reading
from .reports import Reports
from .settle import Settle
from .stops import STOPPED, Stops, unwritten
from .tally import Tally
from .teller import Teller
from .usual import Usual

log = structlog.get_logger()

BEGUN = frozenset({State.WAITING, State.UNCERTAIN})
"""States in which some parts of a message may have left and others not."""
ABOUT_MESSAGES = (Accepted, Rejected, Unanswered, Reported)
Gone = dict[int, Message]
"""Messages that memory let go of together, by mid."""
NOTHING = Entries()
"""Put where only the call afterwards is wanted."""


class Engine:
    """Messages in memory and what happens to them; `inbound` takes subscribers' messages."""

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
        on_connection: Callable[[Account, Link, Event, float], None],
    ) -> None:
        self.ledger = ledger
        self.settle = settle
        self.correlate = correlate
        self.offsets = offsets
        self.alarms = alarms
        self.claims = claims
        self.homes = homes
        self.stops = stops
        self.teller = teller
        """Tells other daemons; None where there can be none."""
        self.tally = tally
        self.connected = connected
        """Whether what is durable here will be published soon; False where nothing waits for it."""
        self.stored_is_safe = stored_is_safe
        self.inbound = inbound
        self.refill_from_ledger = refill
        self.requeue = requeue
        self.on_connection = on_connection
        """Told of what concerns the connection itself: the bind that holds it looks after that."""
        self.accounts: dict[str, Account] = {}
        self.of_link: dict[Link, Account] = {}
        self.open: dict[int, Message] = {}
        """Messages in memory, by mid."""
        self._closing: dict[int, Gone] = {}
        """Messages that memory let go of and that a reader of the ledger may still see as they
        were: their last row is on its way to the disk, or got there after the reader looked.  Each
        with all that it was let go of with.
        """
        self._batch = ledger.last_batch
        """The last batch of events that became durable."""
        self._published = 0
        self._owed: deque[tuple[int, Receipts, dict[Account, int]]] = deque()
        """What waits until the broker has a batch; the changes would keep their messages alive."""
        self._deferred: list[tuple[Account, Link, list[Event]]] = []
        self._dropped = 0
        """Counts those that memory let go of before their end, with parts claimed or written."""
        self._reading = asyncio.Lock()
        self._let_go: list[Gone] = []
        """Of those, what may be forgotten once nobody reads."""
        self.usual = Usual(settle, correlate, homes, self.open)
        self.claiming = Claiming(self)
        self.reports = Reports(self)
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
                    self._accepted(account, link, accepted, now, at, c)
                    accepted = []
                if kind is Rejected:
                    self._rejected(account, link, event, now, at, c)  # type: ignore[arg-type]
                elif kind is Unanswered:
                    link.doubtful = True
                    self._unanswered(account, event, at, c)  # type: ignore[arg-type]
                elif kind is Received:
                    self.inbound(account, link, event, c)  # type: ignore[arg-type]
                else:
                    connection.append(event)
            if accepted:
                self._accepted(account, link, accepted, now, at, c)
            if reported:
                self.reports.came(account, link, reported, at, c)
            self.commit(c)
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
        for write in writes:
            m, carrier_id = write.message, write.carrier_id
            assert carrier_id is not None, "all go by one protocol"
            write.part.written_id = carrier_id
            if write.place is None:
                self.correlate.register(name, ids.key(protocol, carrier_id), write)
                continue
            if not write.place:
                of_list = ids.list_keys(protocol, carrier_id, range(len(writes)))
            assert isinstance(write, Member), "only these have a place"
            write.keys = of_list[write.place]
            m.lists += ((write.place, carrier_id),)
            self.correlate.register_member(name, write.keys, m, write.part)

    def may_write(self, message: Message, part: Part) -> bool:
        m = message
        if part.state is not WRITTEN or m.final or not self.still_wanted(m):
            m.take_back(part)
            self.settle.stays_in_doubt(m)
            if m.out == 0:
                self.release(m)
            return False
        return True

    def may_write_all(self, writes: list[Member]) -> list[Member]:
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

    def unspelled(self, link: Link, message: Message, part: Part, reason: str) -> None:
        m = message
        m.take_back(part)
        log.error("part cannot be spelled", account=m.account, message=m.id, error=reason)
        self.refuse(m, "LOCAL:ENCODING")

    # Accounts ask

    @property
    def tells(self) -> bool:
        return self.teller is not None

    @property
    def paused(self) -> bool:
        return self.homes.paused

    def unfit(self, message: Message, code: str, reason: str) -> None:
        log.info("message refused", message=message.id, code=code, error=reason)
        self.refuse(message, code)

    def still_wanted(self, message: Message) -> bool:
        if message.final or self.open.get(message.mid) is not message:
            return False
        homes = self.homes
        if not (homes.every or homes.mine(message.job)):
            self._leave_to_others(message)
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

    def wanted(self, messages: list[Message]) -> list[Message]:
        """Those that neither expired nor were settled; note was taken of the others."""
        if self.homes.every and not self.stops.any:
            opened = self.open
            for m in messages:
                if m.job.fields.expires_at is not None or opened.get(m.mid) is not m:
                    break
            else:
                return messages
        return [m for m in messages if self.still_wanted(m)]

    @property
    def revision(self) -> int:
        """Goes up when what was claimed may be unwanted now, though neither expired nor settled:
        something was stopped, partitions went to others, memory let go of a message.
        """
        return self._dropped + self.stops.revision + self.homes.revision

    def claim(self, account: str, dealt: Sequence[Dealt]) -> None:
        self.claiming.claim(account, dealt)

    def refill(self, queue: RouteQueue, lane: int) -> None:
        self.refill_from_ledger(queue, lane)

    def again(self, message: Message, delay: float) -> None:
        """Settling found that the message may be written once more."""
        account = self.accounts.get(message.account or "")
        if not self.homes.mine(message.job):
            self._leave_to_others(message)
            return
        if account is None:
            log.error("account is gone", message=message.id, account=message.account)
            return
        if message.out == 0:
            self.release(message)
        account.again(message, delay, self.loop.time())

    def withdraw(self) -> None:
        """What is claimed and not written waits again: nothing may be written now."""
        for account in self.accounts.values():
            back: dict[int, Message] = {}
            for link in list(account.links):
                for write in link.unload():
                    message = write.message
                    message.take_back(write.part)
                    back.setdefault(message.mid, message)
            for message in back.values():
                message.link = None
            self.give_back(list(back.values()))

    def forsake(self) -> None:
        """Others have some partitions now: memory lets go of their messages.

        What is on the wire stays until its answer: that is told to who has the message now.
        """
        for message in list(self.open.values()):
            if message.out == 0 and not self.homes.mine(message.job):
                self.let_go(message)

    def let_go(self, message: Message) -> None:
        """The ledger knows all of the message, and nothing is to be done about it here."""
        for part in message.parts:
            if part.state is PartState.IN_DOUBT:
                self.correlate.doubt(message, part, False)
        self._leave(message)

    def _leave_to_others(self, message: Message) -> None:
        """It is another daemon's, but for what of it is on the wire: that has its answer here."""
        if not any(part.flying for part in message.parts):
            self.let_go(message)
            return
        message.wake = ELSEWHERE  # should it be ours again, `adopt` looks at the rest
        c = Changes()
        c.touch(message)
        self.commit(c)

    def tell_doubts(self) -> None:
        """Tell the others of what has left in part, or may have: they may have it next."""
        if self.teller is None:
            return
        c = Changes()
        for message in self.open.values():
            begun = message.state in BEGUN and not unwritten(message)
            if (message.out or begun) and self.homes.mine(message.job):
                c.touch(message)
                c.tells[message.mid] = self.teller.outcome
        self.commit(c)

    def closed(self, message: Message) -> None:
        """The message is final: memory lets go of it."""
        self.open.pop(message.mid, None)
        if message.out and not message.final:
            self._dropped += 1
        if message.queued is not None:
            message.queued.died(message)
        if message.lists and message.account is not None:
            self.correlate.forget_member(message.account, message)
        forget = self.correlate.forget
        for account, key, part in self._keys(message):
            forget(account, key, part)

    def evict(self, message: Message) -> None:
        """Answered long ago: the ledger knows the rest, once it has the last row.

        That may be on its way there still, when one of several parts was reported just now.
        """
        if message.state is State.ACCEPTED and message.out == 0:
            gone = self._closing[message.mid] = {message.mid: message}
            self.ledger.put(NOTHING, partial(self._forget, gone))
            self.closed(message)

    def _leave(self, message: Message) -> None:
        """To the ledger; who is just reading there may have looked before the last row came."""
        if self._reading.locked():
            gone = self._closing[message.mid] = {message.mid: message}
            self._let_go.append(gone)
        self.closed(message)

    def borrow(self, message: Message) -> None:
        """A message that is not final was read back for a report, and stays for a while."""
        self.open[message.mid] = message
        account = self.accounts.get(message.account or "")
        if message.state is State.WAITING and account is not None and message.job.whole:
            # Some of it was written and the rest waited in the ledger: it waits here now.
            account.bound.append(message)
            account.nudge()
        for name, key, part in self._keys(message):
            self.correlate.register(name, key, Write(message, part, ""))
        if message.lists and account is not None:
            [part] = message.parts
            for keys in lists.known_by(message, account.protocol):
                self.correlate.register_member(account.name, keys, message, part)

    def _keys(self, message: Message) -> list[tuple[str, bytes, Part]]:
        """What reports about a message are matched by, but for those that need the recipient, too:
        of the lists that it left in.
        """
        account = self.accounts.get(message.account or "")
        found: list[tuple[str, bytes, Part]] = []
        if account is None:
            return found
        name, protocol = account.name, account.protocol
        of_lists = [carrier_id for _, carrier_id in message.lists] if message.lists else ()
        for part in message.parts:
            for carrier_id in part.carrier_ids:
                if carrier_id and carrier_id not in of_lists:
                    found.append((name, ids.key(protocol, carrier_id), part))
            if part.written_id and part.written_id not in of_lists:
                found.append((name, ids.key(protocol, part.written_id), part))
        return found

    # Writing down

    def safe(self, mids: Sequence[int]) -> None:
        """These depend on this machine no more, once what is durable by now is published, too."""
        self.offsets.release_with(self._batch if self.teller is not None else 0, mids)

    @property
    def last_batch(self) -> int:
        """The last batch of events that is durable."""
        return self._batch

    def batch(self, n: int) -> None:
        """The events of this batch are durable; what waited for it is called next."""
        self._batch = n

    def commit(self, c: Changes) -> None:
        if c.touched:
            self._touched(c)
        if c.answered:
            self._note_untold(c)
        c.entries.unclaims += self.claims.done()
        if not c:
            return
        entries = c.finish()
        if c.safe or c.receipts or c.then or c.answered:
            self.ledger.put(entries, partial(self._durable, c))
        else:
            self.ledger.put(entries, None)

    def _touched(self, c: Changes) -> None:
        """Let go of messages that are over, and of claims on those that are; note wake times."""
        touched, open_ = c.touched, self.open
        self._release([m for m in touched.values() if m.claim and m.out == 0])
        if not self.homes.every:
            for m in touched.values():
                if m.out == 0 and not self.homes.mine(m.job) and open_.get(m.mid) is m:
                    self.let_go(m)
        # What waits is left to the queues, which read back all that they do not hold.
        gone = {
            mid: m
            for mid, m in touched.items()
            if m.final or (m.state not in WAITS and mid not in open_)
        }
        if gone:
            self._closing.update(dict.fromkeys(gone, gone))
            c.then.append(partial(self._forget, gone))
        horizon = self.alarms.horizon
        for mid, m in touched.items():
            wake = m.wake
            if wake is not None and wake <= horizon and not m.final:
                self.alarms.push(wake, mid)

    def taken_back(self, message: Message, part: Part, c: Changes) -> None:
        """A claimed part that will not be written now, as the daemon stops."""
        message.take_back(part)
        self.settle.stays_in_doubt(message)
        c.touch(message)

    def _forget(self, gone: Gone) -> None:
        """Every reader of the ledger sees these as they are."""
        if self._reading.locked():
            self._let_go.append(gone)
            return
        closing = self._closing
        for mid in gone:
            if closing.get(mid) is gone:  # else it was back in memory since, and let go of again
                del closing[mid]

    def reading(self) -> Reading:
        """Around reading messages from the ledger and taking them into memory.

        One reads at a time; until it has ended, `held` knows every message that was in memory when
        it began, so that no old row becomes a second message.
        """
        return Reading(self._reading, self._read)

    def _read(self) -> None:
        let_go, self._let_go = self._let_go, []
        for gone in let_go:
            self._forget(gone)

    def held(self, mid: int) -> Message | None:
        """The message, where memory knows more of it than the ledger does."""
        message = self.open.get(mid)
        if message is None and (gone := self._closing.get(mid)) is not None:
            message = gone[mid]
        return message

    def release(self, m: Message) -> None:
        """The message is not in doubt by its claim any more."""
        self._release((m,))

    def _release(self, messages: Iterable[Message]) -> None:
        claims = []
        for m in messages:
            claim = m.claim
            if claim:
                if claim > m.released:
                    m.released = claim
                m.claim = 0
                claims.append(claim)
        self.claims.release(claims)

    def _durable(self, c: Changes) -> None:
        if c.safe:
            self.safe([message.mid for message in c.safe])
        if c.receipts or c.answered:
            if self._batch > self._published and self.connected():
                self._owed.append((self._batch, c.receipts, c.untold))
            else:
                self._pay(c.receipts, c.untold)
        for then in c.then:
            then()

    def published(self, n: int) -> None:
        """Every batch of events up to this one is the broker's."""
        self._published = n
        self.offsets.published(n)
        while self._owed and self._owed[0][0] <= n:
            _, receipts, untold = self._owed.popleft()
            self._pay(receipts, untold)

    def owe_nothing(self) -> None:
        """The broker is away: our disk has to do, for carriers do not wait as long."""
        while self._owed:
            _, receipts, untold = self._owed.popleft()
            self._pay(receipts, untold)

    def _pay(self, receipts: Receipts, untold: dict[Account, int]) -> None:
        """Do what waited for the broker."""
        for link, of_link in receipts.items():
            link.acknowledge(of_link)
        for account, submits in untold.items():
            if account.untold is not None:
                account.untold.answers -= submits
            account.nudge()

    def _note_untold(self, c: Changes) -> None:
        """Other daemons do not know of these answers yet."""
        of_lists: set[bytes] = set()
        for message in c.answered:
            account = self.accounts.get(message.account or "")
            if account is None or account.untold is None:
                continue
            if message.lists and (carrier_id := lists.answered_in(message)) is not None:
                if carrier_id in of_lists:
                    continue  # all of a list had one place in the window
                of_lists.add(carrier_id)
            parts = message.parts
            submits = 1 if len(parts) == 1 else sum(part.state in TAKEN for part in parts)
            account.untold.answers += submits
            c.untold[account] = c.untold.get(account, 0) + submits

    def give_back(self, messages: Sequence[Message]) -> None:
        """What of these was claimed, in this order, is not to be written now: they wait again.

        Their rows say so, for a claim that others have a part in stays until those are answered.
        """
        c = Changes()
        for message in reversed(messages):
            if message.out == 0:
                self.release(message)
            if message.final:
                continue
            mine = self.homes.mine(message.job)
            if message.written:
                self.again(message, 0.0)
            elif mine:
                self.requeue(message)
            else:
                self.let_go(message)
            if mine:
                c.touch(message)
        self.commit(c)

    # What the events mean

    def _accepted(
        self,
        account: Account,
        link: Link,
        events: Sequence[Accepted],
        now: float,
        at: float,
        c: Changes,
    ) -> None:
        """Answers of one read between which nothing but reports came."""
        name, protocol = account.name, account.protocol
        wrote_at = [event.tag.at for event in events]
        link.took(wrote_at)
        if link.window.answered_all(wrote_at, now) and account.slowed(now):
            self._stays_slow(account, link)
        lists = [event for event in events if type(event.tag) is ListWrite]
        if lists:
            for event in lists:
                self._list_accepted(account, link, event, now, at, c)
            events = [event for event in events if type(event.tag) is not ListWrite]
        times = [now - event.tag.at for event in events]
        self.tally.submits[name, link.label, "ok"] += len(times)
        if link.answers is not None:
            link.answers.observe_all(times)
        correlate = self.correlate
        for write, carrier_id in self.usual.answered(name, events, at, c):
            self.settle.accepted(write, carrier_id, at, c)
            if not carrier_id:
                # SMPP: a yes without an id.  Its report can only be guessed.
                continue
            message = write.message
            key = ids.key(protocol, carrier_id)
            if not message.final:
                correlate.register(name, key, write)
            if (early := correlate.early(name, key, message.to)) is not None:
                self.reports.matched(message, write.part, early, at, c)

    def _list_accepted(
        self, account: Account, link: Link, event: Accepted, now: float, at: float, c: Changes
    ) -> None:
        """A list was taken, all of it or without some; each member has its own verdict."""
        tag: ListWrite = event.tag
        refused = {folded(each.to): each for each in event.refused}
        if tag.writes[0].carrier_id is None:
            tag.goes_by(account.protocol, event.carrier_id)
        if link.answers is not None:
            link.answers.observe_all([now - tag.at] * len(tag.writes))
        taken: list[Write] = []
        if not refused:
            taken += tag.writes
        for each in tag.writes if refused else ():
            refusal = refused.pop(each.message.to, None)
            if refusal is None:
                taken.append(each)
                continue
            outcome = "throttled" if refusal.throttled else "refused"
            self.tally.submits[account.name, tag.node, outcome] += 1
            self.settle.rejected(each, refusal.code, refusal.throttled, at, c)
        self.tally.submits[account.name, tag.node, "ok"] += len(taken)
        for write, _ in self.usual.listed(account.name, taken, event.carrier_id, at, c):
            self.settle.accepted(write, event.carrier_id, at, c)
            if not event.carrier_id:
                continue
            if not write.message.final:
                self.correlate.register_member(account.name, write.keys, write.message, write.part)
            if self.correlate.has_early:
                self._met_early(account, write, at, c)
        if refused:
            log.warning(
                "refused recipients that are not in the list",
                account=account.name,
                node=tag.node,
                recipients=len(refused),
            )

    def _met_early(self, account: Account, write: Write, at: float, c: Changes) -> None:
        """The member's report may have come before the answer to its list."""
        for key in write.keys:
            early = self.correlate.early(account.name, key, write.message.to, member=True)
            if early is not None:
                self.reports.matched(write.message, write.part, early, at, c)

    def _stays_slow(self, account: Account, link: Link) -> None:
        log.warning(
            "answers stay slow",
            account=account.name,
            node=link.label,
            seconds=round(link.window.latency, 3),
            pace=round(account.pacer.pace),
        )

    def _rejected(
        self, account: Account, link: Link, event: Rejected, now: float, at: float, c: Changes
    ) -> None:
        write: Write | ListWrite = event.tag
        writes = write.writes if isinstance(write, ListWrite) else [write]
        outcome = "throttled" if event.throttled else "refused"
        self.tally.submits[account.name, write.node, outcome] += len(writes)
        if link.answers is not None:
            link.answers.observe_all([now - write.at] * len(writes))
        link.answered()
        if event.throttled and link.throttled(write.at, now):
            # One node's trouble is not the account's while others go on.
            slower = all(now < other.paused_until for other in account.takers())
            if slower and account.pacer.throttled(now):
                log.warning(
                    "throttled",
                    account=account.name,
                    node=write.node,
                    pace=round(account.pacer.pace),
                )
        listed = len(writes) > 1
        for each in writes:
            self.settle.rejected(each, event.code, event.throttled, at, c, listed=listed)

    def _unanswered(self, account: Account, event: Unanswered, at: float, c: Changes) -> None:
        tag: Write | ListWrite = event.tag
        for write in tag.writes if isinstance(tag, ListWrite) else (tag,):
            if write.open:
                self.tally.submits[account.name, write.node, "unanswered"] += 1
            self.settle.unanswered(write, at, c)

    def refuse(self, message: Message, code: str) -> None:
        """Refuse it before the wire."""
        c = Changes()
        self.settle.refused(message, code, wall(), c)
        self.commit(c)

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
                self.let_go(message)
        self.commit(c)
