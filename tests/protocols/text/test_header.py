from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.text.header import Header, guess, read, spell

# From tests of Lihuanghe/SMSGate (60c23ab): parts of real messages, shortened behind the header.
MIXED_PART_4 = bytes.fromhex("050003e404046162633130303835")
WRITE_CARD = bytes.fromhex("02700000801116390505b000b0")


def test_both_widths_of_reference_are_read() -> None:
    assert read(MIXED_PART_4) == Header(b"abc10085", 0xE4, 4, 4, 8)
    assert read(bytes.fromhex("06080412340302") + b"x") == Header(b"x", 0x1234, 3, 2, 16)


def test_the_length_of_an_element_decides_its_width() -> None:
    """itio-codec-cmpp writes identifier 00 in the seven-octet form."""
    assert read(bytes.fromhex("06000412340302") + b"x") == Header(b"x", 0x1234, 3, 2, 16)


def test_other_elements_are_kept_aside() -> None:
    assert read(WRITE_CARD) == Header(WRITE_CARD[3:], others=((0x70, b""),))
    ports = bytes.fromhex("0b 0504158a0000 0003aa0201") + b"x"
    assert read(ports) == Header(b"x", 0xAA, 2, 1, 8, ((5, bytes.fromhex("158a0000")),))


@pytest.mark.parametrize("counts", ["0000", "0200", "0203", "0001"])
def test_impossible_counts_void_the_element_only(counts: str) -> None:
    assert read(bytes.fromhex("050003aa" + counts) + b"x") == Header(b"x")


@pytest.mark.parametrize(
    "content", ["", "00", "0041", "05", "050003aa02", "0500ff aa0201", "0100", "03 00 03 aa"]
)
def test_lengths_that_do_not_add_up_are_no_header(content: str) -> None:
    assert read(bytes.fromhex(content)) is None


def test_a_single_part_still_has_its_header_taken_off() -> None:
    assert read(bytes.fromhex("05000301 0101") + b"x") == Header(b"x", 1, 1, 1, 8)


def test_an_unannounced_header_is_guessed_only_when_plausible() -> None:
    assert guess(MIXED_PART_4) == Header(b"abc10085", 0xE4, 4, 4, 8)
    assert guess(bytes.fromhex("06080412340302") + b"x") == Header(b"x", 0x1234, 3, 2, 16)
    assert guess(bytes.fromhex("050003e40101") + b"x") is None
    assert guess(bytes.fromhex("050003e40405") + b"x") is None
    assert guess(bytes.fromhex("050003")) is None
    assert guess(WRITE_CARD) is None
    assert guess("你好".encode("utf-16-be")) is None


@given(st.integers(0, 0xFFFF), st.integers(1, 255), st.data(), st.booleans(), st.binary())
def test_what_is_spelled_is_read(
    reference: int, total: int, data: st.DataObject, wide: bool, rest: bytes
) -> None:
    number = data.draw(st.integers(1, total))
    header = read(spell(reference, total, number, wide=wide) + rest)
    kept = reference if wide else reference & 0xFF
    assert header == Header(rest, kept, total, number, 16 if wide else 8)


@given(st.binary(max_size=20))
def test_no_octets_make_it_raise(noise: bytes) -> None:
    for header in (read(noise), guess(noise)):
        assert header is None or noise.endswith(header.rest)
