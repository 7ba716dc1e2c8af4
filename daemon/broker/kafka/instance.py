"""A daemon's place in its group, kept over a restart: static membership (KIP-345).

A member that comes back under its instance id before its session ends is given what it had,
at once, and nobody else loses anything.  aiokafka joins under such an id, and that is all it
does: leaving, and noticing that somebody else has joined under the same id, is here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, errors
from aiokafka.errors import BrokerResponseError, KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.group import HeartbeatResponse_v1
from aiokafka.protocol.types import Int32, Schema, String

ANSWER_WITHIN = 2.0

log = structlog.get_logger()


class FencedInstanceIdError(BrokerResponseError):  # type: ignore[misc]  # aiokafka is not typed here
    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "another member of the group has the same group.instance.id"


errors.kafka_errors.setdefault(FencedInstanceIdError.errno, FencedInstanceIdError)


class _HeartbeatResponse(HeartbeatResponse_v1):  # type: ignore[misc]
    API_VERSION = 3


class _HeartbeatStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = _HeartbeatResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class _Heartbeat(Request[_HeartbeatStruct]):  # type: ignore[misc]
    API_KEY = 12

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_HeartbeatStruct]) -> _HeartbeatStruct:
        return request_struct_class(*self._fields)


class Instance:
    """`settle` with each assignment."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._generation = -1
        self._member = ""

    def settle(self, consumer: AIOKafkaConsumer) -> None:
        coordinator = consumer._coordinator
        self._generation, self._member = coordinator.generation, coordinator.member_id

    async def fenced(self, consumer: AIOKafkaConsumer) -> bool:
        """Whether another member has joined under our id; False when that cannot be known now.

        The group only says that it does not know us, as it does after a session that ended,
        unless it is asked under the id.  To join again would throw the other out in its turn.
        """
        if not self._member:
            return False
        coordinator = consumer._coordinator
        request = _Heartbeat(coordinator.group_id, self._generation, self._member, self.name)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await coordinator.ensure_coordinator_known()
                answer = await coordinator._send_req(request)
        except (KafkaError, TimeoutError) as exc:
            error = str(exc) or "no answer in time"
            log.warning("not known whether another has our instance id", error=error)
            return False
        except NotImplementedError:  # before Kafka 2.3 there are no such ids
            return False
        return for_code(answer.error_code) is FencedInstanceIdError

    def leave(self, consumer: AIOKafkaConsumer) -> None:
        """Let the consumer say that it leaves when it stops: aiokafka only does without an id."""
        coordinator = consumer._coordinator
        assert hasattr(coordinator, "_group_instance_id"), "aiokafka changed: it would not leave"
        coordinator._group_instance_id = None
