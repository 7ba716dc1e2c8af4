"""What this daemon tells the others of its messages, as `changelog` has it."""

from __future__ import annotations

import msgspec

from protocols.events import Reported

from . import jobs
from .changelog import Fact, Orphan, Outcome, Parked, pack_orphan
from .ledger.rows import Event
from .model import Message

_encode = msgspec.msgpack.Encoder().encode


class Teller:
    """What this daemon, whose ledger is number `by`, tells the others: events for the outbox."""

    def __init__(self, by: int, state_topic: str, parked_topic: str) -> None:
        self.by = by
        self.state_topic = state_topic
        self.parked_topic = parked_topic
        self._own = tuple(_beginning(kind, by) for kind in (Outcome, Parked, Orphan))

    def outcome(self, m: Message, life: bytes) -> Event:
        """`life` is `pack_life(m)`."""
        return self.state_topic, m.id.encode(), told("outcome", self.by, m, life, "")

    def parked(self, m: Message, life: bytes) -> Event:
        """`life` is `pack_life(m)`."""
        return self.parked_topic, m.id.encode(), told("parked", self.by, m, life, m.job.fields.text)

    def orphan(self, account: str, report: Reported, to: str, at: float) -> Event:
        keys, exact, fate = report.keys, report.exact, report.fate.value
        orphan = Orphan(
            by=self.by,
            account=account,
            keys=keys,
            exact=exact,
            fate=fate,
            code=report.code,
            to=to,
            at=at,
        )
        return self.state_topic, *pack_orphan(orphan)

    def told(self, value: bytes) -> bool:
        """Whether a record is this daemon's own."""
        return value.startswith(self._own)


def told(kind: str, by: int, m: Message, life: bytes, text: str) -> bytes:
    """The fields of `changelog.Taken` after their kind: a tuple costs a third of the struct."""
    job = m.job
    fields = job.fields
    topic, partition, offset = job.source
    body = jobs.pack(msgspec.structs.replace(fields, to=("",) * len(fields.to), text=text))
    return _encode(
        (
            kind,
            by,
            fields.id,
            job.digest,
            topic,
            partition,
            offset,
            job.produced,
            job.received,
            body,
            m.index,
            m.to,
            m.route,
            m.lane,
            m.account,
            int(m.state),
            m.final,
            m.wake,
            life,
        )
    )


def _beginning(kind: type[Fact], by: int) -> bytes:
    """What the records of one kind and writer begin with: the array's head, its tag, the number."""
    fields = 1 + len(kind.__struct_fields__)
    head = bytes((0x90 | fields,)) if fields < 16 else b"\xdc" + fields.to_bytes(2)
    tag = kind.__struct_config__.tag
    return head + _encode(tag) + _encode(by)
