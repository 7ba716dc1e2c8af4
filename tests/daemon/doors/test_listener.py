"""Who may come in where carriers connect to us, how long, and with how much."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from daemon.listen import MOST_CONNECTIONS
from protocols.sgip import listener as sgip_listener
from protocols.sgip.listener import SgipListener
from tests.contract.process import until
from tests.contract.sgip import BIND, REPORT, UNBIND, Caller, head, own_sequence
from tests.fuzz.corpus import found, golden

from .conftest import LATE, LOGIN_WITHIN, PASSWORD, Doors, MakeDoors

USERRPT = 0x11


async def seconds_open(caller: Caller, dribble: bytes = b"", every: float = 0.02) -> float:
    """How long until the daemon closes, while octets come one at a time."""
    began = time.monotonic()
    closed = asyncio.create_task(caller.closed())
    for octet in dribble:
        if closed.done():
            break
        caller.writer.write(bytes((octet,)))
        await asyncio.sleep(every)
    assert await closed, "it was never closed"
    return time.monotonic() - began


async def test_a_stranger_is_closed_before_a_word_of_his_is_read(doors: Doors) -> None:
    caller = await doors.dial(source="127.0.0.77")
    caller.writer.write(b"\xff" * 100_000)
    assert await caller.closed()
    assert not doors.listener.links
    assert doors.listener.refused["address"] == 1
    await caller.close()


async def test_who_says_nothing_is_closed_when_the_time_for_a_login_is_over(doors: Doors) -> None:
    caller = await doors.dial()
    assert 0.5 * LOGIN_WITHIN < await seconds_open(caller) < LOGIN_WITHIN + LATE
    await caller.close()
    await doors.empty()


async def test_one_octet_at_a_time_wins_no_time(doors: Doors) -> None:
    caller = await doors.dial()
    body = struct.pack(">B16s16s8s", 2, b"smg", PASSWORD.encode(), b"")
    login = head(len(body), BIND, own_sequence(1)) + body
    assert await seconds_open(caller, login, 0.03) < LOGIN_WITHIN + LATE
    await caller.close()
    await doors.empty()


async def test_before_the_login_no_more_than_a_frame_is_kept(doors: Doors) -> None:
    caller = await doors.dial()
    caller.writer.write(struct.pack(">II", SgipListener.longest, BIND) + bytes(200_000))
    session = next(iter(doors.listener.links)).session
    kept = 0
    while not await caller.closed(0.005):
        kept = max(kept, len(session._buffer))
    assert kept < SgipListener.longest
    await caller.close()
    await doors.empty()


async def test_who_logged_in_and_is_silent_for_long_gives_his_place_back(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sgip_listener, "LONGEST_SILENCE", 0.3)
    caller = await doors.logged_in()
    assert await caller.ask(USERRPT, userrpt()) == 0
    async with asyncio.timeout(30.0):
        assert struct.unpack_from(">I", await caller.frame(), 4) == (UNBIND,)
    assert await seconds_open(caller) < LOGIN_WITHIN + LATE
    await caller.close()
    await doors.empty()


@pytest.mark.parametrize("length", [0, 19, SgipListener.longest + 1, 0xFFFFFFFF])
async def test_a_frame_of_an_impossible_length_is_closed_at_once(
    make_doors: MakeDoors, length: int
) -> None:
    doors = await make_doors(within=300.0, smg="127.0.0.1/32")
    caller = await doors.dial()
    caller.writer.write(struct.pack(">II12s", length, BIND, b""))
    assert await caller.closed(), "before the time for a login is over"
    await caller.close()
    await doors.empty()


async def test_connections_are_limited_in_number(doors: Doors) -> None:
    callers = [await doors.logged_in() for _ in range(MOST_CONNECTIONS)]
    one_more = await doors.dial()
    assert await one_more.bind("smg", PASSWORD) == -1
    assert doors.listener.refused == {"address": 0, "crowd": 1, "login": 0}
    await one_more.close()
    # Those inside notice nothing of it, and whoever leaves makes room.
    assert await callers[0].ask(USERRPT, userrpt()) == 0
    assert await callers[0].ask(UNBIND, b"") == 0
    await until(lambda: len(doors.listener.links) < MOST_CONNECTIONS, what="room")
    callers.append(await doors.logged_in())
    for caller in callers:
        await caller.close()
    await doors.empty()


async def test_a_crowd_that_never_logs_in_keeps_nobody_out_for_long(doors: Doors) -> None:
    crowd = [await doors.dial() for _ in range(MOST_CONNECTIONS + 20)]
    began = time.monotonic()
    while await (caller := await doors.dial()).bind("smg", PASSWORD) != 0:
        await caller.close()
        await asyncio.sleep(0.02)
    assert time.monotonic() - began < LOGIN_WITHIN + LATE
    for one in (*crowd, caller):
        await one.close()


@pytest.mark.parametrize(
    ("login", "password", "kind", "result"),
    [
        ("smg", "wrong", 2, 1),
        ("nobody", PASSWORD, 2, 1),
        ("nobody", "", 2, 1),
        ("", "", 2, 1),
        ("smg", PASSWORD[:-1], 2, 1),
        ("smg", PASSWORD, 1, 4),
    ],
)
async def test_a_bad_login_is_told_and_closed_at_once(
    doors: Doors, login: str, password: str, kind: int, result: int
) -> None:
    caller = await doors.dial()
    assert await caller.bind(login, password, kind) == result
    assert await caller.closed()
    assert doors.listener.refused["login"] == 1
    await caller.close()


async def test_a_login_is_welcome_from_the_networks_of_its_own_account_alone(
    make_doors: MakeDoors,
) -> None:
    doors = await make_doors(smg="127.0.0.1/32", other="127.0.0.77/32")
    for source, login, result in (
        ("127.0.0.1", "smg", 0),
        ("127.0.0.77", "other", 0),
        ("127.0.0.77", "smg", 1),
        ("127.0.0.1", "other", 1),
    ):
        caller = await doors.dial(source=source)
        assert await caller.bind(login, PASSWORD) == result, f"{login} from {source}"
        await caller.close()


async def test_an_account_taken_out_of_the_configuration_can_log_in_no_more(
    make_doors: MakeDoors,
) -> None:
    doors = await make_doors(smg="127.0.0.1/32", other="127.0.0.77/32")
    app = doors.desk.app
    whole = app.config
    gone, waits = await doors.logged_in(), await doors.dial()
    other = await doors.dial("127.0.0.77")
    assert await other.bind("other", PASSWORD) == 0
    accounts = {name: account for name, account in whole.accounts.items() if name != "a"}
    app.reload(structs.replace(whole, accounts=accounts))
    assert (await gone.reader.readexactly(20))[4:8] == struct.pack("!I", UNBIND)
    assert await gone.closed()
    assert await waits.closed()
    assert await (await doors.dial()).closed(), "its network is a stranger's now"
    assert not await other.closed(0.1)
    app.reload(whole)
    await doors.logged_in()


async def test_every_login_costs_one_comparison_that_takes_no_notice_of_where_it_differs(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real: Callable[[Any, Any], bool] = sgip_listener.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(sgip_listener, "compare_digest", compare)
    for login, password in (("smg", "wrong"), ("nobody", PASSWORD), ("smg", PASSWORD)):
        caller = await doors.dial()
        await caller.bind(login, password)
        await caller.close()
    assert [b for _, b in compared] == [b"wrong", PASSWORD.encode(), PASSWORD.encode()]


async def test_garbage_and_what_fuzzing_found_leave_the_door_as_it_was(doors: Doors) -> None:
    chance = random.Random(20261122)
    inputs = [chance.randbytes(chance.randint(1, 400)) for _ in range(60)]
    inputs += chance.sample(found("sgip") + golden("sgip"), 60)
    for turn, octets in enumerate(inputs):
        caller = await (doors.logged_in() if turn % 2 else doors.dial())
        caller.writer.write(octets)
        if turn % 3:
            await caller.writer.drain()
        else:
            caller.writer.transport.abort()
        await caller.close()
    caller = await doors.logged_in()
    assert await caller.ask(USERRPT, userrpt()) == 0
    await caller.close()
    await doors.empty()


async def test_who_asks_and_never_reads_is_not_answered_into_memory(doors: Doors) -> None:
    caller = await doors.logged_in()
    sock = caller.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
    (link,) = doors.listener.links
    frame = head(51, USERRPT, own_sequence(7)) + userrpt()
    most = 0
    try:
        async with asyncio.timeout(2.0):
            for _ in range(400):
                caller.writer.write(frame * 2_000)
                await caller.writer.drain()
                if link._transport is None:
                    break
                most = max(most, link._transport.get_write_buffer_size())
    except (TimeoutError, ConnectionError):
        pass  # it takes no more: what was wanted
    assert most < 4 * 1024 * 1024, f"{most} octets of answers wait in memory"
    caller.writer.transport.abort()
    await doors.empty()


async def test_who_reads_nothing_does_not_keep_the_daemon_from_ending(doors: Doors) -> None:
    caller = await doors.logged_in()
    caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
    (link,) = doors.listener.links
    frame = head(51, USERRPT, own_sequence(7)) + userrpt()

    async def ask() -> None:
        while True:
            caller.writer.write(frame * 2_000)
            await caller.writer.drain()

    asking = asyncio.create_task(ask())
    transport = link._transport
    assert transport is not None
    await until(lambda: transport.get_write_buffer_size() > 0, what="answers that wait")
    began = time.monotonic()
    try:
        async with asyncio.timeout(30.0):
            await doors.listener.stop()
    finally:
        asking.cancel()
        caller.writer.transport.abort()
    assert time.monotonic() - began < LOGIN_WITHIN + LATE


async def test_a_carrier_that_vanished_without_a_word_is_noticed_by_tcp(doors: Doors) -> None:
    """SGIP has no keepalive of its own, so a silent connection would hold its place for ever."""
    caller = await doors.logged_in()
    (link,) = doors.listener.links
    assert link._transport is not None
    sock = link._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 120
    await caller.close()


async def test_a_report_before_the_login_is_closed_unanswered(doors: Doors) -> None:
    caller = await doors.dial()
    body = struct.pack(">12sB21sBB8s", own_sequence(1), 0, b"8613912345678", 0, 0, b"")
    assert await caller.ask(REPORT, body) == -1
    await caller.close()
    await doors.empty()


def userrpt() -> bytes:
    return struct.pack(">21s21sB8s", b"106550101", b"8613012345678", 2, b"")
