"""After a start: what the ledger says of the time before.

Messages that a claim names may or may not have left: they are in doubt, and their hold runs from
now.  Everything that waits is counted into its queue and read back as there is room.
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
from .model import Message, Part, PartState, State
from .recall import revive_all
from .reports import KIND as EARLY
from .router import Router

log = structlog.get_logger()

SLICE = 1_000


async def recover(ledger: Ledger, engine: Engine, router: Router, inbound: Inbound) -> None:
    """To be called once, before anything is taken or written."""
    engine.reports.restore(ledger.kept(EARLY))
    c = Changes()
    inbound.restore(ledger.kept(FRAGMENT), c)
    engine.commit(c)
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
            _resume(engine, message, c)
            doubtful += 1
        engine.commit(c)
    c = Changes()
    c.entries.unclaims += [number for number, _, _ in claims]
    engine.commit(c)
    for mids in _slices(ledger.unfinished_in(State.UNCERTAIN)):
        c = Changes()
        for message in revive_all(await ledger.load([m for m in mids if m not in engine.open])):
            engine.settle.stays_in_doubt(message)
            _resume(engine, message, c)
        engine.commit(c)
    await durable(ledger)
    waiting = 0
    for row in ledger.unfinished():
        queue = router.queues.get(row.route)
        if row.state != State.WAITING:
            continue
        if queue is None:
            log.warning("route is gone", route=row.route, messages=row.size)
            continue
        queue.spilled[row.lane] += row.size
        waiting += row.size
    if claims or waiting:
        log.info("recovered", in_doubt=doubtful, waiting=waiting)


def _doubt(message: Message, number: int, at: float, account: str, named: Named) -> None:
    """Any part that was not answered may have left with this claim."""
    message.released = number
    message.account = account
    message.node = named.node
    message.reference = named.reference
    message.submitted = message.submitted if message.submitted is not None else at
    if not message.parts:
        message.parts = [Part(place) for place in range(1, named.parts + 1)]
    # A row that is younger than the claim says which parts were out; an older one does not know.
    knows = message.claim == number
    for part in message.parts:
        out = part.state is PartState.WRITTEN or (part.state is PartState.UNSENT and not knows)
        if out:
            part.state = PartState.IN_DOUBT
            part.doubts += 1
            part.attempt = part.doubts
            message.attempts = max(message.attempts, part.attempt)
    message.claim = 0


def _resume(engine: Engine, message: Message, c: Changes) -> None:
    """The message is in doubt, and its hold runs from now."""
    engine.open[message.mid] = message
    for part in message.parts:
        if part.state is PartState.IN_DOUBT:
            engine.correlate.doubt(message, part, True)
    at = wall()
    if message.state is State.UNCERTAIN and message.doubted >= message.attempts:
        engine.settle.hold_from(message, at)
        c.touch(message)
    elif any(part.state is PartState.IN_DOUBT for part in message.parts):
        engine.settle.uncertain(message, at, c)
    account = engine.accounts.get(message.account or "")
    never_left = [p for p in message.parts if p.state is PartState.UNSENT and not p.doubts]
    if never_left and account is not None and not message.final:
        account.bound.append(message)


def _slices(mids: Sequence[int]) -> list[Sequence[int]]:
    return [mids[at : at + SLICE] for at in range(0, len(mids), SLICE)]


async def durable(ledger: Ledger) -> None:
    """Until everything that was put is on the disk."""
    await ledger.run(lambda _: None)
