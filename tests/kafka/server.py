"""A real Apache Kafka of one node (KRaft) on loopback, with its files in one directory.

The jars come from Maven by `pom.xml` into `.cache/kafka/` of the clone, once.  It needs
`java` (17 or newer) and, the first time, `mvn`:

    server = KafkaServer(directory)
    server.start()              # about three seconds
    ... server.bootstrap ...    # "127.0.0.1:PORT"
    server.kill(); server.start()
    server.stop()
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

from tests.ports import free_port

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "kafka"
START_WITHIN = 60.0
STOP_WITHIN = 20.0
FETCH_WITHIN = 600.0


class KafkaUnavailableError(Exception):
    """No Kafka can be run here; the text says what is missing."""


def jars() -> Path:
    """The directory with Kafka's jars, fetched when it is not there yet.

    Raises KafkaUnavailableError without Java, or when Maven is missing or fails.
    """
    if shutil.which("java") is None:
        raise KafkaUnavailableError("there is no java")
    pom = HERE / "pom.xml"
    place = CACHE / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    if place.is_dir():
        return place
    if shutil.which("mvn") is None:
        raise KafkaUnavailableError(f"there is no mvn, and no jars in {place}")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.is_dir():  # another test run was first
            return place
        half = place.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={half}"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=FETCH_WITHIN, check=False
            )
        except subprocess.TimeoutExpired as exc:
            raise KafkaUnavailableError(f"mvn took longer than {FETCH_WITHIN:.0f} s") from exc
        if done.returncode or not any(half.glob("kafka_*.jar")):
            raise KafkaUnavailableError(f"mvn failed: {(done.stdout + done.stderr)[-2000:]}")
        half.rename(place)
    return place


class KafkaServer:
    """One Kafka; `start` after `stop` or `kill` finds its ports and topics again."""

    def __init__(self, directory: Path, *, heap: str = "512m", auto_create: bool = False) -> None:
        self.directory = directory
        self.port, self._controller = free_port(), free_port()
        self._heap = heap
        self._auto_create = auto_create
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "asked for after start"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns when it takes connections.  Raises KafkaUnavailableError, with its log's end."""
        properties = self.directory / "server.properties"
        if not properties.exists():
            self._format(properties)
        options = [f"-Xmx{self._heap}", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
        # It lives for minutes: optimizing its code takes more time than that ever gives back.
        options += ["-XX:TieredStopAtLevel=1"]
        with (self.directory / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                [*self._java(options), "kafka.Kafka", str(properties)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
            )
        give_up = time.monotonic() + START_WITHIN
        while not self._answers():
            if not self.running or time.monotonic() > give_up:
                self.kill()
                raise KafkaUnavailableError(f"Kafka does not start: {self.log_end()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """An orderly shutdown."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """What a power cut does to the process."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log_end(self) -> str:
        log = self.directory / "server.log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # one that was frozen would not hear it
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def _java(self, options: list[str]) -> list[str]:
        config = HERE / "log4j2.properties"
        ours = [f"-Dlog4j2.configurationFile={config}", f"-Djava.io.tmpdir={self.directory}"]
        # Otherwise it leaves a file for other Java tools in the machine's own /tmp.
        return ["java", "-cp", f"{jars()}/*", *ours, "-XX:-UsePerfData", *options]

    def _format(self, properties: Path) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
            f"CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": self.directory / "data",
            "auto.create.topics.enable": str(self._auto_create).lower(),
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # So that a killed one is admitted again soon.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
        }
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        half = properties.with_suffix(".part")
        half.write_text(lines)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = self._java(["-Xmx128m", "-XX:TieredStopAtLevel=1"])
        command += ["kafka.tools.StorageTool", "format", "--standalone", f"--cluster-id={cluster}"]
        done = subprocess.run(
            [*command, "-c", str(half)],
            capture_output=True,
            text=True,
            timeout=START_WITHIN,
            check=False,
            cwd=self.directory,
        )
        if done.returncode:
            raise KafkaUnavailableError(f"its storage cannot be made: {done.stdout}{done.stderr}")
        os.replace(half, properties)
