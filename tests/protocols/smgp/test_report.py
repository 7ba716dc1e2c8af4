"""SMGP reports in every spelling that gateways have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.events import Fate
from protocols.smgp.report import SmgpReport, Spelling, delivered, parse, spell

ID = bytes.fromhex("6495c36ac4ea6b00000b")  # of a real gateway: letters and NULs inside
REST = (
    b"sub:001 dlvrd:001 submit date:2611221015 done date:2611221016 stat:DELIVRD err:000 text:026Hi"
)
WHOLE = SmgpReport(ID, "001", "001", "2611221015", "2611221016", "DELIVRD", "000", b"026Hi")


@pytest.mark.parametrize(
    "content",
    [
        b"id:" + ID + b" " + REST,
        b"id:" + ID + b" " + REST + bytes(15),
        b"id:" + ID + b" " + REST.replace(b"submit", b"Submit").replace(b"text", b"Text"),
        b"id:" + ID + REST.replace(b"t date", b"t_date").replace(b"e date", b"e_date"),
        b"id:" + ID + REST.replace(b"text", b"txt"),
        b"ID:" + ID + b" " + REST.replace(b"stat", b"Stat").replace(b"err", b"Err"),
        b"id:" + ID.hex().encode() + b" " + REST,
        b"id:" + ID.hex().upper().encode() + b" " + REST,
        b"id:" + ID + b" " + REST.replace(b"DELIVRD", b"DELIVRD\0"),
    ],
)
def test_every_spelling_says_the_same(content: bytes) -> None:
    assert parse(content) == WHOLE


@pytest.mark.parametrize("between", [b"", b" "])
@pytest.mark.parametrize("rest", [REST, REST + bytes(15), REST.replace(b"text", b"Txt")])
def test_what_was_delivered_is_read_at_one_glance(between: bytes, rest: bytes) -> None:
    assert delivered(b"id:" + ID + between + rest) == ID


@pytest.mark.parametrize("stat", [b"UNDELIV", b"DELIVRD\0", b"DELIVRDX", b"delivrd", b"ACCEPTD"])
def test_anything_else_needs_a_closer_look(stat: bytes) -> None:
    assert delivered(b"id:" + ID + b" " + REST.replace(b"DELIVRD", stat)) is None


@pytest.mark.parametrize("content", [b"", b"id:", b"id:" + ID, b"no:" + ID + b" " + REST])
def test_what_has_no_id_or_nothing_behind_it_is_none_whatever_came_before(content: bytes) -> None:
    for _ in range(2):
        assert delivered(content) is None
        assert delivered(b"id:" + ID[::-1] + b" " + REST) == ID[::-1]


def test_the_order_of_what_follows_the_id_does_not_matter() -> None:
    said = parse(b"id:" + ID + b" stat:UNDELIV err:003 done date:2611221016")
    assert said == SmgpReport(ID, done_date="2611221016", stat="UNDELIV", err="003")


def test_the_text_may_look_like_fields() -> None:
    said = parse(b"id:" + ID + b" " + REST + b" stat:REJECTD err:999")
    assert said is not None
    assert (said.stat, said.err) == ("DELIVRD", "000")
    assert said.text == b"026Hi stat:REJECTD err:999"


def test_an_id_may_look_like_fields() -> None:
    said = parse(b"id: stat:sub: " + REST)
    assert said is not None
    assert said.id == b" stat:sub:"


def test_a_text_id_without_its_last_nuls_gets_them_back() -> None:
    said = parse(b"id:" + ID[:7] + b" " + REST)
    assert said is not None
    assert said.id == ID[:7] + bytes(3)


@pytest.mark.parametrize(
    "content", [b"", b"id:", b"id:0123456789", b"id:" + ID + b" sub:001", REST, bytes(122)]
)
def test_what_says_nothing_is_no_report(content: bytes) -> None:
    assert parse(content) is None


@pytest.mark.parametrize(
    ("said", "code", "fate"),
    [
        (SmgpReport(ID, stat="DELIVRD", err="000"), "DELIVRD", Fate.DELIVERED),
        (SmgpReport(ID, stat="UNDELIV", err="003"), "UNDELIV/003", Fate.FAILED),
        (SmgpReport(ID, stat="EXPIRED", err="64000"), "EXPIRED/64000", Fate.FAILED),
        (SmgpReport(ID, stat="REJECTD"), "REJECTD", Fate.FAILED),
        (SmgpReport(ID, stat="ACCEPTD", err="000"), "ACCEPTD", Fate.INTERMEDIATE),
        (SmgpReport(ID, err="000"), "DELIVRD", Fate.DELIVERED),
        (SmgpReport(ID, err="007"), "EXPIRED/007", Fate.FAILED),
        (SmgpReport(ID, err="615"), "UNKNOWN/615", Fate.FAILED),
    ],
)
def test_codes_hold_the_word_and_the_error(said: SmgpReport, code: str, fate: Fate) -> None:
    assert (said.code, said.fate) == (code, fate)


@pytest.mark.parametrize(
    ("spelling", "text_id", "size"),
    [
        ("plain", False, 122),
        ("capital", False, 122),
        ("underscore", False, 110),
        ("plain", True, 132),
    ],
)
@given(report_id=st.binary(min_size=10, max_size=10))
def test_what_is_spelled_is_read_again(
    spelling: Spelling, text_id: bool, size: int, report_id: bytes
) -> None:
    content = spell(
        report_id,
        delivered=False,
        submit_date="2611221015",
        done_date="2611221016",
        stat="UNDELIV",
        err="3",
        text=b"026Hello",
        spelling=spelling,
        text_id=text_id,
    )
    assert len(content) == size
    assert parse(content) == SmgpReport(
        report_id, "001", "000", "2611221015", "2611221016", "UNDELIV", "003", b"026Hello"
    )


@given(st.binary(max_size=200))
def test_no_octets_make_it_raise(noise: bytes) -> None:
    parse(b"id:" + noise)
