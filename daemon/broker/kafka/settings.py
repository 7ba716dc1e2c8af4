"""What it takes to reach a Kafka cluster, and how its client is told."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.helpers import create_ssl_context

from ..base import BrokerError

SECURITY = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """The `[broker]` section of a Kafka; `group` is the consumer group of the jobs topics."""

    bootstrap: Sequence[str]
    group: str = "carrierd"
    client_id: str = "carrierd"
    security: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    answer_within: float = 10.0  # a broker that is silent for longer counts as gone
    session: float = 6.0
    """So long after its last sign of life a member's partitions are nobody else's.

    The default is the least that brokers admit by default.
    """

    @property
    def where(self) -> str:
        return ",".join(self.bootstrap)

    def client(self) -> dict[str, Any]:
        """Keyword arguments that every aiokafka client takes.

        Raises BrokerError when the CA file cannot be used.
        """
        if self.security not in SECURITY:
            raise BrokerError(
                f"broker.security: {self.security!r}, allowed are {', '.join(SECURITY)}"
            )
        tls: ssl.SSLContext | None = None
        if self.security.endswith("SSL"):
            try:
                tls = create_ssl_context(cafile=self.ca_file)
            except OSError as exc:  # ssl.SSLError is one too
                raise BrokerError(f"broker.ca_file: {self.ca_file}: {exc}") from exc
        settings: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap),
            "client_id": self.client_id,
            "security_protocol": self.security,
            "ssl_context": tls,
            "request_timeout_ms": round(self.answer_within * 1000),
        }
        if self.security.startswith("SASL"):
            settings |= {
                "sasl_mechanism": self.sasl_mechanism or "PLAIN",
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return settings
