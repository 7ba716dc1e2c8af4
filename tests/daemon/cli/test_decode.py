"""`carrierd decode`, as its users call it."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from daemon.cli import main

ACTIVE_TEST = "0000000c 00000008 00000001"
SUBMIT_RESP = "00000018800000040000000b1425e1400001ffff00000008"
LOGIN = (
    "0000003d00000001000000000000000000000001"
    "01" + b"user".hex().ljust(32, "0") + (b"hidden".hex().ljust(32, "0") + "00" * 8)
)


def decode(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["decode", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[Any], str]:
    status, out, err = decode(capsys, *arguments, "--json")
    return status, json.loads(out), err


def test_pdus_come_as_a_list_with_their_places(capsys: pytest.CaptureFixture[str]) -> None:
    status, found, err = as_json(capsys, "cmpp-3.0", ACTIVE_TEST + SUBMIT_RESP)
    assert (status, err) == (0, "")
    assert found == [
        {
            "pdu": "active_test",
            "version": "3.0",
            "offset": 0,
            "length": 12,
            "fields": {"sequence_id": 1},
        },
        {
            "pdu": "submit_resp",
            "version": "3.0",
            "offset": 12,
            "length": 24,
            "fields": {"sequence_id": 11, "msg_id": 1451814119891140607, "result": 8},
        },
    ]


@pytest.mark.parametrize(
    ("protocol", "newest"), [("cmpp", "3.0"), ("sgip", "1.2"), ("smgp", "3.0"), ("smpp", "3.4")]
)
def test_the_newest_version_is_taken_when_none_is_named(
    capsys: pytest.CaptureFixture[str], protocol: str, newest: str
) -> None:
    ends = {
        "cmpp": "0000000c8000000200000001",
        "sgip": "0000001400000002" + "00" * 12,
        "smgp": "0000000c0000000600000001",
        "smpp": "00000010000000060000000000000001",
    }
    _, (pdu), _ = as_json(capsys, protocol, ends[protocol])
    assert [found["version"] for found in pdu] == [newest]
    assert main(["decode", f"{protocol}-{newest}", ends[protocol]]) == 0


def test_octets_may_be_spaced_and_marked(capsys: pytest.CaptureFixture[str]) -> None:
    plain = decode(capsys, "cmpp", "".join(ACTIVE_TEST.split()))
    assert decode(capsys, "cmpp", "0x0000000C", "0x00000008\n0x00 00 00 01") == plain
    assert plain[0] == 0


def test_a_dash_reads_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(ACTIVE_TEST + "\n" + SUBMIT_RESP + "\n"))
    status, out, _ = decode(capsys, "cmpp", "-")
    assert status == 0
    assert out.count("version 3.0") == 2


def test_passwords_are_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    status, (found,), _ = as_json(capsys, "sgip", LOGIN)
    assert status == 0
    assert found["fields"]["login_password"] == "***"
    assert found["fields"]["login_name"] == "user"


def test_parameters_have_tag_name_and_value(capsys: pytest.CaptureFixture[str]) -> None:
    deliver = "010061011617000123450000" + "00" * 14 + "00" * 42 + "00" + "00" * 8
    raw = deliver + "0002000101" + "00140002abcd"
    pdu = f"{12 + len(raw) // 2:08x}0000000300000001{raw}"
    _, (found,), _ = as_json(capsys, "smgp", pdu)
    assert found["fields"]["tlv"] == [
        {"tag": "0002", "name": "TP_udhi", "value_hex": "01"},
        {"tag": "0014", "name": None, "value_hex": "abcd"},
    ]


@pytest.mark.parametrize(
    ("octets", "offset"),
    [
        (ACTIVE_TEST + "0000000c0000", 18),  # ends inside a header
        (ACTIVE_TEST + SUBMIT_RESP[:-2], 35),  # ends inside a body
        (ACTIVE_TEST + "0000000b0000000800000001", 12),  # shorter than its header
        (ACTIVE_TEST + "ffffffff0000000800000001", 12),
        (ACTIVE_TEST + "0000000c0000009900000001", 16),  # no such command
        (ACTIVE_TEST + "0000001480000004000000011425e14000010000", 32),  # without a result
        (ACTIVE_TEST + " zz", 12),
        (ACTIVE_TEST + "0", 12),
    ],
)
def test_the_first_wrong_octet_is_named_after_what_came_before_it(
    capsys: pytest.CaptureFixture[str], octets: str, offset: int
) -> None:
    status, found, err = as_json(capsys, "cmpp", octets)
    assert status == 2
    assert [pdu["pdu"] for pdu in found] == ["active_test"]
    assert f"offset {offset}:" in err
    status, out, err = decode(capsys, "cmpp", octets)
    assert status == 2
    assert out.startswith("active_test")
    assert f"offset {offset}:" in err


def test_no_octets_at_all_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert decode(capsys, "cmpp", "")[0] == 2


@pytest.mark.parametrize("protocol", ["cmp", "cmpp-4.0", "cmpp-", "sgip-3.0"])
def test_an_unknown_protocol_or_version_names_those_that_are_known(
    capsys: pytest.CaptureFixture[str], protocol: str
) -> None:
    status, _, err = decode(capsys, protocol, ACTIVE_TEST)
    assert status == 2
    assert "cmpp-2.0, cmpp-3.0" in err


def test_people_see_the_text_of_a_part(capsys: pytest.CaptureFixture[str]) -> None:
    content = "050003a70201" + "你好".encode("utf-16-be").hex()
    raw = (
        "00" * 8 + "00" * 21 + "00" * 10 + "000108" + "00" * 32 + "0000"
        f"{len(content) // 2:02x}" + content + "00" * 20
    )
    status, out, _ = decode(capsys, "cmpp", f"{12 + len(raw) // 2:08x}0000000500000001{raw}")
    assert status == 0
    assert "part 1 of 2, reference 167" in out
    assert "你好" in out
