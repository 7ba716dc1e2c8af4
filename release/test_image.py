"""What containers run, run here: the image's own files, commands and health checks, and Kafka as
the compose file sets it up.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.kafka.server import START_WITHIN, KafkaServer
from tests.ports import free_port
from tests.release.dockerfile import instructions
from tests.release.test_compose import CONFIG, SERVICES

from .conftest import ROOT

WITHIN = 60.0
PORT = r"(?:(?<=:)|(?<=port = ))\d{4,5}\b"


class Kafka(KafkaServer):
    """As the compose file's environment says; only places and addresses are other ones."""

    def _format(self, properties: Path) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        said = {
            key.removeprefix("KAFKA_").replace("_", ".").lower(): value
            for key, value in SERVICES["kafka"]["environment"].items()
        }
        lines = "".join(f"{key}={value}\n" for key, value in said.items())
        lines = re.sub(r"(//|@)(kafka)?:9092", rf"\g<1>127.0.0.1:{self.port}", lines)
        lines = re.sub(r"(//|@)(kafka)?:9093", rf"\g<1>127.0.0.1:{self._controller}", lines)
        properties.write_text(lines.replace("/var/lib/kafka/data", f"{self.directory}/data"))
        tool = ["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw"]
        subprocess.run(
            [*self._java(["-Xmx128m"]), *tool, "-c", str(properties)],
            timeout=START_WITHIN,
            check=True,
            cwd=self.directory,
        )


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Kafka(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server.bootstrap
    server.kill()


def fault() -> str:
    """What the compose file shows to make a gateway fail, without the engine's part."""
    shown = re.sub(r"\\\n# *", "", (CONFIG.parents[1] / "compose.yaml").read_text())
    (command,) = re.findall(
        r"^# *docker compose .* exec gateways (python .*)$", shown, re.MULTILINE
    )
    return command


def test_what_the_compose_file_starts_delivers_messages(
    image: Path, kafka: str, tmp_path: Path
) -> None:
    text = CONFIG.read_text()
    text = text.replace("/var/lib/carrierd", f"{tmp_path}/state")
    ports = {old: str(free_port()) for old in re.findall(PORT, text) if old != "9092"}
    text = re.sub(PORT, lambda m: ports.get(m[0], m[0]), text).replace("kafka:9092", kafka)
    file = tmp_path / "carrierd.toml"
    file.write_text(text)
    environ = {**os.environ, "PATH": f"{image}/bin:{os.environ['PATH']}", "PYTHONPATH": ""}
    (entry,) = [step for step in instructions(ROOT / "Dockerfile") if step.word == "ENTRYPOINT"]
    (check,) = [step for step in instructions(ROOT / "Dockerfile") if step.word == "HEALTHCHECK"]

    def adapted(command: list[str]) -> list[str]:
        words = [word.replace("/etc/carrierd/carrierd.toml", str(file)) for word in command]
        return [re.sub(r":(9464|9465)/", lambda m: f":{ports[m[1]]}/", word) for word in words]

    def command(name: str) -> list[str]:
        service = SERVICES[name]
        return adapted([*service.get("entrypoint", entry.exec), *service["command"]])

    def healthy(test: list[str]) -> None:
        deadline = time.monotonic() + WITHIN
        while subprocess.run(
            adapted(test), env=environ, cwd=tmp_path, capture_output=True
        ).returncode:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]

    def metric(pattern: str) -> float:
        with urlopen(f"http://127.0.0.1:{ports['9464']}/metrics", timeout=5) as answer:
            found = re.findall(rf"^{pattern} (\S+)$", answer.read().decode(), re.MULTILINE)
        return sum(map(float, found))

    with ExitStack() as stack, (tmp_path / "log").open("ab") as log:

        def start(name: str) -> None:
            process = subprocess.Popen(
                command(name), env=environ, cwd=tmp_path, stdout=log, stderr=log
            )
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)

        subprocess.run(command("topics"), env=environ, cwd=tmp_path, check=True)
        start("carrierd")
        start("gateways")
        healthy(check.exec)
        healthy(SERVICES["gateways"]["healthcheck"]["test"][1:])
        start("traffic")
        deadline = time.monotonic() + WITHIN
        while metric(r'carrierd_messages_total\{.*state="delivered"\}') < 100:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.2)
        assert metric(r"carrierd_bind_up\{.*\}") == 6
        subprocess.run(["sh", "-euc", *adapted([fault()])], env=environ, cwd=tmp_path, check=True)
        while metric(r'carrierd_bind_up\{.*node="m1"\}'):
            assert time.monotonic() < deadline, "the gateway did not freeze"
            time.sleep(0.2)
