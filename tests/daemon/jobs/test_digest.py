"""The same content is the same digest; what is kept comes back."""

from __future__ import annotations

import json
import string
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from daemon.jobs import Job, Lane, decode, digest, pack, unpack

NOW = 1795305600.0
PLAIN: dict[str, Any] = {"id": "j-1", "to": "13912345678", "text": "你好"}
DEFAULTS = {"tenant": "default", "ext": "", "priority": "normal", "report": True}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {"id": TEXT, "to": TEXT | st.lists(TEXT, min_size=1, max_size=4), "text": TEXT},
    optional={
        "signature": st.text("天津ab", min_size=2, max_size=20),
        "tenant": TEXT,
        "ext": st.text(string.digits, max_size=8),
        "priority": st.sampled_from(["urgent", "normal", "bulk"]),
        "not_before": st.sampled_from(["2026-11-22T08:00:00+08:00", "2026-11-22T00:00:01Z"]),
        "expires_at": st.sampled_from(["2026-11-22T08:00:00+08:00", "2026-11-22T00:00:01.5Z"]),
        "report": st.booleans(),
        "account": TEXT,
        "on_uncertain": st.sampled_from(["resend", "wait"]),
        "meta": st.dictionaries(TEXT, JSON, max_size=4),
    },
)


def of_json(fields: dict[str, Any], **how: Any) -> Job:
    return decode(json.dumps(fields, **how).encode(), None, NOW)


def of_msgpack(fields: dict[str, Any]) -> Job:
    return decode(msgpack.packb(fields), "application/msgpack", NOW)


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(one) for key, one in reversed(value.items())}
    return [reversed_keys(one) for one in value] if isinstance(value, list) else value


@given(FIELDS)
def test_every_spelling_of_one_content_has_one_digest(fields: dict[str, Any]) -> None:
    spellings = [
        of_json(fields),
        of_json(fields, ensure_ascii=False, indent=1),
        of_json(reversed_keys(fields)),
        of_json(DEFAULTS | fields),
        of_msgpack(fields),
        of_msgpack(reversed_keys(DEFAULTS | fields)),
    ]
    assert len({digest(job) for job in spellings}) == 1
    assert len(digest(spellings[0])) == 16


@given(FIELDS)
def test_what_is_packed_comes_back(fields: dict[str, Any]) -> None:
    job = of_json(fields)
    back = unpack(pack(job))
    assert back == job
    assert isinstance(back.priority, Lane)
    assert isinstance(back.to, tuple)
    assert digest(back) == digest(job)


@given(FIELDS, FIELDS)
def test_other_content_has_another_digest(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = of_json(one), of_json(other)
    if digest(first) == digest(second):
        first.meta = second.meta = None  # its keys may be in another order
        assert first == second


def test_each_field_counts() -> None:
    base = digest(of_json(PLAIN))
    changes: list[dict[str, Any]] = [
        {"id": "j-2"},
        {"to": "13912345679"},
        {"to": ["13912345678", "13912345678"]},
        {"text": "您好"},
        {"signature": "天津"},
        {"tenant": "other"},
        {"ext": "1"},
        {"priority": "bulk"},
        {"not_before": "2026-11-22T08:00:00+08:00"},
        {"expires_at": "2026-11-22T08:00:00+08:00"},
        {"report": False},
        {"account": "a"},
        {"account": ""},
        {"on_uncertain": "resend"},
        {"meta": {}},
        {"meta": {"a": 1}},
    ]
    digests = {digest(of_json(PLAIN | change)) for change in changes}
    assert len(digests) == len(changes)
    assert base not in digests


def test_one_instant_in_two_offsets_is_the_same_content() -> None:
    assert digest(of_json(PLAIN | {"expires_at": "2026-11-22T08:00:00+08:00"})) == digest(
        of_json(PLAIN | {"expires_at": "2026-11-22T00:00:00.000Z"})
    )


def test_one_recipient_is_the_same_with_and_without_the_array() -> None:
    assert digest(of_json(PLAIN)) == digest(of_json(PLAIN | {"to": ["13912345678"]}))


def test_digests_stay_what_they_are_between_versions() -> None:
    # A repeat is told from other content by digests that an older version wrote.
    full = PLAIN | {
        "signature": "天津",
        "ext": "12",
        "priority": "urgent",
        "meta": {"b": 1, "a": 2},
    }
    assert digest(of_json(PLAIN)).hex() == "d272ec474f58b5903f2a6da6bb081850"
    assert digest(of_json(full)).hex() == "c3831a95fdc288e730a1a337baccac36"


def test_a_body_of_an_older_or_newer_version_is_read() -> None:
    older = msgpack.packb({"id": "j", "to": ["1"], "text": "a"})
    newer = msgpack.packb({"id": "j", "to": ["1"], "text": "a", "colour": "red"})
    assert unpack(older) == unpack(newer) == Job("j", ("1",), "a")


def test_meta_comes_back_in_the_producers_order() -> None:
    assert of_json(PLAIN | {"meta": {"b": 1, "a": [1, {"d": 1, "c": 2}]}}).meta == (
        b'{"b":1,"a":[1,{"d":1,"c":2}]}'
    )
