"""Submits to several recipients: golden octets, and what their answers say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocols.cmpp.account import CmppAccount
from protocols.cmpp.session import CmppSession
from protocols.errors import EncodeError
from protocols.events import Accepted, Malformed, Refused, Rejected
from protocols.part import Coding, Part
from protocols.session import Session
from protocols.sgip.account import SgipAccount
from protocols.sgip.frames import Counter
from protocols.sgip.session import SgipSession
from protocols.smgp.account import SmgpAccount
from protocols.smgp.session import SmgpSession
from protocols.smpp.account import SmppAccount
from protocols.smpp.session import SmppSession

from . import vectors
from .cmpp.carrier import CLOCK, CmppCarrier
from .machine import LIMITS
from .sgip import carrier as sgip
from .smgp.carrier import SmgpCarrier
from .smpp import smsc

CMPP = CmppAccount("901234", "abcd1234", service_id="OTP", msg_level=1)


def vector(file: str, name: str) -> tuple[dict[str, Any], bytes]:
    (found,) = [v for v in vectors.load(file) if v["id"] == name]
    return found["fields"], bytes.fromhex(found["hex"])


def part(numbers: list[str], fields: dict[str, Any], sender: str, **more: Any) -> Part:
    content = fields.get("msg_content_hex") or fields.get("message_content_hex")
    raw = bytes.fromhex(content or fields["short_message_hex"])
    return Part(numbers[0], fields[sender], raw, also=tuple(numbers[1:]), **more)


def cmpp(account: CmppAccount) -> CmppSession:
    carrier = CmppCarrier(account.version)
    session = CmppSession(account, LIMITS, CLOCK)
    session.start(0.0)
    session.receive(carrier.login_answer(carrier.frames(session.outgoing())[0]), 0.0)
    return session


def smgp() -> SmgpSession:
    session = SmgpSession(SmgpAccount("333", "0555", service_id="OTP"), LIMITS, CLOCK)
    session.start(0.0)
    carrier = SmgpCarrier()
    session.receive(carrier.login_answer(carrier.frames(session.outgoing())[0]), 0.0)
    return session


def sgip_bound() -> SgipSession:
    account = SgipAccount("sp12345", "pw123456", 3000099999, "12345", service_id="OTP")
    session = SgipSession(account, LIMITS, sgip.CLOCK, counter=Counter())
    session.start(0.0)
    ((command, sequence, _),) = sgip.frames(session.outgoing())
    session.receive(sgip.resp(command, sequence), 0.0)
    return session


def smpp(**account: Any) -> SmppSession:
    session = SmppSession(SmppAccount("esme", "password", **account), LIMITS, CLOCK)
    session.start(0.0)
    ((command, _, sequence, _),) = smsc.frames(session.outgoing())
    session.receive(smsc.frame(command | smsc.ANSWER, sequence, b"SMSC01\0"), 0.0)
    return session


@pytest.mark.parametrize(
    ("file", "name", "version"),
    [
        ("cmpp20.json", "cmpp20_submit_multi_dest_99", "2.0"),
        ("cmpp30.json", "cmpp30_submit_multi_dest_3", "3.0"),
    ],
)
def test_a_cmpp_list_is_that_of_other_implementations(file: str, name: str, version: str) -> None:
    fields, golden = vector(file, name)
    session = cmpp(replace(CMPP, version=version))
    given = part(fields["dest_terminal_id"], fields, "src_id", coding=Coding(fields["msg_fmt"]))
    session.submit("a", given, 0.0)
    ours = session.outgoing()
    assert (ours[:8], ours[12:]) == (golden[:8], golden[12:])


def test_an_smgp_list_is_that_of_other_implementations() -> None:
    fields, golden = vector("smgp30.json", "smgp30_submit_multi_dest_100")
    session = smgp()
    session.submit("a", part(fields["dest_term_id"], fields, "src_term_id", coding=Coding.ASCII), 0)
    ours = session.outgoing()
    assert (ours[:8], ours[12:]) == (golden[:8], golden[12:])


def test_an_sgip_list_is_that_of_other_implementations_within_two_kilobytes() -> None:
    fields, golden = vector("sgip12.json", "sgip12_submit_multi_dest_100")
    numbers = [number.removeprefix("86") for number in fields["user_number"]]
    session = sgip_bound()
    sequence = session.submit("a", part(numbers[:80], fields, "sp_number", coding=Coding.ASCII), 0)
    ours = session.outgoing()
    most = 63 + 21 * 80
    assert (ours[20:62], ours[62]) == (golden[20:62], 80)
    assert (ours[63:most], ours[most:]) == (golden[63:most], golden[63 + 21 * 100 :])
    assert len(ours) == int.from_bytes(ours[:4]) <= 2048
    assert ours[8:20] == sequence


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("smpp34_submit_multi_two_sme", {}),
        ("smpp34_submit_multi_twenty_sme", {}),
    ],
)
def test_submit_multi_is_that_of_other_implementations(name: str, account: dict[str, Any]) -> None:
    fields, golden = vector("smpp34.json", name)
    numbers = [dest["destination_addr"].removeprefix("86") for dest in fields["dest_address"]]
    session = smpp(source_ton=1, source_npi=1, dest_ton=1, dest_npi=1, dest_prefix="86")
    session.submit("a", part(numbers, fields, "source_addr", coding=Coding.ASCII), 0.0)
    ours = session.outgoing()
    assert (ours[:8], ours[16:]) == (golden[:8], golden[16:])


def test_the_failed_ones_of_a_submit_multi_are_named() -> None:
    _, golden = vector("smpp34.json", "smpp34_submit_multi_resp_one_failed")
    session = smpp(source_ton=1, source_npi=1, dest_ton=1, dest_npi=1, dest_prefix="86")
    session.submit("a", Part("13800138000", "1069", b"x", also=("13900139001",)), 0.0)
    sequence = session.outgoing()[12:16]
    events = session.receive(golden[:12] + sequence + golden[16:], 0.0)
    refused = (Refused("13900139001", 11, "0x0000000B", throttled=False),)
    assert events == [Accepted("a", b"abd", refused)]


def test_a_submit_multi_that_is_refused_whole_is_one_refusal() -> None:
    session = smpp()
    session.submit("a", Part("13800138000", "1069", b"x", also=("13900139001",)), 0.0)
    sequence = int.from_bytes(session.outgoing()[12:16])
    answer = smsc.frame(0x80000021, sequence, status=0x58)
    assert session.receive(answer, 0.0) == [Rejected("a", 0x58, "0x00000058", True)]


def test_a_submit_multi_whose_answer_is_cut_short_is_taken_and_said_to_be_odd() -> None:
    session = smpp()
    session.submit("a", Part("13800138000", "1069", b"x", also=("13900139001",)), 0.0)
    sequence = int.from_bytes(session.outgoing()[12:16])
    taken, odd = session.receive(smsc.frame(0x80000021, sequence, b"abd\0\x02\1\1139"), 0.0)
    assert taken == Accepted("a", b"abd")
    assert isinstance(odd, Malformed)
    assert session.unanswered == 0


@pytest.mark.parametrize(
    ("session", "most"),
    [(cmpp(CMPP), 99), (smgp(), 100), (sgip_bound(), 88), (smpp(), 254)],
    ids=["cmpp", "smgp", "sgip", "smpp"],
)
def test_a_list_is_one_request_in_the_window_and_has_its_limit(session: Session, most: int) -> None:
    numbers = [f"138{index:08d}" for index in range(most + 1)]
    too_many = Part(numbers[0], "1069", b"x" * 57, also=tuple(numbers[1:]))
    with pytest.raises(EncodeError, match=f"{most + 1} numbers|number_of_dests: {most + 1}"):
        session.submit("a", too_many, 0.0)
    assert session.outgoing() == b""
    session.submit("a", replace(too_many, also=too_many.also[:-1]), 0.0)
    assert session.unanswered == 1


@pytest.mark.parametrize(
    "numbers", [("13900139001", "13700137001"), ("13900139001", "1", "137001")]
)
def test_each_number_of_a_list_has_the_room_of_one(numbers: tuple[str, ...]) -> None:
    part = Part("13800138000", "1069", b"x", also=numbers)
    all_ = [number.encode() for number in (part.to, *numbers)]
    rooms = {
        cmpp(replace(CMPP, version="2.0")): [number.ljust(21, b"\0") for number in all_],
        cmpp(CMPP): [number.ljust(32, b"\0") for number in all_],
        smgp(): [number.ljust(21, b"\0") for number in all_],
        sgip_bound(): [b"86%b" % number.ljust(19, b"\0") for number in all_],
        smpp(dest_ton=1, dest_npi=200, dest_prefix="0"): [b"\1\1\xc80%b\0" % n for n in all_],
    }
    for session, room in rooms.items():
        session.submit("a", part, 0.0)
        assert bytes((len(all_),)) + b"".join(room) in session.outgoing()


@pytest.mark.parametrize(
    ("session", "bad"),
    [
        pytest.param(make, bad, id=f"{make.__name__}-{bad!a}")
        for make, numbers in (
            (cmpp, ("1" * 33, "\u0661")),
            (smgp, ("1" * 22, "\u0661")),
            (sgip_bound, ("1" * 20, "", "1x", "\u0661", "\xb2")),
            (smpp, ("1" * 21, "", "\u0661", "\xb2", "1\0")),
        )
        for bad in numbers
    ],
)
@pytest.mark.parametrize("others", [(), ("13900139001",), None], ids=["alone", "odd", "alike"])
def test_a_number_that_does_not_fit_its_field_is_refused_in_a_list_as_alone(
    session: Callable[..., Session], bad: str, others: tuple[str, ...] | None
) -> None:
    made = session(CMPP) if session is cmpp else session()
    also = (bad, bad) if others is None else (*others, bad)
    for part in (Part(bad, "1069", b"x"), Part("13800138000", "1069", b"x", also=also)):
        with pytest.raises(EncodeError):
            made.submit("a", part, 0.0)
    assert made.outgoing() == b""
