"""What a carrier's answers mean: parts taken, refused and asked to wait, and no answer at all."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from protocols import ids
from protocols.events import Accepted, Refused, Rejected, Unanswered

from .account import Account
from .changes import Changes
from .correlate import Correlate
from .link import Link
from .lists import ListWrite, Member
from .model import Write
from .numbers.normalise import folded
from .reports import Reports
from .settle import Settle
from .tally import Tally
from .usual import Usual

log = structlog.get_logger()


class Answers:
    def __init__(
        self,
        *,
        settle: Settle,
        correlate: Correlate,
        tally: Tally,
        usual: Usual,
        reports: Reports,
    ) -> None:
        self.settle = settle
        self.correlate = correlate
        self.tally = tally
        self.usual = usual
        self.reports = reports

    def accepted(
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
        wrote_at: list[float] = []
        writes: list[Write] = []
        carrier_ids: list[bytes] = []
        lists: list[Accepted] = []
        for event in events:
            if type(event.tag) is ListWrite:
                of_list: ListWrite = event.tag
                wrote_at.append(of_list.at)
                lists.append(event)
                continue
            write: Write = event.tag
            wrote_at.append(write.at)
            writes.append(write)
            carrier_ids.append(event.carrier_id)
        link.took(wrote_at)
        if link.window.answered_all(wrote_at, now) and account.slowed(now):
            self._stays_slow(account, link)
        for event in lists:
            self._list_accepted(account, link, event, now, at, c)
        if not writes:
            return
        self.tally.submits[name, link.label, "ok"] += len(writes)
        if link.answers is not None:
            singles = wrote_at if not lists else [write.at for write in writes]
            link.answers.observe_all([now - at for at in singles])
        correlate = self.correlate
        for write, carrier_id in self.usual.answered(name, writes, carrier_ids, at, c):
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
            link.answers.observe(now - tag.at, len(tag.writes))
        taken: Sequence[Write] = tag.writes
        if refused:
            taken = self._but_refused(account, tag, refused, at, c)
        self.tally.submits[account.name, tag.node, "ok"] += len(taken)
        for write, _ in self.usual.listed(account.name, taken, event.carrier_id, at, c):
            self.settle.accepted(write, event.carrier_id, at, c)
            if not event.carrier_id:
                continue
            if not write.message.final:
                assert isinstance(write, Member), "only these are of lists"
                self.correlate.register_member(account.name, write)
            if self.correlate.has_early:
                self._met_early(account, write, at, c)
        if refused:
            log.warning(
                "refused recipients that are not in the list",
                account=account.name,
                node=tag.node,
                recipients=len(refused),
            )

    def _but_refused(
        self,
        account: Account,
        tag: ListWrite,
        refused: dict[str, Refused],
        at: float,
        c: Changes,
    ) -> list[Write]:
        """Rejects these recipients of the list, each taken out of `refused`; returns the others."""
        taken: list[Write] = []
        for each in tag.writes:
            refusal = refused.pop(each.message.to, None)
            if refusal is None:
                taken.append(each)
                continue
            outcome = "throttled" if refusal.throttled else "refused"
            self.tally.submits[account.name, tag.node, outcome] += 1
            self.settle.rejected(each, refusal.code, refusal.throttled, at, c)
        return taken

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

    def rejected(
        self, account: Account, link: Link, event: Rejected, now: float, at: float, c: Changes
    ) -> None:
        write: Write | ListWrite = event.tag
        writes = write.writes if isinstance(write, ListWrite) else [write]
        outcome = "throttled" if event.throttled else "refused"
        self.tally.submits[account.name, write.node, outcome] += len(writes)
        if link.answers is not None:
            link.answers.observe(now - write.at, len(writes))
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

    def unanswered(self, account: Account, event: Unanswered, at: float, c: Changes) -> None:
        tag: Write | ListWrite = event.tag
        for write in tag.writes if isinstance(tag, ListWrite) else (tag,):
            if write.open:
                self.tally.submits[account.name, write.node, "unanswered"] += 1
            self.settle.unanswered(write, at, c)
