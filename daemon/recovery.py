"""After a start or a rebalance: what the ledger says of the time before.

Messages that a claim names may or may not have left: they are in doubt.  Whose they are now is
known only when the broker has said which partitions are ours; until then they are set aside.  Then
a hold begins, and everything that waits is counted into its queue and read back as there is room.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from .changes import Changes
from .claims import Named, unpack
from .clock import wall
from .engine import Engine
from .inbound import KIND as FRAGMENT
from .inbound import Inbound
from .ledger import Ledger
from .model import ELSEWHERE, LANES, Message, Part, PartState, State
from .recall import revive_all
from .reports import KIND as EARLY
from .router import Router
from .steps import Step, unanswered_since
from .verdict import followed

log = structlog.get_logger()

SLICE = 1_000


async def recover(ledger: Ledger, engine: Engine, inbound: Inbound) -> None:
    """To be called once, before anything is taken or written."""
    engine.reports.restore(ledger.kept(EARLY))
    c = Changes()
    inbound.restore(ledger.kept(FRAGMENT), c)
    engine.keeping.commit(c)
    claims = ledger.claims()
    claimed: dict[int, tuple[int, float, str, Named]] = {}
    for number, at, raw in claims:
        for claim in unpack(raw):
            for named in claim.messages:
                claimed[named.mid] = (number, at, claim.account, named)
    doubtful = 0
    for mids in _slices(sorted(claimed)):
        c = Changes()
        for message in revive_all(await ledger.load(mids), as_written=True):
            number, at, account, named = claimed[message.mid]
            if message.final or message.released >= number or message.state is State.ACCEPTED:
                continue
            _doubt(message, number, at, account, named)
            _set_aside(message, c)
            doubtful += 1
        engine.keeping.commit(c)
    c = Changes()
    c.entries.unclaims += [number for number, _, _ in claims]
    engine.keeping.commit(c)
    await durable(ledger)
    for mids in _slices(ledger.unfinished_in(State.UNCERTAIN)):
        c = Changes()
        for message in revive_all(await ledger.load(mids)):
            if message.wake != ELSEWHERE:
                for part in message.parts:
                    if part.state is PartState.UNSENT and part.doubts:
                        part.state = PartState.IN_DOUBT
                _set_aside(message, c)
        engine.keeping.commit(c)
    await durable(ledger)
    if claims:
        log.info("recovered", in_doubt=doubtful)


async def adopt(ledger: Ledger, engine: Engine, router: Router) -> None:
    """Take up what was set aside of the partitions that are ours now, and count what waits."""
    await durable(ledger)
    after: tuple[float, int] = (ELSEWHERE, -1)
    while found := await ledger.due(after, ELSEWHERE, SLICE):
        after = found[-1]
        c = Changes()
        async with engine.memory.reading():
            for message in revive_all(await ledger.load([mid for _, mid in found])):
                known = engine.memory.held(message.mid)
                if known is not None and (known.final or known.wake != ELSEWHERE):
                    continue  # it is being looked after
                if engine.homes.mine(message.job):
                    _resume(engine, known or message, c)
            engine.keeping.commit(c)
    waiting = await _count(ledger, engine, router)
    if waiting:
        log.info("taken up", waiting=waiting)
    await engine.reports.look_again()


async def _count(ledger: Ledger, engine: Engine, router: Router) -> int:
    """How much of our own waits in the ledger, by route: the queues are refilled from there.

    What comes to wait meanwhile may be counted twice, which a refill finds out; what is not counted
    would never be read back.
    """
    there = {m.mid for queue in router.queues.values() for m in queue.lanes if m.queued}
    for queue in router.queues.values():
        queue.spilled, queue.parked, queue.held = [0] * LANES, [0] * LANES, 0
    await durable(ledger)
    rows = await ledger.queues()
    for queue in router.queues.values():
        queue.newest, queue.newest_parked = [0] * LANES, [0] * LANES
    waiting = 0
    for row in rows:
        if not engine.homes.has(row.topic, row.partition):
            continue
        known = router.queues.get(row.route)
        if known is None:
            log.warning("route is gone", route=row.route, messages=row.size)
        elif row.state == State.WAITING:
            known.spilled[row.lane] += row.size
            waiting += row.size
        elif row.state == State.PARKED:
            known.parked[row.lane] += row.size
            waiting += row.size
        else:
            known.held += row.size
    for queue in router.queues.values():
        for m in queue.lanes:
            # What is in memory is in the ledger, too: as parked where it was read back from there.
            if m.mid in there and m.queued and not m.parked:
                queue.spilled[m.lane] = max(0, queue.spilled[m.lane] - 1)
        name = router.serving.get(queue.name)
        if name is not None:
            router.accounts[name].nudge()
    return waiting


def _set_aside(message: Message, c: Changes) -> None:
    """For `adopt`, if the message turns out to be ours."""
    if any(part.state is PartState.IN_DOUBT for part in message.parts):
        message.state = State.UNCERTAIN
    message.wake = ELSEWHERE
    c.touch(message)


def _doubt(message: Message, number: int, at: float, account: str, named: Named) -> None:
    """Any part that was not answered may have left with this claim."""
    message.released = number
    message.account = account
    message.node = named.node or None
    message.reference = named.reference
    message.submitted = message.submitted if message.submitted is not None else at
    if not message.parts:
        message.parts = tuple([Part(place) for place in range(1, named.parts + 1)])
    # A row that is younger than the claim says which parts were out; an older one does not know.
    knows = message.claim == number
    for part in message.parts:
        out = part.state is PartState.WRITTEN or (part.state is PartState.UNSENT and not knows)
        if out:
            part.state = PartState.IN_DOUBT
            part.doubts += 1
            part.attempt = part.doubts
            message.attempts = max(message.attempts, part.attempt)
            _note_claim(message, part, at)
    message.claim = 0


def _note_claim(message: Message, part: Part, at: float) -> None:
    """Of a part that may have left and whose row does not say when: not before its claim."""
    steps = message.steps
    if part.number not in unanswered_since(s for s in steps if s.attempt == part.attempt):
        claimed = Step(at, "claimed", part.number, part.attempt, message.node)
        message.steps = tuple(sorted(followed(steps, claimed), key=lambda step: step.at))


def _resume(engine: Engine, message: Message, c: Changes) -> None:
    """Somebody has to look after the message again; a hold runs from now."""
    at = wall()
    account = engine.accounts.get(message.account or "")
    engine.settle.taken_up(message, at, c)
    if message.final:
        return
    if message.state is not State.UNCERTAIN:
        message.wake = engine.settle.due(message)
        c.touch(message)
        if not (message.state is State.WAITING and message.written and account is not None):
            return
    engine.open[message.mid] = message
    for part in message.parts:
        if part.state is PartState.IN_DOUBT:
            engine.correlate.doubt(message, part, True)
    if message.state is State.UNCERTAIN:
        if message.doubted >= message.attempts:
            engine.settle.hold_from(message, at)
            c.touch(message)
        else:
            engine.settle.uncertain(message, at, c)
    send_rest(engine, message)


def send_rest(engine: Engine, message: Message) -> None:
    """Queue a message of which some parts were dealt out and others never left.

    Without its text, which only the job's own record has, it waits until that is given again.
    """
    account = engine.accounts.get(message.account or "")
    never_left = any(p.state is PartState.UNSENT and not p.doubts for p in message.parts)
    if never_left and account is not None and message.job.whole:
        account.bound.append(message)
        account.nudge()


def _slices(mids: Sequence[int]) -> list[Sequence[int]]:
    return [mids[at : at + SLICE] for at in range(0, len(mids), SLICE)]


async def durable(ledger: Ledger) -> None:
    """Until everything that was put is on the disk."""
    await ledger.durable()
