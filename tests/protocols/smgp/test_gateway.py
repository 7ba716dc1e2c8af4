"""What an SMGP gateway refuses, and with which status."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from protocols.events import Closed, Fate, LoginAsked, Malformed, Submitted, Taken
from protocols.gateway import Report
from protocols.part import Coding, Part
from protocols.session import Limits, State
from protocols.smgp import digest, pdus
from protocols.smgp.gateway import SmgpGateway
from protocols.smgp.msgid import MsgIds, pack, parts
from protocols.smgp.report import SmgpReport, parse
from protocols.smgp.strict import Rules

from .carrier import ACTIVE_TEST, ANSWER, CLOCK, DELIVER, LOGIN, QUERY, SECRET, SUBMIT, SmgpCarrier

CARRIER = SmgpCarrier()
SECRETS = {"333": SECRET}
RULES = Rules(access_number="1065", service_id="XZ", msg_src="333")
GOOD = pdus.Submit(
    service_id="XZ",
    src_term_id="106590001234",
    dest_term_id=("13300133000",),
    msg_content="你好".encode("utf-16-be"),
)


def login(timestamp: int = 1122101530, **other: Any) -> bytes:
    said = {
        "client_id": "333",
        "authenticator_client": digest.client("333", SECRET, f"{timestamp:010}"),
        "timestamp": timestamp,
        **other,
    }
    return CARRIER.frame(LOGIN, 1, pdus.Login(**said).encode())


def gateway(**settings: Any) -> SmgpGateway:
    made = SmgpGateway(Limits(window=4), CLOCK, SECRETS.get, **settings)
    made.start(0.0)
    return made


def admitted(mode: int = 2, **settings: Any) -> SmgpGateway:
    made = gateway(**settings)
    (asked,) = made.receive(login(login_mode=mode), 0.0)
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
        ({"login_mode": 0}, 0),
        ({"login_mode": 3}, 10),
        ({"client_version": 0x13}, 22),
        ({"client_version": 0x40}, 22),
        ({"client_id": "444"}, 21),
        ({"authenticator_client": bytes(16)}, 21),
        ({"timestamp": 1132101530}, 10),
    ],
    ids=str,
)
def test_logins_are_checked(said: dict[str, Any], status: int) -> None:
    (asked,) = gateway().receive(login(**said), 0.0)
    assert isinstance(asked, LoginAsked)
    assert asked.status == status


@pytest.mark.parametrize(("mode", "name"), [(0, "tx"), (1, "rx"), (2, "trx")])
def test_a_login_says_what_the_connection_is_for(mode: int, name: str) -> None:
    (asked,) = gateway().receive(login(login_mode=mode), 0.0)
    assert isinstance(asked, LoginAsked)
    assert asked.mode == name


def test_the_gateway_proves_itself() -> None:
    made = gateway()
    (asked,) = made.receive(login(), 0.0)
    assert isinstance(asked, LoginAsked)
    made.admit(asked.ticket, 0.0)
    ((command, sequence, body),) = CARRIER.frames(made.outgoing())
    assert (command, sequence) == (LOGIN | ANSWER, 1)
    # The pair of login and answer that other implementations agree on.
    assert body == bytes(4) + bytes.fromhex("e81b907372578024fd5821a5d2bd8b07") + b"\x30"


def test_a_login_that_cannot_be_read_is_refused_and_ends() -> None:
    made = gateway()
    malformed, closed = made.receive(CARRIER.frame(LOGIN, 1, b"333"), 0.0)
    assert isinstance(malformed, Malformed)
    assert isinstance(closed, Closed)
    ((_, _, body),) = CARRIER.frames(made.outgoing())
    assert body[:4] == b"\0\0\0\x0a"


def test_nothing_is_taken_before_the_login_or_on_a_connection_for_receiving() -> None:
    for made in (gateway(), admitted(mode=1)):
        (malformed,) = made.receive(CARRIER.frame(SUBMIT, 1, GOOD.encode()), 0.0)
        assert isinstance(malformed, Malformed)
        ((command, _, body),) = CARRIER.frames(made.outgoing())
        assert (command, body[-4:]) == (SUBMIT | ANSWER, b"\0\0\0\x0b")


def tlv(*said: tuple[int, bytes], **other: Any) -> dict[str, Any]:
    return {"tlv": said, **other}


def joined(head: str, total: int = 2, number: int = 1) -> dict[str, Any]:
    content = bytes.fromhex(head) + "你".encode("utf-16-be")
    said = ((2, b"\1"), (9, bytes((total,))), (10, bytes((number,))))
    return {"msg_content": content, "tlv": said}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 0),
        ({"dest_term_id": ("13300133000",) * 100}, 0),
        ({"dest_term_id": ("8613300133000", "02512345678")}, 0),
        ({"dest_term_id": ("13300133000",) * 101}, 47),
        ({"dest_term_id": ()}, 47),
        ({"dest_term_id": ("1330013300",)}, 47),
        ({"src_term_id": "95588"}, 46),
        ({"src_term_id": ""}, 46),
        ({"charge_term_id": "x"}, 48),
        ({"service_id": "OTHER"}, 43),
        ({"msg_type": 0}, 30),
        ({"need_report": 2}, 10),
        ({"priority": 4}, 31),
        ({"fee_type": "04"}, 32),
        ({"fee_code": ""}, 33),
        ({"fixed_fee": "x"}, 40),
        ({"msg_format": 9}, 34),
        ({"valid_time": "261123101530032+"}, 0),
        ({"valid_time": "today"}, 44),
        ({"at_time": "261123101530032"}, 45),
        ({"msg_content": b""}, 36),
        ({"msg_format": 0, "msg_content": b"x" * 140}, 0),
        ({"msg_format": 0, "msg_content": b"x" * 141}, 36),
        ({"msg_format": 15, "msg_content": "你好".encode("gbk")[:3]}, 10),
        ({"msg_content": "😀".encode("utf-16-be")[:2]}, 10),
        (tlv((0x10, b"333\0\0\0\0\0")), 0),
        (tlv((0x10, b"334\0\0\0\0\0")), 49),
        (tlv((0x14, b"unknown")), 0),
        (joined("050003070201"), 0),
        (joined("050003070202"), 10),
        (joined("050003070201", total=3), 10),
        (joined("0900"), 10),
        (tlv((9, b"\2"), (10, b"\1")), 10),
    ],
    ids=str,
)
def test_submits_are_checked_as_strictly_as_a_gateway_would(
    changed: dict[str, Any], status: int
) -> None:
    made = admitted(rules=RULES)
    submit = replace(GOOD, **changed)
    (got,) = made.receive(CARRIER.frame(SUBMIT, 9, submit.encode()), 0.0)
    assert isinstance(got, Submitted)
    assert (got.fault, bool(got.why)) == (status, status != 0)
    made.answer(got.ticket, status, bytes(range(10)))
    assert CARRIER.frames(made.outgoing()) == [
        (SUBMIT | ANSWER, 9, bytes(range(10)) + struct.pack("!I", status))
    ]


def test_a_part_that_says_it_is_the_last_is_what_its_header_says() -> None:
    # SMSGate's client gives every part the last one's number.
    made = admitted(rules=RULES)
    submit = replace(
        GOOD,
        msg_content=bytes.fromhex("050003920301") + "你".encode("utf-16-be"),
        tlv=((2, b"\1"), (9, b"\3"), (10, b"\3")),
    )
    (got,) = made.receive(CARRIER.frame(SUBMIT, 7, submit.encode()), 0.0)
    assert isinstance(got, Submitted)
    assert (got.fault, got.number, got.total) == (0, 1, 3)


def test_a_submit_that_cannot_be_read_is_refused_as_badly_built() -> None:
    made = admitted()
    (malformed,) = made.receive(CARRIER.frame(SUBMIT, 9, GOOD.encode()[:-10]), 0.0)
    assert isinstance(malformed, Malformed)
    ((_, _, body),) = CARRIER.frames(made.outgoing())
    assert body == bytes(10) + b"\0\0\0\x0a"


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, 122),
        ({"spelling": "capital"}, 122),
        ({"spelling": "underscore"}, 110),
        ({"text_id": True}, 132),
    ],
)
def test_reports_are_spelled_as_the_gateway_is_set(settings: dict[str, Any], size: int) -> None:
    made = admitted(prefix="86", **settings)
    at, known = CLOCK.epoch, bytes.fromhex("01006111221015012345")
    told = Report(known, "13300133000", "1065", Fate.FAILED, "UNDELIV/003", at, at + 60)
    made.report("r", told, 0.0)
    ((command, sequence, body),) = CARRIER.frames(made.outgoing())
    assert command == DELIVER
    deliver = pdus.Deliver.decode(body)
    assert (deliver.is_report, deliver.recv_time) == (1, "20261122101530")
    assert (deliver.src_term_id, deliver.dest_term_id) == ("8613300133000", "1065")
    assert len(deliver.msg_content) == size
    assert parse(deliver.msg_content) == SmgpReport(
        known, "001", "000", "2611221015", "2611221016", "UNDELIV", "003", b"000"
    )
    taken = made.receive(CARRIER.frame(DELIVER | ANSWER, sequence, bytes(14)), 0.0)
    assert taken == [Taken("r", 0)]


def test_a_deliver_may_end_in_stray_octets_and_hide_its_header() -> None:
    made = admitted(stray_tlv=True, udhi=None)
    content = b"\5\0\3\1\2\1hi"
    made.deliver("m", Part("1065", "13300133000", content, Coding.ASCII, udh=True), 0.0)
    ((_, _, body),) = CARRIER.frames(made.outgoing())
    assert body.endswith(content + bytes(8) + b"\0\1")
    assert pdus.Deliver.decode(body).tlv == ()


def test_ids_are_bcd_and_shared_by_a_gateways_connections() -> None:
    ids = MsgIds(gateway="010061", first=999_999)
    made = [ids.next(CLOCK.at(0.0)) for _ in range(2)]
    assert [parts(one) for one in made] == [
        ("010061", "11221015", "999999"),
        ("010061", "11221015", "000000"),
    ]
    assert made[0] == pack(CLOCK.at(0.0), "010061", 999_999)
    assert parts(ids.next(CLOCK.at(60.0)))[1:] == ("11221016", "000001")
    with pytest.raises(ValueError, match="six digits"):
        pack(CLOCK.at(0.0), "1", 0)


def test_a_query_is_answered_with_what_reached_the_gateway() -> None:
    made = admitted(rules=RULES)
    (got,) = made.receive(CARRIER.frame(SUBMIT, 5, GOOD.encode()), 0.0)
    assert isinstance(got, Submitted)
    made.answer(got.ticket, 1)
    made.outgoing()
    asked = pdus.Query(time="20261122", query_type=0)
    made.receive(CARRIER.frame(QUERY, 7, asked.encode()), 0.0)
    ((command, sequence, body),) = CARRIER.frames(made.outgoing())
    assert (command, sequence, len(body)) == (QUERY | ANSWER, 7, 59)
    assert pdus.QueryResp.decode(body) == pdus.QueryResp(
        time="20261122", mt_tlmsg=1, mt_tlusr=1, mt_fl=1
    )


def test_active_test_is_answered_and_an_unknown_request_is_not() -> None:
    made = admitted()
    (malformed,) = made.receive(CARRIER.frame(ACTIVE_TEST, 3) + CARRIER.frame(0x99, 4, b"abc"), 0.0)
    assert isinstance(malformed, Malformed)
    assert CARRIER.frames(made.outgoing()) == [(ACTIVE_TEST | ANSWER, 3, b"")]
    assert made.state is State.BOUND
