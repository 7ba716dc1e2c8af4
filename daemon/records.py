"""The records that go out: reports and inbound messages (contract section 5).

What several reports have in common is spelled once: reports that follow one another are of one
read, so they say the same of an account's messages, with the same times, or are of one job.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from protocols import ids

from .clock import Stamps
from .course import Course
from .model import ACCEPTED, LAST_INDEX, UNCERTAIN, WORDS, Job, Message
from .shapes import Report, Times

_encode: Final = msgspec.json.Encoder().encode
_NO_META: Final = Raw(b"{}")
_NO_TIMES: Final = Times(None, None, None, None, None)
_PRODUCED: Final = b',"times":{"produced":"'
_INDEXES: Final = [b"%d" % index for index in range(LAST_INDEX + 1)]


class Records:
    """`protocols` says which protocol an account speaks, for the spelling of carrier ids; reports
    are published to `topic`.
    """

    def __init__(self, stamps: Stamps, protocols: dict[str, str], topic: str = "") -> None:
        self.stamps = stamps
        self.protocols = protocols
        self.topic = topic
        # What the last report said, in the order of its fields, and what decided about it.
        self._job: Job | None = None
        self._key = self._id = self._produced = self._tenant = self._meta = b""
        self._tenant_name = ""
        self._said: tuple[object, ...] = ()
        self._state = b""
        self._protocol = ""
        self._carrier_id: bytes | None = None
        self._carrier_ids = b""
        self._moments: tuple[float | None, ...] = ()
        self._times = b""
        self._shared: Course | None = None
        """That of the last report of which others are known to share it: what is said of them all
        stands ahead of the number, between that and the recipient, and behind it.
        """
        self._shared_key = self._ahead = self._between = self._behind = b""

    def speaks(self, account: str, protocol: str) -> None:
        """The account speaks this from now on."""
        self.protocols[account] = protocol
        # What it spoke decided how the last report was spelled.
        self._said = ()
        self._shared = None

    def report(self, m: Message, course: Course | None = None) -> tuple[bytes, bytes]:
        """Key and value for the state that the message is in now; `course` is one that it shares
        with others, if it does.
        """
        index: int = m.mid & LAST_INDEX
        number: bytes = _INDEXES[index]
        to: bytes = _encode(m.to)
        if course is not None and course is self._shared:
            return self._shared_key, b"%b%b%b%b%b" % (
                self._ahead,
                number,
                self._between,
                to,
                self._behind,
            )
        job, parts = m.job, m.parts
        if job is not self._job:
            self._of_job(job)
        said = (
            m.state,
            m.final,
            m.cause,
            m.code,
            m.stage,
            m.carrier,
            m.account,
            m.node,
            len(parts),
            job.bill_units,
            m.attempts,
        )
        if said != self._said:
            self._of_course(said, m)
        carrier_id = parts[0].carrier_id if len(parts) == 1 else None
        if not carrier_id or m.account is None:
            self._carrier_ids = _encode(self.carrier_ids(m))
            self._carrier_id = None
        elif carrier_id is not self._carrier_id:
            self._carrier_ids = _encode([ids.show(self._protocol, carrier_id)])
            self._carrier_id = carrier_id
        moments = (job.received, m.submitted, m.answered, m.reported)
        if moments != self._moments:
            self._of_moments(moments)
        if course is not None:
            self._share(course)
        # Compiled, this is one allocation and a copy of each, where all are known to be bytes: a
        # third of what a join costs.
        return self._key, b'{"v":1,"job":"%b","message":"%b/%b%b%b%b%b%b%b%b%b' % (
            self._id,
            self._id,
            number,
            self._tenant,
            to,
            self._state,
            self._carrier_ids,
            _PRODUCED,
            self._produced,
            self._times,
            self._meta,
        )

    def _of_job(self, job: Job) -> None:
        fields = job.fields
        name, tenant, meta = fields.id, fields.tenant, fields.meta
        self._key = name.encode()
        self._id = _encode(name)[1:-1]
        if tenant != self._tenant_name:
            self._tenant = b'","tenant":%b,"to":' % _encode(tenant)
            self._tenant_name = tenant
        produced = self.stamps.text(job.produced)
        assert produced is not None, "only no time has no text"
        self._produced = produced.encode()
        self._meta = b',"meta":{}}' if meta is None else b',"meta":%b}' % meta
        self._job = job

    def _of_course(self, said: tuple[object, ...], m: Message) -> None:
        state = m.state
        silent = state is ACCEPTED or state is UNCERTAIN
        value = Report(
            1,
            "",
            "",
            "",
            "",
            WORDS[state],
            m.final,
            None if silent else m.cause,
            m.code,
            m.stage,
            m.carrier,
            m.account,
            m.node,
            len(m.parts),
            m.job.bill_units,
            m.attempts,
            [],
            _NO_TIMES,
            _NO_META,
        )
        # No string in JSON holds a quote that is not escaped.
        _, begins, rest = _encode(value).partition(b',"state":')
        middle, ends, _ = rest.partition(b',"carrier_ids":')
        self._state = begins + middle + ends
        self._said = said
        self._protocol = self.protocols.get(m.account or "", "")
        self._carrier_id = None  # it may be spelled otherwise

    def _of_moments(self, moments: tuple[float | None, ...]) -> None:
        texts = [self.stamps.text(at) for at in moments]
        _, begins, rest = _encode(Times(None, *texts)).partition(b',"received":')
        self._times = b'"' + begins + rest
        self._moments = moments

    def _share(self, course: Course) -> None:
        """All that was spelled last is said of those that share it."""
        name = self._id
        self._shared, self._shared_key, self._between = course, self._key, self._tenant
        self._ahead = b'{"v":1,"job":"%b","message":"%b/' % (name, name)
        self._behind = b'%b%b,"times":{"produced":"%b%b%b' % (
            self._state,
            self._carrier_ids,
            self._produced,
            self._times,
            self._meta,
        )

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
