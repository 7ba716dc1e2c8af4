"""The JSON Schemas and the AsyncAPI document agree with what the daemon takes and publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
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


def test_the_records_that_the_readme_shows_fit_their_schemas() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```json\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    for name, text in zip(("job", "report", "inbound"), shown, strict=True):
        VALIDATORS[name].validate(json.loads(text))


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


PIECES: list[tuple[list[str], list[str]]] = [
    (["2020", "0001", "1969"], ["0000", "20", "２０２０", "-2020"]),
    (["-01", "-09", "-12"], ["-00", "-13", "-1", "/01", ""]),
    (["-01", "-28"], ["-00", "-32", "-1", ""]),
    (["T", "t", " "], ["", "_", "T ", "\n"]),
    (["00", "19", "23"], ["24", "7", "-1"]),
    ([":00", ":59"], [":60", ":7", "", ".00"]),
    ([":00", ":59"], [":61", ":7", ""]),
    (["", ".5", ".123456789"], [".", ",5", ".x"]),
    (
        ["Z", "z", "+08:00", "-00:00", "+23:59"],
        ["", "+0800", "+08", "+24:00", "+00:60", "Z\n", "±08:00"],
    ),
]
"""What a time is made of, right and wrong; days are those of every month."""


@st.composite
def moments(draw: st.DrawFn) -> str:
    """Times with at most one piece wrong."""
    wrong = draw(st.integers(-1, len(PIECES) - 1))
    return "".join(
        draw(st.sampled_from(bad if at == wrong else good)) for at, (good, bad) in enumerate(PIECES)
    )


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


def texts(*lengths: int) -> list[str]:
    """Of these lengths, in code points, of characters of one to four octets."""
    return [one * length for length in lengths for one in "aé测😀"]


EDGES: dict[str, list[Any]] = {
    "id": texts(0, 1, 64, 65),
    "to": [
        "", "13800138000", "any", [], [""], ["13800138000", 1], [None],
        *(["13800138000"] * count for count in (1, 1000, 1001)),
    ],
    "text": texts(0, 1, 2000, 2001),
    "signature": texts(0, 1, 2, 20, 21),
    "tenant": ["", "default", "租户"],
    "ext": ["", "01", "1" * 30, "1 ", "1\n", "\n1", "٣", "a", "²"],
    "priority": ["urgent", "normal", "bulk", "Bulk", "", "urgent\n"],
    "not_before": ["2020-02-28T00:00:00Z", "2020-02-28T00:00:00", "2020-02-28"],
    "expires_at": ["2016-12-31T23:59:60Z", "2020-01-01 00:00:00.123456789+00:00"],
    "report": [True, False, 1, "true"],
    "account": ["", "xz-mobile"],
    "on_uncertain": ["resend", "wait", "", "never"],
    "meta": [{}, {"order": 17}, {"deep": {"er": [1, None]}}, []],
    "unknown": [1],
}  # fmt: skip
"""Values of each field at the edges of what is allowed, on both sides."""
SOUND = {"id": "j-1", "to": "13800138000", "text": "hello"}


def agree(record: dict[str, Any]) -> bool:
    """Whether both take it; an assertion when one takes what the other refuses."""
    error = verdict(record)
    wrong = [fault.message[:200] for fault in JOB.iter_errors(record)]
    assert (error is None) == (not wrong), f"decoder: {error}, schema: {wrong}, record: {record}"
    if error is not None:
        raw = json.dumps(record, ensure_ascii=False).encode()
        VALIDATORS["dead"].validate(json.loads(jobs.dead_letter(Record(raw), error)))
    return error is None


@pytest.mark.parametrize("field", EDGES)
def test_at_the_edges_of_a_field_schema_and_decoder_agree(field: str) -> None:
    assert {agree({**SOUND, field: value}) for value in (*EDGES[field], None)} >= {False}
    without = {key: value for key, value in SOUND.items() if key != field}
    assert agree(without) == (field not in SOUND)


@settings(max_examples=150)
@given(field=st.sampled_from([*EDGES]), value=ANY)
def test_whatever_stands_in_a_field_schema_and_decoder_agree(field: str, value: Any) -> None:
    agree({**SOUND, field: value})


@settings(max_examples=400)
@given(field=st.sampled_from(["not_before", "expires_at"]), value=moments())
@example(field="expires_at", value="0001-01-01T00:00:00+23:59")
@example(field="not_before", value="9999-12-28T23:59:59-23:59")
def test_whatever_looks_like_a_time_schema_and_decoder_agree(field: str, value: str) -> None:
    agree({**SOUND, field: value})


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
