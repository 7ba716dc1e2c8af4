"""Carriers' gateways, written from the protocols' field tables with plain struct.

They share no code with the daemon, so that both cannot be wrong together.  A `Carrier` is the
far end of one account: it has the script of what happens to each number, and counts what reached
it.  A `Gateway` is one of its nodes; the four protocols are in the modules beside this one.
"""

from __future__ import annotations

import asyncio
import socket
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.ports import free_port

REDELIVER_AFTER = 3.0
"""Seconds without an answer after which a Deliver is sent again, on whatever is connected."""


# GSM 03.38, 6.2.1: the default alphabet, and its extension table behind an escape.
GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {10: "\f", 20: "^", 40: "{", 41: "}", 47: "\\", 60: "[", 61: "~", 62: "]", 64: "|"}
EXTENSION[101] = "€"


def gsm(octets: bytes) -> str:
    """Unpacked GSM 03.38, one octet per character."""
    found, escaped = [], False
    for octet in octets:
        if escaped:
            found.append(EXTENSION[octet])
            escaped = False
        elif octet == 27:
            escaped = True
        else:
            found.append(GSM[octet])
    return "".join(found)


class Pulse:
    """Whether this process was running: what comes while it was not is seen only after that."""

    EVERY = 0.02

    def __init__(self) -> None:
        self._stalls: list[tuple[float, float]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(self.EVERY)
            now = time.monotonic()
            if now - last > 2 * self.EVERY:
                self._stalls.append((last, now))
            last = now

    def earliest(self, at: float) -> float:
        """When that which was seen at that time may have come."""
        stalls = self._stalls
        place = bisect_left(stalls, (at - self.EVERY, 0.0)) - 1
        for began, ended in stalls[max(0, place) : place + 3]:
            if began <= at <= ended + self.EVERY:
                return began
        return at


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery report: the status word (SGIP: State/ErrorCode) `after` seconds."""

    word: str = "DELIVRD"
    after: float = 0.02
    err: str = "000"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway does with one submit.  `result` None: it never answers."""

    result: int | None = 0
    after: float = 0.0
    reports: tuple[Report, ...] = (Report(),)
    early: bool = False
    """Reports go before the answer."""
    close: bool = False
    """The connection is closed instead of an answer."""


SILENT = Answer(result=None, reports=())
ACCEPT = Answer(reports=())


def refused(result: int) -> Answer:
    return Answer(result=result, reports=())


def failed(word: str, err: str = "000", after: float = 0.02) -> Answer:
    return Answer(reports=(Report(word, after, err),))


class Told(NamedTuple):
    """A report that was acknowledged, and when it was."""

    word: str
    at: float


@dataclass(slots=True)
class Submit:
    """One submit as it came in."""

    at: float
    node: str
    connection: Connection
    sequence: bytes
    src: str
    to: tuple[str, ...]
    coding: int
    udhi: int
    content: bytes
    wants_report: bool
    fields: dict[str, Any]
    gsm: bool = False
    """Coding 0 is the GSM alphabet."""
    ident: bytes = b""
    answer: Answer | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    """What the script has for each recipient; of a list, `answer` is what becomes of it."""
    settled: bool = False
    told: list[Told] = field(default_factory=list)
    header: bytes = field(init=False, default=b"")
    body: bytes = field(init=False)
    reference: int | None = field(init=False, default=None)
    total: int = field(init=False, default=1)
    number: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        self.body = self.content
        if self.udhi:
            size = self.content[0] + 1
            self.header, self.body = self.content[:size], self.content[size:]
            self._elements()

    def _elements(self) -> None:
        at = 1
        while at + 2 <= len(self.header):
            kind, size = self.header[at], self.header[at + 1]
            value = self.header[at + 2 : at + 2 + size]
            if kind == 0 and size == 3:
                self.reference, self.total, self.number = value
            elif kind == 8 and size == 4:
                self.reference = int.from_bytes(value[:2], "big")
                self.total, self.number = value[2:]
            at += 2 + size

    def place(self, to: str) -> int:
        """Where in a list this recipient stands; 0 for one that is not there."""
        return self.to.index(to) if to in self.to else 0

    @property
    def text(self) -> str:
        if self.gsm and self.coding == 0:
            return gsm(self.body)
        codec = {8: "utf-16-be", 15: "gb18030", 0: "ascii", 1: "ascii", 3: "latin-1"}
        return self.body.decode(codec[self.coding])


@dataclass(frozen=True, slots=True)
class Login:
    at: float
    node: str
    fields: dict[str, Any]
    peer: str
    status: int


class Carrier:
    """The far end of one account, all its nodes together."""

    def __init__(self, login: str, password: str, access_number: str) -> None:
        self.login = login
        self.password = password
        self.access_number = access_number
        self.default = Answer()
        self.submits: list[Submit] = []
        self.logins: list[Login] = []
        self.faults: list[str] = []
        self.nodes: list[Gateway] = []
        self.pulse = Pulse()
        self._scripts: dict[str, list[Answer]] = {}
        self._taken = defaultdict[str, int](int)
        self._ids = 0

    def on(self, number: str, *answers: Answer) -> None:
        """The first submit for this number gets the first answer …, the last one repeats."""
        self._scripts[number] = list(answers)

    def answer(self, number: str) -> Answer:
        script = self._scripts.get(number)
        if script is None:
            return self.default
        at = self._taken[number]
        self._taken[number] += 1
        return script[min(at, len(script) - 1)]

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    def to(self, number: str) -> list[Submit]:
        """The submits for this number in the order of their coming."""
        return [submit for submit in self.submits if number in map(national, submit.to)]

    def busiest_second(self, since: float = 0.0) -> int:
        """The most destinations that came in any one second, of what is certain."""
        seen = [s for s in self.submits if s.at >= since for _ in s.to]
        times = [self.pulse.earliest(s.at) for s in seen]
        first, most = 0, 0
        for last, submit in enumerate(seen):
            while times[first] <= submit.at - 1.0:
                first += 1
            most = max(most, last - first + 1)
        return most


def national(number: str) -> str:
    return number[2:] if len(number) == 13 and number.startswith("86") else number


class Connection:
    """One TCP connection and what is due on it."""

    def __init__(
        self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.gateway = gateway
        self.reader, self.writer = reader, writer
        self.bound = False
        self.receives = False
        self.unanswered: list[Submit] = []
        self.peak: list[float] = []
        """Ages of the submits when the most were unanswered."""
        self.opened = time.monotonic()
        self.closed: float | None = None
        self.due: dict[int, asyncio.Future[int]] = {}
        self._sequence = 7000

    def send(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def close(self) -> None:
        if not self.writer.is_closing():
            self.writer.close()

    def answered(self, sequence: int, status: int) -> None:
        """The daemon answered a Deliver of ours."""
        future = self.due.pop(sequence, None)
        if future is None:
            self.gateway.fault(f"an answer to {sequence}, which nobody sent")
        elif not future.done():
            future.set_result(status)


class Gateway:
    """One node.  Subclasses say how a PDU is spelled.

    `frozen`: what comes is read and counted, nothing is ever answered.  `refuse`: the status
    of every login.  `window`: more unanswered submits than this on a connection is a fault.
    `by`: the nodes of the account that carry the reports of what came here, part by part in
    turn; empty: this one.
    """

    least = 12
    same_id = False
    """Whether all recipients of a list are reported under the answer's id."""
    names_refused = False
    """Whether a list can be taken without some; else one bad recipient is a no to all."""

    def __init__(self, carrier: Carrier, name: str, window: int = 16) -> None:
        self.carrier = carrier
        self.name = name
        self.window = window
        self.port = 0
        self.frozen = False
        self.given_up = 0.55
        """Just below the account's `answer_within`."""
        self.refuse: int | None = None
        self.by: Sequence[Gateway] = ()
        self.connections: list[Connection] = []
        self.past: list[Connection] = []
        self.keepalives: list[float] = []
        self.farewells = 0
        self.deliver_answers: list[int] = []
        self._listens: socket.socket | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        carrier.nodes.append(self)

    # Life

    async def start(self, port: int = 0) -> None:
        # Not any free one: it has to be free again after a stop.
        self._listens = socket.create_server(("127.0.0.1", port or self.port or free_port()))
        self._listens.setblocking(False)
        self.port = self._listens.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listens, self._accept)

    async def stop(self) -> None:
        """Refuses new connections and closes those there are, as a dead machine does."""
        if self._listens is not None:
            asyncio.get_running_loop().remove_reader(self._listens)
            self._listens.close()
            self._listens = None
        self.drop()
        await asyncio.sleep(0)

    async def close(self) -> None:
        await self.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        for connection in list(self.connections):
            connection.close()

    @property
    def listening(self) -> bool:
        return self._listens is not None

    @property
    def bound(self) -> list[Connection]:
        return [c for c in self.connections if c.bound]

    def fault(self, text: str) -> None:
        self.carrier.faults.append(f"{self.name}: {text}")

    def spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self) -> None:
        """asyncio's own server drops, unclosed, a connection that it accepted as it closed."""
        assert self._listens is not None
        try:
            accepted, _ = self._listens.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1 << 20)
        protocol = asyncio.StreamReaderProtocol(reader, self._serve)
        self.spawn(loop.connect_accepted_socket(lambda: protocol, accepted))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._listens is None:  # it was under way when we stopped
            writer.close()
            return
        connection = Connection(self, reader, writer)
        self.connections.append(connection)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self.read(connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass  # close() ends us; the server's own callback would report it
        finally:
            connection.closed = time.monotonic()
            self.connections.remove(connection)
            self.past.append(connection)
            for future in connection.due.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("closed"))
            writer.close()

    async def read(self, connection: Connection) -> None:
        reader = connection.reader
        while True:
            head = await reader.readexactly(4)
            size = int.from_bytes(head, "big")
            if not self.least <= size <= 5000:
                self.fault(f"a PDU of {size} octets")
                return
            frame = head + await reader.readexactly(size - 4)
            self.frame(connection, frame)

    # What a protocol adds

    def frame(self, connection: Connection, frame: bytes) -> None:
        raise NotImplementedError

    def say_answer(self, submit: Submit, result: int) -> None:
        raise NotImplementedError

    def say_report(self, submit: Submit, report: Report, to: str, sequence: int) -> bytes:
        raise NotImplementedError

    def identify(self, submit: Submit) -> bytes:
        """The id that the answer gives; kept in `submit.ident`."""
        raise NotImplementedError

    # Submits

    def came(self, submit: Submit) -> None:
        """Checks, counts and answers it as the carrier's script says."""
        connection, carrier = submit.connection, self.carrier
        if not connection.bound:
            self.fault("a submit before the login")
            return
        carrier.submits.append(submit)
        self._count(submit)
        if not submit.src.startswith(carrier.access_number):
            self.fault(f"source {submit.src} does not begin with {carrier.access_number}")
        submit.ident = self.identify(submit)
        submit.answers = {to: carrier.answer(national(to)) for to in submit.to}
        answer = submit.answer = self._decide(list(submit.answers.values()))
        if self.frozen:
            return
        if answer.close:
            connection.close()
            return
        if answer.early:
            self._reports(submit, answer)
        if answer.result is not None:
            loop = asyncio.get_running_loop()
            if answer.after:
                loop.call_later(answer.after, self._answer, submit, answer)
            else:
                self._answer(submit, answer)
        elif not answer.early:
            self._reports(submit, answer)

    def _decide(self, answers: list[Answer]) -> Answer:
        """What becomes of a list, given what its recipients would get alone."""
        for one in answers:
            if one.close or one.result is None:
                return one
        refusals = [one for one in answers if one.result]
        if refusals and (not self.names_refused or len(refusals) == len(answers)):
            return refusals[0]
        return next(one for one in answers if not one.result)

    def _answer(self, submit: Submit, answer: Answer) -> None:
        if self.frozen:
            return
        assert answer.result is not None
        submit.settled = True
        self.say_answer(submit, answer.result)
        if not answer.early:
            self._reports(submit, answer)

    def _count(self, submit: Submit) -> None:
        """With those before it that the daemon cannot have given up when it wrote this one."""
        connection, earliest = submit.connection, self.carrier.pulse.earliest
        connection.unanswered = [
            *(
                one
                for one in connection.unanswered
                if not one.settled and submit.at < earliest(one.at) + self.given_up
            ),
            submit,
        ]
        if len(connection.unanswered) > len(connection.peak):
            connection.peak = [submit.at - one.at for one in connection.unanswered]

    def _reports(self, submit: Submit, answer: Answer) -> None:
        if not submit.wants_report:
            return
        loop = asyncio.get_running_loop()
        for to in submit.to:
            own = submit.answers[to]
            refused = len(submit.to) > 1 and (answer.result or own.result)
            for report in () if refused else own.reports:
                if answer.early:
                    self.report(submit, report, to)
                else:
                    loop.call_later(report.after, self.report, submit, report, to)

    def report(self, submit: Submit, report: Report, to: str | None = None) -> None:
        """Sends it until it is answered."""
        number = submit.to[0] if to is None else to
        by = self.by[submit.number % len(self.by)] if self.by else self
        by.spawn(self._tell(submit, report, number, by))

    async def _tell(self, submit: Submit, report: Report, to: str, by: Gateway) -> None:
        await by.deliver(lambda sequence: self.say_report(submit, report, to, sequence))
        submit.told.append(Told(report.word, time.monotonic()))

    # Delivers

    def outlets(self) -> Sequence[Connection]:
        """Where Delivers may go, of all nodes of the account; own ones first."""
        own = [c for c in self.bound if c.receives and not self.frozen]
        return own + [
            c
            for node in self.carrier.nodes
            if node is not self and not node.frozen
            for c in node.bound
            if c.receives
        ]

    async def deliver(self, say: Callable[[int], bytes]) -> int:
        """Until it is answered, again and again; returns the status of the answer."""
        while True:
            outlets = self.outlets()
            if not outlets:
                await asyncio.sleep(0.02)
                continue
            connection = outlets[0]
            sequence = connection.next_sequence()
            answer = asyncio.get_running_loop().create_future()
            connection.due[sequence] = answer
            frame = say(sequence)
            connection.send(frame)
            try:
                async with asyncio.timeout(REDELIVER_AFTER):
                    status: int = await answer
            except (TimeoutError, ConnectionError):
                continue
            self.deliver_answers.append(status)
            return status
