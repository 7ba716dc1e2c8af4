"""Runs the Java programs that speak CMPP, SGIP and SMGP independently of this project.

They are built from `java/` with Maven once per change of their sources, into the clone's `.cache`.
`README.md` lists the settings, commands and events.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import itertools
import json
import re
import shutil
import subprocess
from collections import deque
from pathlib import Path
from typing import Any, Literal, Self

HERE = Path(__file__).parent / "java"
CACHE = Path(__file__).parents[2] / ".cache" / "peers"

Role = Literal["gateway", "client"]
Protocol = Literal["cmpp20", "cmpp30", "sgip", "smgp"]

# A test's peer sees tens of messages: start fast, stay small.
JVM = (
    "-Xmx96m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dfile.encoding=UTF-8",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)

Event = dict[str, Any]


class CannotBuildError(Exception):
    """The programs' dependencies cannot be had here; a mistake in the programs is not this."""


class PeerGoneError(Exception):
    """The program ended while something was awaited from it."""


class CommandRefusedError(Exception):
    """The program could not do what it was told; the text is the program's."""


def missing() -> str | None:
    """What this machine lacks to build and run the programs, or None."""
    lacking = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not found on PATH" if lacking else None


def built() -> Path:
    """The directory with `classes` and `lib`, built first if the sources have changed.

    Processes that ask at the same time wait for one build. Raises CannotBuildError when Maven
    cannot resolve what the programs need, RuntimeError with Maven's words when they do not compile.
    """
    digest = hashlib.sha256()
    for source in (HERE / "pom.xml", *sorted((HERE / "src").rglob("*.java"))):
        digest.update(source.relative_to(HERE).as_posix().encode() + b"\0" + source.read_bytes())
    target = CACHE / digest.hexdigest()[:16]
    done = target / "done"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return target
        shutil.rmtree(target, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), f"-Dpeer.build={target}"]
        maven = subprocess.run([*command, "compile"], capture_output=True, text=True, check=False)
        if maven.returncode:
            words = (maven.stdout + maven.stderr).strip()
            if re.search(r"not (be resolved|resolve|transfer|find artifact)", words, re.IGNORECASE):
                raise CannotBuildError(words[-3000:])
            raise RuntimeError(f"building the Java peers failed:\n{words[-6000:]}")
        done.touch()
    return target


class JavaPeer:
    """One running program. Use as `async with JavaPeer("gateway", "cmpp30", report=50) as peer`.

    Settings are written with underscores for dashes (`callback_login`). The program is ready when
    the block is entered and gone when it is left, whatever happened inside.
    """

    def __init__(self, role: Role, protocol: Protocol, **settings: object) -> None:
        self.role = role
        self.protocol = protocol
        self._settings = [f"{k.replace('_', '-')}={v}" for k, v in settings.items()]
        self._seen: list[Event] = []
        self._given: set[int] = set()
        self._news = asyncio.Condition()
        self._commands = itertools.count(1)
        self._noise: deque[str] = deque(maxlen=60)
        self._gone = False

    async def __aenter__(self) -> Self:
        target = await asyncio.to_thread(built)
        classpath = f"{target / 'classes'}:{target / 'lib'}/*"
        self._process = await asyncio.create_subprocess_exec(
            *("java", *JVM, "-cp", classpath, "peer.Main"),
            *(self.role, self.protocol, *self._settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=target,
            limit=1 << 20,
        )
        self._readers = asyncio.gather(self._read_events(), self._read_noise())
        try:
            await self.event("started", within=30)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(b"quit\n")
            # The end of its input ends the program too.
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), timeout=5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._readers

    async def _read_events(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._news:
                self._seen.append(json.loads(line))
                self._news.notify_all()
        async with self._news:
            self._gone = True
            self._news.notify_all()

    async def _read_noise(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._noise.append(line.decode(errors="replace").rstrip())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        """Where it listens: a gateway always, an SGIP client for the gateway's own connection."""
        return int(self.seen("listening")[0]["port"])

    def seen(self, name: str, **match: object) -> list[Event]:
        """Every event of that name and with those fields so far, in order."""
        return [event for event in self._seen if _fits(event, name, match)]

    async def event(self, name: str, *, within: float = 20, **match: object) -> Event:
        """The first such event that no earlier call has returned, awaited if need be."""

        def found() -> int | None:
            for index, event in enumerate(self._seen):
                if index not in self._given and _fits(event, name, match):
                    return index
            return None

        index: int = await self._until(found, within, f"{name} {match or ''}")
        self._given.add(index)
        return self._seen[index]

    async def events(
        self, name: str, count: int, *, within: float = 20, **match: object
    ) -> list[Event]:
        """All such events so far, once there are at least `count`."""

        def found() -> list[Event] | None:
            events = self.seen(name, **match)
            return events if len(events) >= count else None

        found_events: list[Event] = await self._until(
            found, within, f"{count} of {name} {match or ''}"
        )
        return found_events

    async def _until(self, found: Any, within: float, what: str) -> Any:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within), self._news:
                while (result := found()) is None and not self._gone:
                    await self._news.wait()
        if (result := found()) is not None:
            return result
        story = "\n".join([*(json.dumps(e, ensure_ascii=False) for e in self._seen), *self._noise])
        text = f"{self.role} {self.protocol}: no {what.strip()}"
        if self._gone:
            raise PeerGoneError(f"{text}; the program ended. It said:\n{story}")
        raise AssertionError(f"{text} in {within} s. It said:\n{story}")

    async def command(self, *words: object) -> None:
        """One command line, carried out when this returns: nothing caused later overtakes it.

        The last word may hold spaces, none a line break.  Raises CommandRefusedError.
        """
        line = " ".join(str(word) for word in words)
        if "\n" in line or "\r" in line:
            raise ValueError(f"a command is one line: {line!r}")
        assert self._process.stdin is not None
        number = next(self._commands)
        with contextlib.suppress(ConnectionError):  # gone: the wait says so, with its story
            self._process.stdin.write(line.encode() + b"\n")
            await self._process.stdin.drain()

        def answered() -> Event | None:
            ends = (*self.seen("done", number=number), *self.seen("refused", number=number))
            return next(iter(ends), None)

        end: Event = await self._until(answered, 20, f"end of the command {line!r}")
        if end["event"] == "refused":
            raise CommandRefusedError(f"{self.role} {self.protocol}: {line!r}: {end['text']}")

    async def change(self, **settings: object) -> None:
        """Changes settings that are read while running: delay report result stat error coding."""
        for key, value in settings.items():
            await self.command("set", key.replace("_", "-"), value)

    async def inbound(self, from_: str, to: str, text: str) -> None:
        """Gateway: sends a message from a phone to the access number, in parts when long."""
        await self.command("mo", from_, to, text)

    async def report_all(self, stat: str = "DELIVRD") -> None:
        """Gateway: sends the report of every submit that has not had one."""
        await self.command("report-all", stat)

    async def submit(self, to: str, text: str) -> None:
        """Client: submits a message, in parts when long."""
        await self.command("submit", to, text)

    async def connect(self, port: int) -> None:
        """Client: logs in to a gateway that was started after it."""
        await self.command("connect", port)

    async def leave(self) -> None:
        """Ends the links the orderly way the protocol has."""
        await self.command("leave")


def _fits(event: Event, name: str, match: dict[str, object]) -> bool:
    return event["event"] == name and all(event.get(key) == match[key] for key in match)
