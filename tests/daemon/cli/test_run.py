"""`carrierd run` when what is configured is not there."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import pytest

TOPICS = ["urgent", "jobs", "reports", "inbound", "dead", "parked", "state"]


@pytest.mark.kafka
@pytest.mark.real_kafka
@pytest.mark.parametrize("missing", [["parked", "state"], ["jobs", "dead"]])
async def test_every_topic_has_to_be_there_and_those_missing_are_named(
    kafka: str, make_topics: Callable[..., None], tmp_path: Path, missing: list[str]
) -> None:
    mark = f"t{uuid.uuid4().hex[:8]}"
    make_topics(*(f"{mark}.{word}" for word in TOPICS if word not in missing))
    named = "".join(f'topics.{word} = "{mark}.{word}"\n' for word in TOPICS[2:])
    file = tmp_path / "carrierd.toml"
    file.write_text(
        f'[daemon]\nstate_dir = "{tmp_path}/state"\n[http]\nlisten = "127.0.0.1:0"\n[broker]\n'
        f'bootstrap = ["{kafka}"]\ntopics.jobs = ["{mark}.urgent", "{mark}.jobs"]\n{named}'
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon", "run", "--config", str(file), stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode == 2
    (line,) = [one for one in map(json.loads, said.splitlines()) if one["level"] == "critical"]
    assert line["event"] == "cannot start"
    error = line["error"]
    assert all((f"{mark}.{word}" in error) == (word in missing) for word in TOPICS), error
    assert "carrierd topics --create" in error
