"""What may be seen of a PDU: its shape and its results, and nobody's number, text or password."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.cmpp import pdus as cmpp
from protocols.explain import PROTOCOLS, VERSIONS, explain, versions
from protocols.hide import VISIBLE, hide
from protocols.sgip import pdus as sgip
from protocols.smgp import pdus as smgp
from protocols.smgp import report as smgp_report
from protocols.smpp import pdus as smpp
from protocols.wire import Body

from . import vectors

PDUS = vectors.pdus()


def framed(protocol: str, command: int, body: Body) -> bytes:
    header = PROTOCOLS[protocol].HEADER
    octets = body.encode()
    rest = {12: (7,), 16: (0, 7), 20: (1, 2, 7)}[header.size]
    return bytes(header.pack(header.size + len(octets), command, *rest)) + octets


def shown(protocol: str, version: str, pdu: bytes) -> dict[str, Any]:
    [found] = explain(protocol, version, pdu)
    return found.fields


def number() -> st.SearchStrategy[str]:
    """A subscriber's, as carriers spell them."""
    subscriber = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
    return st.tuples(st.sampled_from(["", "86", "+86"]), subscriber).map("".join)


def beginning(number: str) -> bytes:
    """All but the last four digits: with them the rest would be known."""
    return number[-11:-4].encode()


text = st.binary(min_size=8, max_size=60).filter(lambda b: b"*" not in b and b"\0" not in b)
password = st.from_regex(r"[a-zA-Z0-9]{6,8}", fullmatch=True)
digest = st.binary(min_size=16, max_size=16).filter(any)


@st.composite
def talk(draw: st.DrawFn) -> tuple[str, str, bytes, list[bytes]]:
    """Protocol, version, a PDU, and octets that nobody may find in what is shown of it."""
    one, other, said = draw(number()), draw(number()), draw(text)
    word, proof = draw(password), draw(digest)
    numbers = [beginning(one), beginning(other)]
    coding = draw(st.sampled_from([0, 8, 15]))
    secret = [*numbers, said]
    receipt = b"id:8613 sub:001 dlvrd:001 submit date:2611221015 done date:2611221016 stat:DELIVRD"
    receipt += b" err:000 text:" + said
    choices: list[tuple[str, str, int, Body, list[bytes]]] = [
        ("cmpp", "3.0", cmpp.Command.CONNECT, cmpp.Connect(authenticator_source=proof), [proof]),
        (
            "cmpp",
            "3.0",
            cmpp.Command.CONNECT_RESP,
            cmpp.ConnectResp3(authenticator_ismg=proof),
            [proof],
        ),
        (
            "cmpp",
            "3.0",
            cmpp.Command.SUBMIT,
            cmpp.Submit3(
                dest_terminal_id=(one, other),
                msg_content=said,
                msg_fmt=coding,
                fee_terminal_id=other,
            ),
            secret,
        ),
        (
            "cmpp",
            "2.0",
            cmpp.Command.SUBMIT,
            cmpp.Submit2(dest_terminal_id=(one,), msg_content=said, fee_terminal_id=other),
            secret,
        ),
        (
            "cmpp",
            "3.0",
            cmpp.Command.DELIVER,
            cmpp.Deliver3(src_terminal_id=one, dest_id=other, msg_content=said),
            secret,
        ),
        (
            "cmpp",
            "2.0",
            cmpp.Command.DELIVER,
            cmpp.Deliver2(
                src_terminal_id=one,
                registered_delivery=1,
                msg_content=cmpp.Report2(stat="DELIVRD", dest_terminal_id=other).encode() + said,
            ),
            secret,
        ),
        ("sgip", "1.2", sgip.BIND, sgip.Bind(login_password=word), [word.encode()]),
        (
            "sgip",
            "1.2",
            sgip.SUBMIT,
            sgip.Submit(user_number=(one, other), charge_number=one, message_content=said),
            secret,
        ),
        (
            "sgip",
            "1.2",
            sgip.DELIVER,
            sgip.Deliver(user_number=one, sp_number=other, message_content=said),
            secret,
        ),
        ("sgip", "1.2", sgip.REPORT, sgip.Report(user_number=one, reserve=word), [numbers[0]]),
        ("smgp", "3.0", smgp.Request.LOGIN, smgp.Login(authenticator_client=proof), [proof]),
        (
            "smgp",
            "3.0",
            smgp.Request.SUBMIT,
            smgp.Submit(
                dest_term_id=(one,),
                charge_term_id=other,
                msg_content=said,
                tlv=((smgp.Tag.DEST_TERM_PSEUDO, said),),
            ),
            secret,
        ),
        (
            "smgp",
            "3.0",
            smgp.Request.DELIVER,
            smgp.Deliver(
                is_report=1,
                src_term_id=one,
                msg_content=smgp_report.spell(
                    proof[:10],
                    delivered=True,
                    submit_date="2611221015",
                    done_date="2611221016",
                    stat="DELIVRD",
                    err="000",
                    text=said[:20],
                ),
            ),
            [numbers[0], said[:20]],
        ),
        (
            "smpp",
            "3.4",
            smpp.BIND_TRANSCEIVER,
            smpp.Bind(system_id="esme", password=word),
            [word.encode()],
        ),
        (
            "smpp",
            "3.4",
            smpp.SUBMIT_SM,
            smpp.SubmitSm(
                destination_addr=one, short_message=said, data_coding=coding, tlv=((0x424, said),)
            ),
            [numbers[0], said],
        ),
        (
            "smpp",
            "3.4",
            smpp.SUBMIT_MULTI,
            smpp.SubmitMulti(
                dest_address=(smpp.Destination(1, 1, one), smpp.DistributionList(other)),
                short_message=said,
            ),
            secret,
        ),
        (
            "smpp",
            "3.4",
            smpp.SUBMIT_MULTI | smpp.RESP,
            smpp.SubmitMultiResp(message_id="17", unsuccess_sme=(smpp.Failure(1, 1, one, 11),)),
            [numbers[0]],
        ),
        (
            "smpp",
            "3.4",
            smpp.DELIVER_SM,
            smpp.SubmitSm(source_addr=one, esm_class=4, short_message=receipt),
            [numbers[0], said],
        ),
        (
            "smpp",
            "3.4",
            smpp.DATA_SM,
            smpp.DataSm(destination_addr=one, tlv=((0x1403, said), (0x381, other.encode()))),
            secret,
        ),
    ]
    protocol, version, command, body, hidden = draw(st.sampled_from(choices))
    return protocol, version, framed(protocol, command, body), hidden


@settings(max_examples=60)
@given(talk())
def test_no_number_text_or_password_is_seen_and_the_pdu_stays_what_it_is(
    said: tuple[str, str, bytes, list[bytes]],
) -> None:
    protocol, version, pdu, secrets = said
    seen = hide(protocol, version, pdu)
    assert len(seen) == len(pdu)
    for secret in secrets:
        assert secret not in seen
    [before], [after] = explain(protocol, version, pdu), explain(protocol, version, seen)
    assert (after.pdu, after.length) == (before.pdu, before.length)
    assert set(after.fields) == set(before.fields)
    assert hide(protocol, version, seen) == seen


@given(
    st.sampled_from([(p, v) for p in PROTOCOLS for v in versions(p)]),
    st.binary(max_size=80),
    st.integers(0, 0xFFFFFFFF),
)
def test_whatever_comes_is_hidden_without_an_error(
    spoken: tuple[str, str], rest: bytes, command: int
) -> None:
    protocol, version = spoken
    header = PROTOCOLS[protocol].HEADER
    head = header.pack(header.size + len(rest), command, *[1] * (header.size // 4 - 2))
    assert len(hide(protocol, version, head + rest)) == header.size + len(rest)


@pytest.mark.parametrize("vector", PDUS, ids=[v["id"] for v in PDUS])
def test_every_vector_reads_as_before_but_for_what_is_hidden(vector: dict[str, Any]) -> None:
    protocol, version = vector["protocol"], vectors.version(vector)
    pdu = bytes.fromhex(vector["hex"])
    seen = hide(protocol, version, pdu)
    before, after = shown(protocol, version, pdu), shown(protocol, version, seen)
    assert set(before) == set(after)
    for name, value in before.items():
        if isinstance(value, int):
            assert after[name] == value, name
    for name in VISIBLE[protocol].numbers & set(before):
        for old, new in zip([before[name]], [after[name]], strict=True):
            if isinstance(old, str) and len(old) > 7:
                assert new == old[:3] + "*" * (len(old) - 7) + old[-4:]
    if isinstance(before.get("report"), dict):
        assert after["report"]["stat"] == before["report"]["stat"]


def test_what_a_gateway_said_of_a_message_stays_readable() -> None:
    receipt = b"id:0A1B sub:001 dlvrd:001 submit date:2611221015 done date:2611221016 stat:UNDELIV"
    pdu = framed(
        "smpp",
        smpp.DELIVER_SM,
        smpp.SubmitSm(
            source_addr="13912345678", esm_class=4, short_message=receipt + b" err:013 Text:Hello"
        ),
    )
    fields = shown("smpp", "3.4", hide("smpp", "3.4", pdu))
    assert fields["source_addr"] == "139****5678"
    assert bytes.fromhex(fields["short_message_hex"]) == receipt + b" err:013 Text:*****"


def test_a_subscriber_who_writes_like_a_receipt_is_hidden_like_any_other() -> None:
    body = smpp.SubmitSm(source_addr="13912345678", short_message=b"id:1 stat:DELIVRD text:Hello")
    fields = shown("smpp", "3.4", hide("smpp", "3.4", framed("smpp", smpp.DELIVER_SM, body)))
    assert set(bytes.fromhex(fields["short_message_hex"])) == {0x2A}


def test_a_parts_header_and_the_accounts_own_number_are_seen() -> None:
    body = cmpp.Submit3(
        src_id="10657525777701",
        dest_terminal_id=("13912345678",),
        tp_udhi=1,
        msg_content=bytes((5, 0, 3, 7, 2, 1)) + "你好".encode("utf-16-be"),
    )
    pdu = framed("cmpp", cmpp.Command.SUBMIT, body)
    fields = shown("cmpp", "3.0", hide("cmpp", "3.0", pdu, ours="106575257777"))
    assert fields["src_id"] == "10657525777701"
    assert fields["dest_terminal_id"] == ["139****5678"]
    assert bytes.fromhex(fields["msg_content_hex"]) == bytes((5, 0, 3, 7, 2, 1)) + b"\0*\0*"
    assert shown("cmpp", "3.0", hide("cmpp", "3.0", pdu))["src_id"] == "106*******7701"


def test_what_a_peer_left_behind_the_end_of_a_field_is_not_seen() -> None:
    pdu = bytearray(
        framed("cmpp", cmpp.Command.DELIVER, cmpp.Deliver2(src_terminal_id="13912345678"))
    )
    at = pdu.index(b"13912345678") + len("13912345678")
    pdu[at + 1 : at + 9] = b"8000leak"
    pdu += b"leak at the end"
    pdu[:4] = len(pdu).to_bytes(4, "big")
    assert b"leak" not in hide("cmpp", "2.0", bytes(pdu))


def test_the_versions_are_those_of_the_tables() -> None:
    for protocol, known in VERSIONS.items():
        assert sorted(PROTOCOLS[protocol].PDUS) == list(known)
