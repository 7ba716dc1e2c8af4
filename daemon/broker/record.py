"""A record as a broker gives it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, init=False)
class Record:
    """One record as it was read.

    `timestamp` is the record's own, in seconds since 1970 (Kafka: what the producer put
    there, or the broker when the topic says `LogAppendTime`).
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    content_type: str | None
    timestamp: float

    # Written out: compiled, one that `dataclass` makes stays interpreted.
    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        key: bytes | None,
        value: bytes,
        content_type: str | None,
        timestamp: float,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.key = key
        self.value = value
        self.content_type = content_type
        self.timestamp = timestamp
