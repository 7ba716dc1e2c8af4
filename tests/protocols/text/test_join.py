from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from protocols.text.header import Header, read
from protocols.text.join import Joined, Joiner

KEY = ("xz-mobile", "13800138000", "106575257777")


def part(number: int, total: int, text: str = "", reference: int = 1, width: int = 8) -> Header:
    return Header((text or f"<{number}>").encode("utf-16-be"), reference, total, number, width)


def test_parts_join_in_any_order_and_bring_their_tokens() -> None:
    joiner = Joiner(180)
    assert joiner.add(KEY, part(3, 3), 8, 0.0, "c") is None
    assert joiner.add(KEY, part(1, 3), 8, 1.0, "a") is None
    joined = joiner.add(KEY, part(2, 3), 8, 2.0, "b")
    assert joined is not None
    assert joined.text("cmpp") == "<1><2><3>"
    assert (joined.key, joined.complete, joined.again, joined.received) == (KEY, True, False, 3)
    assert joined.tokens == ["c", "a", "b"]
    assert len(joiner) == 0


def test_a_text_of_one_part_is_whole_at_once() -> None:
    joined = Joiner(180).add(KEY, Header(b"Hi"), 0, 0.0, "a")
    assert joined == Joined(KEY, [(0, b"Hi")], ["a"])


def test_a_part_delivered_again_counts_once_and_is_settled_with_the_others() -> None:
    joiner = Joiner(180)
    for token in ("a", "a again"):
        assert joiner.add(KEY, part(1, 2), 8, 0.0, token) is None
    joined = joiner.add(KEY, part(2, 2), 8, 0.0, "b")
    assert joined is not None
    assert joined.tokens == ["a", "a again", "b"]
    assert joined.text("cmpp") == "<1><2>"


def test_a_part_delivered_again_after_the_whole_is_only_settled() -> None:
    joiner = Joiner(180)
    joiner.add(KEY, part(1, 2), 8, 0.0, "a")
    joiner.add(KEY, part(2, 2), 8, 0.0, "b")
    joined = joiner.add(KEY, part(1, 2), 8, 100.0, "a again")
    assert joined is not None
    assert joined.again
    assert joined.tokens == ["a again"]
    assert joined.text("cmpp") == "<1><2>"
    assert joiner.expire(1e9) == []


def test_a_reference_used_again_for_another_text_gives_the_first_up() -> None:
    joiner = Joiner(180)
    joiner.add(KEY, part(1, 2, "old"), 8, 0.0, "a")
    assert joiner.add(KEY, part(1, 2, "new "), 8, 1.0, "b") is None
    joined = joiner.add(KEY, part(2, 2, "text"), 8, 1.0, "c")
    assert joined is not None
    assert joined.text("cmpp") == "new text"
    assert joiner.deadline() == float("-inf")
    (given_up,) = joiner.expire(1.0)
    assert (given_up.text("cmpp"), given_up.complete, given_up.tokens) == ("old", False, ["a"])


def test_a_reference_used_again_after_the_whole_begins_anew() -> None:
    joiner = Joiner(180)
    joiner.add(KEY, part(1, 2, "one "), 8, 0.0, "a")
    joiner.add(KEY, part(2, 2, "first"), 8, 0.0, "b")
    joiner.add(KEY, part(2, 2, "second"), 8, 1.0, "c")
    joined = joiner.add(KEY, part(1, 2, "the "), 8, 1.0, "d")
    assert joined is not None
    assert joined.text("cmpp") == "the second"
    assert joiner.expire(1e9) == []


def test_totals_widths_and_senders_keep_references_apart() -> None:
    """A gateway interleaved 3 and 2 parts under one reference (SMSGate fixture ref_reuse)."""
    joiner = Joiner(180)
    other = ("xz-mobile", "13900139000", "106575257777")
    for key, total, width in ((KEY, 3, 8), (KEY, 2, 8), (KEY, 2, 16), (other, 2, 8)):
        assert joiner.add(key, part(1, total, width=width), 8, 0.0, None) is None
    assert len(joiner) == 4
    joined = joiner.add(KEY, part(2, 2, "end"), 8, 0.0, None)
    assert joined is not None
    assert joined.text("cmpp") == "<1>end"


def test_each_part_is_read_by_its_own_coding() -> None:
    """Parts 1 to 3 in UCS-2, the last in ASCII (SMSGate fixture mixed_fmt)."""
    joiner = Joiner(180)
    for number in (1, 2, 3):
        joiner.add(KEY, part(number, 4, reference=0xE4), 8, 0.0, None)
    last = read(bytes.fromhex("050003e404046162633130303835"))
    assert last is not None
    joined = joiner.add(KEY, last, 0, 0.0, None)
    assert joined is not None
    assert joined.text("cmpp") == "<1><2><3>abc10085"


def test_what_stays_incomplete_is_given_up_after_its_time() -> None:
    joiner = Joiner(180)
    assert joiner.deadline() is None
    joiner.add(KEY, part(1, 3), 8, 10.0, "a")
    joiner.add(KEY, part(3, 3), 8, 100.0, "c")
    assert joiner.deadline() == 190.0
    assert joiner.expire(189.9) == []
    (given_up,) = joiner.expire(190.0)
    assert given_up.text("cmpp") == "<1><3>"
    assert (given_up.complete, given_up.received, len(given_up.pieces)) == (False, 2, 3)
    assert given_up.tokens == ["a", "c"]
    assert joiner.deadline() is None


def test_a_part_too_late_begins_a_new_group() -> None:
    joiner = Joiner(180)
    joiner.add(KEY, part(1, 2), 8, 0.0, "a")
    assert joiner.add(KEY, part(2, 2), 8, 180.0, "b") is None
    assert [given_up.tokens for given_up in joiner.expire(180.0)] == [["a"]]
    assert [given_up.tokens for given_up in joiner.expire(360.0)] == [["b"]]


def test_memory_is_bounded_and_the_oldest_is_given_up() -> None:
    joiner = Joiner(180, most=10)
    for reference in range(11):
        joiner.add(KEY, part(1, 2, reference=reference), 8, 0.0, reference)
    assert len(joiner) == 10
    assert [given_up.tokens for given_up in joiner.expire(0.0)] == [[0]]


def test_one_message_larger_than_the_bound_ends_in_pieces() -> None:
    joiner = Joiner(180, most=2)
    for number in (1, 2, 3):
        assert joiner.add(KEY, part(number, 3), 8, 0.0, number) is None
    assert [given_up.tokens for given_up in joiner.expire(180.0)] == [[1, 2], [3]]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2)),
        max_size=60,
    ),
    st.integers(1, 12),
)
def test_every_token_comes_back_once(steps: list[tuple[int, int, int, int]], most: int) -> None:
    joiner = Joiner(5, most=most)
    now, settled = 0.0, []
    for token, (reference, total, number, text) in enumerate(steps):
        now += 1
        header = part(min(number, total), total, str(text), reference)
        joined = joiner.add(KEY, header, 8, now, token)
        if joined is not None:
            settled += joined.tokens
        for given_up in joiner.expire(now):
            assert not given_up.complete
            settled += given_up.tokens
    for given_up in joiner.expire(now + 5):
        settled += given_up.tokens
    assert sorted(settled) == list(range(len(steps)))
    assert joiner.deadline() is None


@given(st.lists(st.binary(max_size=12), max_size=40), st.randoms(use_true_random=False))
def test_no_octets_make_it_raise(noise: list[bytes], order: random.Random) -> None:
    joiner = Joiner(5, most=10)
    for octets in noise:
        header = read(octets) or Header(octets)
        joined = joiner.add(KEY, header, order.randrange(256), 0.0, None)
        if joined is not None:
            joined.text("smpp").encode()
    for given_up in joiner.expire(10.0):
        given_up.text("cmpp").encode()
