"""What a CMPP gateway refuses, and with which result."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from protocols.cmpp import digest, pdus
from protocols.cmpp.gateway import CmppGateway
from protocols.cmpp.msgid import MsgIds, parts
from protocols.cmpp.strict import Rules
from protocols.errors import EncodeError
from protocols.events import Closed, Fate, LoginAsked, Malformed, Submitted, Taken
from protocols.gateway import Report
from protocols.part import Coding, Part
from protocols.session import Limits, State

from .carrier import (
    ACTIVE_TEST,
    ANSWER,
    CANCEL,
    CLOCK,
    CONNECT,
    DELIVER,
    QUERY,
    SUBMIT,
    CmppCarrier,
)

V2, V3 = CmppCarrier("2.0"), CmppCarrier("3.0")
SECRET = "abcd1234"
SECRETS = {"901234": SECRET, "9001": "1234"}
RULES = Rules(access_number="1069", service_id="XZ12123")
GOOD = pdus.Submit3(
    service_id="XZ12123",
    msg_src="901234",
    src_id="106900001234",
    dest_terminal_id=("13800138000",),
    msg_content="你好".encode("utf-16-be"),
)


def connect(version: int = 0x30, timestamp: int = 1122101530, **other: Any) -> bytes:
    text = f"{timestamp:010}"
    said = {
        "source_addr": "901234",
        "authenticator_source": digest.source("901234", SECRET, text),
        "version": version,
        "timestamp": timestamp,
        **other,
    }
    return V3.frame(CONNECT, 1, pdus.Connect(**said).encode())


def gateway(**settings: Any) -> CmppGateway:
    made = CmppGateway(Limits(window=4), CLOCK, SECRETS.get, **settings)
    made.start(0.0)
    return made


def admitted(version: int = 0x30, **settings: Any) -> CmppGateway:
    made = gateway(**settings)
    (asked,) = made.receive(connect(version), 0.0)
    assert isinstance(asked, LoginAsked)
    assert asked.status == 0
    made.admit(asked.ticket, 0.0)
    made.tick(0.0)
    made.outgoing()
    return made


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({}, 0),
        ({"version": 0x20}, 0),
        ({"version": 0x21}, 0),
        ({"version": 0x40}, 4),
        ({"version": 0x12}, 5),
        ({"source_addr": "777777"}, 2),
        ({"authenticator_source": bytes(16)}, 3),
        ({"timestamp": 1322101530}, 1),
        ({"timestamp": 229101530}, 0),
    ],
    ids=str,
)
def test_logins_are_checked(said: dict[str, Any], status: int) -> None:
    (asked,) = gateway().receive(connect(**said), 0.0)
    assert isinstance(asked, LoginAsked)
    assert asked.status == status


def test_a_gateway_of_2_0_finds_3_0_too_high_and_says_what_it_speaks() -> None:
    made = gateway(versions=("2.0",))
    (asked,) = made.receive(connect(), 0.0)
    assert isinstance(asked, LoginAsked)
    assert asked.status == 4
    made.refuse(asked.ticket, asked.status)
    ((_, _, body),) = V2.frames(made.outgoing())
    assert body == b"\4" + bytes(16) + b"\x20"
    assert made.state is State.CLOSED


@pytest.mark.parametrize(
    ("version", "settings", "width"),
    [(0x20, {}, 1), (0x30, {}, 4), (0x20, {"wide_connect_resp": True}, 4)],
)
def test_the_gateway_proves_itself(version: int, settings: dict[str, Any], width: int) -> None:
    made = gateway(**settings)
    (asked,) = made.receive(connect(version), 0.0)
    assert isinstance(asked, LoginAsked)
    made.admit(asked.ticket, 0.0)
    ((command, sequence, body),) = V3.frames(made.outgoing())
    assert (command, sequence) == (CONNECT | ANSWER, 1)
    source = digest.source("901234", SECRET, "1122101530")
    proof = digest.ismg(0, source, SECRET, width=width)
    assert body == bytes(width) + proof + b"\x30"


def test_a_login_that_cannot_be_read_is_refused_and_ends() -> None:
    made = gateway()
    malformed, closed = made.receive(V3.frame(CONNECT, 1, b"901234"), 0.0)
    assert isinstance(malformed, Malformed)
    assert isinstance(closed, Closed)
    ((_, _, body),) = V3.frames(made.outgoing())
    assert body[:4] == b"\0\0\0\1"


def test_nothing_is_taken_before_the_login() -> None:
    made = gateway()
    (malformed,) = made.receive(V3.frame(SUBMIT, 1, GOOD.encode()), 0.0)
    assert isinstance(malformed, Malformed)
    ((command, _, body),) = V3.frames(made.outgoing())
    assert (command, body[-4:]) == (SUBMIT | ANSWER, b"\0\0\0\2")


def test_a_second_login_is_out_of_turn() -> None:
    made = admitted()
    (malformed,) = made.receive(connect(), 0.0)
    assert isinstance(malformed, Malformed)
    assert made.state is State.BOUND


def ascii_of(size: int) -> dict[str, Any]:
    return {"msg_fmt": 0, "msg_content": b"x" * size}


def udh(head: str, text: str = "你") -> dict[str, Any]:
    content = bytes.fromhex(head) + text.encode("utf-16-be")
    return {"tp_udhi": 1, "msg_content": content, "pk_total": 2, "pk_number": 1}


@pytest.mark.parametrize(
    ("changed", "result"),
    [
        ({}, 0),
        ({"dest_terminal_id": ("8613800138000",)}, 0),
        ({"dest_terminal_id": ("13800138000",) * 99}, 0),
        ({"dest_terminal_id": ("13800138000",) * 100}, 13),
        ({"dest_terminal_id": ()}, 13),
        ({"dest_terminal_id": ("1380013800",)}, 13),
        ({"dest_terminal_id": ("13800138000", "")}, 13),
        ({"src_id": ""}, 10),
        ({"src_id": "95588"}, 10),
        ({"src_id": "1069x"}, 10),
        ({"msg_src": "901235"}, 11),
        ({"service_id": "OTHER"}, 7),
        ({"fee_type": "04"}, 5),
        ({"fee_type": ""}, 5),
        ({"fee_code": "1,5"}, 5),
        ({"fee_user_type": 4}, 1),
        ({"fee_user_type": 3}, 12),
        ({"fee_user_type": 3, "fee_terminal_id": "13800138000"}, 0),
        ({"fee_terminal_id": "13800138000"}, 12),
        ({"registered_delivery": 2}, 1),
        ({"msg_level": 10}, 1),
        ({"msg_fmt": 9}, 1),
        ({"tp_udhi": 2}, 1),
        ({"dest_terminal_type": 2}, 1),
        ({"valid_time": "261123101530032+"}, 0),
        ({"valid_time": "261323101530032+"}, 1),
        ({"at_time": "tomorrow"}, 1),
        ({"msg_content": b""}, 4),
        ({"msg_content": "好".encode("utf-16-be") * 70}, 0),
        ({"msg_content": "好".encode("utf-16-be") * 71}, 6),
        (ascii_of(159), 0),
        (ascii_of(160), 6),
        ({"msg_fmt": 0, "msg_content": b"caf\xe9"}, 1),
        ({"msg_content": b"\x4f\x60\x59"}, 1),
        ({"msg_content": "😀".encode("utf-16-be")}, 0),
        ({"msg_content": "😀".encode("utf-16-be")[:2]}, 1),
        ({"msg_content": "😀".encode("utf-16-be")[2:]}, 1),
        ({"msg_fmt": 15, "msg_content": "你好".encode("gbk")}, 0),
        ({"msg_fmt": 15, "msg_content": "你好".encode("gbk")[:3]}, 1),
        ({"msg_fmt": 4, "msg_content": b"\xff\x00\xd8"}, 0),
        (udh("050003070201"), 0),
        (udh("06080412340201"), 0),
        (udh("050003070202"), 1),
        (udh("050003070301"), 1),
        (udh("090003070201"), 1),
        ({"pk_total": 2, "pk_number": 1}, 1),
        ({"pk_total": 1, "pk_number": 2}, 1),
        ({"pk_total": 0, "pk_number": 0}, 1),
    ],
    ids=str,
)
def test_submits_are_checked_as_strictly_as_a_gateway_would(
    changed: dict[str, Any], result: int
) -> None:
    made = admitted(rules=RULES)
    submit = replace(GOOD, **changed)
    (got,) = made.receive(V3.frame(SUBMIT, 9, submit.encode()), 0.0)
    assert isinstance(got, Submitted)
    assert (got.fault, bool(got.why)) == (result, result != 0)
    assert got.fields == submit
    made.answer(got.ticket, result, bytes(range(8)))
    assert V3.frames(made.outgoing()) == [
        (SUBMIT | ANSWER, 9, bytes(range(8)) + struct.pack("!I", result))
    ]


def test_2_0_knows_two_more_fee_types_and_a_third_kind_of_report() -> None:
    said = {"fee_type": "05", "registered_delivery": 2}
    made = admitted(0x20)
    submit = pdus.Submit2(
        src_id="1069",
        msg_src="901234",
        dest_terminal_id=("13800138000",),
        msg_content="好".encode("utf-16-be"),
        **said,
    )
    (got,) = made.receive(V2.frame(SUBMIT, 9, submit.encode()), 0.0)
    assert isinstance(got, Submitted)
    assert (got.fault, got.why) == (0, "")
    assert not got.wants_report
    made.answer(got.ticket, 8)
    assert V2.frames(made.outgoing()) == [(SUBMIT | ANSWER, 9, bytes(8) + b"\x08")]


def test_a_submit_that_cannot_be_read_is_refused_as_badly_built() -> None:
    made = admitted()
    (malformed,) = made.receive(V3.frame(SUBMIT, 9, GOOD.encode()[:-22]), 0.0)
    assert isinstance(malformed, Malformed)
    assert "msg_content" in malformed.error
    ((command, sequence, body),) = V3.frames(made.outgoing())
    assert (command, sequence, body) == (SUBMIT | ANSWER, 9, bytes(8) + b"\0\0\0\1")


@pytest.mark.parametrize(
    ("version", "settings", "size"),
    [(0x30, {}, 71), (0x30, {"report_60": True}, 60), (0x20, {}, 60)],
)
def test_reports_have_their_versions_length(
    version: int, settings: dict[str, Any], size: int
) -> None:
    made = admitted(version, prefix="86", rules=RULES, **settings)
    at = CLOCK.epoch
    told = Report(bytes(range(8)), "13800138000", "1069", Fate.DELIVERED, "DELIVRD", at, at + 60)
    made.report("r", told, 0.0)
    ((command, sequence, body),) = V3.frames(made.outgoing())
    assert command == DELIVER
    kind = pdus.Deliver3 if version == 0x30 else pdus.Deliver2
    deliver = kind.decode(body)
    assert (deliver.registered_delivery, deliver.dest_id) == (1, "1069")
    assert (deliver.src_terminal_id, deliver.service_id) == ("8613800138000", "XZ12123")
    width = "21s" if size == 60 else "32s"
    assert deliver.msg_content == struct.pack(
        f"!8s7s10s10s{width}I",
        *(bytes(range(8)), b"DELIVRD", b"2611221015", b"2611221016", b"8613800138000", 0),
    )
    taken = made.receive(V3.frame(DELIVER | ANSWER, sequence, bytes(8) + bytes(4)), 0.0)
    assert taken == [Taken("r", 0)]


def test_rules_may_come_with_the_login() -> None:
    made = gateway()
    (asked,) = made.receive(connect(), 0.0)
    assert isinstance(asked, LoginAsked)
    made.rules = RULES
    made.admit(asked.ticket, 0.0)
    made.outgoing()
    at = CLOCK.epoch
    told = Report(bytes(8), "13800138000", "1069", Fate.DELIVERED, "DELIVRD", at, at)
    made.report("r", told, 0.0)
    ((_, _, body),) = V3.frames(made.outgoing())
    assert pdus.Deliver3.decode(body).service_id == RULES.service_id
    _, got = made.receive(V3.frame(SUBMIT, 9, replace(GOOD, msg_src="901235").encode()), 0.0)
    assert isinstance(got, Submitted)
    assert got.fault == 11


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"code": "UNDELIVERED"}, "stat"),
        ({"to": "1" * 33}, "dest_terminal_id"),
        ({"sender": "1" * 22}, "dest_id"),
        ({"sender": "接入号"}, "dest_id"),
    ],
)
def test_a_report_that_does_not_fit_is_not_cut_but_refused(
    said: dict[str, Any], field: str
) -> None:
    made = admitted()
    at = CLOCK.epoch
    told = Report(bytes(8), "13800138000", "1069", Fate.FAILED, "UNDELIV", at, at)
    with pytest.raises(EncodeError, match=field):
        made.report("r", replace(told, **said), 0.0)
    assert made.outgoing() == b""
    assert made.room == 4


def test_the_same_deliver_can_be_sent_again() -> None:
    made = admitted()
    part = Part("1069", "13800138000", b"TD", Coding.ASCII)
    for identity in (None, None, bytes(8)):
        made.deliver("m", part, 0.0, identity=identity)
    ids = [body[:8] for _, _, body in V3.frames(made.outgoing())]
    assert len(set(ids)) == 3
    assert ids[2] == bytes(8)
    assert parts(ids[0])[:5] == (11, 22, 10, 15, 30)


def test_ids_are_shared_by_a_gateways_connections() -> None:
    ids = MsgIds(gateway=123456, first=65535)
    made = [ids.next(CLOCK.at(0.0)) for _ in range(3)]
    assert [parts(one)[5:] for one in made] == [(123456, 65535), (123456, 0), (123456, 1)]


def test_a_query_is_answered_with_what_reached_the_gateway() -> None:
    made = admitted(rules=RULES)
    for sequence, result in ((5, 0), (6, 8)):
        (got,) = made.receive(V3.frame(SUBMIT, sequence, GOOD.encode()), 0.0)
        assert isinstance(got, Submitted)
        made.answer(got.ticket, result)
    made.outgoing()
    asked = pdus.Query(time="20261122", query_type=0)
    assert made.receive(V3.frame(QUERY, 7, asked.encode()), 0.0) == []
    ((command, sequence, body),) = V3.frames(made.outgoing())
    assert (command, sequence) == (QUERY | ANSWER, 7)
    assert pdus.QueryResp.decode(body) == pdus.QueryResp(
        time="20261122", mt_tlmsg=2, mt_tlusr=2, mt_scs=1, mt_fl=1
    )


def test_what_is_on_its_way_cannot_be_cancelled() -> None:
    made = admitted()
    assert made.receive(V3.frame(CANCEL, 7, bytes(8)), 0.0) == []
    assert V3.frames(made.outgoing()) == [(CANCEL | ANSWER, 7, b"\0\0\0\1")]


@pytest.mark.parametrize(("bare", "octets"), [(False, b"\0"), (True, b"")])
def test_active_test_is_answered_as_the_gateway_is_set(bare: bool, octets: bytes) -> None:
    made = admitted(bare_active_test_resp=bare)
    made.receive(V3.frame(ACTIVE_TEST, 3), 0.0)
    assert V3.frames(made.outgoing()) == [(ACTIVE_TEST | ANSWER, 3, octets)]


def test_nothing_is_answered_after_the_end() -> None:
    made = admitted()
    (got,) = made.receive(V3.frame(SUBMIT, 9, GOOD.encode()), 0.0)
    assert isinstance(got, Submitted)
    made.lost("test")
    made.answer(got.ticket, 0, bytes(8))
    assert made.outgoing() == b""
