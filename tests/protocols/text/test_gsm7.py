from __future__ import annotations

import pytest
from aiosmpplib.codec import GSM7BitCodec
from hypothesis import given
from hypothesis import strategies as st

from protocols.text import gsm7
from tests.protocols.text.alphabet import CHARACTERS, DEFAULT, EXTENSION

gsm_texts = st.text(alphabet=CHARACTERS)


@pytest.mark.parametrize("septet", [n for n in range(128) if n != 0x1B])
def test_every_septet_is_the_character_of_the_specification(septet: int) -> None:
    assert gsm7.encode(DEFAULT[septet]) == bytes([septet])
    assert gsm7.decode(bytes([septet])) == DEFAULT[septet]


@pytest.mark.parametrize("septet", EXTENSION)
def test_every_extension_is_an_escape_and_a_septet(septet: int) -> None:
    assert gsm7.encode(EXTENSION[septet]) == bytes([0x1B, septet])
    assert gsm7.decode(bytes([0x1B, septet])) == EXTENSION[septet]


def test_nothing_else_of_unicode_is_in_the_alphabet() -> None:
    inside = [chr(n) for n in range(0x110000) if gsm7.foreign(chr(n)) is None]
    assert sorted(inside) == sorted(CHARACTERS)


@given(gsm_texts)
def test_it_agrees_with_aiosmpplib(text: str) -> None:
    octets = gsm7.encode(text)
    assert octets == GSM7BitCodec().encode(text)[0]
    assert gsm7.decode(octets) == GSM7BitCodec().decode(octets)[0] == text


@given(st.binary())
def test_no_octets_make_it_raise(noise: bytes) -> None:
    gsm7.decode(noise).encode()


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"a\x1b", "a "),  # dangling
        (b"\x1b\x1ba", " a"),  # doubled
        (b"\x1ba", "a"),  # an escaped character that no table has: that of the default table
        (b"\x1b\x28\x1b\x29", "{}"),
        (b"a\x80", "a\ufffd"),
    ],
)
def test_broken_escapes_read_as_a_phone_shows_them(octets: bytes, text: str) -> None:
    assert gsm7.decode(octets) == text
