"""Every golden vector, read and written."""

from __future__ import annotations

from typing import Any

import pytest

from protocols.cmpp import digest as cmpp_digest
from protocols.cmpp import msgid as cmpp_msgid
from protocols.cmpp import pdus as cmpp
from protocols.explain import PROTOCOLS, explain
from protocols.smgp import digest as smgp_digest
from protocols.smgp import msgid as smgp_msgid

from . import vectors

# Inputs of digests and of the encoders that made the vectors.
NOT_ON_THE_WIRE = {"secret", "omit_body", "dest_terminal_id_width"}
PASSWORDS = {"password", "login_password"}

# Stray octets behind the last parameter: read, but not to be written.
NEGATIVE = {"fx_smsgate_smgp_submit_testerr"}

PDUS = vectors.pdus()
SOUND = [v for v in PDUS if v["id"] not in NEGATIVE]
every_pdu = pytest.mark.parametrize("vector", PDUS, ids=[v["id"] for v in PDUS])
every_sound_pdu = pytest.mark.parametrize("vector", SOUND, ids=[v["id"] for v in SOUND])


def read(vector: dict[str, Any]) -> dict[str, Any]:
    data = bytes.fromhex(vector["hex"])
    (found,) = explain(vector["protocol"], vectors.version(vector), data)
    assert (found.pdu, found.offset, found.length) == (vector["pdu"], 0, len(data))
    return found.fields


def expected(vector: dict[str, Any]) -> dict[str, Any]:
    said = {k: v for k, v in vector["fields"].items() if k not in NOT_ON_THE_WIRE}
    if vector["pdu"] == "connect_resp":
        said.pop("authenticator_source_hex", None)
    for name in PASSWORDS & said.keys():
        said[name] = "***"
    return said


def as_shown(said: Any, shown: Any) -> Any:
    """What a vector says, in the form that `shown` has: parameters are pairs in some files."""
    if isinstance(said, list) and isinstance(shown, list) and len(said) == len(shown):
        return [as_shown(a, b) for a, b in zip(said, shown, strict=True)]
    if isinstance(shown, dict) and isinstance(said, list):
        return {**shown, "tag": said[0], "value_hex": said[1]}
    if isinstance(shown, dict) and isinstance(said, dict):
        return {**shown, **said}
    return said


@every_pdu
def test_a_vector_reads_as_its_fields(vector: dict[str, Any]) -> None:
    shown = read(vector)
    for name, said in expected(vector).items():
        assert shown[name] == as_shown(said, shown[name]), name


@every_sound_pdu
def test_a_vector_names_every_field_that_is_shown(vector: dict[str, Any]) -> None:
    derived = {"report", "msg_content_hex", "sequence_id"}
    assert set(read(vector)) - derived <= set(vector["fields"]) | {"tlv"}


@every_sound_pdu
def test_the_fields_of_a_vector_write_its_octets(vector: dict[str, Any]) -> None:
    module = PROTOCOLS[vector["protocol"]]
    data = bytes.fromhex(vector["hex"])
    _, decoded = module.decode_body(vectors.version(vector), vectors.command(vector), data)
    said = dict(vector["fields"])
    if vector["protocol"] == "cmpp" and "report" in said:
        said["msg_content_hex"] = report_content(said["report"]).hex()
    made = vectors.body(type(decoded), said).encode()
    whole = vectors.header(vector, module.HEADER.size + len(made)) + made
    assert whole.hex() == vector["hex"]


def report_content(said: dict[str, Any]) -> bytes:
    kind = cmpp.Report3 if said["dest_terminal_id_width"] == 32 else cmpp.Report2
    return vectors.body(kind, said).encode()


def test_a_report_body_alone_reads_and_writes() -> None:
    (vector,) = [v for v in vectors.load("fixtures_cmpp.json") if v["pdu"] == "report_body"]
    content = bytes.fromhex(vector["hex"])
    said = {k: v for k, v in vector["fields"].items() if k not in NOT_ON_THE_WIRE}
    assert cmpp.read_report(content).show() == said
    assert report_content(vector["fields"]) == content


def test_the_mandatory_part_of_a_submit_with_stray_octets_is_read() -> None:
    (vector,) = [v for v in PDUS if v["id"] in NEGATIVE]
    shown = read(vector)
    assert (shown["msg_format"], shown["msg_length"]) == (8, 90)
    assert shown["msg_content_hex"].startswith("050003340101")
    assert shown["tlv"] == []


AUTH = vectors.load("auth.json")


@pytest.mark.parametrize("row", [r for r in AUTH if r["protocol"] == "cmpp"], ids=str)
def test_cmpp_digests(row: dict[str, Any]) -> None:
    source = cmpp_digest.source(row["source_addr"], row["secret"], row["timestamp_text"])
    assert source.hex() == row["authenticator_source_hex"]
    for width, name in (
        (1, "authenticator_ismg_v2_status1_hex"),
        (4, "authenticator_ismg_v3_status4_hex"),
    ):
        proof = cmpp_digest.ismg(row["status"], source, row["secret"], width=width)
        assert proof.hex() == row[name]


@pytest.mark.parametrize("row", [r for r in AUTH if r["protocol"] == "smgp"], ids=str)
def test_smgp_digests(row: dict[str, Any]) -> None:
    client = smgp_digest.client(row["client_id"], row["secret"], row["timestamp_text"])
    assert client.hex() == row["authenticator_client_hex"]
    server = smgp_digest.server(row["status"], client, row["secret"])
    assert server.hex() == row["authenticator_server_hex"]


IDS = vectors.load("message_ids.json")


@pytest.mark.parametrize("row", [r for r in IDS if r["protocol"] == "cmpp"], ids=lambda r: r["hex"])
def test_cmpp_message_ids(row: dict[str, Any]) -> None:
    raw = bytes.fromhex(row["hex"])
    names = ("month", "day", "hour", "minute", "second", "gateway", "sequence")
    assert cmpp_msgid.parts(raw) == tuple(row[name] for name in names)
    assert cmpp_msgid.text(raw) == row["text22"]
    assert int.from_bytes(raw) == row["uint64"]


@pytest.mark.parametrize("row", [r for r in IDS if r["protocol"] == "smgp"], ids=lambda r: r["hex"])
def test_smgp_message_ids(row: dict[str, Any]) -> None:
    raw = bytes.fromhex(row["hex"])
    assert smgp_msgid.parts(raw) == (row["gateway"], row["time_mmddhhmm"], row["sequence"])
