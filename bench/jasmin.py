"""Jasmin with a RabbitMQ and a Redis of its own, between a client and a simulated gateway.

All three come from elsewhere: Jasmin from the environment of a Python interpreter, the other two
from the system.  Everything listens on loopback, on ports of its own, keeps its files in one
directory, and is ended afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.demo.ports import HOST, Ports
from daemon.demo.process import TOLD

from .options import BenchError

PLACES = os.pathsep.join(("/usr/lib/rabbitmq/bin", "/usr/lib/erlang/bin", os.environ["PATH"]))
"""RabbitMQ's own script comes before the distribution's, which changes to another user."""
NEEDED = {
    "rabbitmq-server": "rabbitmq-server",
    "epmd": "rabbitmq-server",
    "redis-server": "redis-server",
}
"""Programs and what to install for them."""
UP_WITHIN, DOWN_WITHIN = 60.0, 15.0
LOOK_EVERY = 0.2
GREETING, PROMPTS = b"Session ref:", (b"jcli : ", b"> ")
LOGIN, PASSWORD = "bench", "loopback"
SPECIFICATION = "import jasmin, txamqp, os; print(os.path.dirname(txamqp.__file__))"


@dataclass(slots=True, frozen=True)
class Jasmin:
    """Where its SMPP server is, and the processes that it is made of."""

    port: int
    login: str
    password: str
    pids: Sequence[int]


class UnavailableError(Exception):
    """Jasmin cannot run here; the text says why."""


def missing() -> str | None:
    """Which programs are not there and what has them; None when all are."""
    absent = [name for name in NEEDED if shutil.which(name, path=PLACES) is None]
    if not absent:
        return None
    packages = sorted({NEEDED[name] for name in absent})
    return f"there is no {', '.join(absent)}; the distribution has {' and '.join(packages)}"


@contextlib.asynccontextmanager
async def jasmin(
    python: Path, gateway: tuple[str, int], login: tuple[str, str], directory: Path
) -> AsyncIterator[Jasmin]:
    """It submits what it is given to the gateway, where it logs in with name and password.

    Raises UnavailableError when something is not installed, and BenchError when it does not get up.
    """
    if (why := missing()) is not None:
        raise UnavailableError(why)
    amqp_file = await specification(python)
    home = directory / "jasmin"
    home.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        ports = stack.enter_context(Ports(8))
        redis, amqp, spread, names, clients, router, console, smpp = ports.numbers
        running: list[_Program] = []

        async def start(
            name: str, arguments: Sequence[str], more: Mapping[str, str], port: int
        ) -> None:
            program = _Program(name, home / f"{name}.log")
            stack.push_async_callback(program.stop)
            await program.start(arguments, {**os.environ, "HOME": str(home), **more})
            await program.up(port)
            running.append(program)

        await start(
            "redis-server",
            ("--bind", HOST, "--port", str(redis), "--save", "", "--dir", str(home)),
            {},
            redis,
        )
        erlang = {"ERL_EPMD_PORT": str(names), "ERL_EPMD_ADDRESS": HOST}
        await start("epmd", ("-port", str(names), "-address", HOST), erlang, names)
        await start("rabbitmq-server", (), erlang | _rabbit(home, amqp, spread), amqp)
        config = home / "jasmin.cfg"
        config.write_text(_config(home, amqp_file, redis, amqp, clients, router, console, smpp))
        paths = {"ROOT_PATH": str(home), "CONFIG_PATH": str(home), "LOG_PATH": str(home)}
        (home / "store").mkdir()
        await start(str(python), ("-m", "jasmin.bin.jasmind", "-c", str(config)), paths, console)
        await _tell(console, _orders(gateway, login))
        yield Jasmin(smpp, LOGIN, PASSWORD, [program.pid for program in running])


async def specification(python: Path) -> Path:
    """AMQP's file, which Jasmin wants named.  Raises UnavailableError where it has none."""
    try:
        asked = await asyncio.create_subprocess_exec(
            *(str(python), "-c", SPECIFICATION), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
    except OSError as exc:
        raise UnavailableError(f"{python}: {exc.strerror}") from exc
    out, said = await asked.communicate()
    if asked.returncode:
        why = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise UnavailableError(f"Jasmin is not installed for {python} ({why}); pip install jasmin")
    return Path(out.decode().strip()) / "specs" / "standard" / "amqp0-9-1.stripped.xml"


def _rabbit(home: Path, amqp: int, spread: int) -> dict[str, str]:
    plugins = home / "plugins"
    plugins.write_text("[].\n")
    return {
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(amqp),
        "RABBITMQ_DIST_PORT": str(spread),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "rabbit"),
        "RABBITMQ_PID_FILE": str(home / "rabbit.pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbit"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def _config(
    home: Path,
    specification: Path,
    redis: int,
    amqp: int,
    clients: int,
    router: int,
    console: int,
    smpp: int,
) -> str:
    listening = {
        "client-management": clients,
        "router": router,
        "jcli": console,
        "smpp-server": smpp,
    }
    sections: dict[str, dict[str, object]] = {
        "redis-client": {"host": HOST, "port": redis},
        "amqp-broker": {"host": HOST, "port": amqp, "spec": specification},
        **{name: {"bind": HOST, "port": port} for name, port in listening.items()},
        # Its log of every message would be measured too.
        "sm-listener": {"log_level": "WARNING"},
        "service-smppclient": {"log_level": "WARNING"},
        "http-api": {"bind": HOST, "port": 0},
    }
    sections["jcli"]["authentication"] = False
    sections["smpp-server"]["log_level"] = "WARNING"
    for name in ("client-management", "router"):
        sections[name]["store_path"] = home / "store"
        sections[name]["log_level"] = "WARNING"
    lines = []
    for section, keys in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in keys.items()), ""]
    return "\n".join(lines)


def _orders(gateway: tuple[str, int], login: tuple[str, str]) -> Iterable[str]:
    """In its console's words: a user for us, a connector without a limit, and all goes there."""
    host, port = gateway
    name, password = login
    return (
        *("group -a", "gid bench", "ok"),
        *("user -a", f"username {LOGIN}", f"password {PASSWORD}", "gid bench", "uid bench", "ok"),
        *("smppccm -a", "cid gateway", f"host {host}", f"port {port}"),
        *(f"username {name}", f"password {password}", "bind transmitter"),
        *("submit_throughput 0", "ok"),
        *("mtrouter -a", "type DefaultRoute", "connector smppc(gateway)", "rate 0", "ok"),
        "smppccm -1 gateway",
    )


async def _tell(port: int, orders: Iterable[str]) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    said = b""
    try:
        async with asyncio.timeout(UP_WITHIN):
            # Who need not log in is greeted and not asked.
            await reader.readuntil(GREETING)
            for order in orders:
                writer.write(order.encode() + b"\r\n")
                said += await _prompt(reader)
    except TimeoutError:
        words = said[-TOLD:].decode(errors="replace")
        raise BenchError(f"Jasmin's console does not answer: {words}") from None
    finally:
        writer.close()
    for wrong in (b"Error", b"Unknown", b"Failed", b"Incorrect"):
        if wrong in said:
            words = said[-TOLD:].decode(errors="replace")
            raise BenchError(f"Jasmin's console refuses: {words}")


async def _prompt(reader: asyncio.StreamReader) -> bytes:
    said = b""
    while not said.endswith(PROMPTS):
        more = await reader.read(4096)
        if not more:
            raise BenchError("Jasmin's console hung up")
        said += more
    return said


class _Program:
    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self._log = log.with_name(f"{Path(name).name}.log")
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "asked for after start"
        return self._process.pid

    async def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                shutil.which(self._name, path=PLACES) or self._name,
                *arguments,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    async def up(self, port: int) -> None:
        """Until it can be connected to.  Raises BenchError."""
        assert self._process is not None, "asked for after start"
        try:
            async with asyncio.timeout(UP_WITHIN):
                while self._process.returncode is None:
                    try:
                        _, writer = await asyncio.open_connection(HOST, port)
                    except ConnectionError:
                        await asyncio.sleep(LOOK_EVERY)
                        continue
                    writer.close()
                    return
        except TimeoutError:
            pass
        said = self._log.read_bytes()[-TOLD:].decode("utf-8", "replace").strip()
        raise BenchError(f"{self._name} does not get up: {said or 'no word'}")

    async def stop(self) -> None:
        """It and what it started."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(DOWN_WITHIN):
                await process.wait()
        except TimeoutError:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
