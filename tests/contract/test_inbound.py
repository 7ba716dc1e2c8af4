"""Contract, section 5: what subscribers write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from .process import until
from .world import Account, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
CARRIERS = ("mobile", "unicom", "telecom", "broadnet")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replies(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Parts are waited for a little longer than it takes until all have come."""
    async with world(
        tmp_path_factory.mktemp("inbound"),
        Account("mobile", "cmpp", "mobile"),
        Account("unicom", "sgip", "unicom"),
        Account("telecom", "smgp", "telecom"),
        Account("broadnet", "smpp", "broadnet"),
        daemon={"join_within": 3.0},
    ) as opened:
        yield opened


async def published(world: World, who: str, count: int = 1) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [p.value for p in world.daemon.published["inbound"] if p.value["from"] == who]

    await until(lambda: len(found()) >= count, what=f"{count} from {who}")
    await asyncio.sleep(0.2)
    assert len(found()) == count
    return found()


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_reply_is_published(replies: World, carrier: str) -> None:
    account = replies.accounts[carrier]
    who = f"1390000000{CARRIERS.index(carrier)}"
    to = account.far.access_number + "01"
    assert await account.gateway.inbound(who, to, "退订".encode("utf-16-be")) == 0
    (value,) = await published(replies, who)
    assert value["v"] == 1
    assert value["text"] == "退订"
    assert (value["to"], value["ext"]) == (to, "01")
    assert (value["carrier"], value["account"]) == (carrier, carrier)
    assert value["node"] == f"{carrier}-1"
    assert (value["parts"], value["complete"]) == (1, True)
    assert isinstance(value["id"], str)


async def test_the_country_code_is_taken_off_the_sender(replies: World) -> None:
    access = replies.mobile.far.access_number
    await replies.mobile.gateway.inbound("8613911110000", access, b"\0A")
    (value,) = await published(replies, "13911110000")
    assert (value["ext"], value["text"]) == ("", "A")


async def test_what_the_carrier_delivers_again_has_the_same_id(replies: World) -> None:
    access = replies.mobile.far.access_number
    for _ in range(2):
        assert (
            await replies.mobile.gateway.inbound("13911110001", access, b"\0B", ident=424242) == 0
        )
    await asyncio.sleep(0.4)
    values = [p.value for p in replies.daemon.published["inbound"] if p.key == "13911110001"]
    assert values
    assert all(value == values[0] | {"received": value["received"]} for value in values)


async def test_two_messages_have_two_ids(replies: World) -> None:
    access = replies.mobile.far.access_number
    for _ in range(2):
        await replies.mobile.gateway.inbound("13911110002", access, b"\0B")
    first, second = await published(replies, "13911110002", 2)
    assert first["id"] != second["id"]


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("udhi", [1, 64])
async def test_parts_are_joined_in_any_order(replies: World, carrier: str, udhi: int) -> None:
    account = replies.accounts[carrier]
    who = f"139222{CARRIERS.index(carrier):02d}0{udhi:02d}"
    text = "长短信上行" * 20
    data = text.encode("utf-16-be")
    parts = [bytes([5, 0, 3, 77, 2, n]) + data[134 * (n - 1) : 134 * n] for n in (1, 2)]
    for part in reversed(parts):
        await account.gateway.inbound(who, account.far.access_number, part, 8, udhi)
    (value,) = await published(replies, who)
    assert (value["text"], value["parts"], value["complete"]) == (text, 2, True)


async def test_parts_with_a_wide_reference_are_joined(replies: World) -> None:
    for n, body in ((2, "b"), (1, "a")):
        part = bytes([6, 8, 4, 1, 2, 2, n]) + body.encode("utf-16-be")
        await replies.mobile.gateway.inbound(
            "13933330000", replies.mobile.far.access_number, part, 8, 1
        )
    (value,) = await published(replies, "13933330000")
    assert (value["text"], value["complete"]) == ("ab", True)


async def test_what_stays_incomplete_is_published_so(replies: World) -> None:
    part = bytes([5, 0, 3, 9, 3, 2]) + "中".encode("utf-16-be")
    gateway = replies.mobile.gateway
    await gateway.inbound("13933330001", replies.mobile.far.access_number, part, 8, 1)
    await asyncio.sleep(0.5)
    assert not [p for p in replies.daemon.published["inbound"] if p.key == "13933330001"]
    (value,) = await published(replies, "13933330001")
    assert (value["complete"], value["parts"]) == (False, 1)
    assert "中" in value["text"]


async def test_waiting_parts_outlive_a_kill(tmp_path: Path) -> None:
    text = "跨重启"
    data = text.encode("utf-16-be")
    mobile = Account("mobile", "cmpp", "mobile")
    gateway, access = mobile.gateway, mobile.far.access_number
    # With a daemon of its own, which waits for parts longer than any start takes.
    async with world(tmp_path, mobile) as own:
        await gateway.inbound("13933330002", access, bytes([5, 0, 3, 8, 2, 1]) + data[:4], 8, 1)
        await own.daemon.kill()
        await own.daemon.start()
        await gateway.inbound("13933330002", access, bytes([5, 0, 3, 8, 2, 2]) + data[4:], 8, 1)
        (value,) = await published(own, "13933330002")
    assert (value["text"], value["complete"], value["parts"]) == (text, True, 2)


async def test_a_single_part_header_is_taken_off(replies: World) -> None:
    part = bytes([5, 0, 3, 1, 1, 1]) + "一".encode("utf-16-be")
    await replies.mobile.gateway.inbound(
        "13933330003", replies.mobile.far.access_number, part, 8, 64
    )
    (value,) = await published(replies, "13933330003")
    assert (value["text"], value["complete"]) == ("一", True)


async def test_gbk_and_ascii_replies_are_read(replies: World) -> None:
    gateway, access = replies.telecom.gateway, replies.telecom.far.access_number
    await gateway.inbound("13933330004", access, "回复".encode("gbk"), 15)
    await gateway.inbound("13933330005", access, b"TD", 0)
    assert (await published(replies, "13933330004"))[0]["text"] == "回复"
    assert (await published(replies, "13933330005"))[0]["text"] == "TD"


async def test_inbound_is_counted(replies: World) -> None:
    assert await replies.daemon.metric("carrierd_inbound_total", account="telecom") >= 1


async def test_nothing_that_the_daemon_did_breaks_the_contract(replies: World) -> None:
    assert replies.faults() == []
