"""Topics of a bench on someone's Kafka: under names of their own, and gone afterwards."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from .options import BenchError

PREFIX = "carrierd-bench-"


@contextlib.asynccontextmanager
async def own_topics(bootstrap: str | None) -> AsyncIterator[str]:
    """What to put in front of topic names; empty without a Kafka."""
    if bootstrap is None:
        yield ""
        return
    prefix = f"{PREFIX}{uuid.uuid4().hex[:12]}."
    try:
        yield prefix
    except BaseException:
        # The run's own failure is what the caller has to hear of.
        with contextlib.suppress(KafkaError):
            await _remove(bootstrap, prefix)
        raise
    try:
        await _remove(bootstrap, prefix)
    except KafkaError as exc:
        raise BenchError(f"Kafka at {bootstrap}: topics {prefix}* are left there: {exc}") from exc


async def _remove(bootstrap: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        await admin.start()
        ours = [name for name in await admin.list_topics() if name.startswith(prefix)]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()
