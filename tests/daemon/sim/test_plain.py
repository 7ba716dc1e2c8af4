"""A simulated CMPP gateway with a client that knows only the specification's tables."""

from __future__ import annotations

import struct

import pytest

from .conftest import Make
from .sp import PlainCmpp, until


async def test_a_whole_conversation(make: Make) -> None:
    gateway, node = await make()
    plain = await PlainCmpp.connect(gateway.port)
    assert await plain.login() == 0
    asked = plain.submit(b"13912345678", "验证码1234", b"106512")
    sequence, msg_id, result = await plain.answer()
    assert (sequence, result) == (asked, 0)
    _, outer, registered, content = await plain.deliver()
    assert registered == 1
    assert len(content) == 71
    inner, stat, _, _, to, _ = struct.unpack("!Q7s10s10s32sI", content)
    assert (inner, stat, to.rstrip(b"\0")) == (msg_id, b"DELIVRD", b"13912345678")
    assert outer != inner
    await until(lambda: node.counts.reports_taken == 1)
    plain.write(2)
    assert (await plain.read())[0] == 0x80000002
    assert await plain.reader.read() == b""
    assert not node.counts.faults


async def test_the_id_tells_the_time_and_the_gateway(make: Make) -> None:
    gateway, _ = await make()
    plain = await PlainCmpp.connect(gateway.port)
    await plain.login()
    plain.submit()
    plain.submit(b"13912345679")
    _, first, _ = await plain.answer()
    command, _, body = await plain.read()
    while command != 0x80000004:
        command, _, body = await plain.read()
    (second,) = struct.unpack_from("!Q", body)
    assert 1 <= first >> 60 <= 12
    assert (first >> 16 & 0x3FFFFF) == (second >> 16 & 0x3FFFFF) == 2
    assert second & 0xFFFF == (first & 0xFFFF) + 1


@pytest.mark.parametrize(
    ("name", "secret", "status"),
    [(b"901234", b"wrong", 3), (b"999999", b"abcd1234", 2)],
)
async def test_a_wrong_login_is_answered_and_closed(
    make: Make, name: bytes, secret: bytes, status: int
) -> None:
    gateway, _ = await make()
    plain = await PlainCmpp.connect(gateway.port)
    assert await plain.login(name, secret) == status
    assert await plain.reader.read() == b""


@pytest.mark.parametrize(
    ("to", "text", "src", "result"),
    [
        (b"", "你好", b"1065", 13),
        (b"13912345678", "你好", b"9999", 10),
        (b"13912345678", "", b"1065", 4),
        (b"13912345678", "长" * 71, b"1065", 6),
    ],
)
async def test_a_faulty_submit_gets_the_specification_s_result(
    make: Make, to: bytes, text: str, src: bytes, result: int
) -> None:
    gateway, node = await make()
    plain = await PlainCmpp.connect(gateway.port)
    await plain.login()
    asked = plain.submit(to, text, src)
    assert await plain.answer() == (asked, 0, result)
    (why,) = node.counts.faults
    assert why.startswith(f"{result}: ")


async def test_a_pdu_that_cannot_be_read_is_refused_and_counted(make: Make) -> None:
    gateway, node = await make()
    plain = await PlainCmpp.connect(gateway.port)
    await plain.login()
    asked = plain.write(4, b"too short")
    assert await plain.answer() == (asked, 0, 1)
    assert node.counts.malformed == 1
    plain.write(8)
    assert (await plain.read())[0] == 0x80000008


async def test_an_impossible_length_ends_the_connection(make: Make) -> None:
    gateway, node = await make()
    plain = await PlainCmpp.connect(gateway.port)
    await plain.login()
    plain.writer.write(struct.pack("!III", 1 << 24, 4, 1))
    assert await plain.reader.read() == b""
    assert node.counts.closed_in_error == 1


async def test_a_refused_report_comes_again_with_its_own_id(make: Make) -> None:
    gateway, node = await make(redeliver_after=0.05)
    plain = await PlainCmpp.connect(gateway.port)
    await plain.login()
    plain.submit()
    await plain.answer()
    command, sequence, body = await plain.read()
    assert command == 5
    outer, inner = body[:8], body[77:85]
    plain.write(0x80000005, outer + struct.pack("!I", 8), sequence)
    command, again, body = await plain.read()
    assert (command, body[:8], body[77:85]) == (5, outer, inner)
    plain.write(0x80000005, outer + struct.pack("!I", 0), again)
    await until(lambda: node.counts.reports_taken == 1)
    assert (node.counts.reports, node.counts.reports_refused) == (2, 1)


async def test_submits_before_the_login_reach_nobody(make: Make) -> None:
    gateway, node = await make()
    plain = await PlainCmpp.connect(gateway.port)
    asked = plain.submit()
    assert await plain.answer() == (asked, 0, 2)
    assert await plain.login() == 0
    assert node.counts.submits == 0
