"""Sequences: never the same twice, whatever the time."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import ids
from protocols.errors import EncodeError
from protocols.session import Clock
from protocols.sgip.frames import Counter, Sequences

from .. import vectors


def numbers(sequence: bytes) -> tuple[int, ...]:
    return struct.unpack("!III", sequence)


def test_the_time_word_is_the_daemons_local_time_and_moves_with_it() -> None:
    at = datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)
    sequences = Sequences(10210, Counter(), Clock(epoch=at.timestamp()))
    assert numbers(sequences.take(0.0)) == (10210, 1231235959, 0)
    assert numbers(sequences.take(0.9)) == (10210, 1231235959, 1)
    assert numbers(sequences.take(1.0)) == (10210, 101000000, 2)
    utc = Sequences(10210, Counter(), Clock(epoch=at.timestamp(), zone=UTC))
    assert numbers(utc.take(0.0)) == (10210, 1231155959, 0)


def test_the_counter_goes_round_after_32_bits() -> None:
    counter = Counter(0xFFFFFFFF)
    assert [counter.take(), counter.take(), counter.value] == [0xFFFFFFFF, 0, 1]


@given(st.lists(st.floats(-1e6, 1e9), max_size=20))
def test_no_sequence_comes_twice_even_when_the_clock_goes_back(times: list[float]) -> None:
    sequences = Sequences(3010012345, Counter(), Clock(epoch=1e6))
    taken = [sequences.take(now) for now in times]
    assert len(set(taken)) == len(taken)
    assert {len(sequence) for sequence in taken} <= {12}


@pytest.mark.parametrize("node", [-1, 2**32])
def test_a_node_id_has_32_bits(node: int) -> None:
    with pytest.raises(EncodeError):
        Sequences(node, Counter(), Clock())


def test_a_sequence_is_shown_and_matched_as_in_the_vectors() -> None:
    (row,) = [r for r in vectors.load("message_ids.json") if r["protocol"] == "sgip"]
    sequence = bytes.fromhex(row["hex"])
    assert ids.show("sgip", sequence) == ":".join(map(str, row["sequence"]))
    assert ids.key("sgip", sequence) in ids.spoken(row["text30"])
