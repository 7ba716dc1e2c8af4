"""Parts of inbound messages over a restart: kept while the others are missing, and no longer."""

from __future__ import annotations

from daemon.inbound import KIND
from protocols.events import Received
from tests.daemon.engine.conftest import MakeDesk
from tests.daemon.engine.conftest import make_desk as make_desk
from tests.daemon.engine.desk import Desk


def part(number: int, text: str) -> Received:
    content = bytes((5, 0, 3, 0x42, 2, number)) + text.encode("utf-16-be")
    identity = b"id%d" % number
    return Received("13912345678", "10657525", content, 8, True, object(), identity)


def kept(desk: Desk) -> int:
    return len(desk.app.ledger.kept(KIND))


async def test_half_a_message_survives_a_restart_and_is_joined_after_it(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    desk.peer().says(part(1, "前半"))
    await desk.settle()
    assert (desk.told, kept(desk)) == ([], 1)
    fresh = await make_desk(after=desk)
    fresh.peer().says(part(2, "后半"))
    await fresh.settle()
    assert [(e["text"], e["complete"]) for e in fresh.told] == [("前半后半", True)]
    assert kept(fresh) == 0


async def test_a_joined_message_leaves_nothing_that_a_restart_would_publish(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    for number, text in ((1, "前半"), (2, "后半"), (2, "后半"), (1, "前半")):
        peer.says(part(number, text))
        await desk.settle()
    assert [event["complete"] for event in desk.told] == [True]
    assert kept(desk) == 0
    fresh = await make_desk(after=desk)
    await fresh.pass_(400.0)
    assert fresh.told == []
