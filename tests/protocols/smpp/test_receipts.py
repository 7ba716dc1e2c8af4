"""Receipts as message centres really write them."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import ids
from protocols.errors import DecodeError
from protocols.events import Fate, Reported
from protocols.session import BEIJING
from protocols.smpp import inbound, pdus, receipts
from protocols.smpp.receipts import Receipt

from .. import vectors
from . import smsc

AT = int(datetime(2026, 11, 22, 10, 15, 30, tzinfo=BEIJING).timestamp())
USUAL = (
    b"id:4f2a9c01 sub:001 dlvrd:001 submit date:2611221015 done date:2611221016"
    b" stat:DELIVRD err:000 text:Hello, your code is "
)


@pytest.mark.parametrize(
    ("text", "receipt"),
    [
        (USUAL, Receipt(b"4f2a9c01", "DELIVRD", "2611221016")),
        (USUAL + b"\0", Receipt(b"4f2a9c01", "DELIVRD", "2611221016")),
        (USUAL.decode().encode("utf-16-be"), Receipt(b"4f2a9c01", "DELIVRD", "2611221016")),
        (USUAL.upper(), Receipt(b"4F2A9C01", "DELIVRD", "2611221016")),
        (USUAL.replace(b"err:000", b"err:MI:0024,"), Receipt(b"4f2a9c01", "DELIVRD", "2611221016")),
        (b"stat:UNDELIV err:1 id:77 done date:2611221016", Receipt(b"77", "UNDELIV", "2611221016")),
        (b"id:77 stat:EXPIRED", Receipt(b"77", "EXPIRED", "")),
        (b"id:77,stat:EXPIRED,err:12", Receipt(b"77", "EXPIRED", "")),
        (b"id:77; stat:EXPIRED; err:12", Receipt(b"77", "EXPIRED", "")),
        (b"id:77 submit_date:1 done_date:2 stat:REJECTD", Receipt(b"77", "REJECTD", "2")),
        (b"id: sub:001 stat:DELIVRD", Receipt(b"", "DELIVRD", "")),
        (b"id:6b29fc40-ca47-1067-b31d-00dd010662da stat:DELIVRD err:0 Text:id:9 stat:UNDELIV",
         Receipt(b"6b29fc40-ca47-1067-b31d-00dd010662da", "DELIVRD", "")),
        (b"id:" + b"f" * 32 + b" stat:DELIVRD", Receipt(b"f" * 32, "DELIVRD", "")),
        ("id:77 stat:DELIVRD text:车管所".encode("gbk"), Receipt(b"77", "DELIVRD", "")),
        (b"invalid:5 paid:6", Receipt()),
        (b"", Receipt()),
    ],
)  # fmt: skip
def test_a_text_is_read_in_any_spelling(text: bytes, receipt: Receipt) -> None:
    assert receipts.parse(text) == receipt


@pytest.mark.parametrize("date", ["261122101659", "20261122101659", "202611221016591234"])
def test_dates_have_twelve_digits_or_more(date: str) -> None:
    usual = "id:7 sub:001 dlvrd:001 submit date:{0} done date:{0} stat:DELIVRD err:1"
    for form in (usual, "done date:{0} id:7 stat:DELIVRD"):
        assert receipts.parse(form.format(date).encode()) == Receipt(b"7", "DELIVRD", date)


@given(st.binary(max_size=300) | st.text(alphabet="idstaexerl: 0,\0", max_size=80).map(str.encode))
def test_no_text_makes_it_raise_and_an_id_has_a_length(text: bytes) -> None:
    assert len(receipts.parse(text).id) <= 64


@given(
    id=st.from_regex(r"\A[0-9A-Fa-f-]{1,40}\Z"),
    stat=st.sampled_from(receipts.WORDS),
    digits=st.sampled_from([10, 12, 14]),
    tail=st.binary(max_size=20),
)
def test_the_usual_form_and_the_others_read_the_same(
    id: str, stat: str, digits: int, tail: bytes
) -> None:
    at = receipts.date(AT, BEIJING, digits)
    text = receipts.spell(id=id, submitted=at, done=at, stat=stat, err="000")
    read = receipts.parse(text + tail)
    assert (read.id, read.stat, len(read.done)) == (id.encode(), stat, digits)
    assert receipts.parse(b" " + text + tail) == read


def test_a_receipt_is_spelled_as_in_appendix_b() -> None:
    golden = vector_text("smpp34_deliver_sm_dlr_delivrd_tlv")
    made = receipts.spell(
        id="4f2a9c01",
        submitted=receipts.date(AT, BEIJING, 10),
        done=receipts.date(AT + 60, BEIJING, 10),
        stat="DELIVRD",
        err="000",
    )
    assert golden.startswith(made)


@pytest.mark.parametrize(
    ("digits", "spelled"),
    [(10, "2611221015"), (12, "261122101530"), (14, "20261122101530")],
)
def test_a_date_has_the_digits_asked_for(digits: int, spelled: str) -> None:
    assert receipts.date(AT, BEIJING, digits) == spelled


def vector_text(name: str) -> bytes:
    (found,) = [v for v in vectors.load("smpp34.json") if v["id"] == name]
    return bytes.fromhex(found["fields"]["short_message_hex"])


def read(text: bytes, tlvs: bytes = b"", form: ids.Form = "auto", esm_class: int = 4) -> Reported:
    event = inbound.read(pdus.DELIVER_SM, smsc.deliver(1, text, tlvs, esm_class=esm_class), form)
    assert isinstance(event, Reported)
    return event


def named(value: bytes) -> bytes:
    return smsc.tlv(0x1E, value + b"\0")


@pytest.mark.parametrize(
    ("name", "answered"),
    [("fx_cloudhopper_deliver_sm_18", b"38601fa"), ("fx_jasmin_deliver_sm_99", b"18d0e03a")],
)
def test_a_parameter_in_hexadecimal_beside_a_decimal_text_is_one_exact_key(
    name: str, answered: bytes
) -> None:
    (vector,) = [v for v in vectors.load("fixtures_smpp.json") if v["id"] == name]
    event = inbound.read(pdus.DELIVER_SM, bytes.fromhex(vector["hex"]), "auto")
    assert isinstance(event, Reported)
    assert (event.keys[0], event.exact) == (answered, 1)
    assert event.fate is Fate.DELIVERED


@given(
    id=st.from_regex(r"\A[0-9A-Fa-f-]{1,40}\Z"),
    stat=st.sampled_from(receipts.WORDS),
    parameters=st.lists(
        st.tuples(
            st.sampled_from([0x1E, 0x427, 0x424, 0x1234]),
            st.sampled_from([b"", b"\2", b"\5", b"7f\0", b"0012\0\0", b"9"]),
        ),
        max_size=4,
    ),
    tail=st.sampled_from([b"", b"000 text:hello", b"\0"]),
    form=st.sampled_from(["auto", "text", "hex", "decimal"]),
    missing=st.integers(0, 5),
)
def test_the_usual_receipt_and_the_others_read_the_same(
    id: str,
    stat: str,
    parameters: list[tuple[int, bytes]],
    tail: bytes,
    form: ids.Form,
    missing: int,
) -> None:
    text = receipts.spell(id=id, submitted="2611221015", done="2611221016", stat=stat, err="")
    tlvs = b"".join([smsc.tlv(tag, value) for tag, value in parameters])
    tlvs = tlvs[: len(tlvs) - missing] if missing < len(tlvs) else tlvs

    def said(text: bytes) -> Reported | tuple[int, int]:
        try:
            return read(text, tlvs, form)
        except DecodeError as exc:
            return exc.offset - len(text), exc.status

    assert said(text + tail) == said(b" " + text + tail)


@given(
    stat=st.sampled_from(["DELIVRD", "UNDELIV", "EXPIRED"]),
    at=st.integers(16, 160),
    octets=st.binary(max_size=2),
    gone=st.integers(0, 2),
    form=st.sampled_from(["auto", "text"]),
)
def test_a_receipt_says_the_same_whichever_came_before_it(
    stat: str, at: int, octets: bytes, gone: int, form: ids.Form
) -> None:
    text = receipts.spell(id="7f", submitted="2611221015", done="2611221016", stat=stat, err="")
    first = smsc.deliver(1, text, named(b"7f"), esm_class=4)
    second = smsc.deliver(2, text, named(b"7f"), esm_class=4)
    second = second[:at] + octets + second[at + gone :]

    def said(before: bytes) -> object:
        inbound.read(pdus.DELIVER_SM, before, "auto")
        try:
            return inbound.read(pdus.DELIVER_SM, second, form)
        except DecodeError as exc:
            return exc.offset, exc.status

    assert said(first) == said(smsc.deliver(3, USUAL, b"", esm_class=4))


def test_a_receipt_that_says_more_octets_than_it_has_is_read_by_its_declaration() -> None:
    pdu = smsc.deliver(1, USUAL, b"", esm_class=4)
    with pytest.raises(DecodeError, match="117 octets are left"):
        inbound.read(pdus.DELIVER_SM, pdu[:-3], "auto")


def test_a_decimal_text_alone_finds_the_hexadecimal_answer() -> None:
    for form, exact in (("auto", False), ("decimal", True)):
        event = read(b"id:0059113978 stat:DELIVRD", form=form)  # type: ignore[arg-type]
        assert ids.key("smpp", b"38601fa") in event.keys
        assert (event.keys.index(b"38601fa") < event.exact) is exact


def test_the_parameters_alone_are_a_receipt() -> None:
    event = read(b"", named(b"0ABC") + smsc.tlv(0x427, b"\5"))
    assert (event.keys[0], event.exact) == (ids.key("smpp", b"abc"), 1)
    assert (event.code, event.fate) == ("UNDELIV", Fate.FAILED)


def test_a_parameter_without_a_kind_is_a_receipt_too() -> None:
    assert read(b"", named(b"1") + smsc.tlv(0x427, b"\2"), esm_class=0).code == "DELIVRD"


def test_a_header_before_the_text_of_a_receipt_is_left_out() -> None:
    event = read(b"\5\0\3\1\1\1" + USUAL, esm_class=0x44)
    assert (event.keys[0], event.code) == (b"4f2a9c01", "DELIVRD")


def test_a_receipt_without_an_id_still_tells_of_its_recipient() -> None:
    event = read(b"stat:DELIVRD")
    assert (event.keys, event.exact, event.to) == ((), 0, "13800138000")


@pytest.mark.parametrize("state", range(10))
def test_every_state_has_its_word(state: int) -> None:
    event = read(b"", named(b"1") + smsc.tlv(0x427, bytes((state,))))
    assert event.code == receipts.WORDS[state]
    fates = {0: Fate.INTERMEDIATE, 1: Fate.INTERMEDIATE, 2: Fate.DELIVERED, 6: Fate.INTERMEDIATE}
    assert event.fate is fates.get(state, Fate.FAILED)


def test_the_word_of_the_text_goes_before_the_state() -> None:
    assert read(USUAL, smsc.tlv(0x427, b"\5")).code == "DELIVRD"


@pytest.mark.parametrize(
    ("word", "esm_class", "fate"),
    [
        (b"UNDELIV", 4, Fate.FAILED),
        (b"UNDELIV", 0x20, Fate.INTERMEDIATE),
        (b"ENROUTE", 0x20, Fate.INTERMEDIATE),
        (b"ACCEPTD", 4, Fate.INTERMEDIATE),
        (b"DELIVRD", 0x20, Fate.DELIVERED),
        (b"MK:0012", 4, Fate.FAILED),
        (b"WHATEVER", 4, Fate.FAILED),
        (b"delivrd", 4, Fate.DELIVERED),
    ],
)
def test_what_words_mean(word: bytes, esm_class: int, fate: Fate) -> None:
    event = read(b"id:1 stat:" + word, esm_class=esm_class)
    assert (event.fate, event.code) == (fate, word.decode().upper())
