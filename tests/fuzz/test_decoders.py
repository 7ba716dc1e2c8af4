"""What else reads octets of others: jobs, configuration, inbound parts, receipts, decode."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import msgpack
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config import ConfigError, examine
from daemon.config.lines import Lines
from daemon.jobs import JobError, decode, digest, pack, unpack
from protocols import ids
from protocols.errors import DecodeError
from protocols.explain import PROTOCOLS, explain, versions
from protocols.smgp import report as smgp_report
from protocols.smpp import receipts
from protocols.smpp.inbound import sar
from protocols.text import header
from protocols.text.coding import decode as read_text
from protocols.text.join import Joiner

from .corpus import golden
from .mutate import Mutator

NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
JOB = {
    "id": "j-1", "to": ["13912345678", "+86 139-1234-5678"], "text": "您的验证码是 123456",
    "signature": "测试", "tenant": "t", "ext": "12", "priority": "urgent",
    "not_before": "2026-11-22T10:00:00+08:00", "expires_at": "2026-11-23T10:00:00Z",
    "report": True, "account": "a", "on_uncertain": "wait", "meta": {"a": [1, {"b": None}]},
}  # fmt: skip
CONFIG = (Path(__file__).parents[2] / "config" / "example.toml").read_text(encoding="utf-8")
BENT = ("", "=", "[", "]", "[[", '"', '"""', "'''", "#", "\n", "\\", "{", "}", ",", ".", "\t",
        "nan", "-1", "1e400", "9" * 30, "true", "\u200b", "accounts", "nodes", "\x00")  # fmt: skip

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["2026-11-22T10:00:00+08:00", "0001-01-01T00:00:00Z", "urgent", "resend"])
)  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def job(value: bytes, content_type: str | None) -> None:
    """It is a job that can be kept, or a JobError that names its field."""
    try:
        found = decode(value, content_type, NOW)
    except JobError as exc:
        refusal = exc
    else:
        assert unpack(pack(found)) == found
        assert len(digest(found)) == 16
        return
    assert isinstance(refusal.field, str)
    assert refusal.error


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(st.sampled_from([*JOB, "more"]), anything, max_size=3))
def test_a_job_with_any_values_is_read_or_refused(changes: dict[str, object]) -> None:
    record = {**JOB, **changes}
    job(msgpack.packb(record, default=str) if _packs(record) else b"", "application/msgpack")
    try:
        text = orjson.dumps(record)
    except (TypeError, ValueError):
        return
    job(text, None)


def _packs(record: dict[str, object]) -> bool:
    try:
        msgpack.packb(record)
    except (ValueError, OverflowError):
        return False
    return True


def test_jobs_with_bent_octets_are_read_or_refused() -> None:
    chance = random.Random(20261122)
    sources = [(orjson.dumps(JOB), None), (msgpack.packb(JOB), "application/msgpack")]
    refused = 0
    for turn in range(6_000):
        source, content_type = sources[turn % 2]
        bent = bytearray(source)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(bent))
            way = chance.randrange(4)
            if way == 0:
                bent[at] = chance.randrange(256)
            elif way == 1:
                del bent[at : at + chance.randint(1, 8)]
            elif way == 2:
                bent[at:at] = bent[at : at + chance.randint(1, 30)]
            else:
                bent[at:at] = chance.choice((b"[" * 2000, b'{"a":' * 500, b"\xdd\xff\xff\xff\xff"))
            if not bent:
                break
        try:
            decode(bytes(bent), content_type, NOW)
        except JobError:
            refused += 1
    assert 3_000 < refused < 6_000


@settings(max_examples=100, deadline=None)
@given(value=st.binary(max_size=300), content_type=st.sampled_from([None, "application/msgpack"]))
def test_no_octets_are_a_job_by_accident(value: bytes, content_type: str | None) -> None:
    with pytest.raises(JobError):
        decode(value, content_type, NOW)


def test_a_bent_configuration_is_refused_with_lines_that_exist(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    file = tmp_path / "bent.toml"
    faults: list[tuple[int, list[int]]] = []
    for _ in range(150):
        text = CONFIG
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(len(text))
            end = start + chance.choice((0, 0, 1, 5, 40))
            text = text[:start] + chance.choice(BENT) + text[end:]
        file.write_bytes(text.encode())
        try:
            examine(file, environ={})
        except ConfigError as exc:
            faults.append((text.count("\n") + 1, [fault.line for fault in exc.faults]))
    assert len(faults) > 60
    assert all(found and 1 <= min(found) <= max(found) <= most for most, found in faults)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("ab=[]{}\"'#.,\n\\ 0\t"), max_size=80))
def test_the_lines_of_no_text_are_an_error(text: str) -> None:
    Lines(text)


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.binary(max_size=12), st.sampled_from([0, 3, 4, 8, 15, 25, 255])), max_size=30
    ),
    protocol=st.sampled_from(sorted(PROTOCOLS)),
    most=st.integers(1, 12),
)
def test_inbound_parts_of_any_octets_come_back_once_and_are_bounded(
    parts: list[tuple[bytes, int]], protocol: str, most: int
) -> None:
    joiner = Joiner(10.0, most=most)
    back: list[object] = []
    for now, (content, coding) in enumerate(parts):
        head = header.read(content) or header.guess(content) or header.Header(content)
        joined = joiner.add("k", head, coding, float(now), now)
        if joined is not None:
            back += joined.tokens
            assert isinstance(joined.text(protocol), str)
        assert joiner._held <= most + 1
    for joined in joiner.expire(1e9):
        back += joined.tokens
        assert isinstance(joined.text(protocol), str)
    assert sorted(back, key=lambda token: int(str(token))) == list(range(len(parts)))
    assert (len(joiner), joiner._held) == (0, 0)


words = st.sampled_from(
    [b"id:", b"sub:", b"dlvrd:", b"submit date:", b"done date:", b"stat:", b"err:", b"text:",
     b"Text:", b"DELIVRD", b" ", b"\0", b",", b"1234567890", b"\xff", b"id_", b"Submit_Date:"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(text=st.lists(words | st.binary(max_size=12), max_size=25).map(b"".join))
def test_receipts_of_any_words_are_read_or_empty(text: bytes) -> None:
    found = receipts.parse(text)
    assert len(found.id) <= 64
    said = smgp_report.parse(text)
    assert said is None or said.id
    delivered = smgp_report.delivered(text)
    assert delivered is None or (
        said is not None and (said.id, said.code) == (delivered, "DELIVRD")
    )
    for form in ("auto", "text", "hex", "decimal"):
        keys, exact = ids.smpp_keys(found.id, form) if found.id else ((), 0)  # type: ignore[arg-type]
        assert exact <= len(keys)


def test_a_receipt_as_long_as_a_frame_takes_no_time() -> None:
    """A payload of 64 KiB, and patterns that make a careless expression go back over and over."""
    from time import process_time

    for piece in (b"id:", b"id: id:", b" ", b"stat", b"submit date:", b"id:a ", b"done_", b"\0id:"):
        text = (piece * 65_536)[:65_536]
        began = process_time()
        receipts.parse(text)
        smgp_report.parse(text)
        assert process_time() - began < 0.5, piece


@settings(max_examples=200, deadline=None)
@given(
    values=st.dictionaries(
        st.sampled_from([0x020C, 0x020E, 0x020F]), st.binary(max_size=6), max_size=3
    )
)
def test_sar_parameters_of_any_size_make_sense_or_none(values: dict[int, bytes]) -> None:
    found = sar(values)
    assert found is None or 1 <= found[2] <= found[1] <= 255


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=170), coding=st.integers(0, 255),
    protocol=st.sampled_from(sorted(PROTOCOLS)),
)  # fmt: skip
def test_octets_in_any_coding_are_some_text(content: bytes, coding: int, protocol: str) -> None:
    read_text(content, coding, protocol).encode()


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_decode_reads_mutants_or_says_where_they_are_wrong(protocol: str) -> None:
    at, size = (12, 4) if protocol == "smpp" else (8, 12 if protocol == "sgip" else 4)
    mutator = Mutator(golden(protocol), [1, 4, 5], at, size, random.Random(7))
    wrong: list[int] = []
    for _ in range(1_500):
        octets = mutator.mutant() + mutator.valid()
        for version in versions(protocol):
            try:
                for explained in explain(protocol, version, octets):
                    orjson.dumps(explained.fields)
                    assert (
                        "password" not in explained.fields or explained.fields["password"] == "***"
                    )
            except DecodeError as exc:
                wrong.append(len(octets) - exc.offset)
    assert len(wrong) > 100
    assert min(wrong) >= 0
