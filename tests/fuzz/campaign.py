"""A run of mutated frames over all roles, with its figures."""

from __future__ import annotations

import gc
import os
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from protocols.errors import DecodeError
from protocols.events import Event
from protocols.explain import PROTOCOLS, explain, versions
from protocols.session import State

from . import corpus
from .mutate import Mutator
from .roles import ROLES, Role
from .talk import Talk, signature

Keep = Callable[[Role, bytes, list[Event]], None]
"""Is shown every input and what it caused."""

AT_ONCE = 6
"""Most frames in one piece."""
TURN = 500
"""Frames to one role before the next has its turn."""


@dataclass
class Figures:
    """Of a whole run.  Memory is compared between a tenth of the run and its end."""

    frames: int = 0
    seconds: float = 0.0
    sessions: int = 0
    explained: int = 0
    """PDUs that could be read as text."""
    escaped: list[str] = field(default_factory=list)
    """Tracebacks of what came past a session; none is allowed."""
    events: Counter[str] = field(default_factory=Counter)
    resident: list[int] = field(default_factory=list)
    """KiB, at every tenth of the run."""
    objects: list[int] = field(default_factory=list)
    """Tracked by the collector, at the same times."""

    @property
    def growth(self) -> tuple[int, int]:
        """KiB of memory and number of objects since the first tenth."""
        return max(self.resident) - self.resident[0], max(self.objects) - self.objects[0]


class Fuzz:
    """What is to be told to one role."""

    def __init__(self, role: Role, chance: random.Random) -> None:
        self.role = role
        self.chance = chance
        commands = sorted({c for known in PROTOCOLS[role.protocol].PDUS.values() for c in known})
        self.mutator = Mutator(
            corpus.golden(role.protocol) + corpus.found(role.protocol),
            [*commands, 0, 0x80000000, 0xFFFFFFFF],
            role.sequence_at,
            role.sequence_size,
            chance,
        )
        self.talk = Talk(role, chance)

    def turn(self, frames: int, figures: Figures, keep: Keep | None) -> None:
        chance, mutator, talk = self.chance, self.mutator, self.talk
        left = frames
        while left > 0:
            pieces = []
            for _ in range(min(left, 1 + mutator.below(AT_ONCE))):
                pieces.append(mutator.mutant())
                left -= 1
                dice = chance.random()
                if dice < 0.1:
                    pieces.append(mutator.valid())
                elif dice < 0.2:
                    pieces.append(mutator.forged())
                elif dice < 0.23:
                    pieces.append(pieces[-1])
                elif dice < 0.26:
                    chance.shuffle(pieces)
            octets = b"".join(pieces)
            try:
                self._hear(octets, figures, keep)
                if chance.random() < 0.25:
                    figures.explained += explained(self.role.protocol, octets)
            except Exception:  # it is what is looked for
                figures.escaped.append(
                    f"{self.role.name}: {octets.hex()}\n{traceback.format_exc()}"
                )
                talk.renew()
        figures.frames += frames

    def _hear(
        self,
        octets: bytes,
        figures: Figures,
        keep: Keep | None,
    ) -> None:
        talk, chance = self.talk, self.chance
        cut = self.mutator.below(len(octets) + 1) if chance.random() < 0.2 else len(octets)
        events = talk.hear(octets[:cut])
        if cut < len(octets) and talk.session.state is not State.CLOSED:
            events = events + talk.hear(octets[cut:])
        for event in events:
            figures.events[type(event).__name__] += 1
        if keep is not None:
            keep(self.role, octets, events)
        if talk.session.state is not State.CLOSED and chance.random() < 0.1:
            talk.wait(chance.choice((0.1, 1.0, 4.0, 5.0, 31.0)))
        if talk.session.state is State.CLOSED:
            talk.renew()
        elif talk.session.room:
            talk.ask()
            talk.session.outgoing()
        self.mutator.pending = self.role.pending(talk.session)


def explained(protocol: str, octets: bytes) -> int:
    """How many PDUs are read until the first wrong octet; any version reads them."""
    count = 0
    for version in versions(protocol):
        try:
            for _ in explain(protocol, version, octets):
                count += 1
        except DecodeError:
            continue
    return count


def run(
    frames: int,
    seed: int,
    *,
    keep: Keep | None = None,
    progress: Callable[[Figures], None] | None = None,
) -> Figures:
    """`frames` mutated frames, dealt to all roles in turns."""
    figures = Figures()
    began = time.perf_counter()
    fuzzes = [Fuzz(role, random.Random(seed * 1000 + i)) for i, role in enumerate(ROLES)]
    tenth = 0
    while figures.frames < frames:
        for fuzz in fuzzes:
            fuzz.turn(min(TURN, frames - figures.frames), figures, keep)
            if figures.frames >= frames:
                break
        if figures.frames * 10 // frames > tenth:
            tenth = figures.frames * 10 // frames
            _measure(figures)
            if progress is not None:
                figures.seconds = time.perf_counter() - began
                progress(figures)
    figures.seconds = time.perf_counter() - began
    figures.sessions = sum(fuzz.talk.sessions for fuzz in fuzzes)
    return figures


def _measure(figures: Figures) -> None:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    figures.resident.append(pages * os.sysconf("SC_PAGESIZE") // 1024)
    figures.objects.append(len(gc.get_objects()))


def gather(frames: int, seed: int, most: int = 150) -> dict[str, dict[str, bytes]]:
    """By protocol: the shortest input for each thing that happened, at most `most` of them."""
    kept: dict[str, dict[str, bytes]] = {}

    def keep(role: Role, octets: bytes, events: list[Event]) -> None:
        if not events or len(events) > 2 or not 12 <= len(octets) <= 400:
            return
        why = signature(role, events)
        of = kept.setdefault(role.protocol, {})
        if len(octets) < len(of.get(why, octets + b"x")):
            of[why] = octets

    run(frames, seed, keep=keep)
    return {
        protocol: dict(sorted(of.items(), key=lambda item: len(item[1]))[:most])
        for protocol, of in kept.items()
    }
