"""The daemon's parts, wired: the only module that knows all of them.

No decision about a message is made here.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from protocols.events import Event, Received
from protocols.session import Clock

from .account import Account
from .admission import Admission
from .alarms import Alarms
from .broker import broker as broker_of
from .broker.base import Broker, Place
from .carriers import maker
from .changes import Changes
from .claims import START_BITS, Claims
from .clock import Stamps, host, wall
from .codes.lookup import Codes
from .config import Config
from .control.answers import Answers
from .control.door import Door
from .correlate import Correlate
from .disk import Disk
from .doors import Doors
from .engine import Engine
from .handover import Handover
from .holds import Holds
from .homes import Homes
from .http import Http
from .inbound import Inbound
from .inherited import Inherited
from .intake import Intake
from .kept import Kept
from .ledger import Ledger
from .ledger.rows import Event as OutEvent
from .leftovers import Leftovers
from .link import Link
from .metrics import Entries, Metrics, registry
from .model import Message, Part
from .notify import Notify
from .numbers.plan import Plan
from .offsets import Offsets
from .outbox import Outbox
from .parking import Parking
from .pool import Pool
from .queues import RouteQueue
from .records import Records
from .refill import Refill
from .reload import Reloading
from .replica import Replica
from .router import Router
from .settle import Settle
from .status import Status
from .stopping import Stopping
from .stops import Stops
from .sweep import Sweep
from .takeover import Takeover
from .tally import Tally
from .tasks import Tasks
from .teller import Teller
from .ticker import Ticker
from .vitals import Vitals
from .wiretap.taps import Taps


class Assembly:
    """`broker` is for tests that bring their own; else the configuration says which.

    `notify` and `inherited` are the service manager's side, if there is one.
    """

    def __init__(
        self,
        config: Config,
        broker: Broker | None = None,
        *,
        notify: Notify | None = None,
        inherited: Inherited | None = None,
    ) -> None:
        self.config = config
        self.loop = asyncio.get_running_loop()
        self.tally = Tally()
        self.broker = broker if broker is not None else broker_of(config)
        self.notify = notify if notify is not None else Notify()
        self.inherited = inherited if inherited is not None else Inherited()
        self.stamps = Stamps(config.daemon.timezone)
        self._stopping = asyncio.Event()
        self.tasks = Tasks(self._stopping.set)
        self._build()

    # Building

    def _build(self) -> None:
        config = self.config
        now = self.loop.time()
        topics = config.broker.topics
        shared = (topics.state, topics.parked)
        published = [topics.reports, topics.inbound, topics.dead, *shared]
        self.outlet = self.broker.outlet(published, packed=shared)
        self.ledger = Ledger.open(
            config.daemon.state_dir,
            on_events=self._publish,
            on_commit=self.tally.commit.observe,
            remember_ids=config.daemon.remember_ids,
            name=config.daemon.name,
        )
        leftovers = Leftovers(self.ledger, topics.reports)
        self.outbox = Outbox(
            self.outlet,
            self._published,
            self.ledger.outbox,
            leftovers.still_meant,
            silent=lambda: self.homes.silent,
            silences=lambda: self.homes.silences,
        )
        self.offsets = Offsets()
        self.alarms = Alarms(wall())
        identity = self.ledger.identity()
        self.source = self.broker.source(
            topics.jobs,
            on_assigned=self._assigned,
            on_revoked=self._revoked,
            instance=f"carrierd-{identity:x}",
        )
        # A local queue is on the disk that the ledger is on, and there is nobody else to tell.
        alone = config.broker.kind == "local"
        self.homes = Homes(topics.jobs, every=alone, sure=self.source.sure)
        self.teller = None if alone else Teller(identity, *shared)
        self.stops = Stops(self._goes_to)
        settings = self.settings = dict(config.accounts)
        self.records = Records(
            self.stamps, {n: a.protocol for n, a in settings.items()}, topics.reports
        )
        self.accounts: dict[str, Account] = {}
        self.correlate = Correlate(self._evict)
        self.settle = Settle(
            accounts=settings,
            codes=Codes(config.daemon.codes),
            records=self.records,
            hold=config.uncertain.hold,
            resend=config.uncertain.then == "resend",
            tally=self.tally,
            again=self._again,
            closed=self._closed,
            doubt=self._doubt,
            unheld=self._unheld,
            patience=self._patience,
            left=self._left,
            mine=self.homes.mine,
            outcome=None if self.teller is None else self.teller.outcome,
        )
        self.engine = Engine(
            ledger=self.ledger,
            settle=self.settle,
            correlate=self.correlate,
            offsets=self.offsets,
            alarms=self.alarms,
            claims=Claims(self.ledger.starts() << START_BITS),
            homes=self.homes,
            stops=self.stops,
            teller=self.teller,
            tally=self.tally,
            connected=self._will_be_published,
            stored_is_safe=config.broker.commit == "stored",
            inbound=self._inbound,
            refill=self._refill,
            requeue=self._requeue,
            accounts=self.accounts,
            settings=settings,
            on_connection=self._on_connection,
        )
        for name, account in settings.items():
            self.accounts[name] = Account(name, account, self.engine, now)
        self.taps = Taps(self.engine.of_link)
        self.pool = Pool(
            self.accounts,
            {name: maker(account, self._clock) for name, account in settings.items()},
            self.engine,
            attach=self._attach,
            detach=self.engine.detach,
            rerouted=self._rerouted,
            freed=self._requeue,
            tally=self.tally,
            holds=Holds(),
        )
        self.router = Router(config.routes, self.accounts, self.pool.usable)
        self.refill = Refill(self.ledger, self.engine, self.router)
        self.parking = Parking(self.engine, self.router, config.daemon.park_after)
        self.inbound = Inbound(
            accounts=self.accounts,
            records=self.records,
            stamps=self.stamps,
            topic=topics.inbound,
            join_within=config.daemon.join_within,
            tally=self.tally,
            wall=wall,
        )
        self.admission = Admission(
            engine=self.engine,
            router=self.router,
            plan=Plan(config.routes.prefixes),
            tally=self.tally,
            parking=self.parking,
        )
        self.intake = Intake(
            source=self.source,
            engine=self.engine,
            router=self.router,
            admission=self.admission,
            tally=self.tally,
            dead_topic=topics.dead,
            later_topics=topics.jobs[1:],
            seq=self.ledger.last_seq() + 1,
        )
        self.replica = Replica(
            tail=self.broker.tail(*shared, others=True),
            engine=self.engine,
            stopping=Stopping(self.stops, self.engine, self.router),
            router=self.router,
            next_seq=self.intake.next_seq,
            own=self.teller.told if self.teller is not None else _of_nobody,
        )
        self.takeover = Takeover(self.homes, self.engine, self.router, self.replica, self.intake)
        self.status = Status(
            accounts=self.accounts,
            pool=self.pool,
            router=self.router,
            stamps=self.stamps,
            broker_connected=lambda: self.outlet.connected,
            uncertain=self.correlate.in_doubt,
            now=self.loop.time,
            name=config.daemon.name,
            version=version("carrierd"),
        )
        self.ticker = Ticker(
            engine=self.engine,
            alarms=self.alarms,
            inbound=self.inbound,
            offsets=self.offsets,
            source=self.source,
            status=self.status,
            tally=self.tally,
            now=self.loop.time,
        )
        self.handover = Handover(
            engine=self.engine,
            ledger=self.ledger,
            outbox=self.outbox,
            homes=self.homes,
            takeover=self.takeover,
            ticker=self.ticker,
            offsets=self.offsets,
            accounts=self.accounts,
            state=topics.state,
        )
        longest = max((account.report_within for account in settings.values()), default=0.0)
        self.sweep = Sweep(self.ledger, config.daemon, longest)
        metrics = Metrics(
            tally=self.tally,
            accounts=self.accounts,
            pool=self.pool,
            router=self.router,
            job_topics=tuple(topics.jobs),
            uncertain=self.correlate.in_doubt,
            lag=self._lag,
            outbox=lambda: self.outbox.waiting,
            name=config.daemon.name,
            version=version("carrierd"),
        )
        vitals = Vitals(
            status=self.status, tally=self.tally, disk=Disk(config.daemon.state_dir), host=host
        )
        self.doors = Doors(
            self.accounts.values(),
            self._clock,
            self.engine,
            self._attach,
            self.engine.detach,
            self.inherited,
        )
        self.reloading = Reloading(
            settings=settings,
            accounts=self.accounts,
            engine=self.engine,
            settle=self.settle,
            records=self.records,
            sweep=self.sweep,
            parking=self.parking,
            pool=self.pool,
            doors=self.doors,
            router=self.router,
            clock=self._clock,
        )
        entries = Entries(self.doors.listeners)
        shown = registry(metrics, vitals, entries, Kept(self.sweep.retention))
        self.http = Http(shown, self.status.not_ready, self.status.show)
        answers = Answers(
            accounts=self.accounts, pool=self.pool, status=self.status.show, taps=self.taps
        )
        self.control = Door(config.daemon.state_dir, answers.answer)

    def _clock(self) -> Clock:
        return Clock(host() - self.loop.time(), self.config.daemon.timezone)

    # What the parts tell each other, where one cannot know the other when it is built

    def _attach(self, link: Link, account: Account) -> None:
        self.engine.attach(link, account)
        self.taps.attached(link, account)

    def _publish(self, n: int, events: list[OutEvent]) -> None:
        self.outbox.put(n, events)
        self.engine.keeping.batch(n)

    def _published(self, n: int) -> None:
        self.ledger.told(n)
        self.engine.keeping.published(n)

    def _lag(self) -> dict[Place, int]:
        return {} if self.status.starting else self.source.lag()

    def _will_be_published(self) -> bool:
        return self.teller is not None and self.outlet.connected

    def _assigned(self, places: frozenset[Place]) -> None:
        self.takeover.assigned(places)

    async def _revoked(self, places: frozenset[Place]) -> None:
        await self.handover.revoked(places)

    def _left(self, message: Message) -> None:
        self.router.left(message)

    def _goes_to(self, message: Message) -> str | None:
        return self.router.goes_to(message)

    def _evict(self, message: Message) -> None:
        self.engine.memory.evict(message)

    def _again(self, message: Message, delay: float) -> None:
        self.engine.claiming.again(message, delay)

    def _closed(self, message: Message) -> None:
        self.engine.memory.closed(message)

    def _doubt(self, message: Message, part: Part, comes: bool) -> None:
        self.correlate.doubt(message, part, comes)

    def _unheld(self, message: Message) -> None:
        self.admission.unhold(message)

    def _patience(self, message: Message) -> float:
        return self.router.patience(message)

    def _inbound(self, account: Account, link: Link, event: Received, c: Changes) -> None:
        self.inbound.came(account, link, event, c)

    def _refill(self, queue: RouteQueue, lane: int) -> None:
        self.refill.ask(queue, lane)

    def _requeue(self, message: Message) -> None:
        self.router.requeue(message)

    def _on_connection(self, account: Account, link: Link, event: Event, now: float) -> None:
        self.pool.on_event(account, link, event, now)

    def _rerouted(self) -> None:
        for account in self.router.changed():
            account.nudge()


def _of_nobody(_value: bytes) -> bool:
    return False
