"""The JSON Schemas and the AsyncAPI document agree with what the daemon takes and publishes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from daemon import jobs, refusal, schemas
from daemon.codes.table import CAUSES
from daemon.config.schema import Carrier, Topics
from daemon.model import FINAL, State

RECORDS = ("job", "report", "inbound", "dead")
VALIDATORS = {name: Draft202012Validator(schemas.load(name)) for name in RECORDS}
JOB = VALIDATORS["job"]
LONG_AFTER = 1e15
"""A time after which no `not_before` is too far ahead: a schema does not know what time it is."""


class Record(NamedTuple):
    """As the broker gives it."""

    value: bytes
    topic: str = "sms.jobs"
    partition: int = 3
    offset: int = 11


def verdict(record: Any) -> jobs.JobError | None:
    """What the decoder says: the error of the dead record, or None for a job."""
    try:
        jobs.decode(json.dumps(record, ensure_ascii=False).encode(), None, LONG_AFTER)
    except jobs.JobError as error:
        return error
    return None


@pytest.mark.parametrize("name", RECORDS)
def test_a_schema_is_one_and_its_examples_fit(name: str) -> None:
    schema = schemas.load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["examples"]
    for shown in schema["examples"]:
        VALIDATORS[name].validate(shown)


def test_the_example_of_a_job_is_a_job() -> None:
    for shown in schemas.load("job")["examples"]:
        assert verdict(shown) is None


def test_the_schema_of_jobs_has_the_decoders_fields_and_limits() -> None:
    fields = schemas.load("job")["properties"]
    assert list(fields) == list(refusal.FIELDS) == list(jobs.Job.__struct_fields__)
    assert fields["id"]["maxLength"] == refusal.LONGEST_ID
    assert fields["text"]["maxLength"] == refusal.LONGEST_TEXT
    assert (fields["signature"]["minLength"], fields["signature"]["maxLength"]) == refusal.SIGNATURE
    assert fields["to"]["anyOf"][1]["maxItems"] == refusal.MOST_RECIPIENTS
    assert tuple(fields["priority"]["enum"]) == refusal.PRIORITIES
    assert tuple(fields["on_uncertain"]["enum"]) == refusal.POLICIES


def test_the_schema_of_reports_has_the_daemons_words() -> None:
    fields = schemas.load("report")["properties"]
    said = (State.ACCEPTED, State.UNCERTAIN, *sorted(FINAL))
    assert set(fields["state"]["enum"]) == {state.name.lower() for state in said}
    assert {one for one in fields["cause"]["enum"] if one is not None} == set(CAUSES)
    assert {one for one in fields["carrier"]["enum"] if one is not None} == set(get_args(Carrier))


def moments() -> st.SearchStrategy[str]:
    """Times as people write them, right and nearly right, on days that every month has."""
    two = st.integers(0, 99).map("{:02}".format)
    likely = st.one_of(
        st.integers(0, 24).map("{:02}".format), st.integers(0, 60).map("{:02}".format), two
    )
    day = st.one_of(st.integers(0, 28), st.integers(32, 99)).map("{:02}".format)
    second = st.one_of(st.integers(0, 59), st.integers(61, 99)).map("{:02}".format)
    offset = st.one_of(
        st.sampled_from(["Z", "z", "", "+08:00", "-00:00", "+0800", "+08", "Z\n"]),
        st.builds("{}{}:{}".format, st.sampled_from("+-±"), likely, likely),
    )
    return st.builds(
        "{}-{}-{}{}{}:{}:{}{}{}".format,
        st.sampled_from(["2026", "0001", "0000", "9999", "26", "２０２６"]),
        st.integers(0, 13).map("{:02}".format), day, st.sampled_from("Tt _"),
        likely, likely, second, st.sampled_from(["", ".5", ".", ".123456789", ",5"]), offset,
    )  # fmt: skip


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e9, 1e9)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def texts(*lengths: int) -> st.SearchStrategy[str]:
    """Of these lengths, in code points, of characters of one to four octets."""
    return st.builds(
        lambda one, length: one * length, st.sampled_from("aé测😀"), st.sampled_from(lengths)
    )


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "id": texts(0, 1, 64, 65),
    "to": st.one_of(
        st.sampled_from(["13800138000", ""]),
        st.lists(st.sampled_from(["13800138000", "", 1]), max_size=3),
        st.integers(999, 1001).map(lambda count: ["13800138000"] * count),
    ),
    "text": texts(0, 1, 2000, 2001),
    "signature": texts(0, 1, 2, 20, 21),
    "tenant": st.text(max_size=3),
    "ext": st.sampled_from(["", "01", "1" * 30, "1 ", "1\n", "٣", "a", "²"]),
    "priority": st.sampled_from(["urgent", "normal", "bulk", "Bulk", ""]),
    "not_before": moments(),
    "expires_at": moments(),
    "report": st.booleans(),
    "account": st.text(max_size=3),
    "on_uncertain": st.sampled_from(["resend", "wait", "", "never"]),
    "meta": st.dictionaries(st.text(max_size=3), ANY, max_size=3),
    "unknown": ANY,
}
SOUND = {"id": "j-1", "to": "13800138000", "text": "hello"}
ONE_WRONG = st.one_of(st.tuples(st.just(name), st.one_of(own, ANY)) for name, own in FIELDS.items())


@settings(max_examples=300)
@given(changes=st.lists(ONE_WRONG, max_size=2), missing=st.sampled_from([None, *SOUND]))
@example(changes=[("expires_at", "0001-01-01T00:00:00+23:59")], missing=None)
@example(changes=[("not_before", "9999-12-28T23:59:59-23:59")], missing=None)
def test_the_schema_takes_and_refuses_what_the_decoder_does(
    changes: list[tuple[str, Any]], missing: str | None
) -> None:
    record = {**SOUND, **dict(changes)}
    if missing is not None:
        record.pop(missing)
    error = verdict(record)
    wrong = [fault.message[:200] for fault in JOB.iter_errors(record)]
    assert (error is None) == (not wrong), f"decoder: {error}, schema: {wrong}"
    if error is not None:
        raw = json.dumps(record, ensure_ascii=False).encode()
        VALIDATORS["dead"].validate(json.loads(jobs.dead_letter(Record(raw), error)))


@given(ANY.filter(lambda value: not isinstance(value, dict)))
def test_what_is_no_object_is_no_job_to_either(value: Any) -> None:
    assert verdict(value) is not None
    assert not JOB.is_valid(value)


def test_a_schema_of_what_is_published_lets_later_versions_add_keys() -> None:
    for name in ("report", "inbound", "dead"):
        (shown,) = schemas.load(name)["examples"]
        VALIDATORS[name].validate({**shown, "of_a_later_version": 1})


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def test_asyncapi_names_every_topic_that_others_use_and_refers_to_what_is_there() -> None:
    document = schemas.load("asyncapi")
    assert document["asyncapi"].startswith("3.")
    topics = Topics()
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {*topics.jobs, topics.reports, topics.inbound, topics.dead}
    found = set(refs(document))
    assert {ref for ref in found if ref.startswith("./")} == {f"./{name}.json" for name in RECORDS}
    for ref in found:
        place: Any = document
        if ref.startswith("#/"):
            for step in ref[2:].split("/"):
                place = place[step]
    operations = document["operations"].values()
    taken = {o["channel"]["$ref"] for o in operations if o["action"] == "receive"}
    told = {o["channel"]["$ref"] for o in operations if o["action"] == "send"}
    assert taken | told == {f"#/channels/{name}" for name in document["channels"]}
    assert not taken & told


def test_a_name_that_is_no_schema_is_refused() -> None:
    with pytest.raises(KeyError):
        schemas.text("../jobs")
