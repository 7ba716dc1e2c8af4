from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import EncodeError
from protocols.text.coding import Alphabet, choose, decode
from protocols.text.header import Header, read
from protocols.text.join import Joiner
from protocols.text.split import (
    LIMITS,
    Segment,
    bill_units,
    pieces,
    segments,
    split,
    units,
    with_signature,
)
from tests.protocols.text.alphabet import CHARACTERS

PROTOCOLS = ("cmpp", "sgip", "smgp", "smpp")
HEADERS = ("udh8", "udh16", "sar", "payload")
unicode = st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_seventy_characters_are_one_part_and_one_more_are_two(protocol: str) -> None:
    assert split("好" * 70, Alphabet.UCS2, protocol) == [Segment(b"\x59\x7d" * 70)]
    first, second = split("好" * 71, Alphabet.UCS2, protocol, reference=0x4D)
    assert first.content == bytes.fromhex("0500034d0201") + b"\x59\x7d" * 67
    assert second.content == bytes.fromhex("0500034d0202") + b"\x59\x7d" * 4
    assert (first.udh, first.number, first.total, first.reference) == (True, 1, 2, 0x4D)


# Published by carriers and clouds: 134 characters are two parts, 135 three (67 each).
@pytest.mark.parametrize(
    ("characters", "parts"), [(70, 1), (71, 2), (134, 2), (135, 3), (201, 3), (202, 4)]
)
def test_chinese_texts_have_the_published_number_of_parts(characters: int, parts: int) -> None:
    for alphabet in (Alphabet.UCS2, Alphabet.GB18030):
        assert len(pieces("好" * characters, alphabet, "cmpp")) == parts


@pytest.mark.parametrize(
    ("protocol", "alphabet", "single", "part"),
    [
        ("cmpp", Alphabet.ASCII, 159, 153),
        ("sgip", Alphabet.ASCII, 140, 134),
        ("smgp", Alphabet.ASCII, 140, 134),
        ("smpp", Alphabet.GSM7, 160, 153),
    ],
)
def test_one_octet_texts_fill_what_each_protocol_takes(
    protocol: str, alphabet: Alphabet, single: int, part: int
) -> None:
    assert len(pieces("a" * single, alphabet, protocol)) == 1
    sizes = [len(piece) for piece in pieces("a" * (single + 1), alphabet, protocol)]
    assert sizes == [part, single + 1 - part]
    wide = pieces("a" * (single + 1), alphabet, protocol, "udh16")
    assert len(wide[0]) == part - 1


def test_a_wide_reference_leaves_sixty_six_characters() -> None:
    first, _ = split("好" * 71, Alphabet.UCS2, "cmpp", reference=0x1234, header="udh16")
    assert first.content == bytes.fromhex("06080412340201") + b"\x59\x7d" * 66
    assert first.reference == 0x1234


def test_references_are_cut_to_what_the_header_holds() -> None:
    assert split("好" * 71, Alphabet.UCS2, "cmpp", reference=0x1234)[0].reference == 0x34


def test_sar_parts_have_no_header_and_leave_room_for_one() -> None:
    first, second = split("好" * 71, Alphabet.UCS2, "smpp", reference=0x1234, header="sar")
    assert first == Segment(b"\x59\x7d" * 67, False, 1, 2, 0x1234)
    assert second == Segment(b"\x59\x7d" * 4, False, 2, 2, 0x1234)


def test_a_payload_is_one_part_however_long() -> None:
    assert split("好" * 2000, Alphabet.UCS2, "smpp", header="payload") == [
        Segment(b"\x59\x7d" * 2000)
    ]


def test_a_surrogate_pair_is_not_cut() -> None:
    first, second = pieces("好" * 66 + "😀" + "好" * 3, Alphabet.UCS2, "cmpp")
    assert first.decode("utf-16-be") == "好" * 66
    assert second.decode("utf-16-be") == "😀好好好"


def test_a_gsm_escape_is_not_cut() -> None:
    first, second = pieces("a" * 152 + "€" + "a" * 10, Alphabet.GSM7, "smpp")
    assert first == b"a" * 152
    assert second == b"\x1b\x65" + b"a" * 10


def test_gb18030_characters_are_not_cut() -> None:
    first, second = pieces("好a" + "好" * 69, Alphabet.GB18030, "cmpp")
    assert first.decode("gb18030") == "好a" + "好" * 65
    assert second.decode("gb18030") == "好" * 4
    for piece in pieces("a" + "😀" * 40, Alphabet.GB18030, "cmpp"):
        piece.decode("gb18030")


def test_a_gbk_part_holds_no_more_characters_than_fit_the_air() -> None:
    assert len(pieces("a" * 70, Alphabet.GB18030, "cmpp")) == 1
    assert [len(piece) for piece in pieces("a" * 71, Alphabet.GB18030, "cmpp")] == [67, 4]


def test_what_the_gateway_puts_in_front_takes_room() -> None:
    ahead = "【天津交警】"
    assert len(pieces("好" * 64, Alphabet.UCS2, "cmpp", ahead=ahead)) == 1
    first, second = pieces("好" * 65, Alphabet.UCS2, "cmpp", ahead=ahead)
    assert (len(first), len(second)) == (2 * (67 - 6), 2 * 4)
    first, _ = pieces("好" * 65, Alphabet.GB18030, "cmpp", ahead=ahead)
    assert len(first) == 2 * (67 - 6)
    with pytest.raises(EncodeError, match="signature: leaves no room"):
        pieces("好" * 65, Alphabet.UCS2, "cmpp", ahead="【" + "长" * 70 + "】")


def test_more_parts_than_a_header_can_count_are_refused() -> None:
    assert len(pieces("好" * 67 * 255, Alphabet.UCS2, "cmpp")) == 255
    with pytest.raises(EncodeError, match="256 parts, at most 255"):
        pieces("好" * (67 * 255 + 1), Alphabet.UCS2, "cmpp")


def test_the_signature_is_put_in_front_once() -> None:
    assert with_signature("您好", "天津交警") == "【天津交警】您好"
    assert with_signature("【天津交警】您好", "天津交警") == "【天津交警】您好"
    assert with_signature("【北京交警】您好", "天津交警") == "【天津交警】【北京交警】您好"
    assert with_signature("您好", None) == "您好"


@pytest.mark.parametrize(("count", "billed"), [(1, 1), (70, 1), (71, 2), (140, 2), (141, 3)])
def test_every_seventy_units_are_billed_as_one(count: int, billed: int) -> None:
    assert bill_units("好" * count) == billed
    assert bill_units("a" * count) == billed


def test_an_emoji_counts_two_units() -> None:
    assert units("😀好a") == 4
    assert bill_units("😀" * 35) == 1
    assert bill_units("😀" * 35 + "a") == 2
    assert bill_units("好" * 66, "示例") == 1
    assert bill_units("好" * 67, "示例") == 2
    assert bill_units("【示例】" + "好" * 66, "示例") == 1
    assert bill_units("好" * 70, "") == 1


def long_texts(characters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Most of them of several parts, cut at every distance from any character."""
    return st.builds(
        lambda head, body, times: head + body * times,
        st.text(characters, max_size=20),
        st.text(characters, min_size=1, max_size=30),
        st.integers(1, 30),
    )


cases = st.one_of(
    st.tuples(long_texts(unicode), st.sampled_from([Alphabet.UCS2, Alphabet.GB18030])),
    st.tuples(long_texts(st.sampled_from(CHARACTERS)), st.just(Alphabet.GSM7)),
    st.tuples(
        long_texts(st.characters(min_codepoint=1, max_codepoint=126)), st.just(Alphabet.ASCII)
    ),
)


@settings(max_examples=400)
@given(
    cases, st.sampled_from(PROTOCOLS), st.sampled_from(HEADERS), st.randoms(use_true_random=False)
)
def test_what_is_split_joins_to_the_same_text(
    case: tuple[str, Alphabet], protocol: str, header: str, order: random.Random
) -> None:
    text, alphabet = case
    if alphabet is Alphabet.GSM7:
        protocol = "smpp"
    elif alphabet is Alphabet.ASCII and protocol == "smpp":
        protocol = "cmpp"
    parts = split(text, alphabet, protocol, 7, header)
    limits = LIMITS[protocol, alphabet]
    overhead = {"udh8": 6, "udh16": 7}.get(header, 0)
    for part in parts:
        assert header == "payload" or len(part.content) <= limits.single
        if len(parts) > 1:
            assert len(part.content) - overhead <= limits.part
    # Each part reads by itself: nothing was cut through.
    bodies = [part.content[overhead if part.udh else 0 :] for part in parts]
    assert "".join(decode(body, alphabet.coding, protocol) for body in bodies) == text
    joiner = Joiner(within=10)
    order.shuffle(parts)
    joined = None
    for part in parts:
        assert joined is None
        found = read(part.content) if part.udh else None
        if found is None:  # the session makes one of SAR TLVs
            found = sar(part)
        joined = joiner.add("k", found, alphabet.coding, 0.0, part.number)
    assert joined is not None
    assert joined.complete
    assert joined.text(protocol) == text


def test_a_mark_inside_the_text_survives_even_at_the_head_of_a_part() -> None:
    text = "好" * 67 + "\ufeff" + "好" * 67
    joiner = Joiner(within=10)
    for part in split(text, Alphabet.UCS2, "cmpp", 7):
        header = read(part.content)
        assert header is not None
        joined = joiner.add("k", header, 8, 0.0, None)
    assert joined is not None
    assert joined.text("cmpp") == text


def sar(part: Segment) -> Header:
    return Header(part.content, part.reference, part.total, part.number, width=16)


@given(long_texts(unicode), st.sampled_from(PROTOCOLS))
def test_the_chosen_alphabet_can_always_be_split(text: str, protocol: str) -> None:
    for encoding in ("auto", "ucs2", "gbk"):
        alphabet = choose(text, encoding, protocol)
        made = segments(pieces(text, alphabet, protocol), 1)
        assert [part.number for part in made] == list(range(1, len(made) + 1))
        assert {part.total for part in made} == {len(made)}
