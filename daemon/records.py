"""The records that go out: reports and inbound messages (contract section 5)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from protocols import ids

from .clock import Stamps
from .jobs import Job as JobFields
from .model import ACCEPTED, LAST_INDEX, UNCERTAIN, WORDS, Job, Message
from .shapes import Report, Times

_encode = msgspec.json.Encoder().encode
_NO_META = Raw(b"{}")
_BEFORE = b'{"v":1,"job":%b,"message":%b'


class Records:
    """`protocols` says which protocol an account speaks, for the spelling of carrier ids."""

    def __init__(self, stamps: Stamps, protocols: dict[str, str]) -> None:
        self.stamps = stamps
        self.protocols = protocols
        self._course: tuple[object, ...] = ()
        """All that decides about the last report that `_shared` made, but for the recipient."""
        self._before = self._between = self._behind = b""
        """That report, without the recipient's place in the job and number."""

    def report(self, m: Message) -> tuple[bytes, bytes]:
        """Key and value for the state that the message is in now."""
        job = m.job
        fields = job.fields
        many = len(fields.to) > 1 and len(m.parts) == 1
        value = self._shared(m, job, fields) if many else self._whole(m, job, fields)
        return fields.id.encode(), value

    def _shared(self, m: Message, job: Job, fields: JobFields) -> bytes:
        """Of a job of many: what the recipient alone does not decide is spelled once for all to
        whom the same happened at the same time, as in a list.
        """
        part = m.parts[0]
        course = (
            job,
            m.state,
            m.final,
            m.cause,
            m.code,
            m.stage,
            m.carrier,
            m.account,
            m.node,
            m.attempts,
            m.submitted,
            m.answered,
            m.reported,
            part.carrier_id,
        )
        index, to = m.mid & LAST_INDEX, _encode(m.to)
        if course != self._course:
            whole = self._whole(m, job, fields)
            self._before = _BEFORE % (_encode(fields.id), _encode(f"{fields.id}/")[:-1])
            self._between = b'","tenant":%b,"to":' % _encode(fields.tenant)
            begins = b"%b%d%b%b" % (self._before, index, self._between, to)
            assert whole.startswith(begins), "the order of the fields is that of `Report`"
            self._behind = whole[len(begins) :]
            self._course = course
        return b"%b%d%b%b%b" % (self._before, index, self._between, to, self._behind)

    def _whole(self, m: Message, job: Job, fields: JobFields) -> bytes:
        stamp = self.stamps.text
        state = m.state
        silent = state is ACCEPTED or state is UNCERTAIN
        value = Report(
            1,
            fields.id,
            m.id,
            fields.tenant,
            m.to,
            WORDS[state],
            m.final,
            None if silent else m.cause,
            m.code,
            m.stage,
            m.carrier,
            m.account,
            m.node,
            len(m.parts),
            job.bill_units,
            m.attempts,
            self.carrier_ids(m),
            Times(
                stamp(job.produced),
                stamp(job.received),
                stamp(m.submitted),
                stamp(m.answered),
                stamp(m.reported),
            ),
            _NO_META if fields.meta is None else Raw(fields.meta),
        )
        return _encode(value)

    def carrier_ids(self, m: Message) -> list[str]:
        """In part order, of each part's last attempt; parts without one are left out."""
        if m.account is None:
            return []
        protocol = self.protocols.get(m.account, "")
        return [
            ids.show(protocol, carrier_id) for part in m.parts if (carrier_id := part.carrier_id)
        ]

    def inbound(self, fields: dict[str, Any], sender: str) -> tuple[bytes, bytes]:
        """Key and value of an inbound message."""
        return sender.encode(), _encode({"v": 1, **fields})
