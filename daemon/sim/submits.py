"""What a gateway does with a submit: judge it, answer it now or later, and report on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from protocols.events import Fate, Submitted
from protocols.gateway import Report
from protocols.session import State

from .account import Delivery, Node
from .agenda import Agenda
from .behaviour import Outcome
from .connection import Connection
from .counts import Copy
from .dialect import Dialect, Ids, PartlyTaken

DROPPED = -1
"""Accepted and reported, not answered."""


Refused = tuple[tuple[str, int], ...]
"""Recipients of a list that was taken without them, and why."""


class Answer:
    """An answer that leaves later; on a connection that is gone by then it does not count."""

    __slots__ = (
        "carrier_id",
        "connection",
        "identities",
        "node",
        "refused",
        "status",
        "ticket",
    )

    def __init__(
        self,
        connection: Connection,
        node: Node,
        ticket: Any,
        status: int,
        carrier_id: bytes,
        identities: tuple[int, ...],
        refused: Refused,
    ) -> None:
        self.connection, self.node, self.ticket = connection, node, ticket
        self.status, self.carrier_id, self.identities = status, carrier_id, identities
        self.refused = refused

    def due(self, now: float) -> None:
        connection = self.connection
        if connection.session.state is State.CLOSED:
            return
        _say(connection, self.ticket, self.status, self.carrier_id, self.refused)
        connection.answering += 1
        self.node.counts.answered += 1
        self.node.account.reached.answered(self.identities)
        self.node.account.touch(connection)


def _say(
    connection: Connection, ticket: Any, status: int, carrier_id: bytes, refused: Refused
) -> None:
    if refused:
        cast(PartlyTaken, connection.session).answer_partly(ticket, carrier_id, refused)
    else:
        connection.session.answer(ticket, status, carrier_id)


class Desk:
    """The submits of all the clients of one gateway."""

    __slots__ = ("agenda", "dialect", "epoch", "ids")

    def __init__(self, dialect: Dialect, ids: Ids, agenda: Agenda, epoch: float) -> None:
        """`epoch` plus the clock is seconds since 1970."""
        self.dialect, self.ids, self.agenda, self.epoch = dialect, ids, agenda, epoch

    def take(self, connection: Connection, node: Node, event: Submitted, now: float) -> None:
        counts = node.counts
        behaviour = node.behaviour
        counts.submits += 1
        node.submits.append(event)
        connection.unanswered += 1
        if connection.unanswered > counts.window_peak:
            counts.window_peak = connection.unanswered
        status = self._judge(node, event, now)
        refused: Refused = ()
        if status == 0 and behaviour.bad_numbers:
            event, refused = self._pick_out(node, event)
            status = 0 if event.to else refused[0][1]
        if status is None:
            counts.swallowed += 1
            connection.unanswered -= 1
            node.account.reached.opened(self._reach(node, event, now))
            return
        delay = behaviour.delay + node.turn(now)
        if status == 0 or status == DROPPED:
            dropped = status == DROPPED
            self._accept(connection, node, event, refused, now, delay, dropped=dropped)
        else:
            self._answer(connection, node, event, status, b"", (), (), now, delay)

    def _pick_out(self, node: Node, event: Submitted) -> tuple[Submitted, Refused]:
        """Bad recipients, and the submit without them: of nobody where it is refused for them."""
        bad = [to for to in event.to if node.chances.bad(to)]
        if not bad:
            return event, ()
        good = tuple([to for to in event.to if to not in bad])
        if not self.dialect.names_refused or not good:
            node.counts.refused += 1
            good = ()
        return replace(event, to=good), tuple([(to, self.dialect.bad_number) for to in bad])

    def _judge(self, node: Node, event: Submitted, now: float) -> int | None:
        """The status to answer with, DROPPED, or None for no trace of it."""
        counts, behaviour = node.counts, node.behaviour
        if event.fault:
            counts.refused += 1
            counts.fault(f"{event.fault}: {event.why}")
            return event.fault
        if not event.sender.startswith(node.account.access_number):
            counts.refused += 1
            counts.fault(f"{self.dialect.refusal}: sender {event.sender!r} is not the account's")
            return self.dialect.refusal
        if behaviour.limit:
            count = len(event.to)
            if node.passed.within(now) + count > behaviour.limit:
                counts.throttled += 1
                return behaviour.throttle_status or self.dialect.throttle
            node.passed.add(now, count)
        outcome = node.chances.outcome()
        if outcome is Outcome.ACCEPT:
            return 0
        if outcome is Outcome.THROTTLE:
            counts.throttled += 1
            return behaviour.throttle_status or self.dialect.throttle
        if outcome is Outcome.REFUSE:
            counts.refused += 1
            return behaviour.refuse_status or self.dialect.refusal
        return DROPPED if outcome is Outcome.DROP else None

    def _accept(
        self,
        connection: Connection,
        node: Node,
        event: Submitted,
        refused: Refused,
        now: float,
        delay: float,
        *,
        dropped: bool,
    ) -> None:
        behaviour, chances = node.behaviour, node.chances
        node.counts.accepted += 1
        identities = self._reach(node, event, now)
        carrier_ids = self.ids.take(event, now + self.epoch)
        delay += chances.jitter()
        early = event.wants_report and chances.hit(behaviour.early_reports)
        if early:
            self._report(connection, node, event, carrier_ids, now, 0.0)
        if dropped:
            node.counts.dropped += 1
            connection.unanswered -= 1
            node.account.reached.opened(identities)
        else:
            answered_by = carrier_ids[0]
            self._answer(connection, node, event, 0, answered_by, identities, refused, now, delay)
        if event.wants_report and not early:
            wait = delay + behaviour.report_delay + chances.jitter()
            self._report(connection, node, event, carrier_ids, now, wait)

    def _reach(self, node: Node, event: Submitted, now: float) -> tuple[int, ...]:
        counts, reached = node.counts, node.account.reached
        identities = reached.identities(event.sender, event.to, event.number, event.content)
        again = reached.add_all(identities)
        counts.parts += len(identities) - len(again)
        reached.met(event.to)
        for place in again:
            to = event.to[place]
            answered = not reached.is_open(identities[place])
            counts.twice += 1
            counts.twice_answered += answered
            reached.copies.append(
                Copy(
                    now + self.epoch,
                    node.name,
                    event.sender,
                    to,
                    event.number,
                    event.content,
                    answered,
                )
            )
        return identities

    def _answer(
        self,
        connection: Connection,
        node: Node,
        event: Submitted,
        status: int,
        carrier_id: bytes,
        identities: tuple[int, ...],
        refused: Refused,
        now: float,
        delay: float,
    ) -> None:
        reorder = node.behaviour.reorder
        if not (delay or reorder or connection.owner.mute):
            _say(connection, event.ticket, status, carrier_id, refused)
            connection.answering += 1
            node.counts.answered += 1
            node.account.reached.answered(identities)
            return
        node.account.reached.opened(identities)
        answer = Answer(connection, node, event.ticket, status, carrier_id, identities, refused)
        at = now + delay
        if reorder:
            self.agenda.squeeze(at, answer, node.chances.place(len(self.agenda.row(at))))
        else:
            self.agenda.add(at, answer)

    def _report(
        self,
        connection: Connection,
        node: Node,
        event: Submitted,
        carrier_ids: tuple[bytes, ...],
        now: float,
        wait: float,
    ) -> None:
        behaviour, chances = node.behaviour, node.chances
        sent: list[Delivery] = []
        for to, carrier_id in zip(event.to, carrier_ids, strict=True):
            elsewhere = False
            fate, code, copies = Fate.DELIVERED, self.dialect.delivered, 1
            if chances.bends_reports:
                if chances.hit(behaviour.no_report):
                    continue
                elsewhere = chances.hit(behaviour.reports_elsewhere)
                if chances.hit(behaviour.undelivered):
                    fate = Fate.FAILED
                    code = chances.choice(behaviour.undelivered_codes or self.dialect.undelivered)
                if chances.hit(behaviour.intermediate):
                    said = Report(
                        carrier_id,
                        to,
                        event.sender,
                        Fate.INTERMEDIATE,
                        self.dialect.intermediate,
                        now + self.epoch,
                        now + wait + self.epoch,
                    )
                    self._put(Delivery(node, said, connection), now, wait, sent)
                copies += chances.hit(behaviour.duplicate_reports)
            submitted_at = now + self.epoch
            report = Report(
                carrier_id, to, event.sender, fate, code, submitted_at, submitted_at + wait
            )
            later = wait
            for _ in range(copies):
                delivery = Delivery(node, report, connection, elsewhere=elsewhere)
                self._put(delivery, now, later, sent)
                later += behaviour.duplicate_after
        if sent:
            node.account.send(sent, now)

    def _put(self, delivery: Delivery, now: float, wait: float, sent: list[Delivery]) -> None:
        if wait:
            self.agenda.add(now + wait, delivery)
        else:
            sent.append(delivery)
