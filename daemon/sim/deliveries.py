"""What clients said to reports and inbound messages, and what is told again (CMPP's T and N)."""

from __future__ import annotations

from protocols.gateway import Report

from .account import Delivery
from .agenda import Agenda


class Deliveries:
    """Counts at the node that a delivery belongs to, whichever carried it."""

    __slots__ = ("agenda",)

    def __init__(self, agenda: Agenda) -> None:
        self.agenda = agenda

    def taken(self, delivery: Delivery, result: int, now: float) -> None:
        """The client answered; a refusal is told again after `redeliver_after`."""
        counts = delivery.node.counts
        is_report = isinstance(delivery.message, Report)
        if result == 0:
            if delivery.done:
                return
            delivery.done = True
            if is_report:
                counts.reports_taken += 1
            else:
                counts.inbound_taken += 1
            return
        if is_report:
            counts.reports_refused += 1
        else:
            counts.inbound_refused += 1
        if self._again(delivery):
            self.agenda.add(now + delivery.node.behaviour.redeliver_after, delivery)

    def unanswered(self, delivery: Delivery, now: float) -> None:
        """`redeliver_after` has passed without an answer on a live connection."""
        counts = delivery.node.counts
        if isinstance(delivery.message, Report):
            counts.reports_unanswered += 1
        else:
            counts.inbound_unanswered += 1
        if self._again(delivery):
            delivery.node.account.send((delivery,), now)

    def _again(self, delivery: Delivery) -> bool:
        most = delivery.node.behaviour.redeliver
        if not most or delivery.tries < most:
            return True
        delivery.done = True
        if isinstance(delivery.message, Report):
            delivery.node.counts.reports_given_up += 1
        else:
            delivery.node.counts.inbound_given_up += 1
        return False
