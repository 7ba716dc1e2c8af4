"""Every spelling of a carrier's id leads to its part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocols import ids

KNOWN: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "message_ids.json").read_text()
)


def of(protocol: str) -> list[dict[str, Any]]:
    return [one for one in KNOWN if one["protocol"] == protocol]


@pytest.mark.parametrize("known", of("cmpp"), ids=lambda known: known["hex"])
def test_a_cmpp_id_is_found_by_hex_decimal_and_its_22_digits(known: dict[str, Any]) -> None:
    octets = bytes.fromhex(known["hex"])
    assert ids.show("cmpp", octets) == "0x" + known["hex"]
    for text in ("0x" + known["hex"], known["hex"], str(known["uint64"]), known["text22"]):
        assert ids.key("cmpp", octets) in ids.spoken(text)


@pytest.mark.parametrize("known", of("smgp"), ids=lambda known: known["hex"])
def test_an_smgp_id_is_found_by_its_20_digits(known: dict[str, Any]) -> None:
    octets = bytes.fromhex(known["hex"])
    assert ids.show("smgp", octets) == "0x" + known["hex"]
    for text in (known["hex"], "0x" + known["hex"]):
        assert ids.key("smgp", octets) in ids.spoken(text)


@pytest.mark.parametrize("known", of("sgip"), ids=lambda known: known["hex"])
def test_an_sgip_id_is_found_by_its_three_words_and_30_digits(known: dict[str, Any]) -> None:
    octets = bytes.fromhex(known["hex"])
    shown = ":".join(map(str, known["sequence"]))
    assert ids.show("sgip", octets) == shown
    for text in (shown, known["text30"], known["hex"]):
        assert ids.key("sgip", octets) in ids.spoken(text)


def test_a_report_with_another_node_word_is_still_about_the_same_submit() -> None:
    ours = (3010012345).to_bytes(4) + (1122101530).to_bytes(4) + (7).to_bytes(4)
    assert ids.key("sgip", ours) == ids.key("sgip", bytes(4) + ours[4:])


@pytest.mark.parametrize(
    ("answered", "reported", "form"),
    [
        (b"38601fa", b"0059113978", "auto"),
        (b"18d0e03a", b"0416342074", "auto"),
        (b"59113978", b"38601FA", "auto"),
        (b"000123", b"123", "auto"),
        (b"AbC-9", b"abc-9", "text"),
        (b"18d0e03a", b"0416342074", "decimal"),
        (b"416342074", b"18D0E03A", "hex"),
    ],
)
def test_an_smpp_id_is_the_same_in_both_radixes(
    answered: bytes, reported: bytes, form: ids.Form
) -> None:
    keys, _ = ids.smpp_keys(reported, form)
    assert ids.key("smpp", answered) in keys


def test_only_the_agreed_form_needs_no_recipient_as_witness() -> None:
    for form in ("auto", "text", "hex", "decimal"):
        keys, exact = ids.smpp_keys(b"10", form)
        assert exact == 1
    assert ids.smpp_keys(b"10", "text")[0] == (b"10",)
    assert ids.smpp_keys(b"10", "auto")[0][0] == b"10"
    assert ids.smpp_keys(b"10", "decimal")[0][0] == b"a"
    assert ids.smpp_keys(b"10", "hex")[0][0] == b"16"
    assert set(keys) == {b"10", b"a", b"16"}


def test_cmpp_and_smgp_count_on_within_the_sequence_and_may_repeat_the_first() -> None:
    first = bytes.fromhex("b8f3be40000ffffe")
    assert ids.list_keys("cmpp", first, range(4)) == [
        (first,),
        (bytes.fromhex("b8f3be40000fffff"), first),
        (bytes.fromhex("b8f3be40000f0000"), first),
        (bytes.fromhex("b8f3be40000f0001"), first),
    ]
    first = bytes.fromhex("01006111221830999998")
    assert ids.list_keys("smgp", first, (0, 1, 2)) == [
        (first,),
        (bytes.fromhex("01006111221830999999"), first),
        (bytes.fromhex("01006111221830000000"), first),
    ]


def test_an_smgp_id_that_is_no_number_is_that_of_all() -> None:
    first = bytes.fromhex("6495c36ac4ea6b00000b")
    assert ids.list_keys("smgp", first, (0, 1)) == [(first,), (first,)]


@pytest.mark.parametrize(
    ("protocol", "carrier_id", "key"),
    [
        ("sgip", bytes(4) + b"\1" * 8, b"\1" * 8),
        ("smpp", b"004F2A", b"4f2a"),
        ("cmpp", b"odd", b"odd"),
    ],
)
def test_elsewhere_all_of_a_list_have_one_id(protocol: str, carrier_id: bytes, key: bytes) -> None:
    assert ids.list_keys(protocol, carrier_id, range(3)) == [(key,)] * 3
