"""What the daemon counts while it works, in plain integers; `metrics` shows them.

An increment here costs a tenth of one in a metrics library, and these stand on the hot path.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence

from .model import Message, State

SECONDS = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3,
    0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 9.0,
    10.0, 15.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0,
)  # fmt: skip
"""Upper bounds of latency buckets: fine from 1 ms to 10 s, with 5 and 7 s as bounds."""


AT_ONCE = 512
"""Observations that are counted together: sorting so many costs a quarter of finding the bucket of
each.
"""


FUTURE = -1.0
"""Seconds: what took less than this began by a clock that is ahead of ours."""


class Histogram:
    """Counts by bucket, and the sum of all; less than none counts as none."""

    __slots__ = ("_ahead", "_counts", "_last", "_new", "_sum", "_times")

    def __init__(self) -> None:
        self._ahead = 0
        self._counts = [0] * (len(SECONDS) + 1)
        self._sum = 0.0
        self._new: list[float] = []
        self._last, self._times = 0.0, 0
        """What was observed last, and how often in a row: all recipients of a job take as long."""

    def observe(self, seconds: float, times: int = 1) -> None:
        if seconds == self._last:
            self._times += times
            return
        self._close_row()
        self._last, self._times = seconds, times

    def observe_all(self, seconds: Sequence[float]) -> None:
        self._new += seconds
        if len(self._new) >= AT_ONCE:
            self._count()

    @property
    def counts(self) -> list[int]:
        """By bucket; the last is above all bounds."""
        self._count()
        return self._counts

    @property
    def sum(self) -> float:
        self._count()
        return self._sum

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def ahead(self) -> int:
        """How many took less than `FUTURE`, which no clock that is right can say."""
        self._count()
        return self._ahead

    def _close_row(self) -> None:
        seconds, times = self._last, self._times
        if times == 1:
            self._new.append(seconds)
            if len(self._new) >= AT_ONCE:
                self._count_new()
        elif times:
            if seconds < FUTURE:
                self._ahead += times
            self._sum += max(0.0, seconds) * times
            self._counts[bisect_left(SECONDS, seconds)] += times
        self._times = 0

    def _count(self) -> None:
        self._close_row()
        self._count_new()

    def _count_new(self) -> None:
        new = self._new
        if not new:
            return
        new.sort()
        self._ahead += bisect_left(new, FUTURE)
        self._sum += sum(new[bisect_left(new, 0.0) :])
        before = 0
        for bucket, bound in enumerate(SECONDS):
            until = bisect_right(new, bound, before)
            self._counts[bucket] += until - before
            before = until
            if until == len(new):
                break
        self._counts[-1] += len(new) - before
        new.clear()


_FAULTS = {"-": "unknown"}


class Tally:
    def __init__(self) -> None:
        self.jobs: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By topic and outcome: taken, duplicate, dead."""
        self.messages: defaultdict[tuple[str | None, str | None, State], int] = defaultdict(int)
        """Messages entering each state, by carrier and account."""
        self.submits: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """Parts by account, node and outcome: ok, throttled, refused, unanswered."""
        self.failures: defaultdict[tuple[str | None, str | None, str, str], int] = defaultdict(int)
        """Messages that ended otherwise than delivered, by carrier, account, cause, and whose fault
        the code table says it is."""
        self.inbound: defaultdict[str, int] = defaultdict(int)
        self.unmatched: defaultdict[str, int] = defaultdict(int)
        self.lates: defaultdict[str, int] = defaultdict(int)
        self.resents: defaultdict[str, int] = defaultdict(int)
        self.failovers: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """By account, node that was lost, and node that took over."""
        self.logins_refused: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By account and node."""
        self.blocked: defaultdict[tuple[str, str], float] = defaultdict(float)
        """Seconds that messages waited, by account and reason."""
        self.unknown_prefix = 0
        self.age: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.queue: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.answer: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        self.delivery: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.excused: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Of `delivery`, what failed by the subscriber's fault: a phone that is switched off is
        reported after days, and no contract counts it as late."""
        self.commit = Histogram()
        self.loop_late = Histogram()
        """How much later than it had asked for the ticker was woken."""

    def entered(self, messages: Sequence[Message]) -> None:
        """The messages entered their states; neighbours mostly the same one of one account."""
        counts = self.messages
        carrier, account, state, size = None, None, State.WAITING, 0
        for m in messages:
            if m.state is not state or m.account is not account or m.carrier is not carrier:
                if size:
                    counts[carrier, account, state] += size
                carrier, account, state, size = m.carrier, m.account, m.state, 0
            size += 1
        if size:
            counts[carrier, account, state] += size

    def finished(self, account: str, messages: Sequence[Message], wall: float) -> None:
        """Reports gave these their verdicts."""
        delivery = self.delivery[account]
        for m in messages:
            delivery.observe(wall - m.job.produced)

    def failed(self, m: Message, fault: str, wall: float) -> None:
        """The message has ended, and was not delivered; `fault` is the code table's."""
        self.failures[m.carrier, m.account, m.cause or "unknown", _FAULTS.get(fault, fault)] += 1
        if fault == "subscriber" and m.account is not None and m.stage == "report":
            self.excused[m.account].observe(wall - m.job.produced)

    def first_written(self, account: str, messages: Sequence[Message], wall: float) -> None:
        """The first parts of these messages went out."""
        queue, job = self.queue[account], messages[0].job
        age = self.age[job.source[0]]
        for m in messages:
            if m.job is not job:
                job = m.job
                age = self.age[job.source[0]]
            queue.observe(wall - job.received)
            age.observe(wall - job.produced)

    def late(self, account: str | None) -> None:
        """A report came for a message that had its verdict."""
        self.lates[account or ""] += 1

    def resent(self, account: str | None) -> None:
        """A part is written a second time."""
        self.resents[account or ""] += 1
