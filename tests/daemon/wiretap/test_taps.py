"""What a wiretap keeps, and that it loses rather than waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.wiretap import taps as module
from daemon.wiretap.frames import Frames
from daemon.wiretap.taps import Taps, TooMany
from protocols.cmpp.session import CmppSession

TEST = bytes.fromhex("0000000c0000000800000001")


@given(st.lists(st.integers(0, 30), max_size=20), st.lists(st.integers(1, 40), max_size=30))
def test_octets_are_cut_into_pdus_however_they_come(sizes: list[int], cuts: list[int]) -> None:
    pdus = [(12 + size).to_bytes(4, "big") + bytes(8 + size) for size in sizes]
    data = b"".join(pdus)
    frames = Frames(CmppSession, data[: len(data) // 3])
    found = []
    rest = data[len(data) // 3 :]
    for cut in [*cuts, len(rest)]:
        found += frames.feed(rest[:cut])
        rest = rest[cut:]
    assert found == pdus


def test_behind_an_impossible_length_nothing_is_cut() -> None:
    frames = Frames(CmppSession)
    assert frames.feed(TEST + b"\xff" * 20) == [TEST]
    assert frames.broken
    assert frames.feed(TEST) == []


def account(name: str = "a") -> Any:
    settings = SimpleNamespace(protocol="cmpp", version="3.0", access_number="106", listen=None)
    return SimpleNamespace(name=name, protocol="cmpp", settings=settings)


def link(label: str = "n1", pending: bytes = b"") -> Any:
    session = SimpleNamespace(
        header=CmppSession.header, longest=CmppSession.longest, pending=pending, version="3.0"
    )
    return SimpleNamespace(
        label=label,
        session=session,
        tap=None,
        ends=(("10.0.0.1", 5), ("10.0.0.2", 7890)),
        closed=SimpleNamespace(done=lambda: False),
    )


async def lines(tap: Any) -> list[dict[str, Any]]:
    return [json.loads(line) async for some in tap.lines() for line in some.splitlines()]


@pytest.fixture
def mine() -> Iterator[Any]:
    return account()


async def test_one_that_begins_in_the_middle_of_a_pdu_shows_it_whole(mine: Any) -> None:
    talking = link(pending=TEST[:5])
    taps = Taps(_Links((talking, mine)))
    tap = taps.open(mine, None, 0.1)
    talking.tap.heard(TEST[5:])
    talking.tap.wrote(TEST)
    came = await lines(tap)
    assert came[0] == {
        "link": 1, "node": "n1", "called": False,
        "local": ["10.0.0.1", 5], "remote": ["10.0.0.2", 7890],
    }  # fmt: skip
    assert [(one["dir"], one["pdu"]) for one in came[1:3]] == [
        ("in", TEST.hex()), ("out", TEST.hex())
    ]  # fmt: skip
    assert came[3] == {"end": "its time has passed", "shown": 2, "lost": 0}


async def test_what_is_too_much_is_counted_and_left_out(
    mine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OCTETS", 12 * 10)
    monkeypatch.setattr(module, "MOST_AT_ONCE", 4)
    talking = link()
    taps = Taps(_Links((talking, mine)))
    tap = taps.open(mine, None, 0.08)
    talking.tap.heard(TEST * 25)
    came = await lines(tap)
    shown = [one for one in came if "pdu" in one]
    told = sum(one["lost"] for one in came if set(one) == {"lost"})
    assert came[-1]["shown"] == len(shown) <= 8
    assert told == 15
    assert came[-1]["lost"] + len(shown) == 25


async def test_it_covers_connections_that_are_made_meanwhile_and_of_its_node_alone(
    mine: Any,
) -> None:
    first, second, foreign = link(), link("n2"), link()
    taps = Taps(_Links((first, mine), (second, mine), (foreign, account("b"))))
    whole, one = taps.open(mine, None, 5.0), taps.open(mine, "n1", 5.0)
    later = link()
    taps.attached(later, mine)
    assert [link.tap is not None for link in (first, second, foreign, later)] == [
        True, True, False, True
    ]  # fmt: skip
    whole.close()
    assert second.tap is None
    assert first.tap is not None
    one.close()
    assert first.tap is later.tap is None


async def test_there_are_not_more_than_a_few_at_a_time(mine: Any) -> None:
    taps = Taps(_Links())
    tapped = [taps.open(mine, None, 5.0) for _ in range(module.MOST_TAPS)]
    with pytest.raises(TooMany):
        taps.open(mine, None, 5.0)
    tapped[0].close()
    taps.open(mine, None, 5.0)


class _Links(dict[Any, Any]):
    """Whose link is whose; the stand-ins for links have no hash of their own."""

    def __init__(self, *pairs: tuple[Any, Any]) -> None:
        super().__init__()
        self._pairs = pairs

    def items(self) -> Any:
        return self._pairs
