"""The records that go out: reports and inbound messages (contract section 5)."""

from __future__ import annotations

from typing import Any

import orjson

from protocols import ids

from .clock import Stamps
from .model import Message, State


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
        silent = state in (State.ACCEPTED, State.UNCERTAIN)
        value = {
            "v": 1,
            "job": fields.id,
            "message": m.id,
            "tenant": fields.tenant,
            "to": m.to,
            "state": state.word,
            "final": m.final,
            "cause": None if silent else m.cause,
            "code": m.code,
            "stage": m.stage,
            "carrier": m.carrier,
            "account": m.account,
            "node": m.node,
            "parts": len(m.parts),
            "bill_units": job.bill_units,
            "attempts": m.attempts,
            "carrier_ids": self.carrier_ids(m),
            "times": {
                "produced": stamp(job.produced),
                "received": stamp(job.received),
                "submitted": stamp(m.submitted),
                "answered": stamp(m.answered),
                "reported": stamp(m.reported),
            },
            "meta": orjson.Fragment(fields.meta) if fields.meta is not None else {},
        }
        return fields.id.encode(), _dumps(value)

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
        return sender.encode(), _dumps({"v": 1, **fields})


def _dumps(value: dict[str, Any]) -> bytes:
    # orjson's result keeps a page of memory, whatever its length; many of them wait at a time.
    return bytes(memoryview(orjson.dumps(value)))
