"""Mutated frames for every session: the short form of `python -m tests.fuzz`."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from protocols.cmpp.session import CmppSession
from protocols.events import Bound, Closed, LoginAsked, Taken
from protocols.session import Session, State

from . import corpus
from .campaign import run
from .corpus import found, golden
from .mutate import Mutator
from .roles import LIMITS, ROLES, Role
from .talk import BrokenPromiseError, Talk

FRAMES = 20_000
every_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def test_no_mutated_frame_gets_past_a_session_or_makes_it_grow() -> None:
    figures = run(FRAMES, seed=20261122)
    assert figures.escaped == []
    assert figures.frames == FRAMES
    memory, objects = figures.growth
    assert memory < 8 * 1024, f"{memory} KiB more after {FRAMES} frames"
    assert objects < 500, f"{objects} objects more after {FRAMES} frames"
    # The frames reach what they are made for: all that a session can say was said.
    wanted = {"Accepted", "Rejected", "Reported", "Received", "Submitted", "Taken", "Malformed"}
    assert wanted <= set(figures.events)


@every_role
def test_what_an_earlier_run_kept_is_heard_in_every_state(role: Role) -> None:
    assert len(found(role.protocol)) > 50
    for octets in golden(role.protocol) + found(role.protocol):
        for state in (State.BINDING, State.BOUND, State.CLOSING):
            talk = Talk(role, random.Random(1))
            talk.session = role.binding() if state is State.BINDING else role.bound()
            talk.owed = set()
            if state is State.CLOSING:
                talk.session.close(0.0)
            talk.session.outgoing()
            talk.hear(octets)
            if talk.session.state is not State.CLOSED:
                for start in range(0, len(octets), 7):
                    talk.hear(octets[start : start + 7])
                    if talk.session.state is State.CLOSED:
                        break


@every_role
def test_a_length_that_no_frame_has_is_believed_by_none(role: Role) -> None:
    for length in (0, 1, role.bound().header.size - 1, role.bound().longest + 1, 0xFFFFFFFF):
        session = role.bound()
        events = session.receive(struct.pack("!I", length) + bytes(20), 1.0)
        assert isinstance(events[-1], Closed)
        assert events[-1].error
        assert session._buffer == b""


@every_role
def test_a_frame_that_never_ends_is_kept_to_its_bound(role: Role) -> None:
    session = role.bound()
    session.receive(struct.pack("!I", session.longest), 1.0)
    for _ in range(session.longest - 5):
        session.receive(b"\0", 1.0)
        if session.state is State.CLOSED:
            return
    assert len(session._buffer) == session.longest - 1


def test_the_campaign_sees_what_gets_past_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: CmppSession, pdu: bytes) -> None:
        raise KeyError(pdu)

    monkeypatch.setattr(CmppSession, "_on_deliver", forgetful)
    figures = run(FRAMES // 4, seed=1)
    assert any("KeyError" in escaped for escaped in figures.escaped)


def test_the_campaign_sees_a_session_that_keeps_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Session.receive

    def hoarding(self: Session, data: bytes, now: float) -> list[Any]:
        events = real(self, data, now)
        self._late.update(dict.fromkeys(range(len(self._late), len(self._late) + 10)))
        return events

    monkeypatch.setattr(Session, "receive", hoarding)
    figures = run(FRAMES // 4, seed=1)
    assert any(BrokenPromiseError.__name__ in escaped for escaped in figures.escaped)


def test_a_mutant_is_almost_never_a_golden_frame_and_mostly_well_framed() -> None:
    frames = corpus.golden("smpp")
    mutator = Mutator(frames, [4], 12, 4, random.Random(5))
    made = [mutator.mutant() for _ in range(2_000)]
    assert sum(mutant not in frames for mutant in made) > 1_950
    framed = sum(len(m) >= 4 and int.from_bytes(m[:4], "big") == len(m) for m in made)
    assert 1_850 < framed < 2_000


def test_a_client_admitted_with_a_version_that_nobody_knows_is_spoken_to() -> None:
    """The owner of a simulated gateway may admit it; answers to its reports were a KeyError."""
    role = next(role for role in ROLES if role.name == "cmpp-3.0 gateway")
    session = role.binding()
    login = bytearray(next(o for heard, o in scripted(role) if heard))
    login[12 + 6 + 16] = 0x77  # the version
    (asked,) = session.receive(bytes(login), 0.0)
    assert isinstance(asked, LoginAsked)
    assert (asked.version, asked.status) == ("", 4)
    session.admit(asked.ticket, 0.0)  # type: ignore[attr-defined]
    role.ask(session, 0.0, iter(range(LIMITS.window)))
    (sequence, *_) = role.pending(session)
    answer = struct.pack("!II4s8sI", 24, 0x80000005, sequence, bytes(8), 0)
    bound, taken = session.receive(answer, 0.1)
    assert bound == Bound("3.0", asked.login)
    assert taken == Taken(0, 0)


def scripted(role: Role) -> list[tuple[bool, bytes]]:
    role.bound()
    return role._script
