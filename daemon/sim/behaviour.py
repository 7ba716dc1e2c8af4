"""How a simulated gateway treats one account, as data, and the chances drawn from it.

A share is a probability per submit: 0.25 is every fourth on average.  All draws come from one
seeded generator per node in the order of the submits, so that the same seed and the same traffic
play the same faults.
"""

from __future__ import annotations

from enum import IntEnum
from random import Random
from typing import Annotated, Any
from zlib import crc32

import msgspec
from msgspec import Meta, Struct

Delay = Annotated[float, Meta(ge=0, le=3600, extra={"unit": "seconds"})]
Share = Annotated[float, Meta(ge=0, le=1)]
Status = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class Behaviour(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delays are seconds, 0 to 3600; shares 0 to 1; statuses the protocol's own numbers."""

    delay: Delay = 0.0
    """From a submit to its answer.  For example `0.05`."""
    jitter: Delay = 0.0
    """Up to this much more, evenly spread, on every answer and report.  For example `0.02`."""
    report_delay: Delay = 0.0
    """From an answer to its report.  For example `1.0`."""
    latency: Delay = 0.0
    """On everything the gateway writes, order kept: a long line.  For example `0.03`."""
    login_delay: Delay = 0.0
    """From a login to its answer.  For example `1.0`."""

    loss: Share = 0.0
    """Submits that are swallowed: they reached the gateway and nothing more comes of them.  For
    example `0.01`."""
    drop_answers: Share = 0.0
    """Submits that are taken and reported, but never answered.  For example `0.01`."""
    throttle: Share = 0.0
    """Submits refused with `throttle_status`.  For example `0.1`."""
    throttle_status: Status = 0
    """0: the protocol's own throttle code.  For example `8`."""
    limit: Count = 0
    """Submits above this many within one second are throttled; 0: no limit.  For example `200`."""
    capacity: Count = 0
    """Submits worked off per second, one after the other: more than that wait their turn, and so do
    their answers and reports; 0: any number.  For example `100`."""
    refuse: Share = 0.0
    """Submits refused with `refuse_status`.  For example `0.01`."""
    refuse_status: Status = 0
    """0: the protocol's code for a bad source number.  For example `10`."""

    bad_numbers: Share = 0.0
    """Recipients that are refused, the same ones each time: a list with one of them is refused
    whole, or in SMPP taken without them.  For example `0.05`."""

    undelivered: Share = 0.0
    """Accepted submits whose report says they were not delivered.  For example `0.02`."""
    undelivered_codes: tuple[Annotated[str, Meta(min_length=1, max_length=16)], ...] = ()
    """What those reports say, drawn evenly, in the contract's spelling; empty: the protocol's.  For
    example `["MK:0001", "EXPIRED"]`."""
    no_report: Share = 0.0
    """Accepted submits whose report never comes.  For example `0.01`."""
    intermediate: Share = 0.0
    """Accepted submits with a report that is not final before the final one.  For example `0.1`."""
    early_reports: Share = 0.0
    """Accepted submits whose report is sent before their answer.  For example `0.1`."""
    duplicate_reports: Share = 0.0
    """Reports that are sent twice.  For example `0.01`."""
    duplicate_after: Delay = 0.0
    """How long after the first the second one follows.  For example `2.0`."""
    reports_elsewhere: Share = 0.0
    """Reports sent on another connection of the account, when it has one.  For example `0.2`."""
    report_window: Annotated[int, Meta(ge=1, le=100_000)] = 16
    """Reports and inbound messages that may be unanswered per connection (new connections).  For
    example `16`."""
    redeliver_after: Annotated[float, Meta(gt=0, le=3600, extra={"unit": "seconds"})] = 60.0
    """What was not taken for this long is sent again (new connections).  For example `60.0`."""
    redeliver: Count = 0
    """How many times in all it is sent; 0: until it is taken.  For example `3`."""

    reorder: bool = False
    """Answers that are due together leave in random order.  For example `true`."""
    split: Annotated[int, Meta(ge=0, le=65535)] = 0
    """The most octets per write, one write per turn of the loop; 0: PDUs leave whole.  For example
    `7`."""
    coalesce: Delay = 0.0
    """What leaves within this time leaves as one write.  For example `0.01`."""

    refuse_logins: bool | Status = False
    """A status to refuse every login with; true: the protocol's code for "busy".  For example
    `true`."""
    max_connections: Count = 0
    """Logins at one time; 0: any number.  For example `4`."""
    idle_close: Delay = 0.0
    """Silence after which the gateway hangs up; 0: never.  For example `60.0`."""

    def __post_init__(self) -> None:
        total = self.loss + self.drop_answers + self.throttle + self.refuse
        if total > 1 + 1e-9:
            raise ValueError(
                f"loss, drop_answers, throttle and refuse add up to {total:g}, at most 1 is allowed"
            )

    def changed(self, changes: dict[str, Any]) -> Behaviour:
        """This behaviour with some fields changed.

        Raises msgspec.ValidationError naming the field and what is allowed.
        """
        return msgspec.convert(msgspec.structs.asdict(self) | changes, Behaviour)

    @property
    def shapes_output(self) -> bool:
        """Whether what is written leaves other than at once and whole."""
        return bool(self.latency or self.split or self.coalesce)


class Outcome(IntEnum):
    """What becomes of one submit that is in order."""

    ACCEPT = 0
    THROTTLE = 1
    REFUSE = 2
    SWALLOW = 3
    """Neither answered nor reported."""
    DROP = 4
    """Accepted; its answer is lost."""


class Chances:
    """The draws of one node.  A share of zero draws nothing."""

    __slots__ = ("_random", "_salt", "_steps", "behaviour", "bends_reports")

    def __init__(self, behaviour: Behaviour, seed: int | str) -> None:
        self._random = Random(seed)
        self._salt = crc32(str(seed).encode())
        self.change(behaviour)

    def change(self, behaviour: Behaviour) -> None:
        """From the next draw on."""
        self.behaviour = behaviour
        self.bends_reports = any(
            (
                behaviour.undelivered,
                behaviour.no_report,
                behaviour.intermediate,
                behaviour.duplicate_reports,
                behaviour.reports_elsewhere,
            )
        )
        """Whether any report may be other than one that says delivered."""
        self._steps: list[tuple[float, Outcome]] = []
        total = 0.0
        for share, outcome in (
            (behaviour.loss, Outcome.SWALLOW),
            (behaviour.drop_answers, Outcome.DROP),
            (behaviour.throttle, Outcome.THROTTLE),
            (behaviour.refuse, Outcome.REFUSE),
        ):
            if share:
                total += share
                self._steps.append((total, outcome))

    def bad(self, to: str) -> bool:
        """Whether this recipient is one of the bad ones."""
        share = self.behaviour.bad_numbers
        return share > 0.0 and crc32(to.encode(), self._salt) < share * 2**32

    def outcome(self) -> Outcome:
        if self._steps:
            drawn = self._random.random()
            for below, outcome in self._steps:
                if drawn < below:
                    return outcome
        return Outcome.ACCEPT

    def hit(self, share: float) -> bool:
        return share > 0.0 and self._random.random() < share

    def jitter(self) -> float:
        jitter = self.behaviour.jitter
        return self._random.random() * jitter if jitter else 0.0

    def choice(self, options: tuple[str, ...]) -> str:
        return options[0] if len(options) == 1 else self._random.choice(options)

    def place(self, length: int) -> int:
        """Where in a row of `length` to squeeze in, its end included."""
        return self._random.randint(0, length)

    def piece(self, most: int) -> int:
        """Octets of the next write, 1 to `most`."""
        return self._random.randint(1, most)
