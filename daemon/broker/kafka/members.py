"""How partitions are shared out in a group, how many there are and how many share them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

_COUNTS = struct.Struct(">II")


class Members(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka is not typed here
    """Round robin; the leader puts beside each share how many members and partitions there are.

    The protocol has room for such data, and clients that do not know it pass it over.  The
    shares alone do not say it: with fewer partitions than members some have none.
    """

    def __init__(self) -> None:
        self.count = 0
        """As of the last assignment; 0 when its leader did not say."""
        self.shared: int | None = None
        """Partitions of all members together; None when the leader did not say."""

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        shares = super().assign(cluster, members)
        shared = sum(len(numbers) for share in shares.values() for _, numbers in share.assignment)
        counts = _COUNTS.pack(len(members), shared)
        return {
            member: ConsumerProtocolMemberAssignment(share.version, share.assignment, counts)
            for member, share in shares.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        data = assignment.user_data or b""
        self.count, self.shared = _COUNTS.unpack(data) if len(data) == _COUNTS.size else (0, None)
