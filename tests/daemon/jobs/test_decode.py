"""Which records are jobs, and what is said of those that are not."""

from __future__ import annotations

import base64
import json
import struct
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.jobs import Job, JobError, Lane, dead_letter, decode

NOW = 1795305600.0  # 2026-11-22T08:00:00+08:00
PLAIN: dict[str, Any] = {"id": "j-1", "to": "13912345678", "text": "你好"}


def read(fields: Any, content_type: str | None = "application/json") -> Job:
    if content_type == "application/msgpack":
        return decode(msgpack.packb(fields), content_type, NOW)
    return decode(json.dumps(fields).encode(), content_type, NOW)


def refused(value: bytes, content_type: str | None = None) -> tuple[str, str]:
    with pytest.raises(JobError) as caught:
        decode(value, content_type, NOW)
    return caught.value.field, caught.value.error


def test_a_plain_job_has_the_contracts_defaults() -> None:
    job = read(PLAIN)
    assert (job.id, job.to, job.text) == ("j-1", ("13912345678",), "你好")
    assert (job.signature, job.tenant, job.ext) == (None, "default", "")
    assert job.priority is Lane.NORMAL
    assert (job.not_before, job.expires_at, job.report) == (None, None, True)
    assert (job.account, job.on_uncertain, job.meta) == (None, None, None)


FULL: dict[str, Any] = {
    "id": "x" * 64,
    "to": ["13912345678", "+86 139-1234-5679", ""],
    "text": "𠮷" * 2000,
    "signature": "天津交警",
    "tenant": "t-1",
    "ext": "0123",
    "priority": "urgent",
    "not_before": "2026-11-29T08:00:00+08:00",
    "expires_at": "2026-11-30T00:00:00.5Z",
    "report": False,
    "account": "xz-mobile",
    "on_uncertain": "wait",
    "meta": {"b": [1, 2.5, None, True, {"中": "文"}], "a": 2**70},
}


@pytest.mark.parametrize("content_type", ["application/json", None, "application/msgpack"])
def test_a_job_with_everything_is_read_from_either_format(content_type: str | None) -> None:
    fields = FULL
    if content_type == "application/msgpack":  # which ends at 64 bits
        fields = FULL | {"meta": FULL["meta"] | {"a": 2**64 - 1}}
    job = read(fields, content_type)
    assert job.to == ("13912345678", "+86 139-1234-5679", "")
    assert job.priority is Lane.URGENT
    assert job.not_before == NOW + 7 * 86400
    assert job.expires_at == NOW + 8 * 86400 + 0.5
    assert (job.report, job.account, job.on_uncertain) == (False, "xz-mobile", "wait")
    assert (job.signature, job.tenant, job.ext) == ("天津交警", "t-1", "0123")
    assert json.loads(job.meta or b"") == fields["meta"]


@pytest.mark.parametrize(
    "content_type", ["application/msgpack", "Application/MsgPack", "application/msgpack; x=1"]
)
def test_the_content_type_chooses_msgpack(content_type: str) -> None:
    assert decode(msgpack.packb(PLAIN), content_type, NOW).id == "j-1"


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2026-11-22T08:00:00+08:00", NOW),
        ("2026-11-22T00:00:00Z", NOW),
        ("2026-11-22t00:00:00z", NOW),
        ("2026-11-22 00:00:00Z", NOW),
        ("2026-11-21T19:30:00-04:30", NOW),
        ("2026-11-22T00:00:00-00:00", NOW),
        ("2026-11-22T00:00:00.25Z", NOW + 0.25),
        ("2026-11-22T00:00:00.123456789123Z", NOW + 0.123456),
        ("1970-01-01T00:00:00Z", 0.0),
        ("9999-12-31T23:59:59-12:00", 253402343999.0),
        # The leap second at the end of 2016: the second after 23:59:59 UTC.
        ("2016-12-31T23:59:60Z", 1483228800.0),
        ("2017-01-01T07:59:60.5+08:00", 1483228800.5),
    ],
)
def test_times_are_rfc_3339(time: str, seconds: float) -> None:
    assert read(PLAIN | {"expires_at": time}).expires_at == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "time",
    [
        "",
        "2026-11-22T08:00:00",
        "2026-11-22",
        "2026-11-22T08:00Z",
        "20261122T080000Z",
        "2026-11-22T08:00:00+0800",
        "2026-11-22T08:00:00+08",
        "2026-11-22T08:00:00+24:00",
        "2026-11-22T08:00:00+08:60",
        "2026-11-22T24:00:00Z",
        "2026-11-22T08:60:00Z",
        "2026-11-22T08:00:61Z",
        "2026-11-22T08:00:60Z",
        "2026-02-30T08:00:00Z",
        "2026-11-22T08:00:00.Z",
        "2026-11-22T08:00:00Z\n",
        " 2026-11-22T08:00:00Z",
        "２０２６-11-22T08:00:00Z",
        "2026-W47-7T08:00:00Z",
        "1795305600",
    ],
)
def test_what_is_not_rfc_3339_with_an_offset_is_refused(time: str) -> None:
    field, error = refused(json.dumps(PLAIN | {"not_before": time}).encode())
    assert field == "not_before"
    assert error.startswith("is no time with an offset, allowed is RFC 3339 such as ")


def test_not_before_is_at_most_seven_days_ahead() -> None:
    ahead = {"not_before": "2026-11-29T08:00:00+08:00"}
    assert read(PLAIN | ahead).not_before == NOW + 7 * 86400
    ahead = {"not_before": "2026-11-29T08:00:00.001+08:00"}
    assert refused(json.dumps(PLAIN | ahead).encode()) == (
        "not_before",
        "is more than 7 days ahead, allowed is at most 604800 seconds from now",
    )


STRING_64 = "allowed is a string of 1 to 64 characters"
TO = "allowed is a string, or an array of 1 to 1000 strings"
NAMES = (
    "id, to, text, signature, tenant, ext, priority, not_before, expires_at, report, account, "
    "on_uncertain, meta"
)


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"id": None}, "id", f"is null, {STRING_64}"),
        ({"id": ""}, "id", f"has 0 characters, {STRING_64}"),
        ({"id": "x" * 65}, "id", f"has 65 characters, {STRING_64}"),
        ({"id": 7}, "id", f"is a number, {STRING_64}"),
        ({"to": []}, "to", f"has 0 elements, {TO}"),
        ({"to": ""}, "to", f"is empty, {TO}"),
        ({"to": ["1"] * 1001}, "to", f"has 1001 elements, {TO}"),
        ({"to": 13912345678}, "to", f"is a number, {TO}"),
        ({"to": ["1", 2]}, "to", "element 1 is a number, allowed is a string"),
        ({"to": {}}, "to", f"is an object, {TO}"),
        ({"text": ""}, "text", "has 0 characters, allowed is a string of 1 to 2000 characters"),
        (
            {"text": "x" * 2001},
            "text",
            "has 2001 characters, allowed is a string of 1 to 2000 characters",
        ),
        (
            {"signature": "x"},
            "signature",
            "has 1 characters, allowed is a string of 2 to 20 characters",
        ),
        (
            {"signature": "x" * 21},
            "signature",
            "has 21 characters, allowed is a string of 2 to 20 characters",
        ),
        ({"signature": None}, "signature", "is null, allowed is a string of 2 to 20 characters"),
        ({"tenant": 1}, "tenant", "is a number, allowed is a string"),
        (
            {"ext": "12a"},
            "ext",
            "has characters that are no digits, allowed are the digits 0 to 9",
        ),
        (
            {"ext": "１２"},
            "ext",
            "has characters that are no digits, allowed are the digits 0 to 9",
        ),
        ({"ext": 12}, "ext", "is a number, allowed is a string"),
        (
            {"priority": "high"},
            "priority",
            'is something else, allowed is "urgent" or "normal" or "bulk"',
        ),
        ({"report": 1}, "report", "is a number, allowed is true or false"),
        ({"report": "true"}, "report", "is a string, allowed is true or false"),
        ({"account": []}, "account", "is an array, allowed is a string"),
        (
            {"on_uncertain": "drop"},
            "on_uncertain",
            'is something else, allowed is "resend" or "wait"',
        ),
        ({"meta": []}, "meta", "is an array, allowed is an object"),
        ({"meta": {"x": "y" * 4089}}, "meta", "has 4097 octets, allowed are 4096"),
        ({"Text": "x"}, "Text", f"is unknown, allowed are {NAMES}"),
        ({"message": "x"}, "message", f"is unknown, allowed are {NAMES}"),
    ],
)
def test_a_bad_field_is_named_with_what_is_allowed(
    fields: dict[str, Any], field: str, error: str, packed: bool
) -> None:
    record = PLAIN | fields
    value = msgpack.packb(record) if packed else json.dumps(record).encode()
    assert refused(value, "application/msgpack" if packed else None) == (field, error)


@pytest.mark.parametrize("field", ["id", "to", "text"])
def test_a_missing_field_is_named(field: str) -> None:
    record = {key: value for key, value in PLAIN.items() if key != field}
    found, error = refused(json.dumps(record).encode())
    assert found == field
    assert error.startswith("is missing, allowed is a string")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b'{"id":"j","to":"1","text":"a\\ud800"}', "text"),
        (b'{"id":"j","to":"1","text":"\\ude00\\ud83d"}', "text"),
        (b'{"id":"\\udfff","to":"1","text":"a"}', "id"),
        (b'{"id":"j","to":["1","\\ud83d"],"text":"a"}', "to"),
        (b'{"id":"j","to":"1","text":"a","tenant":"\\ud83dx"}', "tenant"),
        (b'{"id":"j","to":"1","text":"a","meta":{"x":["\\ud800"]}}', "meta"),
        (b'{"id":"j","to":"1","text":"a","meta":{"\\ud800":1}}', "meta"),
        (b'{"id":"j","to":"1","text":"\xed\xa0\x80"}', "text"),
        (b'{"id":"j","to":"1","text":"\xff"}', "text"),
    ],
)
def test_a_lone_surrogate_or_broken_utf8_is_refused_in_its_field(value: bytes, field: str) -> None:
    found, error = refused(value)
    assert found == field
    assert error.endswith("has a lone surrogate or is not UTF-8, allowed is Unicode")


def test_broken_utf8_in_msgpack_is_refused_in_its_field() -> None:
    value = msgpack.packb(PLAIN | {"text": "a?"}).replace(b"a?", b"a\xff")
    assert refused(value, "application/msgpack")[0] == "text"


def test_a_surrogate_pair_is_one_character() -> None:
    job = decode(b'{"id":"j","to":"1","text":"\\ud83d\\ude00"}', None, NOW)
    assert job.text == "😀"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"", "is not JSON (Expecting value at character 0), allowed is one JSON object"),
        (b"hello", "is not JSON (Expecting value at character 0), allowed is one JSON object"),
        (b"[]", "is an array, allowed is an object"),
        (b'"x"', "is a string, allowed is an object"),
        (b"null", "is null, allowed is an object"),
        (
            b'{"id":"j","to":"1","text":"a"} x',
            "is not JSON (Extra data at character 31), allowed is one JSON object",
        ),
        (
            b'{"id":"j","to":"1","text":NaN}',
            "is not JSON (NaN is no number of JSON), allowed is one JSON object",
        ),
        (b"[" * 100_000, "is nested too deeply, allowed is one flat object"),
    ],
)
def test_what_is_no_json_object_is_refused_as_a_record(value: bytes, error: str) -> None:
    assert refused(value) == ("record", error)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\x80\x01",
        b"\x91" * 5000,
    ],
)
def test_what_is_no_msgpack_is_refused_as_a_record(value: bytes) -> None:
    field, error = refused(value, "application/msgpack")
    assert field == "record"
    assert "allowed is one" in error


@pytest.mark.parametrize(
    ("meta", "error"),
    [
        ({"x": b"octets"}, "has octets in it, allowed is what JSON can say"),
        ({"x": [float("nan")]}, "has a number beyond range, allowed is what JSON can say"),
        ({"x": {1: 2}}, "has a key that is no string, allowed is what JSON can say"),
        (
            {"x": msgpack.Timestamp(1)},
            "has an extension of msgpack in it, allowed is what JSON can say",
        ),
    ],
)
def test_meta_in_msgpack_says_only_what_json_can(meta: dict[str, Any], error: str) -> None:
    value = msgpack.packb(PLAIN | {"meta": meta})
    assert refused(value, "application/msgpack") == ("meta", error)


def test_meta_is_measured_as_compact_json() -> None:
    meta = {"x": "文" * 1362 + "ab"}  # in UTF-8; escaped it would be twice as long
    assert len(read(PLAIN | {"meta": meta}).meta or b"") == 4096
    assert refused(json.dumps(PLAIN | {"meta": {"x": meta["x"] + "c"}}).encode())[0] == "meta"
    spaced = json.dumps(PLAIN | {"meta": {"x": 1}}, indent=4096).encode()
    assert decode(spaced, None, NOW).meta == b'{"x":1}'


def test_meta_may_be_nested_a_hundred_deep_and_no_more() -> None:
    def nested(depth: int) -> bytes:
        inside = b"[" * (depth - 1) + b"]" * (depth - 1)
        return b'{"id":"j","to":"1","text":"a","meta":{"x":' + inside + b"}}"

    assert decode(nested(100), None, NOW).meta is not None
    assert refused(nested(101)) == ("meta", "is nested too deeply, allowed are 100 levels")
    for depth in (900, 50_000):  # past what the decoders themselves go into
        assert "nested too deeply" in refused(nested(depth))[1]
    wide = json.dumps(PLAIN | {"meta": {"x": [[]] * 500}}).encode()
    assert decode(wide, None, NOW).meta is not None


def test_a_number_too_large_for_anyone_is_refused() -> None:
    value = b'{"id":"j","to":"1","text":"a","meta":{"x":1e400}}'
    assert refused(value) == (
        "meta",
        "has a number beyond range, allowed is what JSON can say",
    )


def test_no_error_repeats_the_text_or_a_number() -> None:
    said = "秘密13912345678"
    for record in (
        PLAIN | {"text": said * 500},
        PLAIN | {"to": [said, 1]},
        PLAIN | {"priority": said},
        PLAIN | {"on_uncertain": said},
        PLAIN | {"not_before": said},
        PLAIN | {"ext": said},
        PLAIN | {"meta": [said]},
    ):
        _, error = refused(json.dumps(record).encode())
        assert "秘密" not in error
        assert "139" not in error


def test_a_field_name_is_shown_short_and_printable() -> None:
    field, _ = refused(json.dumps(PLAIN | {"\ud800\n" + "x" * 100: 1}).encode())
    assert field == "??" + "x" * 62


def test_a_dead_letter_says_where_the_record_is_and_what_is_wrong() -> None:
    record = SimpleNamespace(topic="sms.jobs", partition=3, offset=42, value=b"\xff{")
    value = json.loads(dead_letter(record, JobError("text", "is missing")))
    assert value == {
        "v": 1,
        "topic": "sms.jobs",
        "partition": 3,
        "offset": 42,
        "field": "text",
        "error": "is missing",
        "value_base64": base64.b64encode(b"\xff{").decode(),
    }


CONTENT_TYPES = st.sampled_from([None, "application/json", "application/msgpack", "text/x"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
ODD = st.fixed_dictionaries({}, optional=dict.fromkeys((*FULL, "other"), ANYTHING)).map(
    lambda fields: PLAIN | fields
)


def taken_or_refused(value: bytes, content_type: str | None) -> None:
    try:
        job = decode(value, content_type, NOW)
    except JobError as exc:
        error = exc
    else:
        assert 1 <= len(job.id) <= 64
        assert 1 <= len(job.to) <= 1000
        assert 1 <= len(job.text) <= 2000
        return
    dead_letter(SimpleNamespace(topic="t", partition=0, offset=0, value=value), error)
    assert error.field
    assert "allowed" in error.error


@given(st.binary(max_size=80), CONTENT_TYPES)
@example(struct.pack(">BBq", 0xC7, 8, -1), "application/msgpack")
@example(b"\xd6\xff\xff\xff\xff\xff", "application/msgpack")
def test_any_octets_are_a_job_or_a_joberror(value: bytes, content_type: str | None) -> None:
    taken_or_refused(value, content_type)


@given(ODD)
def test_any_values_are_a_job_or_a_joberror(fields: dict[str, Any]) -> None:
    taken_or_refused(json.dumps(fields).encode(), None)
    taken_or_refused(msgpack.packb(fields), "application/msgpack")


@given(st.binary(max_size=8), st.integers(0, 200), CONTENT_TYPES)
def test_a_damaged_record_is_a_job_or_a_joberror(
    damage: bytes, at: int, content_type: str | None
) -> None:
    fields = FULL | {"meta": {"a": 1}}
    packed = content_type == "application/msgpack"
    value = msgpack.packb(fields) if packed else json.dumps(fields).encode()
    taken_or_refused(value[:at] + damage + value[at + len(damage) :], content_type)
