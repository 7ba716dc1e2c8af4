from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import EncodeError
from protocols.part import Coding
from protocols.text.coding import Alphabet, choose, decode, decode_parts, encode

PROTOCOLS = ("cmpp", "sgip", "smgp", "smpp")
OTHERS = ("cmpp", "sgip", "smgp")
unicode = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_letters_and_digits_take_one_octet_each(protocol: str) -> None:
    alphabet = choose("Your code is 1234 (5 min).\n", "auto", protocol)
    assert alphabet.coding is Coding.ASCII
    assert encode("Your code is 1234 (5 min).\n", alphabet) == b"Your code is 1234 (5 min).\n"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_chinese_becomes_ucs2_in_network_order_without_mark(protocol: str) -> None:
    alphabet = choose("你好A", "auto", protocol)
    assert alphabet.coding is Coding.UCS2
    assert encode("你好A", alphabet) == bytes.fromhex("4f60597d0041")


@pytest.mark.parametrize("char", "$@[\\]^_`{|}~\t")
@pytest.mark.parametrize("protocol", OTHERS)
def test_what_gateways_read_in_two_ways_is_sent_as_ucs2(char: str, protocol: str) -> None:
    assert choose(f"a{char}b", "auto", protocol) is Alphabet.UCS2
    assert choose(f"a{char}b", "ascii", protocol) is Alphabet.ASCII


def test_signs_have_the_octets_of_the_gsm_alphabet_in_smpp() -> None:
    assert choose("@ $_[€]é", "auto", "smpp") is Alphabet.GSM7
    assert encode("@ $_[€]é", Alphabet.GSM7) == bytes.fromhex("00 20 02 11 1b3c 1b65 1b3e 05")
    assert choose("`", "auto", "smpp") is Alphabet.UCS2


def test_gbk_is_kept_to_its_two_octets() -> None:
    alphabet = choose("中文abc", "gbk", "cmpp")
    assert alphabet.coding is Coding.GB18030
    assert encode("中文abc", alphabet) == bytes.fromhex("d6d0cec4616263")
    assert choose("中文😀", "gbk", "cmpp") is Alphabet.UCS2
    assert choose("𠮷", "gbk", "smgp") is Alphabet.UCS2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_ascii_cannot_say_is_named_with_its_place(protocol: str) -> None:
    with pytest.raises(EncodeError, match=r"text: '\\u4f60' \(U\+4F60\) at character 4 is not in"):
        choose("Hi 你", "ascii", protocol)


def test_a_lone_surrogate_is_named_with_its_place() -> None:
    for alphabet in (Alphabet.UCS2, Alphabet.GB18030):
        with pytest.raises(EncodeError, match=r"U\+D800\) at character 2"):
            encode("a\ud800", alphabet)


def test_an_unknown_encoding_is_told_what_there_is() -> None:
    with pytest.raises(EncodeError, match="'utf8' is not one of auto, ucs2, gbk, ascii"):
        choose("a", "utf8", "cmpp")


def test_a_byte_order_mark_is_neither_sent_nor_shown() -> None:
    assert encode("\ufeff你", Alphabet.UCS2) == bytes.fromhex("4f60")
    assert decode(bytes.fromhex("feff4f60"), 8, "cmpp") == "你"


@given(unicode, st.sampled_from(["auto", "ucs2", "gbk"]), st.sampled_from(PROTOCOLS))
def test_what_is_encoded_is_decoded(text: str, encoding: str, protocol: str) -> None:
    text = text.lstrip("\ufeff")
    alphabet = choose(text, encoding, protocol)
    assert decode(encode(text, alphabet), alphabet.coding, protocol) == text


@given(st.binary(), st.integers(0, 255), st.sampled_from(PROTOCOLS))
def test_no_octets_under_any_coding_make_it_raise(noise: bytes, coding: int, protocol: str) -> None:
    decode(noise, coding, protocol).encode()  # and no surrogate is left in


@pytest.mark.parametrize(
    ("octets", "coding", "protocol", "text"),
    [
        ("4f60", 0x18, "cmpp", "你"),  # class 0, "flash"
        ("4f60", 0x19, "cmpp", "你"),
        ("4f60", 0xE8, "smpp", "你"),
        ("0041", 0xF1, "smpp", "@A"),
        ("0041", 0xC8, "smpp", "@A"),
        ("00", 0x10, "smpp", "@"),
        ("e9", 3, "smpp", "é"),
        ("40", 1, "smpp", "@"),
        ("e9", 0, "smpp", "é"),  # not a septet: an SMSC whose default alphabet is Latin-1
        ("c4e3bac3", 0, "cmpp", "你好"),  # GBK under format 0
        ("6100", 0, "smgp", "a"),
        ("ff", 0, "sgip", "ÿ"),
        ("d6d0", 15, "smgp", "中"),
        ("c4", 246, "cmpp", "Ä"),
        ("4f6059", 8, "cmpp", "你\ufffd"),
    ],
)
def test_inbound_codings_are_read_as_they_are_used(
    octets: str, coding: int, protocol: str, text: str
) -> None:
    assert decode(bytes.fromhex(octets), coding, protocol) == text


def test_parts_of_several_codings_are_each_read_by_their_own() -> None:
    parts = [(8, bytes.fromhex("4f60")), (0, b"abc"), (15, bytes.fromhex("d6d0"))]
    assert decode_parts(parts, "cmpp") == "你abc中"


def test_a_character_that_the_sender_cut_is_whole_again() -> None:
    smile = "😀".encode("utf-16-be")
    assert decode_parts([(8, smile[:2]), (8, smile[2:])], "cmpp") == "😀"
    assert decode_parts([(8, smile[:3]), (8, smile[3:])], "cmpp") == "😀"
    assert decode_parts([(15, b"\xd6"), (15, b"\xd0")], "cmpp") == "中"
    assert decode_parts([(0, b"\x1b"), (0, b"\x65")], "smpp") == "€"


def test_a_stray_octet_does_not_spoil_the_next_part() -> None:
    parts = [(8, bytes.fromhex("4f6000")), (8, bytes.fromhex("597d"))]
    assert decode_parts(parts, "cmpp") == "你\ufffd好"


def test_a_missing_part_leaves_the_others_readable() -> None:
    parts = [(8, bytes.fromhex("4f60")), None, (8, bytes.fromhex("597d"))]
    assert decode_parts(parts, "cmpp") == "你好"
    assert decode_parts([], "cmpp") == ""


@given(st.lists(st.none() | st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=6))
def test_no_parts_make_it_raise(parts: list[tuple[int, bytes] | None]) -> None:
    for protocol in PROTOCOLS:
        decode_parts(parts, protocol).encode()
