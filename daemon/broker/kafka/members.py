"""How partitions are shared out in a group, and how many share them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

_COUNT = struct.Struct(">I")


class Members(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka is not typed here
    """Round robin; the leader puts beside each share how many members there are.

    The protocol has room for such data, and clients that do not know it pass it over.  The
    shares alone do not say it: with fewer partitions than members some have none.
    """

    def __init__(self) -> None:
        self.count = 0
        """As of the last assignment; 0 when its leader did not say."""

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        count = _COUNT.pack(len(members))
        return {
            member: ConsumerProtocolMemberAssignment(share.version, share.assignment, count)
            for member, share in super().assign(cluster, members).items()
        }

    def on_assignment(self, assignment: Any) -> None:
        data = assignment.user_data or b""
        self.count = _COUNT.unpack(data)[0] if len(data) == _COUNT.size else 0
