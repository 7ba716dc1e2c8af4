"""The records that go out: reports and inbound messages (contract section 5)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from protocols import ids

from .clock import Stamps
from .model import ACCEPTED, UNCERTAIN, WORDS, Message
from .shapes import Report, Times

_encode = msgspec.json.Encoder().encode
_NO_META = Raw(b"{}")


class Records:
    """`protocols` says which protocol an account speaks, for the spelling of carrier ids."""

    def __init__(self, stamps: Stamps, protocols: dict[str, str]) -> None:
        self.stamps = stamps
        self.protocols = protocols

    def report(self, m: Message) -> tuple[bytes, bytes]:
        """Key and value for the state that the message is in now."""
        job = m.job
        fields = job.fields
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
        return fields.id.encode(), _encode(value)

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
